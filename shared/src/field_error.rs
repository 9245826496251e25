//! Errors of a request's fields.

use std::fmt;

/// The error of one field. It never repeats the input.
///
/// Its `Display` text is for the person who filled in the field, and its code for a front end that has other texts.
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
        /// The minimum length, in code points.
        min_length: usize,
    },
    /// The password is too long.
    TooLong {
        /// The maximum length, in code points.
        max_length: usize,
    },
    /// The password has no visible character.
    Invisible,
    /// The password is one character, repeated.
    Repeated,
    /// The password is based on the user's address or the product's name.
    MadeOfContext,
    /// The password has appeared in a data breach.
    Leaked,
    /// The confirmation differs from the password.
    NotTheSame,
    /// The token is malformed, unknown, used, expired, or for another address. All share one error, so that it reveals
    /// nothing.
    BadToken,
}

impl FieldError {
    /// One error of each kind, for tests that compare them with the documentation.
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

    /// Returns the code. It is part of the API, so it never changes.
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

    /// Returns the number in the text, with its name.
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
            Self::Invisible => f.write_str("must contain a visible character"),
            Self::Repeated => f.write_str("must not repeat a single character"),
            Self::MadeOfContext => {
                f.write_str("must not be based on your email address or the name of this service")
            }
            Self::Leaked => {
                f.write_str("has appeared in a data breach. Choose a different password.")
            }
            Self::NotTheSame => f.write_str("must match the password"),
            Self::BadToken => {
                f.write_str("This link is invalid or has expired. Request a new one.")
            }
        }
    }
}

impl std::error::Error for FieldError {}
