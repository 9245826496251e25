//! Requests that an attacker may try: near misses, a few steps from a valid request.

use std::fmt;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;

use super::addresses::addresses;
use super::fields::{passwords, tokens, urls};
use super::json::{Spelling, field, json_texts, object, spellings};
use super::{CANARY, TOKEN};

/// A request without its source.
#[derive(Clone)]
pub struct Attempt {
    pub path: &'static str,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
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
    pub fn with_token(mut self, token: &str) -> Self {
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
    pub fn email(&self) -> String {
        #[derive(Deserialize)]
        struct Body {
            email: String,
        }
        serde_json::from_slice::<Body>(&self.body).unwrap().email
    }

    /// Returns the token in the body.
    pub fn token(&self) -> String {
        #[derive(Deserialize)]
        struct Body {
            token: String,
        }
        serde_json::from_slice::<Body>(&self.body).unwrap().token
    }
}

/// Returns an address or a token as Rekey compares it: in ASCII lower case, without surrounding invisible characters,
/// and otherwise unchanged.
pub fn plain(address: &str) -> String {
    let is_ignored = |character: char| matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}');
    let is_invisible = |character: char| character.is_whitespace() || is_ignored(character);
    address.trim_matches(is_invisible).to_ascii_lowercase()
}

/// Returns requests for both routes.
pub fn attempts() -> impl Strategy<Value = Attempt> {
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

fn emails() -> impl Strategy<Value = String> {
    field(addresses())
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
