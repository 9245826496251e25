//! What a caller is told when the answer is no (RFC 9457).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use lambda_http::http::StatusCode;
use serde_json::json;

use crate::fault::Fault;
use crate::http::Response;

/// What is wrong with one field, for the person who filled it in. It never repeats what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint(Cow<'static, str>);

impl Complaint {
    /// The one answer for a token that is malformed, unknown, used, expired or somebody else's.
    pub const BAD_TOKEN: Self =
        Self::fixed("This link is not valid, or not any more. Please ask for a new one.");

    /// A complaint that is the same in every deployment.
    pub const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// A complaint that tells a setting of the deployment: made at start-up, never from what a caller sent.
    pub fn of_setting(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    /// Its words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Complaint {}

/// Why a request did not succeed: the lines of the HTTP table that are no success.
#[derive(Debug)]
pub enum Problem {
    /// The path is not the function's.
    NotFound,
    /// The method is not POST.
    MethodNotAllowed,
    /// The body is not declared to be JSON. A `text/plain` one would need no CORS preflight.
    NotJson,
    /// The body is larger than [`crate::http::MAX_BODY`].
    TooLarge,
    /// The body is not one JSON object with each field once.
    Malformed,
    /// Fields are missing or not acceptable.
    Invalid(BTreeMap<&'static str, Complaint>),
    /// The source has asked too often.
    TooMany {
        /// When asking again may work.
        retry_after: Duration,
    },
    /// It is not the caller's fault.
    Fault(Fault),
}

impl Problem {
    /// Collects the complaints about the fields of one request.
    pub fn invalid(
        complaints: impl IntoIterator<Item = (&'static str, Option<Complaint>)>,
    ) -> Self {
        Self::Invalid(
            complaints
                .into_iter()
                .filter_map(|(field, complaint)| Some((field, complaint?)))
                .collect(),
        )
    }

    /// The token is not, or no longer, good for this address.
    pub fn bad_token() -> Self {
        Self::invalid([("token", Some(Complaint::BAD_TOKEN))])
    }

    /// The answer.
    pub fn response(&self) -> Response {
        let (status, kind, title) = self.face();
        let mut body = json!({
            "type": format!("urn:rekey:problem:{kind}"),
            "title": title,
            "status": status.as_u16(),
        });
        if let Self::Invalid(complaints) = self {
            let told = complaints
                .iter()
                .map(|(field, complaint)| (*field, json!([complaint.as_str()])));
            body["errors"] = told.collect();
        }
        let response = Response::new(status).with_body("application/problem+json", &body);
        match self {
            Self::MethodNotAllowed => response.with_header("Allow", "POST"),
            Self::TooMany { retry_after } => {
                response.with_header("Retry-After", &retry_after.as_secs().max(1).to_string())
            }
            Self::Fault(fault) if fault.is_passing() => response.with_header("Retry-After", "2"),
            Self::NotFound
            | Self::NotJson
            | Self::TooLarge
            | Self::Malformed
            | Self::Invalid(_)
            | Self::Fault(_) => response,
        }
    }

    /// The refusing lines of the HTTP table: the only place that knows their status codes.
    fn face(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing here."),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Use POST.",
            ),
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Send application/json.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The body is larger than 8 KiB.",
            ),
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "malformed",
                "The body is not a JSON object that has each field once.",
            ),
            Self::Invalid(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "Some fields are not acceptable.",
            ),
            Self::TooMany { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "Too many requests.",
            ),
            Self::Fault(fault) if fault.is_passing() => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Not possible just now. Please try again.",
            ),
            Self::Fault(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong on our side.",
            ),
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
