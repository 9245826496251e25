//! The payload formats in which a gateway sends a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// The payload format of a gateway's event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Payload {
    One,
    OneBase64,
    Two,
    TwoBase64,
}

impl Payload {
    /// Returns the event, or `None` if the format needs text and the body is not UTF-8.
    pub(super) fn event(
        self,
        (method, path): (&str, &str),
        query: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Option<Value> {
        let is_base64 = matches!(self, Self::OneBase64 | Self::TwoBase64);
        let body = if is_base64 {
            BASE64.encode(body)
        } else {
            str::from_utf8(body).ok()?.to_owned()
        };
        // A gateway sends an absent body as null.
        let body = Some(body).filter(|body| !body.is_empty());
        let headers: Value = headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let address = "192.0.2.1";
        Some(if matches!(self, Self::Two | Self::TwoBase64) {
            json!({
                "version": "2.0",
                "rawPath": path,
                "rawQueryString": query,
                "headers": headers,
                "requestContext": { "http": { "method": method, "path": path, "sourceIp": address } },
                "body": body,
                "isBase64Encoded": is_base64,
            })
        } else {
            json!({
                "path": path,
                "httpMethod": method,
                "headers": headers,
                "queryStringParameters": { query: query },
                "requestContext": { "identity": { "sourceIp": address } },
                "body": body,
                "isBase64Encoded": is_base64,
            })
        })
    }
}
