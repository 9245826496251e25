//! Addresses that resemble stored ones.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::USERS;

/// Returns stored addresses, and addresses that resemble them.
pub fn addresses() -> impl Strategy<Value = String> {
    let user = || select(USERS.to_vec()).prop_map(str::to_owned);
    let same = (user(), any::<u32>()).prop_map(|(user, upper)| {
        let cased = user
            .char_indices()
            .map(|(at, character)| match upper >> (at % 32) & 1 {
                0 => character,
                _ => character.to_ascii_uppercase(),
            });
        format!(" {} ", cased.collect::<String>())
    });
    let wrapped = (user(), select(WRAPPINGS.to_vec())).prop_map(|(user, wrapping)| {
        let (local, domain) = user.split_once('@').unwrap();
        let wrapped = wrapping
            .replace("{local}", local)
            .replace("{domain}", domain);
        wrapped.replace("{}", &user)
    });
    let long = (
        user(),
        select(vec![63, 64, 65, 200, 239, 240, 241, 4000]),
        any::<bool>(),
    )
        .prop_map(|(user, length, in_domain)| {
            let long = format!("{}{}", "a.".repeat(length / 2), "a".repeat(length % 2));
            let (local, domain) = user.split_once('@').unwrap();
            if in_domain {
                format!("{local}@{long}{domain}")
            } else {
                format!("{long}{local}@{domain}")
            }
        });
    let typed = (user(), any::<Index>(), select(characters()))
        .prop_map(|(user, at, character)| insert(&user, at, character));
    prop_oneof![
        9 => user(),
        4 => same,
        4 => lookalikes(USERS.to_vec()),
        4 => wrapped,
        1 => long,
        3 => typed,
        1 => any::<String>(),
    ]
}

const WRAPPINGS: [&str; 34] = [
    "Ada <{}>",
    "<{}>",
    "{},eve@evil.test",
    "{};eve@evil.test",
    "{} eve@evil.test",
    "eve@evil.test,{}",
    "{}\r\nBcc: eve@evil.test",
    "{}\nTo: eve@evil.test",
    "{}\u{0}eve@evil.test",
    "{}\\r\\nBcc: eve@evil.test",
    "{}%0d%0aBcc:eve@evil.test",
    "\"{}\"@evil.test",
    "\"{local}\"@{domain}",
    "{local}(x)@{domain}",
    "(x){}",
    "{}(x)",
    "mailto:{}",
    "mailto:{}?bcc=eve@evil.test",
    "{}.",
    "{}..",
    "{local}.@{domain}",
    ".{}",
    "{local}@.{domain}",
    "{local}@{domain}@evil.test",
    "eve@evil.test@{domain}",
    "{local}%{domain}@evil.test",
    "evil.test!{}",
    "@evil.test:{}",
    "{local}@[127.0.0.1]",
    "=?utf-8?q?{local}?=@{domain}",
    "{local}@{domain}:25",
    "group:{};",
    "{local}+x@{domain}",
    "[\"{}\",\"eve@evil.test\"]",
];

/// Returns one of these texts with some characters replaced by equivalent or similar Unicode characters.
pub fn lookalikes(of: Vec<&'static str>) -> impl Strategy<Value = String> {
    (select(of), vec(any::<Index>(), 1..4), any::<Index>()).prop_map(|(text, places, which)| {
        let mut characters: Vec<String> = text.chars().map(String::from).collect();
        for place in places {
            // Replace the next character that has lookalikes.
            let length = characters.len();
            let start = place.index(length);
            let mut order = (start..length).chain(0..start);
            let replacement = order.find_map(|at| {
                let others = others_of(&characters[at]);
                (!others.is_empty()).then(|| (at, others[which.index(others.len())].clone()))
            });
            if let Some((at, other)) = replacement {
                characters[at] = other;
            }
        }
        characters.concat()
    })
}

/// Returns the characters that folding, normalization, or a person confuses with this one. They are case mappings and
/// compatibility forms (Unicode UAX 15 and 21), and some homographs (UTS 39).
fn others_of(character: &str) -> Vec<String> {
    let Some(ascii) = character.chars().next().filter(char::is_ascii) else {
        return Vec::new();
    };
    let mut others: Vec<String> = CASE_FOLDED
        .iter()
        .filter(|(_, folded)| *folded == ascii)
        .map(|(other, _)| other.to_string())
        .collect();
    let from = |first: u32, offset: u32| char::from_u32(first + offset).map(String::from);
    if ascii.is_ascii_graphic() {
        // Fullwidth forms.
        others.extend(from(0xff01, u32::from(ascii) - 0x21));
    }
    if ascii.is_ascii_lowercase() {
        let offset = u32::from(ascii) - u32::from('a');
        // Circled, mathematical bold and double-struck letters, and tags.
        for first in [0x24d0, 0x1d41a, 0x1d552, 0xe0061] {
            others.extend(from(first, offset));
        }
        // Add marks, joiners, and soft hyphens, which normalization, stripping, or a parser drops.
        others.extend(
            ["\u{301}", "\u{200b}", "\u{200d}", "\u{ad}", "\u{feff}"]
                .map(|mark| format!("{ascii}{mark}")),
        );
    }
    others
}

const CASE_FOLDED: [(char, char); 22] = [
    ('\u{131}', 'i'),
    ('\u{130}', 'i'),
    ('\u{212a}', 'k'),
    ('\u{17f}', 's'),
    ('\u{2139}', 'i'),
    ('\u{2170}', 'i'),
    ('а', 'a'),
    ('е', 'e'),
    ('о', 'o'),
    ('с', 'c'),
    ('р', 'p'),
    ('х', 'x'),
    ('ѕ', 's'),
    ('і', 'i'),
    ('ɑ', 'a'),
    ('á', 'a'),
    ('\u{3002}', '.'),
    ('\u{ff61}', '.'),
    ('\u{2024}', '.'),
    ('\u{fe6b}', '@'),
    ('\u{2010}', '-'),
    ('\u{2019}', '\''),
];

/// Returns characters that some parser drops, cuts at, or reads as a separator.
pub(super) fn characters() -> Vec<char> {
    "\u{0}\t\n\u{b}\u{c}\r \"#$%&'()*+,-./:;<=>?@[\\]^`{|}~\u{7f}\u{80}\u{85}\u{a0}\u{ad}\u{200b}\u{200e}\u{2028}\u{202e}\u{2066}\u{3000}\u{fe0f}\u{feff}\u{fffd}\u{ffff}\u{1f600}\u{10ffff}"
        .chars()
        .collect()
}

pub(super) fn insert(text: &str, at: Index, character: char) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    characters.insert(at.index(characters.len() + 1), character);
    characters.into_iter().collect()
}
