//! `tests/hostile_inputs.json`: requests, each with what may be answered and mailed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

/// An entry of the file.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
    expect: Value,
}

/// All of them.
pub(crate) fn inputs() -> Vec<Input> {
    let file: Value = serde_json::from_str(include_str!("../../hostile_inputs.json")).unwrap();
    file["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(Input::read)
        .collect()
}

impl Input {
    fn read(entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        let bytes = || BASE64.decode(entry["body_base64"].as_str().unwrap());
        let door = || format!("/password/{}", entry["endpoint"].as_str().unwrap());
        Self {
            id: text("id").unwrap(),
            method: text("method").unwrap(),
            path: text("path").unwrap_or_else(door),
            content_type: text("content_type").unwrap(),
            body: text("body").map_or_else(|| bytes().unwrap(), String::into_bytes),
            expect: entry["expect"].clone(),
        }
    }

    /// Checks an answer.
    pub(crate) fn check_answer(&self, status: u16, body: &str) {
        self.check(&self.expect, status, body);
    }

    /// Whether the file says what the answer is if the token works.
    pub(crate) fn has_live_answer(&self) -> bool {
        self.expect.get("live").is_some()
    }

    /// The body with a token that works, and the password in it if that is a string.
    pub(crate) fn with_live_token(&self, token: &str) -> (Value, Option<String>) {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        body["token"] = token.into();
        let password = body["password"].as_str().map(str::to_owned);
        (body, password)
    }

    /// Checks the answer to [`Self::with_live_token`].
    pub(crate) fn check_live_answer(&self, status: u16, body: &str) {
        self.check(&self.expect["live"], status, body);
    }

    fn check(&self, expect: &Value, status: u16, body: &str) {
        let allowed = expect["status"].as_array().unwrap();
        assert!(
            allowed.contains(&status.into()),
            "{}: {status}, not one of {allowed:?}",
            self.id
        );
        if let Some(fields) = expect["errors_only"].as_array() {
            let body: Value = serde_json::from_str(body).unwrap();
            let errors = body["errors"].as_object().unwrap();
            let named: Vec<&str> = errors.keys().map(String::as_str).collect();
            assert_eq!(&named, fields, "{}", self.id);
        }
    }

    /// Checks the mails that an input gave rise to: whom they are to, and their links.
    pub(crate) fn check_mails(&self, mails: &[(String, String)]) {
        let expected = self.expect["mail"].as_str();
        let (addressee, may_be_none) = match expected {
            Some(expected) => match expected.strip_suffix(" or none") {
                Some(addressee) => (Some(addressee), true),
                None => (Some(expected), false),
            },
            None => (None, true),
        };
        let told = format!("{}: {mails:?}, not {expected:?}", self.id);
        assert!(mails.iter().all(|(to, _)| addressee == Some(to)), "{told}");
        assert!(may_be_none || mails.len() == 1, "{told}");
        let prefix = self.expect["link_prefix"].as_str().unwrap_or_default();
        assert!(
            mails.iter().all(|(_, link)| link.starts_with(prefix)),
            "{told}"
        );
    }
}
