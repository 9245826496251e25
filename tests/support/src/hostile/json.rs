//! JSON, and texts that only look like JSON.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

/// Returns a JSON object of these names and values. The values are JSON already.
pub fn object(fields: &[(String, String)], spelling: Spelling) -> String {
    let field = |(name, value): &(String, String)| format!("{}:{value}", spelling.of(name));
    let fields: Vec<String> = fields.iter().map(field).collect();
    format!("{{{}}}", fields.join(","))
}

/// A spelling of a JSON string (RFC 8259 section 7). All spellings mean the same.
#[derive(Clone, Copy, Debug)]
pub enum Spelling {
    Plain,
    /// Escapes every character as `\u` and four digits.
    Escaped,
    /// Escapes only the first character.
    Partly,
}

impl Spelling {
    pub fn of(self, text: &str) -> String {
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

pub fn spellings() -> impl Strategy<Value = Spelling> {
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
pub fn json_texts() -> BoxedStrategy<String> {
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

/// Returns the value of one of Rekey's fields as JSON, mostly a string.
pub fn field(strings: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    let strings = (strings, spellings()).prop_map(|(text, spelling)| spelling.of(&text));
    prop_oneof![20 => strings, 1 => json_texts()]
}
