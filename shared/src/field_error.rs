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
    /// The password has more bytes than its hash's format can hold.
    TooManyBytes {
        /// The maximum length, in bytes of UTF-8.
        max_bytes: usize,
    },
    /// The password contains NUL, which its hash's format cannot hold.
    Nul,
    /// The password has no visible character.
    Invisible,
    /// The password is one character, repeated.
    Repeated,
    /// The password is based on the user's address or the product's name.
    MadeOfContext,
    /// The password has appeared in a data breach.
    Leaked,
    /// The user directory rejects the password as too short.
    TooShortForDirectory,
    /// The user directory rejects the password as too long.
    TooLongForDirectory,
    /// The user directory rejects the password as too weak.
    TooWeakForDirectory,
    /// The user directory knows the password as one that the user had before.
    UsedBefore,
    /// The confirmation differs from the password.
    NotTheSame,
    /// The token is malformed, unknown, used, expired, or for another address. All share one error, so that it reveals
    /// nothing.
    BadToken,
}

impl FieldError {
    /// One error of each kind, for tests that compare them with the documentation.
    pub const ALL: [Self; 18] = [
        Self::Required,
        Self::NotText,
        Self::NotAnAddress,
        Self::NotAllowed,
        Self::TooShort { min_length: 8 },
        Self::TooLong { max_length: 256 },
        Self::TooManyBytes { max_bytes: 72 },
        Self::Nul,
        Self::Invisible,
        Self::Repeated,
        Self::MadeOfContext,
        Self::Leaked,
        Self::TooShortForDirectory,
        Self::TooLongForDirectory,
        Self::TooWeakForDirectory,
        Self::UsedBefore,
        Self::NotTheSame,
        Self::BadToken,
    ];

    /// Returns the code. It is part of the API, so it never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::NotText => "not_text",
            Self::NotAnAddress => "not_an_address",
            Self::NotAllowed | Self::Nul => "not_allowed",
            Self::TooShort { .. } | Self::TooShortForDirectory => "too_short",
            Self::TooLong { .. } | Self::TooManyBytes { .. } | Self::TooLongForDirectory => {
                "too_long"
            }
            Self::Invisible | Self::Repeated | Self::TooWeakForDirectory => "too_weak",
            Self::MadeOfContext => "made_of_context",
            Self::Leaked => "leaked",
            Self::UsedBefore => "used_before",
            Self::NotTheSame => "not_the_same",
            Self::BadToken => "bad_token",
        }
    }

    /// Returns the number in the text, with its name.
    pub const fn parameter(self) -> Option<(&'static str, usize)> {
        match self {
            Self::TooShort { min_length } => Some(("min_length", min_length)),
            Self::TooLong { max_length } => Some(("max_length", max_length)),
            Self::TooManyBytes { max_bytes } => Some(("max_bytes", max_bytes)),
            Self::Required
            | Self::NotText
            | Self::NotAnAddress
            | Self::NotAllowed
            | Self::Nul
            | Self::Invisible
            | Self::Repeated
            | Self::MadeOfContext
            | Self::Leaked
            | Self::TooShortForDirectory
            | Self::TooLongForDirectory
            | Self::TooWeakForDirectory
            | Self::UsedBefore
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
            Self::TooManyBytes { max_bytes } => write!(
                f,
                "must have at most {max_bytes} characters; letters with accents and emoji count for more"
            ),
            Self::Required => f.write_str("is required"),
            Self::NotText => f.write_str("must be a string"),
            Self::NotAnAddress => f.write_str("must be one email address, like ada@example.com"),
            Self::NotAllowed => f.write_str("must be one of the allowed reset URLs"),
            Self::Nul => f.write_str(
                "has a character that cannot be stored (U+0000). Choose a different password.",
            ),
            Self::Invisible => f.write_str("must contain a visible character"),
            Self::Repeated => f.write_str("must not repeat a single character"),
            Self::MadeOfContext => {
                f.write_str("must not be based on your email address or the name of this service")
            }
            Self::Leaked => {
                f.write_str("has appeared in a data breach. Choose a different password.")
            }
            Self::TooShortForDirectory => f.write_str("is too short. Choose a longer password."),
            Self::TooLongForDirectory => f.write_str("is too long. Choose a shorter password."),
            Self::TooWeakForDirectory => f.write_str("is too weak. Choose a different password."),
            Self::UsedBefore => f.write_str("was used before. Choose a different password."),
            Self::NotTheSame => f.write_str("must match the password"),
            Self::BadToken => {
                f.write_str("This link is invalid or has expired. Request a new one.")
            }
        }
    }
}

impl std::error::Error for FieldError {}
