//! What HTTP responses say to callers.

use rekey::http::response::Response;
use serde_json::{Value, json};

/// Returns whether this is the one response to every invalid token.
pub fn is_rejected(response: &Response) -> bool {
    let body: Value = serde_json::from_str(response.body()).unwrap_or_default();
    let error = "This link is invalid or has expired. Request a new one.";
    response.status() == 422 && body["errors"] == json!({ "token": [error] })
}

/// Returns the status, the type, and the field errors of a problem (RFC 9457).
pub fn problem(response: &Response) -> (u16, String, Value) {
    let body: Value = serde_json::from_str(response.body()).unwrap();
    assert_eq!(
        response.header("Content-Type"),
        Some("application/problem+json")
    );
    assert_eq!(body["status"], response.status());
    (
        response.status(),
        body["type"].as_str().unwrap().to_owned(),
        body["errors"].clone(),
    )
}

/// Returns the error about a rejected password.
pub fn password_error(response: &Response) -> String {
    assert_eq!(response.status(), 422);
    let body: Value = serde_json::from_str(response.body()).unwrap();
    let errors = body["errors"].as_object().unwrap();
    assert_eq!(errors.keys().collect::<Vec<_>>(), ["password"]);
    errors["password"][0].as_str().unwrap().to_owned()
}

/// The error about a password that has appeared in a data breach.
pub const LEAKED: &str = "has appeared in a data breach. Choose a different password.";
