//! The rows that the halves exchange.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::email::Email;
use crate::locale::Locale;
use crate::request_id::RequestId;
use crate::times::{unix_seconds, whole_seconds};
use crate::user::{User, UserKey};

/// How the keys of [`ResetRequested`] begin.
pub const REQUEST_PREFIX: &str = "request#";
/// How the keys of [`PasswordChanged`] begin.
pub const CHANGE_PREFIX: &str = "change#";

/// Somebody asked for a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetRequested {
    /// As it was typed, but for spaces and case.
    pub email: Email,
    /// One of the allow list when it was written; it is looked up again before a token leaves.
    pub reset_url: String,
    /// The language of the mail.
    #[serde(default)]
    pub locale: Locale,
    /// What the logs follow.
    pub request_id: RequestId,
    /// When.
    #[serde(with = "unix_seconds")]
    pub requested_at: Timestamp,
}

impl ResetRequested {
    /// Whether nobody waits for it any more: a link would have ended by now, had it been sent at once.
    pub fn has_expired(&self, lifetime: SignedDuration, now: Timestamp) -> bool {
        now.duration_since(self.requested_at) > lifetime
    }
}

/// A token was made for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenIssued {
    /// Whose.
    pub user: UserKey,
    /// The address that it was sent to. Who has another one by now cannot use it.
    pub email: Email,
    /// When. A password that was replaced later kills it.
    #[serde(with = "unix_seconds")]
    pub issued_at: Timestamp,
    /// Until when it is good, in whole seconds: this is the table's TTL attribute too.
    #[serde(with = "whole_seconds")]
    pub expires_at: Timestamp,
    /// The language of the mail it was sent in, for the notice.
    #[serde(default)]
    pub locale: Locale,
}

impl TokenIssued {
    /// Returns what the table stores for a token that is made for this user now.
    pub fn new(user: User, locale: Locale, now: Timestamp, lifetime: SignedDuration) -> Self {
        Self {
            user: user.key,
            email: user.email,
            issued_at: now,
            expires_at: now + lifetime,
            locale,
        }
    }

    /// Whether the token is good for this address now. What has happened to the user meanwhile is not known here.
    pub fn is_valid_for(&self, email: &Email, now: Timestamp) -> bool {
        self.email == *email && now < self.expires_at
    }
}

/// A password was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordChanged {
    /// Whose.
    pub user: UserKey,
    /// The user's address.
    pub email: Email,
    /// The language of the notice.
    #[serde(default)]
    pub locale: Locale,
    /// What the logs follow.
    pub request_id: RequestId,
    /// When.
    #[serde(with = "unix_seconds")]
    pub changed_at: Timestamp,
}

impl PasswordChanged {
    /// Returns what the table stores for a password that is replaced now, by the token of this row.
    ///
    /// The change is never older than the link. If this instance's clock is behind the one that issued the link, its
    /// own time would set the epoch back, and revive links that an earlier change ended.
    pub fn new(issued: &TokenIssued, request_id: RequestId, now: Timestamp) -> Self {
        Self {
            user: issued.user.clone(),
            email: issued.email.clone(),
            locale: issued.locale,
            request_id,
            changed_at: now.max(issued.issued_at),
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

    #[test]
    fn a_request_is_served_as_long_as_its_link_would_live() {
        let (lifetime, moment) = (
            SignedDuration::from_hours(1),
            SignedDuration::from_millis(1),
        );
        let end = Timestamp::UNIX_EPOCH + lifetime;
        assert!(!requested().has_expired(lifetime, end));
        assert!(requested().has_expired(lifetime, end + moment));
    }

    #[test]
    fn a_token_is_good_for_its_address_until_it_expires() {
        let email = requested().email;
        let user = User {
            key: UserKey::Text("1".to_owned()),
            email: email.clone(),
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
    fn a_row_whose_time_is_no_time_is_no_row() {
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
