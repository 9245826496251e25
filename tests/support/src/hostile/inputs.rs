//! `tests/hostile_inputs.json`: requests, each with the expected responses and emails.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

/// A request of the file, with its expectations.
#[derive(Debug)]
pub struct Input {
    pub id: String,
    pub method: String,
    pub path: String,
    pub content_type: String,
    pub body: Vec<u8>,
    expect: Value,
}

/// Returns all inputs of the file.
pub fn inputs() -> Vec<Input> {
    let file: Value = serde_json::from_str(include_str!("../../../hostile_inputs.json")).unwrap();
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
        let route = || format!("/password/{}", entry["endpoint"].as_str().unwrap());
        Self {
            id: text("id").unwrap(),
            method: text("method").unwrap(),
            path: text("path").unwrap_or_else(route),
            content_type: text("content_type").unwrap(),
            body: text("body").map_or_else(|| bytes().unwrap(), String::into_bytes),
            expect: entry["expect"].clone(),
        }
    }

    /// Checks the response to this input.
    pub fn check_response(&self, status: u16, body: &str) {
        self.check(&self.expect, status, body);
    }

    /// Returns whether the file has an expected response for a live token.
    pub fn has_live_expectation(&self) -> bool {
        self.expect.get("live").is_some()
    }

    /// Returns the body with a live token, and its password if that is a string.
    pub fn with_live_token(&self, token: &str) -> (Value, Option<String>) {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        body["token"] = token.into();
        let password = body["password"].as_str().map(str::to_owned);
        (body, password)
    }

    /// Checks the response to [`Self::with_live_token`].
    pub fn check_live_response(&self, status: u16, body: &str) {
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

    /// Checks the emails that this input caused, by recipient and link.
    pub fn check_emails(&self, emails: &[(String, String)]) {
        let expected = self.expect["mail"].as_str();
        let (recipient, may_be_none) = match expected {
            Some(expected) => match expected.strip_suffix(" or none") {
                Some(recipient) => (Some(recipient), true),
                None => (Some(expected), false),
            },
            None => (None, true),
        };
        let details = format!("{}: expected {expected:?}, got {emails:?}", self.id);
        assert!(
            emails.iter().all(|(to, _)| recipient == Some(to)),
            "{details}"
        );
        assert!(may_be_none || emails.len() == 1, "{details}");
        let prefix = self.expect["link_prefix"].as_str().unwrap_or_default();
        assert!(
            emails.iter().all(|(_, link)| link.starts_with(prefix)),
            "{details}"
        );
    }
}
