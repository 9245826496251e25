//! Version 1 of the protocol between Rekey and directory functions, as JSON.
//!
//! Rekey sends [`Find`] to one function and [`Replace`] to another. `infra/directories/directory.schema.json` describes
//! the same protocol for authors of functions.

use std::fmt;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret::SecretText;
use crate::times::unix_seconds;

/// The maximum length of a user's ID, in bytes.
pub const MAX_ID_LENGTH: usize = 1024;

/// A request for the users with an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Find {
    /// The version of the protocol.
    pub rekey: Version,
    /// The action.
    pub action: FindAction,
    /// The ID of the request in every log of Rekey.
    pub request_id: String,
    /// The address, trimmed and in lower case.
    pub email: String,
}

/// The response to [`Find`]: the users who have the address, and who can reset a password now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The users. Two are enough to show that the address is ambiguous.
    pub users: Vec<FoundUser>,
}

/// A user in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundUser {
    /// The ID, which never changes: 1 to [`MAX_ID_LENGTH`] bytes.
    pub id: String,
    /// The address.
    pub email: String,
    /// The language, in any notation. Rekey ignores an invalid or unknown one.
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub locale: Option<String>,
    /// The name to greet the user by. Rekey ignores one that could mislead a reader.
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub name: Option<String>,
}

/// A request to replace a password. Rekey sends it once.
#[derive(Debug, Serialize, Deserialize)]
pub struct Replace {
    /// The version of the protocol.
    pub rekey: Version,
    /// The action.
    pub action: ReplaceAction,
    /// The ID of the request in every log of Rekey.
    pub request_id: String,
    /// The user's ID.
    pub user: String,
    /// The address that the link was sent to.
    pub email: String,
    /// The time the link was issued.
    #[serde(with = "unix_seconds")]
    pub issued_at: Timestamp,
    /// The time of the change.
    #[serde(with = "unix_seconds")]
    pub changed_at: Timestamp,
    /// The time after which the function must not start to write.
    #[serde(with = "unix_seconds")]
    pub deadline: Timestamp,
    /// The new password.
    pub password: SentPassword,
}

impl Replace {
    /// Returns the request as JSON that is wiped after use.
    ///
    /// # Errors
    /// Returns serde's error, which cannot occur: every field has a JSON form.
    pub fn to_json(&self) -> Result<SecretString, serde_json::Error> {
        let mut text = SecretText::default();
        serde_json::to_writer(Utf8(&mut text), self)?;
        Ok(text.finish())
    }
}

/// A new password, as a directory function receives it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SentPassword {
    /// The hash, in the format of the deployment.
    Hash(#[serde(serialize_with = "exposed")] SecretString),
    /// The password itself, for a system that hashes it.
    Plain(#[serde(serialize_with = "exposed")] SecretString),
}

/// The response to [`Replace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Replaced {
    /// The password is stored and committed.
    Replaced,
    /// The user no longer exists, is disabled, or has another address.
    Gone,
    /// The password was replaced at or after [`Replace::issued_at`].
    Overtaken,
    /// The directory's own rules reject the password.
    Unacceptable {
        /// The rule.
        reason: Reason,
    },
    /// Nothing was done, and a retry may succeed.
    Later,
}

/// The reason for which a directory rejects a password. The list is closed, so that no text from a function reaches a
/// caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is too short.
    TooShort,
    /// It is too long.
    TooLong,
    /// It is too easy to guess, or lacks a required kind of character.
    TooWeak,
    /// The user had it before.
    UsedBefore,
}

/// The version of the protocol: `1`. A function must fail if it does not know the version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

const VERSION: u64 = 1;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            VERSION => Ok(Self),
            version => Err(D::Error::custom(format_args!(
                "expected version {VERSION} of Rekey's protocol, got {version}"
            ))),
        }
    }
}

/// The action of [`Find`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindAction {
    /// Find users.
    #[default]
    Find,
}

/// The action of [`Replace`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplaceAction {
    /// Replace a password.
    #[default]
    Replace,
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// Reads an optional text. A value of another type counts as absent.
fn text_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_str().map(str::to_owned))
}

/// Writes JSON, which is UTF-8, to a text.
struct Utf8<'a>(&'a mut SecretText);

impl std::io::Write for Utf8<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = str::from_utf8(bytes).map_err(std::io::Error::other)?;
        self.0.push(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Utf8<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Utf8(..)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn requests_are_written_as_documented() {
        let find = Find {
            rekey: Version,
            action: FindAction::Find,
            request_id: "JKJaXmPLvHcESHA=".to_owned(),
            email: "ada@example.com".to_owned(),
        };
        let expected = json!({
            "rekey": 1, "action": "find", "request_id": "JKJaXmPLvHcESHA=", "email": "ada@example.com",
        });
        assert_eq!(serde_json::to_value(&find).unwrap(), expected);

        let replace = Replace {
            rekey: Version,
            action: ReplaceAction::Replace,
            request_id: "JKJaXmPLvHcESHA=".to_owned(),
            user: "42".to_owned(),
            email: "ada@example.com".to_owned(),
            issued_at: Timestamp::from_millisecond(1_763_899_000_120).unwrap(),
            changed_at: Timestamp::from_millisecond(1_763_900_000_123).unwrap(),
            deadline: Timestamp::from_millisecond(1_763_900_010_123).unwrap(),
            password: SentPassword::Plain("a \"quoted\" pässword".into()),
        };
        let json: Value = serde_json::from_str(replace.to_json().unwrap().expose_secret()).unwrap();
        let expected = json!({
            "rekey": 1, "action": "replace", "request_id": "JKJaXmPLvHcESHA=",
            "user": "42", "email": "ada@example.com",
            "issued_at": 1_763_899_000.12, "changed_at": 1_763_900_000.123, "deadline": 1_763_900_010.123,
            "password": { "plain": "a \"quoted\" pässword" },
        });
        assert_eq!(json, expected);
        assert!(!format!("{replace:?}").contains("quoted"));
    }

    #[test]
    fn a_request_of_another_version_or_action_is_an_error() {
        for (version, action) in [(2, "find"), (0, "find"), (1, "replace"), (1, "Find")] {
            let find = json!({
                "rekey": version, "action": action, "request_id": "r", "email": "ada@example.com",
            });
            assert!(
                serde_json::from_value::<Find>(find).is_err(),
                "{version} {action}"
            );
        }
    }

    #[test]
    fn optional_members_may_be_null_or_of_another_type() {
        let found = json!({
            "users": [
                { "id": "42", "email": "ada@example.com", "locale": null, "name": 7, "more": [] },
                { "id": "43", "email": "eve@example.com", "locale": "de-AT", "name": "Eve" },
            ],
            "took": 3,
        });
        let found: Found = serde_json::from_value(found).unwrap();
        assert_eq!(found.users[0].locale, None);
        assert_eq!(found.users[0].name, None);
        assert_eq!(found.users[1].name.as_deref(), Some("Eve"));
    }

    #[test]
    fn every_outcome_is_read_and_no_other() {
        let read = |response: Value| serde_json::from_value::<Replaced>(response).ok();
        let reason = Reason::UsedBefore;
        for (response, expected) in [
            (json!({"outcome": "replaced"}), Some(Replaced::Replaced)),
            (
                json!({"outcome": "gone", "text": "<b>"}),
                Some(Replaced::Gone),
            ),
            (json!({"outcome": "overtaken"}), Some(Replaced::Overtaken)),
            (json!({"outcome": "later"}), Some(Replaced::Later)),
            (
                json!({"outcome": "unacceptable", "reason": "used_before"}),
                Some(Replaced::Unacceptable { reason }),
            ),
            (json!({"outcome": "unacceptable"}), None),
            (json!({"outcome": "unacceptable", "reason": "ugly"}), None),
            (json!({"outcome": "Replaced"}), None),
            (json!({"outcome": null}), None),
            (json!("replaced"), None),
            (json!({}), None),
            (json!(null), None),
        ] {
            assert_eq!(read(response.clone()), expected, "{response}");
        }
    }
}
