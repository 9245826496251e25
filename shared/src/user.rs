//! Users, reduced to what Rekey reads.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::email::Email;

/// The part of a user that Rekey reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The key in the users table.
    pub key: UserKey,
    /// The stored address. Rekey sends emails to this address, never to the one that was typed.
    pub email: Email,
}

/// The value of a users table's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredKey", into = "StoredKey")]
pub enum UserKey {
    /// A key of type `S`.
    Text(String),
    /// A key of type `N`, as the decimal text that `DynamoDB` returns. Its 38 digits exceed every number type of Rust.
    Number(String),
}

/// A user's key in Rekey's rows. A number is text here too, because serde would round a large one.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredKey {
    Text(String),
    Number {
        number: String,
    },
    /// The format of rows until version 0.1.0.
    Whole(i64),
}

impl From<StoredKey> for UserKey {
    fn from(stored: StoredKey) -> Self {
        match stored {
            StoredKey::Text(text) => Self::Text(text),
            StoredKey::Number { number } => Self::Number(number),
            StoredKey::Whole(number) => Self::Number(number.to_string()),
        }
    }
}

impl From<UserKey> for StoredKey {
    fn from(key: UserKey) -> Self {
        match key {
            UserKey::Text(text) => Self::Text(text),
            UserKey::Number(number) => Self::Number { number },
        }
    }
}

impl UserKey {
    /// Parses the value of a key attribute.
    pub(crate) fn parse(value: &AttributeValue) -> Option<Self> {
        match (value.as_s(), value.as_n()) {
            (Ok(text), _) => Some(Self::Text(text.clone())),
            (_, Ok(number)) => Some(Self::Number(number.clone())),
            _ => None,
        }
    }

    /// Returns the key as text: a number's decimal digits.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
        }
    }

    /// Returns the key as the value of an attribute.
    pub(crate) fn to_attribute(&self) -> AttributeValue {
        match self {
            Self::Text(text) => AttributeValue::S(text.clone()),
            Self::Number(number) => AttributeValue::N(number.clone()),
        }
    }
}
