//! What comes in through a gateway, and what goes out.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::SignedDuration;
use lambda_http::http::StatusCode;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::de::{
    DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::digest::hex;
use crate::problem::{FieldError, Problem};
use crate::source::Source;

/// The largest body that is read, in bytes.
pub const MAX_BODY: usize = 8 * 1024;

/// A request as the gateway handed it over: of its event, what the functions look at.
#[derive(Debug)]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// The path, without the query. A stage or a base path may stand before the route.
    pub path: String,
    /// The `Content-Type`, if there is one.
    pub content_type: Option<String>,
    /// The body: it may hold a password.
    pub body: SecretSlice<u8>,
    /// Where it came from, as the gateway says.
    pub source: Source,
    /// What follows the request through every log.
    pub id: RequestId,
}

impl Request {
    /// The fields of a JSON body.
    ///
    /// # Errors
    /// 415, 413 or 400, in this order. serde's own words are dropped: they repeat what was sent.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let media_type = self
            .content_type
            .as_deref()
            .and_then(|value| value.split(';').next())
            .unwrap_or_default();
        if !media_type.trim().eq_ignore_ascii_case("application/json") {
            return Err(Problem::NotJson);
        }
        let body = self.body.expose_secret();
        if body.len() > MAX_BODY {
            return Err(Problem::TooLarge);
        }
        // serde passes over what a form has no field for: bytes that are no text there, and names that come twice.
        let text = str::from_utf8(body).map_err(|_| Problem::Malformed)?;
        let form = serde_json::from_str(text).and_then(|Object| serde_json::from_str(text));
        form.map_err(|_| Problem::Malformed)
    }
}

/// A JSON object that has each field once. What parsers make of one that has not differs (RFC 8259 section 4), and so
/// would what is checked and what is used.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object that has each field once")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object, A::Error> {
                let mut names = HashSet::new();
                while let Some((name, _)) = entries.next_entry::<String, IgnoredAny>()? {
                    if !names.insert(name) {
                        return Err(A::Error::custom("a field twice"));
                    }
                }
                Ok(Object)
            }
        }

        deserializer.deserialize_map(Names)
    }
}

/// The body as bytes. One that is no base64 though the gateway said so is no JSON either.
pub(crate) fn body(text: Option<&SecretString>, is_base64: bool) -> SecretSlice<u8> {
    let text = text.map_or("", |text| text.expose_secret());
    if is_base64 {
        BASE64.decode(text).unwrap_or_default().into()
    } else {
        text.as_bytes().to_vec().into()
    }
}

/// What follows one request through every log, from the gateway's to the private half's. It says nothing of anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RequestId(String);

impl RequestId {
    /// Takes an id that is short and plain enough to stand in a header, a key and a log.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn parse(id: &str) -> Result<Self, &'static str> {
        let is_plain = (1..=128).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte));
        if is_plain {
            Ok(Self(id.to_owned()))
        } else {
            Err("1 to 128 letters, digits, and any of -_=")
        }
    }

    /// Stands in where there is none.
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a tag of a mail, which may not hold all of its characters.
    pub(crate) fn to_tag(&self) -> String {
        hex(self.0.as_bytes())
    }

    /// The id that a tag was made of.
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        let (pairs, rest) = tag.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let id = String::from_utf8(bytes.filter(|_| rest.is_empty())?).ok()?;
        Self::parse(&id).ok()
    }
}

impl TryFrom<String> for RequestId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, &'static str> {
        Self::parse(&id)
    }
}

/// A field of a JSON body: anything that a client may have put there.
#[derive(Debug, Default)]
pub enum Field {
    /// Absent, or null.
    #[default]
    Missing,
    /// A string. Any of them could be a secret, or hold one by mistake.
    Text(SecretString),
    /// Something else: a number, a list, an object.
    NotText,
}

impl Field {
    /// Parses the text of a field that has to be there.
    ///
    /// # Errors
    /// A error where it is missing, is no text, or does not parse.
    pub fn required<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, FieldError>,
    ) -> Result<T, FieldError> {
        self.optional(parse)?.ok_or(FieldError::Required)
    }

    /// Returns the text of a field that is never a reason to refuse a request.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.expose_secret()),
            Self::Missing | Self::NotText => None,
        }
    }

    /// Parses the text of a field that may be left out.
    ///
    /// # Errors
    /// A error where it is no text, or does not parse.
    pub fn optional<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, FieldError>,
    ) -> Result<Option<T>, FieldError> {
        match self {
            Self::Missing => Ok(None),
            Self::Text(text) => parse(text.expose_secret()).map(Some),
            Self::NotText => Err(FieldError::NotText),
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_str<E>(self, text: &str) -> Result<Field, E> {
                Ok(Field::Text(text.into()))
            }
            fn visit_unit<E>(self) -> Result<Field, E> {
                Ok(Field::Missing)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
                Ok(Field::NotText)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
                Ok(Field::NotText)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
                Ok(Field::NotText)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
                Ok(Field::NotText)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Field::NotText)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Field, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Field::NotText)
            }
        }

        deserializer.deserialize_any(Anything)
    }
}

/// An answer, in the form that both kinds of API Gateway take (payload 1.0 and 2.0).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    status_code: u16,
    headers: BTreeMap<&'static str, String>,
    body: String,
    is_base64_encoded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<[(); 0]>,
}

impl Response {
    /// An answer without a body. No answer may be stored (RFC 9111 section 5.2.2.5) or taken for another type.
    pub fn new(status: StatusCode) -> Self {
        let headers = [
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ];
        Self {
            status_code: status.as_u16(),
            headers: headers.map(|(name, value)| (name, value.to_owned())).into(),
            body: String::new(),
            is_base64_encoded: false,
            cookies: None,
        }
    }

    /// The same answer as payload 2.0 has it, with a list of cookies: always an empty one. `cargo lambda watch` takes
    /// no answer without the list, and a REST API (payload 1.0) none with it.
    #[must_use]
    pub(crate) fn with_no_cookies(self) -> Self {
        Self {
            cookies: Some([]),
            ..self
        }
    }

    /// Returns 202 with one message and the cooldown, the same for every address. A page may offer to send another link
    /// when the cooldown has passed.
    pub fn accepted(cooldown: SignedDuration) -> Self {
        let message =
            "If an account exists for this address, you will receive an email with a reset link.";
        let body = json!({ "message": message, "cooldown_seconds": cooldown.as_secs() });
        Self::new(StatusCode::ACCEPTED).with_body("application/json", &body)
    }

    /// 204.
    pub fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT)
    }

    /// The same answer with a JSON body.
    #[must_use]
    pub fn with_body(mut self, media_type: &str, body: &Value) -> Self {
        self.body = body.to_string();
        self.with_header("Content-Type", media_type)
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.to_owned());
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status_code
    }

    /// A header's value, by its name as it is written.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The body.
    pub fn body(&self) -> &str {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Form {
        #[serde(default)]
        email: Field,
    }

    fn parse(body: &str) -> Result<Form, Problem> {
        parse_bytes(body.into())
    }

    fn parse_bytes(body: Vec<u8>) -> Result<Form, Problem> {
        let request = Request {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            content_type: Some("Application/JSON ; charset=utf-8".to_owned()),
            body: body.into(),
            source: Source::parse(None),
            id: RequestId::parse("id").unwrap(),
        };
        request.json()
    }

    #[test]
    fn a_field_twice_is_malformed() {
        assert!(matches!(
            parse(r#"{"email":"a@b.co","email":"c@d.co"}"#),
            Err(Problem::Malformed)
        ));
        assert!(matches!(
            parse(r#"{"email":"a@b.co","\u0065mail":"c@d.co"}"#),
            Err(Problem::Malformed)
        ));
        // One that is not ours, too: who reads the body after or before us may know it.
        assert!(matches!(
            parse(r#"{"email":"a@b.co","x":1,"\u0078":2}"#),
            Err(Problem::Malformed)
        ));
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_malformed_wherever_they_stand() {
        for field in ["email", "x"] {
            let body = [b"{\"", field.as_bytes(), b"\":\"\xff\"}"].concat();
            assert!(matches!(parse_bytes(body), Err(Problem::Malformed)));
        }
    }

    #[test]
    fn an_array_is_no_object() {
        assert!(matches!(parse(r#"["a@b.co"]"#), Err(Problem::Malformed)));
    }

    #[test]
    fn a_field_of_another_type_is_told_apart_from_a_missing_one() {
        for other in ["1", "-1", "1.5", "true", "[]", "[[{}]]", r#"{"$ne":null}"#] {
            let form = parse(&format!(r#"{{"email":{other}}}"#)).unwrap();
            assert!(matches!(form.email, Field::NotText), "{other}");
        }
        assert!(matches!(parse("{}").unwrap().email, Field::Missing));
        assert!(matches!(
            parse(r#"{"email":null}"#).unwrap().email,
            Field::Missing
        ));
    }

    #[test]
    fn a_body_over_8_kib_is_too_large_and_one_of_8_kib_is_not() {
        let padding = |n: usize| format!("{{{}}}", " ".repeat(n - 2));
        assert!(parse(&padding(MAX_BODY)).is_ok());
        assert!(matches!(
            parse(&padding(MAX_BODY + 1)),
            Err(Problem::TooLarge)
        ));
    }

    #[test]
    fn a_request_id_comes_back_from_its_tag_which_is_plainer_still() {
        let id = RequestId::parse("JKJa-XmP_vHcESHA=").unwrap();
        assert!(id.to_tag().bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(RequestId::from_tag(&id.to_tag()), Some(id));
        for bad in ["", "4", "zz", "+4", "4a4", "0a", "é"] {
            assert_eq!(RequestId::from_tag(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_request_id_must_be_plain() {
        assert!(RequestId::parse("JKJaXmPLvHcESHA=").is_ok());
        for bad in ["", "a b", "a\r\nX: y", "a#b", &"a".repeat(129)] {
            assert!(RequestId::parse(bad).is_err(), "{bad:?}");
        }
    }
}
