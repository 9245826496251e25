//! Responses to a gateway.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use lambda_http::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

/// A response, in the format that both kinds of API Gateway accept (payload 1.0 and 2.0).
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
    /// Creates a response without a body. Its headers forbid caching (RFC 9111 section 5.2.2.5) and content sniffing.
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

    /// Returns the same response with an empty list of cookies, for payload 2.0. `cargo lambda watch` rejects a
    /// response without the list, and a REST API (payload 1.0) rejects one with it.
    #[must_use]
    pub(crate) fn with_no_cookies(self) -> Self {
        Self {
            cookies: Some([]),
            ..self
        }
    }

    /// Returns 202 with one message and the cooldown, the same for every address. A page may offer to send another link
    /// after the cooldown.
    pub fn accepted(cooldown: SignedDuration) -> Self {
        let message =
            "If an account exists for this address, you will receive an email with a reset link.";
        let body = json!({ "message": message, "cooldown_seconds": cooldown.as_secs() });
        Self::new(StatusCode::ACCEPTED).with_body("application/json", &body)
    }

    /// Returns 204.
    pub fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT)
    }

    /// Returns the same response with a JSON body.
    #[must_use]
    pub fn with_body(mut self, media_type: &str, body: &Value) -> Self {
        self.body = body.to_string();
        self.with_header("Content-Type", media_type)
    }

    /// Returns the same response with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.to_owned());
        self
    }

    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.status_code
    }

    /// Returns the value of a header, by its name in the case in which Rekey writes it.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Returns the body.
    pub fn body(&self) -> &str {
        &self.body
    }
}
