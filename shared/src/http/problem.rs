//! RFC 9457 problem responses.

use std::collections::BTreeMap;
use std::time::Duration;

use lambda_http::http::StatusCode;
use serde_json::{Value, json};

use super::response::Response;
use crate::fault::Fault;
use crate::field_error::FieldError;

/// The reason for an error response.
#[derive(Debug)]
pub enum Problem {
    /// The function does not serve the path.
    NotFound,
    /// The method is not POST.
    MethodNotAllowed,
    /// The `Content-Type` is not JSON. Rekey requires it, because a `text/plain` body would need no CORS preflight.
    NotJson,
    /// The body is larger than [`super::request::MAX_BODY`].
    TooLarge,
    /// The body is not one JSON object with unique fields.
    Malformed,
    /// Fields are missing or invalid.
    Invalid(BTreeMap<&'static str, FieldError>),
    /// The source reached its limit.
    TooManyRequests {
        /// The time after which a retry may succeed.
        retry_after: Duration,
    },
    /// Another change of the user is in progress.
    Unavailable {
        /// The time after which a retry may succeed.
        retry_after: Duration,
    },
    /// A call that Rekey made failed. The request itself is valid.
    Fault(Fault),
}

impl Problem {
    /// Returns the problem of one invalid field.
    pub fn invalid(field: &'static str, error: FieldError) -> Self {
        Self::Invalid(BTreeMap::from([(field, error)]))
    }

    /// Returns the one problem of every invalid token.
    pub fn invalid_token() -> Self {
        Self::invalid("token", FieldError::BadToken)
    }

    /// Returns the response.
    pub fn response(&self) -> Response {
        let (status, kind, title) = self.status_and_title();
        let mut body = json!({
            "type": format!("urn:rekey:problem:{kind}"),
            "title": title,
            "status": status.as_u16(),
        });
        if let Self::Invalid(errors) = self {
            let by_field = |value: &dyn Fn(FieldError) -> Option<Value>| -> Value {
                let values = errors
                    .iter()
                    .filter_map(|(field, error)| Some((*field, value(*error)?)));
                values.collect()
            };
            body["errors"] = by_field(&|error| Some(json!([error.to_string()])));
            body["codes"] = by_field(&|error| Some(json!([error.code()])));
            let parameters = by_field(&|error| {
                let (name, number) = error.parameter()?;
                Some(json!({ name: number }))
            });
            if parameters != json!({}) {
                body["parameters"] = parameters;
            }
        }
        let response = Response::new(status).with_body("application/problem+json", &body);
        match self {
            Self::MethodNotAllowed => response.with_header("Allow", "POST"),
            Self::TooManyRequests { retry_after } | Self::Unavailable { retry_after } => {
                response.with_header("Retry-After", &whole_seconds(*retry_after).to_string())
            }
            Self::Fault(fault) if fault.is_transient() => response.with_header("Retry-After", "2"),
            Self::NotFound
            | Self::NotJson
            | Self::TooLarge
            | Self::Malformed
            | Self::Invalid(_)
            | Self::Fault(_) => response,
        }
    }

    /// Returns the status code, the name in the `type`, and the title. No other code maps problems to status codes.
    fn status_and_title(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "Not found."),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed. Use POST.",
            ),
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Unsupported media type. Send application/json.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The body is larger than 8 KiB.",
            ),
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "malformed",
                "The body is not one JSON object with unique fields.",
            ),
            Self::Invalid(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "Some fields are invalid.",
            ),
            Self::TooManyRequests { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "Too many requests. Try again later.",
            ),
            Self::Unavailable { .. } => UNAVAILABLE,
            Self::Fault(fault) if fault.is_transient() => UNAVAILABLE,
            Self::Fault(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong on our side.",
            ),
        }
    }
}

/// Returns a time in whole seconds, at least one. Rounds up: a retry even a moment too early would fail.
fn whole_seconds(time: Duration) -> u64 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    seconds.max(1)
}

const UNAVAILABLE: (StatusCode, &str, &str) = (
    StatusCode::SERVICE_UNAVAILABLE,
    "unavailable",
    "Temporarily unavailable. Try again.",
);

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
