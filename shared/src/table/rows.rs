//! The rows that the halves exchange.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::email::Email;
use crate::locale::Locale;
use crate::request_id::RequestId;
use crate::times::{unix_seconds, whole_seconds};
use crate::user::{User, UserKey};

/// The key prefix of [`ResetRequested`].
pub const REQUEST_PREFIX: &str = "request#";
/// The key prefix of [`PasswordChanged`].
pub const CHANGE_PREFIX: &str = "change#";

/// The time for which a claim excludes other changes of the user.
///
/// The claim takes at most 4 seconds. Then a directory function may start for 10 seconds (AWS Lambda Developer Guide,
/// "Understanding the Lambda execution environment lifecycle"), and run for 30. The rest covers clocks that differ.
pub const LEASE: SignedDuration = SignedDuration::from_mins(1);

/// A request for a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetRequested {
    /// The email address in the request.
    pub email: Email,
    /// The reset URL. It was in the allow list when the row was written, and is checked again before a token is sent.
    pub reset_url: String,
    /// The language of the email.
    #[serde(default)]
    pub locale: Locale,
    /// The ID of the request in every log.
    pub request_id: RequestId,
    /// The time the link was requested.
    #[serde(with = "unix_seconds")]
    pub requested_at: Timestamp,
}

impl ResetRequested {
    /// Returns whether the request is older than a link lives. A link sent at once would have expired by now.
    pub fn has_expired(&self, lifetime: SignedDuration, now: Timestamp) -> bool {
        now.duration_since(self.requested_at) > lifetime
    }
}

/// A token that was issued to a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenIssued {
    /// The user's key in the directory.
    pub user: UserKey,
    /// The address that the token was sent to. The link stops working if the user's address changes.
    pub email: Email,
    /// The time the token was issued. A later change of the password invalidates it.
    #[serde(with = "unix_seconds")]
    pub issued_at: Timestamp,
    /// The time the token expires, in whole seconds, because this is also the table's TTL attribute.
    #[serde(with = "whole_seconds")]
    pub expires_at: Timestamp,
    /// The language of the link's email, for the notice.
    #[serde(default)]
    pub locale: Locale,
}

impl TokenIssued {
    /// Returns the row of a token that is issued to this user now.
    pub fn new(user: User, locale: Locale, now: Timestamp, lifetime: SignedDuration) -> Self {
        Self {
            user: user.key,
            email: user.email,
            issued_at: now,
            expires_at: now + lifetime,
            locale,
        }
    }

    /// Returns whether the token is valid for this address now. Later changes to the user are not visible here.
    pub fn is_valid_for(&self, email: &Email, now: Timestamp) -> bool {
        self.email == *email && now < self.expires_at
    }
}

/// A change of a password, for the notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordChanged {
    /// The user's key in the directory.
    pub user: UserKey,
    /// The user's address.
    pub email: Email,
    /// The language of the notice.
    #[serde(default)]
    pub locale: Locale,
    /// The ID of the request in every log.
    pub request_id: RequestId,
    /// The time of the change.
    #[serde(with = "unix_seconds")]
    pub changed_at: Timestamp,
    /// The time from which the change cannot be in progress, if its outcome is not known yet. Absent from a change
    /// that took effect.
    #[serde(
        default,
        with = "unix_seconds::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub settles_at: Option<Timestamp>,
}

impl PasswordChanged {
    /// Returns the row of a password that is replaced now, with the token of `issued`.
    ///
    /// The change is never older than the link. This instance's clock may be behind the clock that issued the link. Its
    /// time would then set the epoch back, and revive links that an earlier change ended.
    pub fn new(issued: &TokenIssued, request_id: RequestId, now: Timestamp) -> Self {
        Self {
            user: issued.user.clone(),
            email: issued.email.clone(),
            locale: issued.locale,
            request_id,
            changed_at: now.max(issued.issued_at),
            settles_at: None,
        }
    }

    /// Returns the same change, with an outcome that is known in [`LEASE`] at the latest.
    #[must_use]
    pub fn unsettled(self) -> Self {
        Self {
            settles_at: Some(self.changed_at + LEASE),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_dynamo::{AttributeValue, Item};

    use super::*;

    fn requested() -> ResetRequested {
        ResetRequested {
            email: Email::parse("ada@example.com").unwrap(),
            reset_url: "https://app.example.com/password/reset".to_owned(),
            locale: Locale::En,
            request_id: RequestId::unknown(),
            requested_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// A deployment with more languages may have written the row.
    #[test]
    fn a_row_in_an_unknown_language_is_read_in_english() {
        let item: Item = serde_dynamo::to_item(requested()).unwrap();
        let mut attributes = item.into_inner();
        attributes.insert("locale".to_owned(), AttributeValue::S("tlh".to_owned()));
        let read: ResetRequested = serde_dynamo::from_item(Item::from(attributes)).unwrap();
        assert_eq!(read.locale, Locale::En);
    }

    #[test]
    fn a_request_expires_when_its_link_would() {
        let (lifetime, moment) = (
            SignedDuration::from_hours(1),
            SignedDuration::from_millis(1),
        );
        let end = Timestamp::UNIX_EPOCH + lifetime;
        assert!(!requested().has_expired(lifetime, end));
        assert!(requested().has_expired(lifetime, end + moment));
    }

    #[test]
    fn a_token_is_valid_for_its_address_until_it_expires() {
        let email = requested().email;
        let user = User {
            key: UserKey::text("1".to_owned()),
            email: email.clone(),
            locale: None,
            name: None,
            has_unreadable_change_time: false,
        };
        let lifetime = SignedDuration::from_hours(1);
        let issued = TokenIssued::new(user, Locale::En, Timestamp::UNIX_EPOCH, lifetime);
        let end = Timestamp::UNIX_EPOCH + lifetime;
        assert!(issued.is_valid_for(&email, end - SignedDuration::from_millis(1)));
        assert!(!issued.is_valid_for(&email, end));
        let other = Email::parse("eve@example.com").unwrap();
        assert!(!issued.is_valid_for(&other, Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn a_row_with_an_invalid_timestamp_is_unreadable() {
        let row = requested();
        let read = |time: &str| {
            let item: Item = serde_dynamo::to_item(&row).unwrap();
            let mut attributes = item.into_inner();
            attributes.insert(
                "requested_at".to_owned(),
                AttributeValue::N(time.to_owned()),
            );
            serde_dynamo::from_item::<_, ResetRequested>(Item::from(attributes))
        };
        assert_eq!(read("0").unwrap(), row);
        for bad in ["NaN", "inf", "-inf", "1e300", "253402300800"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
