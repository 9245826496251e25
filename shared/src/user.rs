//! Users, reduced to what Rekey reads.

use std::borrow::Cow;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::email::Email;
use crate::given_name::GivenName;
use crate::locale::Locale;

/// The part of a user that Rekey reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The key in the directory.
    pub key: UserKey,
    /// The user's address. It equals the requested one in the form that the directory compares.
    pub email: Email,
    /// The language of the user's emails, if the directory knows one that Rekey has.
    pub locale: Option<Locale>,
    /// The name by which emails greet the user, if the directory knows one.
    pub name: Option<GivenName>,
    /// Whether the directory has a time of the last password change that Rekey cannot read.
    pub has_unreadable_change_time: bool,
}

/// The key of a user in the directory.
///
/// ```
/// use rekey::user::UserKey;
///
/// let key = UserKey::text("42".to_owned());
/// assert_eq!(key.as_text(), Some("42"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredKey", into = "StoredKey")]
pub enum UserKey {
    /// A partition key alone, or the ID of a user behind a directory function.
    Simple(KeyPart),
    /// A partition key and a sort key.
    Composite {
        /// The partition key.
        partition: KeyPart,
        /// The sort key.
        sort: KeyPart,
    },
}

/// The value of a key attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredPart", into = "StoredPart")]
pub enum KeyPart {
    /// A value of type `S`.
    Text(String),
    /// A value of type `N`, as the decimal text that `DynamoDB` returns. Its 38 digits exceed every number type of
    /// Rust.
    Number(String),
    /// A value of type `B`.
    Bytes(Vec<u8>),
}

impl UserKey {
    /// Creates a key of one part, which is text.
    pub fn text(id: String) -> Self {
        Self::Simple(KeyPart::Text(id))
    }

    /// Returns the text of a key of one part, if that part is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Simple(KeyPart::Text(text)) => Some(text),
            Self::Simple(KeyPart::Number(_) | KeyPart::Bytes(_)) | Self::Composite { .. } => None,
        }
    }

    /// Returns the bytes that identify the user in the hashes of Rekey's row keys. Two keys of a directory never give
    /// the same bytes.
    ///
    /// The bytes of a key of one part must never change: rows that were written before would not be found.
    pub(crate) fn identity(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Simple(part) => part.as_bytes().into(),
            Self::Composite { partition, sort } => {
                let (partition, sort) = (partition.as_bytes(), sort.as_bytes());
                // No text contains the byte 0xff, so these bytes are not those of a simple key.
                let mut bytes = vec![0xff];
                bytes.extend(format!("{}:", partition.len()).as_bytes());
                bytes.extend(partition);
                bytes.extend(sort);
                bytes.into()
            }
        }
    }
}

impl KeyPart {
    /// Parses the value of a key attribute.
    pub(crate) fn parse(value: &AttributeValue) -> Option<Self> {
        match (value.as_s(), value.as_n(), value.as_b()) {
            (Ok(text), _, _) => Some(Self::Text(text.clone())),
            (_, Ok(number), _) => Some(Self::Number(number.clone())),
            (_, _, Ok(bytes)) => Some(Self::Bytes(bytes.as_ref().to_vec())),
            _ => None,
        }
    }

    /// Returns whether the value begins with a prefix. A number and bytes begin only with the empty one.
    pub(crate) fn starts_with(&self, prefix: &str) -> bool {
        match self {
            Self::Text(text) => text.starts_with(prefix),
            Self::Number(_) | Self::Bytes(_) => prefix.is_empty(),
        }
    }

    /// Returns the value of the attribute.
    pub(crate) fn to_attribute(&self) -> AttributeValue {
        match self {
            Self::Text(text) => AttributeValue::S(text.clone()),
            Self::Number(number) => AttributeValue::N(number.clone()),
            Self::Bytes(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) | Self::Number(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// A user's key in Rekey's rows.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredKey {
    Simple(KeyPart),
    Composite { partition: KeyPart, sort: KeyPart },
}

/// A part of a key in Rekey's rows. A number is text here too, because serde would round a large one.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredPart {
    Text(String),
    Number {
        number: String,
    },
    /// The bytes in base64 (RFC 4648 section 4). In an untagged enum, serde cannot tell bytes from a list.
    Bytes {
        bytes: String,
    },
    /// The format of rows until version 0.1.0.
    Whole(i64),
}

impl From<StoredKey> for UserKey {
    fn from(stored: StoredKey) -> Self {
        match stored {
            StoredKey::Simple(part) => Self::Simple(part),
            StoredKey::Composite { partition, sort } => Self::Composite { partition, sort },
        }
    }
}

impl From<UserKey> for StoredKey {
    fn from(key: UserKey) -> Self {
        match key {
            UserKey::Simple(part) => Self::Simple(part),
            UserKey::Composite { partition, sort } => Self::Composite { partition, sort },
        }
    }
}

impl TryFrom<StoredPart> for KeyPart {
    type Error = base64::DecodeError;

    fn try_from(stored: StoredPart) -> Result<Self, Self::Error> {
        Ok(match stored {
            StoredPart::Text(text) => Self::Text(text),
            StoredPart::Number { number } => Self::Number(number),
            StoredPart::Bytes { bytes } => Self::Bytes(BASE64_STANDARD.decode(bytes)?),
            StoredPart::Whole(number) => Self::Number(number.to_string()),
        })
    }
}

impl From<KeyPart> for StoredPart {
    fn from(part: KeyPart) -> Self {
        match part {
            KeyPart::Text(text) => Self::Text(text),
            KeyPart::Number(number) => Self::Number { number },
            KeyPart::Bytes(bytes) => Self::Bytes {
                bytes: BASE64_STANDARD.encode(bytes),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> KeyPart {
        KeyPart::Text(text.to_owned())
    }

    fn composite(partition: &str, sort: &str) -> UserKey {
        UserKey::Composite {
            partition: text(partition),
            sort: text(sort),
        }
    }

    #[test]
    fn keys_in_rows_are_read_in_every_format() {
        let number = |number: &str| UserKey::Simple(KeyPart::Number(number.to_owned()));
        for (stored, key) in [
            (json!("42"), UserKey::text("42".to_owned())),
            (
                json!({ "number": "9223372036854775808" }),
                number("9223372036854775808"),
            ),
            (
                json!({ "bytes": "AP8=" }),
                UserKey::Simple(KeyPart::Bytes(vec![0, 255])),
            ),
            (
                json!({ "partition": "USER#1", "sort": "PROFILE" }),
                composite("USER#1", "PROFILE"),
            ),
        ] {
            assert_eq!(
                serde_json::from_value::<UserKey>(stored.clone()).unwrap(),
                key
            );
            assert_eq!(serde_json::to_value(key).unwrap(), stored);
        }
        // The format of rows until version 0.1.0.
        assert_eq!(
            serde_json::from_value::<UserKey>(json!(42)).unwrap(),
            number("42")
        );
        for invalid in [
            json!({ "bytes": "?" }),
            json!({ "partition": "1" }),
            json!(0.5),
        ] {
            assert!(
                serde_json::from_value::<UserKey>(invalid.clone()).is_err(),
                "{invalid}"
            );
        }
    }

    #[test]
    fn a_simple_keys_identity_is_its_text() {
        assert_eq!(*UserKey::text("42".to_owned()).identity(), *b"42");
        assert_eq!(
            *UserKey::Simple(KeyPart::Number("42".to_owned())).identity(),
            *b"42"
        );
    }

    #[test]
    fn composite_keys_have_different_identities() {
        let keys = [
            composite("ab", "c"),
            composite("a", "bc"),
            composite("abc", ""),
            composite("1:a", ""),
            composite("", "abc"),
            composite("a", "b1:c"),
            UserKey::text("abc".to_owned()),
            UserKey::text("2:abc".to_owned()),
        ];
        for (n, key) in keys.iter().enumerate() {
            assert!(
                keys[n + 1..]
                    .iter()
                    .all(|other| other.identity() != key.identity()),
                "{key:?}"
            );
        }
    }
}
