//! The names by which emails greet users.

use std::fmt;

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use crate::unicode::is_ignorable;

/// The longest name, in code points.
const MAX_LENGTH: usize = 40;

/// A name that an email can greet a user by.
///
/// Strangers choose their names in many products, and Rekey's emails come from a reputable domain. A name such as "Your
/// account is blocked, call +1 555 0100" or "evil.example" would make such an email an instrument of fraud. So a name
/// has no digit, no slash, no `@`, and no colon. A dot ends a word ("J.", "St."), so that no name looks like a host.
///
/// ```
/// use rekey::given_name::GivenName;
///
/// assert_eq!(GivenName::parse(" Ada ").unwrap().as_str(), "Ada");
/// assert_eq!(GivenName::parse("evil.example"), None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct GivenName(String);

impl GivenName {
    /// Parses a name: 1 to 40 letters, marks, spaces, `'`, `-`, and dots that end a word. Any other text is not a name,
    /// and never an error: the email then has a general greeting.
    pub fn parse(stored: &str) -> Option<Self> {
        let name = stored.trim_matches(' ');
        let is_short = name.chars().count() <= MAX_LENGTH;
        (is_short && is_name(name)).then(|| Self(name.to_owned()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Omits the name, which would end up in a log.
impl fmt::Debug for GivenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenName(..)")
    }
}

/// Returns whether a text has only the characters of a name, each after one that it can follow. A name begins with a
/// letter, because a mark would join the space before it.
fn is_name(text: &str) -> bool {
    let mut before = None;
    for character in text.chars() {
        let kind = Kind::of(character);
        let is_allowed = match kind {
            Kind::Letter => before != Some(Kind::Dot),
            Kind::Mark | Kind::Dot => matches!(before, Some(Kind::Letter | Kind::Mark)),
            Kind::Joint => before.is_some_and(|before| before != Kind::Dot),
            Kind::Space => before.is_some(),
            Kind::Other => false,
        };
        if !is_allowed {
            return false;
        }
        before = Some(kind);
    }
    before.is_some()
}

/// The part that a character plays in a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Mark,
    Space,
    /// An apostrophe or a hyphen.
    Joint,
    Dot,
    Other,
}

impl Kind {
    fn of(character: char) -> Self {
        match character {
            ' ' => Self::Space,
            '\'' | '-' => Self::Joint,
            '.' => Self::Dot,
            _ if is_ignorable(character) || looks_like_a_dot(character) => Self::Other,
            _ => Self::of_category(CodePointMapData::<GeneralCategory>::new().get(character)),
        }
    }

    fn of_category(category: GeneralCategory) -> Self {
        if GeneralCategoryGroup::Letter.contains(category) {
            Self::Letter
        } else if GeneralCategoryGroup::Mark.contains(category) {
            Self::Mark
        } else {
            Self::Other
        }
    }
}

/// Returns whether Unicode calls a character a letter although it looks like a dot: the tone letters of Lisu, and the
/// sinological dot (UTS 39, `confusables.txt`).
fn looks_like_a_dot(character: char) -> bool {
    matches!(character, '\u{a4f8}'..='\u{a4fd}' | '\u{a78f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_languages_are_accepted() {
        for name in [
            "A",
            "Ada",
            "Ada Lovelace",
            "J.",
            "Ada M. King",
            "St. John",
            "Jean-Luc",
            "D'Arcy",
            "Ren\u{e9}e",
            "Rene\u{301}e",
            "Øyvind",
            "Kaʻiulani",
            "Ольга",
            "עדה",
            "عائشة",
            "अदिति",
            "愛",
            "さくら",
        ] {
            assert_eq!(GivenName::parse(name).unwrap().as_str(), name);
        }
        assert!(GivenName::parse(&"a".repeat(40)).is_some());
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a list of names")]
    fn hostile_names_count_as_no_name() {
        for name in [
            "",
            " ",
            "'",
            "-",
            ".",
            "...",
            "evil.example",
            "evil.com",
            "a.b c",
            "J..",
            "J.-P.",
            ". com",
            "evil .com",
            "https://evil.example",
            "//evil",
            "evil/path",
            "ada@example.com",
            "mailto:ada",
            "Ada1",
            "call +1 555 0100",
            "Ada\u{661}",
            "Ada!",
            "Ada, hello",
            "<b>Ada</b>",
            "Ada & Bob",
            "\"Ada\"",
            "Ada\nBob",
            "Ada\r\nBcc",
            "Ada\tBob",
            "Ada\u{a0}Bob",
            "\0",
            "Ada\0",
            // Controls that change the direction of text, and other invisible characters.
            "\u{202e}adA",
            "Ada\u{2066}",
            "Ada\u{200f}",
            "Ada\u{200b}",
            "Ada\u{feff}",
            "\u{3164}",
            "\u{115f}\u{1160}",
            "A\u{34f}da",
            "A\u{fe0f}",
            // A mark without a letter.
            "\u{301}",
            "Ada \u{301}",
            // Dots in other scripts.
            "evil\u{3002}com",
            "evil\u{2024}com",
            "evil\u{ff0e}com",
            "evil\u{a4f8}com",
            "evil\u{a78f}com",
            "evil\u{b7}com",
            // Letters in circles, a Roman numeral, an emoji, and a private character.
            "\u{24d0}da",
            "Ada \u{2162}",
            "Ada \u{1f600}",
            "\u{e000}",
        ] {
            assert_eq!(GivenName::parse(name), None, "{name:?}");
        }
        assert_eq!(GivenName::parse(&"a".repeat(41)), None);
    }
}
