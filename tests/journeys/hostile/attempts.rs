//! Requests that an attacker may try: near misses, a few steps from a valid request.

use std::fmt;
use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;
use serde_json::Value;

/// The placeholder for a live token.
pub(crate) const TOKEN: &str = "{{a good token}}";
/// A marker in passwords and in extra fields, which no response or log may contain.
pub(crate) const CANARY: &str = "canary-6c1f";

/// The stored users, whose addresses have lookalikes.
pub(crate) const USERS: [&str; 4] = [
    "anna@example.com",
    "mike@example.org",
    "kiss.it@sub.example.com",
    "o'brien+x@xn--exmple-cua.com",
];

/// The allowed reset URLs.
pub(crate) const PAGES: [&str; 2] = [
    "https://app.example.com/password/reset",
    "https://app.example.com/account?view=reset",
];

/// A request without its source.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) path: &'static str,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.body[..self.body.len().min(1000)];
        f.debug_struct("Attempt")
            .field("path", &self.path)
            .field("query", &self.query)
            .field("headers", &self.headers)
            .field("body", &format_args!("{}", shown.escape_ascii()))
            .finish()
    }
}

impl Attempt {
    /// Returns the attempt with a live token in place of the placeholder.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        let marker = TOKEN.as_bytes();
        while let Some(at) = self
            .body
            .windows(marker.len())
            .position(|part| part == marker)
        {
            self.body.splice(at..at + marker.len(), token.bytes());
        }
        self
    }

    /// Returns the address in the body, as a plain JSON parser reads it.
    pub(crate) fn email(&self) -> String {
        #[derive(Deserialize)]
        struct Body {
            email: String,
        }
        serde_json::from_slice::<Body>(&self.body).unwrap().email
    }

    /// Returns the token in the body.
    pub(crate) fn token(&self) -> String {
        #[derive(Deserialize)]
        struct Body {
            token: String,
        }
        serde_json::from_slice::<Body>(&self.body).unwrap().token
    }
}

/// Returns an address or a token as Rekey compares it: in ASCII lower case, without surrounding invisible characters,
/// and otherwise unchanged.
pub(crate) fn plain(address: &str) -> String {
    let is_ignored = |character: char| matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}');
    let is_invisible = |character: char| character.is_whitespace() || is_ignored(character);
    address.trim_matches(is_invisible).to_ascii_lowercase()
}

/// Returns requests for both routes.
pub(crate) fn attempts() -> impl Strategy<Value = Attempt> {
    let forgot = || {
        let fields = (
            emails(),
            urls(),
            option::weighted(0.1, json_texts()),
            extras(),
        );
        fields.prop_map(|(email, url, locale, extras)| {
            let mut fields = vec![("email".to_owned(), email), ("reset_url".to_owned(), url)];
            fields.extend(locale.map(|locale| ("locale".to_owned(), locale)));
            fields.extend(extras);
            ("/password/forgot", fields)
        })
    };
    let reset = || {
        let fields = (emails(), tokens(), passwords(), extras());
        fields.prop_map(|(email, token, password, extras)| {
            let fields = [("email", email), ("token", token), ("password", password)];
            let fields = fields.map(|(name, value)| (name.to_owned(), value));
            (
                "/password/reset",
                fields.into_iter().chain(extras).collect(),
            )
        })
    };
    let fields = prop_oneof![3 => forgot().boxed(), 2 => reset().boxed()];
    let bodies = (fields, any::<Index>(), spellings(), manglings());
    let around = (content_types(), headers(), queries());
    (bodies, around).prop_map(|(((path, mut fields), turn, spelling, mangle), around)| {
        let at = turn.index(fields.len());
        fields.rotate_left(at);
        let (content_type, mut headers, query) = around;
        headers.extend(content_type.map(|value| ("content-type".to_owned(), value)));
        Attempt {
            path,
            query,
            headers,
            body: mangle.of(object(&fields, spelling).into_bytes()),
        }
    })
}

/// Returns a JSON object of these names and values. The values are JSON already.
pub(crate) fn object(fields: &[(String, String)], spelling: Spelling) -> String {
    let field = |(name, value): &(String, String)| format!("{}:{value}", spelling.of(name));
    let fields: Vec<String> = fields.iter().map(field).collect();
    format!("{{{}}}", fields.join(","))
}

/// A spelling of a JSON string (RFC 8259 section 7). All spellings mean the same.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spelling {
    Plain,
    /// Escapes every character as `\u` and four digits.
    Escaped,
    /// Escapes only the first character.
    Partly,
}

impl Spelling {
    pub(crate) fn of(self, text: &str) -> String {
        let escaped = |text: &str| {
            let mut escaped = String::new();
            for unit in text.encode_utf16() {
                write!(escaped, "\\u{unit:04x}").unwrap();
            }
            escaped
        };
        let plain = |text: &str| {
            let quoted = Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        let first = text.chars().next().map_or(0, char::len_utf8);
        match self {
            Self::Plain => format!("\"{}\"", plain(text)),
            Self::Escaped => format!("\"{}\"", escaped(text)),
            Self::Partly => format!("\"{}{}\"", escaped(&text[..first]), plain(&text[first..])),
        }
    }
}

pub(crate) fn spellings() -> impl Strategy<Value = Spelling> {
    select(vec![
        Spelling::Plain,
        Spelling::Plain,
        Spelling::Escaped,
        Spelling::Partly,
    ])
}

const ODD_TEXTS: [&str; 39] = [
    "null",
    "true",
    "0",
    "-0",
    "7",
    "1e999",
    "-1E-999",
    "0x10",
    "01",
    "+1",
    ".5",
    "1.",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "123456789012345678901234567890",
    "18446744073709551616",
    "-9223372036854775809",
    "'ada@example.com'",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\u12\"",
    "\"\\x41\"",
    "\"\u{0}\"",
    "\"\n\"",
    "\"\\u0000\"",
    "{\"$ne\":null}",
    "{\"__proto__\":{}}",
    "{\"a\":1,\"a\":2}",
    "[\"ada@example.com\"]",
    "[\"ada@example.com\",\"eve@evil.test\"]",
    "{\"0\":\"ada@example.com\"}",
    "[]",
    "{}",
    "[,]",
    "",
    "\"",
    "/**/1",
];

/// Returns JSON texts, and texts that only look like JSON.
pub(crate) fn json_texts() -> BoxedStrategy<String> {
    let strings = (any::<String>(), spellings()).prop_map(|(text, spelling)| spelling.of(&text));
    let leaves = prop_oneof![select(ODD_TEXTS.to_vec()).prop_map(str::to_owned), strings];
    let nested = leaves.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec((any::<String>(), inner), 0..4).prop_map(|fields| object(&fields, Spelling::Plain)),
        ]
    });
    let deep = (
        1..4000_usize,
        select(vec![("[", "]"), ("{\"a\":", "}")]),
        any::<bool>(),
    )
        .prop_map(|(depth, (open, close), is_closed)| {
            let depth = if is_closed { depth } else { depth / 2 };
            let close = if is_closed {
                close.repeat(depth)
            } else {
                String::new()
            };
            format!("{}1{close}", open.repeat(depth))
        });
    prop_oneof![8 => nested, 1 => deep].boxed()
}

/// Returns extra fields. Some repeat Rekey's fields, under names that a careless parser confuses with them.
fn extras() -> impl Strategy<Value = Vec<(String, String)>> {
    let names = [
        "email",
        "reset_url",
        "reseturl",
        "token",
        "password",
        "password_confirmation",
        "locale",
        "Email",
        "EMAIL",
        "email ",
        "email\u{0}",
        "e\u{200b}mail",
        "reset-url",
        "resetUrl",
        "email[]",
        "email.0",
        "__proto__",
        "constructor",
        "x",
        "",
    ];
    let values = prop_oneof![
        json_texts(),
        Just(Spelling::Plain.of("eve@evil.test")),
        Just(Spelling::Plain.of("https://evil.test/password/reset")),
        Just(Spelling::Plain.of(CANARY)),
        (0..9000_usize).prop_map(|length| Spelling::Plain.of(&"x".repeat(length))),
    ];
    let extra = (select(names.to_vec()).prop_map(str::to_owned), values);
    prop_oneof![8 => Just(Vec::new()), 2 => vec(extra, 1..4)]
}

/// Returns the value of one of Rekey's fields as JSON, mostly a string.
fn field(strings: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    let strings = (strings, spellings()).prop_map(|(text, spelling)| spelling.of(&text));
    prop_oneof![20 => strings, 1 => json_texts()]
}

fn emails() -> impl Strategy<Value = String> {
    field(addresses())
}

/// Returns stored addresses, and addresses that resemble them.
pub(crate) fn addresses() -> impl Strategy<Value = String> {
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
pub(crate) fn lookalikes(of: Vec<&'static str>) -> impl Strategy<Value = String> {
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
fn characters() -> Vec<char> {
    "\u{0}\t\n\u{b}\u{c}\r \"#$%&'()*+,-./:;<=>?@[\\]^`{|}~\u{7f}\u{80}\u{85}\u{a0}\u{ad}\u{200b}\u{200e}\u{2028}\u{202e}\u{2066}\u{3000}\u{fe0f}\u{feff}\u{fffd}\u{ffff}\u{1f600}\u{10ffff}"
        .chars()
        .collect()
}

fn insert(text: &str, at: Index, character: char) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    characters.insert(at.index(characters.len() + 1), character);
    characters.into_iter().collect()
}

fn urls() -> impl Strategy<Value = String> {
    let page = || select(PAGES.to_vec()).prop_map(str::to_owned);
    let typed = (page(), any::<Index>(), select(characters()))
        .prop_map(|(page, at, character)| insert(&page, at, character));
    let cut =
        (page(), any::<Index>()).prop_map(|(page, at)| page[..at.index(page.len())].to_owned());
    let elsewhere = select(ELSEWHERE.lines().collect::<Vec<_>>()).prop_map(str::to_owned);
    field(prop_oneof![
        20 => page(),
        3 => lookalikes(PAGES.to_vec()),
        3 => typed,
        1 => cut,
        6 => elsewhere,
        1 => any::<String>(),
    ])
}

/// Variants of the allowed reset URLs, and other URLs, one per line.
const ELSEWHERE: &str = "\
HTTPS://APP.EXAMPLE.COM/password/reset
https://app.example.com:443/password/reset
https:app.example.com/password/reset
https:\\\\app.example.com\\password\\reset
https:///app.example.com/password/reset
https://app%2eexample.com/password/reset
https://app.example.com/x/../password/reset
https://app.example.com/password/./reset
https://app.example.com/password/%2e/reset
https://app.example.com/password/%72eset
https://app.example.com//password/reset
https://app.example.com/password//reset
https://app.example.com/Password/Reset
https://app.example.com/password/reset/
https://app.example.com/password/reset?
https://app.example.com/password/reset#
https://app.example.com/password/reset#@evil.test/
https://app.example.com/password/reset?token=x
https://app.example.com/password/reset?email=eve@evil.test
https://app.example.com/password/reset;x
https://app.example.com/password/reset%00
https://app.example.com/password/reset%2f..%2fevil
https://app.example.com/password/reset/..%2f
https://app.example.com/password/..%5cevil
https://app.example.com/account?view=reset&view=evil
https://app.example.com/account?view=reset&next=//evil.test
https://app.example.com/account?VIEW=reset
https://app.example.com/account?view=%72eset
https://app.example.com/account
http://app.example.com/password/reset
//app.example.com/password/reset
/password/reset
https://app.example.com./password/reset
https://app.example.com:8443/password/reset
https://app.example.com:0443/password/reset
https://app.example.com:/password/reset
https://app.example.com:65536/password/reset
https://ada@app.example.com/password/reset
https://:@app.example.com/password/reset
https://app.example.com@evil.test/password/reset
https://app.example.com\\@evil.test/password/reset
https://evil.test\\@app.example.com/password/reset
https://app.example.com%40evil.test/password/reset
https://app.example.com.evil.test/password/reset
https://app.example.com%00.evil.test/password/reset
https://evil.test/https://app.example.com/password/reset
https://evil.test/?https://app.example.com/password/reset
https://[::1]/password/reset
https://[::ffff:127.0.0.1]/password/reset
https://2130706433/password/reset
https://0x7f.1/password/reset
javascript://app.example.com/password/reset%0aalert(1)
data:text/html,https://app.example.com/password/reset
blob:https://app.example.com/password/reset";

fn tokens() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "0",
        "00",
        "token#",
        "' OR 1=1 --",
        "../..",
        "null",
        "undefined",
    ];
    let near = (0..64_usize, select(characters())).prop_map(|(at, character)| {
        let mut digits: Vec<char> = "0".repeat(64).chars().collect();
        digits[at] = character;
        digits.into_iter().collect()
    });
    let around = select(vec![" {}", "{}\n", "{}0", "token#{}", "{}\u{0}", "{}{}"]);
    let around = around.prop_map(|around| around.replace("{}", TOKEN));
    field(prop_oneof![
        20 => Just(TOKEN.to_owned()),
        2 => around,
        1 => "[0-9a-f]{64}",
        1 => "[0-9a-fA-F]{60,68}",
        1 => near,
        1 => select(odd.to_vec()).prop_map(str::to_owned),
        1 => Just("\u{ff10}".repeat(64)),
    ])
}

fn passwords() -> impl Strategy<Value = String> {
    field(prop_oneof![
        8 => Just(format!("{CANARY} and staple")),
        1 => any::<String>(),
        1 => (0..300_usize).prop_map(|length| "é".repeat(length)),
    ])
}

/// A change to a whole body, not to a field.
#[derive(Clone, Debug)]
enum Mangling {
    Nothing,
    Cut(Index),
    Insert(Index, Vec<u8>),
    Replace(Index, u8),
    Before(Vec<u8>),
    After(Vec<u8>),
    Pad(usize),
    Utf16 { is_big_endian: bool, has_mark: bool },
    Utf32,
}

impl Mangling {
    fn of(self, mut body: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Nothing => {}
            Self::Cut(at) => body.truncate(at.index(body.len())),
            Self::Insert(at, bytes) => {
                let at = at.index(body.len());
                body.splice(at..at, bytes);
            }
            Self::Replace(at, byte) => {
                let at = at.index(body.len());
                body[at] = byte;
            }
            Self::Before(bytes) => body = [bytes, body].concat(),
            Self::After(bytes) => body.extend(bytes),
            Self::Pad(length) => body.resize(length.max(body.len()), b' '),
            Self::Utf16 {
                is_big_endian,
                has_mark,
            } => {
                let text = String::from_utf8_lossy(&body).into_owned();
                let mark = has_mark.then_some(0xfeff);
                let units = mark.into_iter().chain(text.encode_utf16());
                let bytes = |unit: u16| {
                    if is_big_endian {
                        unit.to_be_bytes()
                    } else {
                        unit.to_le_bytes()
                    }
                };
                body = units.flat_map(bytes).collect();
            }
            Self::Utf32 => {
                let text = String::from_utf8_lossy(&body).into_owned();
                body = text
                    .chars()
                    .flat_map(|character| u32::from(character).to_le_bytes())
                    .collect();
            }
        }
        body
    }
}

fn manglings() -> impl Strategy<Value = Mangling> {
    let odd: Vec<Vec<u8>> = [
        "\u{feff}",
        "\0",
        "//\n",
        "/**/",
        ",",
        "{}",
        "[",
        "x",
        ")]}',\n",
        "\u{1f}\u{8b}\u{8}",
        "\u{2028}",
        "--\r\n",
        "&email=eve@evil.test",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into_iter()
    .chain([
        b"\xff".to_vec(),
        b"\xc0\xaf".to_vec(),
        b"\xed\xa0\x80".to_vec(),
        b"\xf4\x90\x80\x80".to_vec(),
        b"\xe2\x82".to_vec(),
    ])
    .collect();
    let odd = || select(odd.clone());
    prop_oneof![
        36 => Just(Mangling::Nothing),
        1 => any::<Index>().prop_map(Mangling::Cut),
        3 => (any::<Index>(), odd()).prop_map(|(at, bytes)| Mangling::Insert(at, bytes)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mangling::Replace(at, byte)),
        1 => odd().prop_map(Mangling::Before),
        1 => odd().prop_map(Mangling::After),
        1 => (8190..8195_usize).prop_map(Mangling::Pad),
        1 => any::<(bool, bool)>().prop_map(|(is_big_endian, has_mark)| Mangling::Utf16 { is_big_endian, has_mark }),
        1 => Just(Mangling::Utf32),
    ]
}

fn content_types() -> impl Strategy<Value = Option<String>> {
    let odd = [
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=utf-16",
        "application/json; charset=\"",
        " application/json ;;",
        "application/json, text/plain",
        "application/json\u{b}",
        "application/jsonx",
        "application/json/x",
        "text/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "*/*",
        "",
        "application/ld+json",
        ";application/json",
    ];
    let odd = select(odd.to_vec()).prop_map(|value| Some(value.to_owned()));
    prop_oneof![30 => Just(Some("application/json".to_owned())), 2 => odd, 1 => Just(None)]
}

/// Returns headers that some applications trust ("Password reset poisoning", `PortSwigger`).
fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let names = [
        "host",
        "x-forwarded-host",
        "x-forwarded-server",
        "x-forwarded-proto",
        "x-forwarded-for",
        "x-real-ip",
        "x-host",
        "forwarded",
        "origin",
        "referer",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-forwarded-prefix",
        "accept-language",
        "cookie",
    ];
    let values = [
        "evil.test",
        "https://evil.test",
        "https://evil.test/password/reset",
        "host=evil.test;proto=http",
        "app.example.com, evil.test",
        "null",
        "127.0.0.1",
        "\"",
        "../../evil",
    ];
    let header = (select(names.to_vec()), select(values.to_vec()));
    let header = header.prop_map(|(name, value)| (name.to_owned(), value.to_owned()));
    prop_oneof![2 => Just(Vec::new()), 1 => vec(header, 1..5)]
}

/// Returns queries, which Rekey does not read.
fn queries() -> impl Strategy<Value = String> {
    let odd = [
        "<",
        "<>",
        "%",
        "%zz",
        "%00",
        "a b",
        "é",
        "\u{0}",
        "{}|\\^`[]",
        "email=eve@evil.test",
        "reset_url=https://evil.test/",
        "&&==",
        "\n",
    ];
    let odd = select(odd.to_vec()).prop_map(str::to_owned);
    prop_oneof![6 => Just(String::new()), 2 => odd, 1 => any::<String>()]
}
