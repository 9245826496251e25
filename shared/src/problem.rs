//! What a caller is told when the answer is no (RFC 9457).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use lambda_http::http::StatusCode;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::http::Response;

/// What is wrong with one field: words for the person who filled it in, and a code for a front end that has its own. It
/// never repeats what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The field is missing.
    Required,
    /// The field is not a string.
    NotText,
    /// The email address is malformed.
    NotAnAddress,
    /// The reset URL is not in the allow list.
    NotAllowed,
    /// The password is too short.
    TooShort {
        /// The least length, in code points.
        min_length: usize,
    },
    /// The password is too long.
    TooLong {
        /// The greatest length, in code points.
        max_length: usize,
    },
    /// The password has no visible character.
    Invisible,
    /// The password is one character, repeated.
    Repeated,
    /// The password is made of the user's address or the product's name.
    MadeOfContext,
    /// Attackers know the password.
    Leaked,
    /// The confirmation differs from the password.
    NotTheSame,
    /// The one answer for a token that is malformed, unknown, used, expired, or somebody else's.
    BadToken,
}

impl FieldError {
    /// One of each, for tests that hold the documentation against them.
    pub const ALL: [Self; 12] = [
        Self::Required,
        Self::NotText,
        Self::NotAnAddress,
        Self::NotAllowed,
        Self::TooShort { min_length: 8 },
        Self::TooLong { max_length: 256 },
        Self::Invisible,
        Self::Repeated,
        Self::MadeOfContext,
        Self::Leaked,
        Self::NotTheSame,
        Self::BadToken,
    ];

    /// Returns the code: part of the API, so it never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::NotText => "not_text",
            Self::NotAnAddress => "not_an_address",
            Self::NotAllowed => "not_allowed",
            Self::TooShort { .. } => "too_short",
            Self::TooLong { .. } => "too_long",
            Self::Invisible | Self::Repeated => "too_weak",
            Self::MadeOfContext => "made_of_context",
            Self::Leaked => "leaked",
            Self::NotTheSame => "not_the_same",
            Self::BadToken => "bad_token",
        }
    }

    /// Returns the number in the words, with its name.
    pub const fn parameter(self) -> Option<(&'static str, usize)> {
        match self {
            Self::TooShort { min_length } => Some(("min_length", min_length)),
            Self::TooLong { max_length } => Some(("max_length", max_length)),
            Self::Required
            | Self::NotText
            | Self::NotAnAddress
            | Self::NotAllowed
            | Self::Invisible
            | Self::Repeated
            | Self::MadeOfContext
            | Self::Leaked
            | Self::NotTheSame
            | Self::BadToken => None,
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { min_length } => {
                write!(f, "must have at least {min_length} characters")
            }
            Self::TooLong { max_length } => write!(f, "must have at most {max_length} characters"),
            Self::Required => f.write_str("is required"),
            Self::NotText => f.write_str("must be a string"),
            Self::NotAnAddress => f.write_str("must be one email address, like ada@example.com"),
            Self::NotAllowed => f.write_str("must be one of the allowed reset URLs"),
            Self::Invisible => f.write_str("must have visible characters"),
            Self::Repeated => f.write_str("must not repeat a single character"),
            Self::MadeOfContext => {
                f.write_str("must not be made of your email address or of the name of this service")
            }
            Self::Leaked => {
                f.write_str("appears in data leaks, so attackers try it first. Choose another one.")
            }
            Self::NotTheSame => f.write_str("must be the same as the password"),
            Self::BadToken => {
                f.write_str("This link is not valid, or no longer. Please ask for a new one.")
            }
        }
    }
}

impl std::error::Error for FieldError {}

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
    Invalid(BTreeMap<&'static str, FieldError>),
    /// The source has asked too often.
    TooManyRequests {
        /// When asking again may work.
        retry_after: Duration,
    },
    /// It is not the caller's fault.
    Fault(Fault),
}

impl Problem {
    /// Collects the errors about the fields of one request.
    pub fn invalid(errors: impl IntoIterator<Item = (&'static str, Option<FieldError>)>) -> Self {
        Self::Invalid(
            errors
                .into_iter()
                .filter_map(|(field, error)| Some((field, error?)))
                .collect(),
        )
    }

    /// The token is not, or no longer, good for this address.
    pub fn invalid_token() -> Self {
        Self::invalid([("token", Some(FieldError::BadToken))])
    }

    /// The answer.
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
            Self::TooManyRequests { retry_after } => {
                response.with_header("Retry-After", &retry_after.as_secs().max(1).to_string())
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

    /// The refusing lines of the HTTP table: the only place that knows their status codes.
    fn status_and_title(&self) -> (StatusCode, &'static str, &'static str) {
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
            Self::TooManyRequests { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "Too many requests.",
            ),
            Self::Fault(fault) if fault.is_transient() => (
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
