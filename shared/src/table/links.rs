//! The links that were sent to a user, and whether one more may be sent.
//!
//! The address limit counts live links instead of requests. So a user who reaches the limit already has a valid link,
//! regardless of who requested it. The exception is an application that has ended the links itself.

use aws_sdk_dynamodb::types::builders::PutBuilder;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::try_join;

use super::Table;
use super::epochs::{Epoch, epoch_key};
use super::rows::TokenIssued;
use crate::digest::sha256_hex;
use crate::email::Email;
use crate::fault::Fault;
use crate::limits::AddressLimits;
use crate::times::{unix_seconds, whole_seconds};
use crate::user::{User, UserKey};

/// The links that SES accepted for one user at one address, in the last 24 hours.
///
/// Only accepted emails count. If a link counted before SES accepted it, a few failed attempts would use up the limit,
/// and the user would have no link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SentLinks {
    links: Vec<SentLink>,
    /// The epoch. Links issued at or before it no longer work.
    #[serde(skip)]
    ended_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "every row of the table names its times like this"
)]
struct SentLink {
    /// The time of the request that the link answers.
    #[serde(with = "unix_seconds")]
    requested_at: Timestamp,
    /// The time the link was issued.
    #[serde(with = "unix_seconds")]
    issued_at: Timestamp,
    /// The time the link expires.
    #[serde(with = "whole_seconds")]
    expires_at: Timestamp,
}

const LINKS_PREFIX: &str = "links#";

/// The period of the daily limit. It slides, because a fixed day would allow twice the limit around midnight.
const DAY: SignedDuration = SignedDuration::from_hours(24);

impl SentLinks {
    /// Adds the epoch. Links issued at or before it no longer work.
    #[must_use]
    pub fn since(self, epoch: Option<Epoch>) -> Self {
        Self {
            ended_at: epoch.map(|epoch| epoch.ended_at),
            ..self
        }
    }

    /// Returns whether one more link may be sent.
    ///
    /// Up to [`AddressLimits::live`] links may be live at a time. After [`AddressLimits::daily`] links in 24 hours,
    /// only one may be live. The limit never reaches zero, so requests alone cannot lock a user out.
    ///
    /// Links that the application ended by the time of a change count until they expire: most layouts do not let the
    /// private half read that attribute.
    pub fn allow_another(&self, limits: &AddressLimits, now: Timestamp) -> bool {
        let is_live = |link: &&SentLink| {
            now < link.expires_at
                && self
                    .ended_at
                    .is_none_or(|ended_at| ended_at < link.issued_at)
        };
        let live = self.links.iter().filter(is_live).count();
        let is_daily_limit_reached = self.of_the_last_day(now).count() >= limits.daily as usize;
        let max = if is_daily_limit_reached {
            1
        } else {
            limits.live
        };
        live < max as usize
    }

    /// Returns whether a link was already sent for the request made at `requested_at`.
    ///
    /// A stream delivers a record again if an earlier one in the batch failed. The time identifies the request, because
    /// two requests for one address are at least a cooldown apart. The request ID does not, because a client of a REST
    /// API may be able to choose it.
    pub fn has_link_for(&self, requested_at: Timestamp) -> bool {
        let is_of_request =
            |link: &SentLink| link.requested_at.as_millisecond() == requested_at.as_millisecond();
        self.links.iter().any(is_of_request)
    }

    /// Returns these links and the one that was just sent, without those that no limit counts.
    #[must_use]
    pub fn with(&self, issued: &TokenIssued, requested_at: Timestamp) -> Self {
        let sent = SentLink {
            requested_at,
            issued_at: issued.issued_at,
            expires_at: issued.expires_at,
        };
        let mut links: Vec<SentLink> = self.of_the_last_day(issued.issued_at).cloned().collect();
        links.push(sent);
        Self {
            links,
            ended_at: self.ended_at,
        }
    }

    /// Returns the links of the last day. They include every live one, because no link lives longer than a day.
    fn of_the_last_day(&self, now: Timestamp) -> impl Iterator<Item = &SentLink> {
        let is_recent = move |link: &&SentLink| now < link.issued_at + DAY;
        self.links.iter().filter(is_recent)
    }
}

impl Table {
    /// Reads the links that were sent to a user, and the user's epoch.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects a call or does not answer.
    pub async fn sent_links(&self, user: &User) -> Result<SentLinks, Fault> {
        let (links, epoch) = try_join!(
            self.row::<SentLinks>("table.sent_links", links_key(&user.key, &user.email)),
            self.row::<Epoch>("table.epoch", epoch_key(&user.key)),
        )?;
        Ok(links.unwrap_or_default().since(epoch))
    }

    /// Stores the links that were sent to a user, including the one that was just issued.
    ///
    /// Only one instance at a time processes an address, so no other write happens between the read and this one.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects the call or does not answer.
    pub async fn store_links(&self, issued: &TokenIssued, links: &SentLinks) -> Result<(), Fault> {
        self.put("table.store_links", self.links_statement(issued, links))
            .await
    }

    /// Returns the statement of [`Table::store_links`].
    pub fn links_statement(&self, issued: &TokenIssued, links: &SentLinks) -> PutBuilder {
        let key = links_key(&issued.user, &issued.email);
        self.put_statement(&key, links, issued.issued_at + DAY)
    }
}

/// Returns the key of the row with the links of a user at an address.
///
/// A link works only for the user it was issued to, and only while that user has the address it was sent to. So links
/// of a former owner of the address, or to a former address, do not count.
pub fn links_key(user: &UserKey, email: &Email) -> String {
    // An address has no NUL, so two different pairs never give the same bytes.
    let pair = [email.as_str().as_bytes(), b"\0", &user.identity()].concat();
    format!("{LINKS_PREFIX}{}", sha256_hex(&pair))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locale::Locale;

    const LIMITS: AddressLimits = AddressLimits { live: 2, daily: 4 };

    fn after_noon(minutes: i64) -> Timestamp {
        let noon: Timestamp = "2026-11-23T12:00:00.250Z".parse().unwrap();
        noon + SignedDuration::from_mins(minutes)
    }

    /// Returns links that were issued these numbers of minutes after noon, and live for an hour.
    fn sent(minutes: &[i64]) -> SentLinks {
        let issued = |minutes: &i64| TokenIssued {
            user: UserKey::text("1".to_owned()),
            email: Email::parse("ada@example.com").unwrap(),
            issued_at: after_noon(*minutes),
            expires_at: after_noon(minutes + 60),
            locale: Locale::En,
        };
        let links = minutes.iter().map(issued);
        links.fold(SentLinks::default(), |sent, issued| {
            sent.with(&issued, issued.issued_at)
        })
    }

    fn just_before(minutes: i64) -> Timestamp {
        after_noon(minutes) - SignedDuration::from_millis(1)
    }

    #[test]
    fn no_link_exceeds_the_limit_until_the_first_expires() {
        let links = sent(&[0, 30]);
        assert!(!links.allow_another(&LIMITS, after_noon(30)));
        assert!(!links.allow_another(&LIMITS, just_before(60)));
        assert!(links.allow_another(&LIMITS, after_noon(60)));
    }

    #[test]
    fn a_change_resets_the_limit() {
        for (ended_at, expected) in [(-1, false), (0, true), (30, true)] {
            let epoch = Epoch {
                ended_at: after_noon(ended_at),
            };
            let links = sent(&[0, 30]).since(Some(epoch));
            let is_allowed = links.allow_another(&LIMITS, after_noon(30));
            assert_eq!(is_allowed, expected, "{ended_at}");
        }
    }

    #[test]
    fn after_the_daily_limit_one_link_may_be_live() {
        let links = sent(&[0, 60, 120, 180]);
        assert!(!links.allow_another(&LIMITS, just_before(240)));
        assert!(links.allow_another(&LIMITS, after_noon(240)));
        let fewer = sent(&[60, 120, 180]);
        assert!(fewer.allow_another(&LIMITS, just_before(240)));
    }

    #[test]
    fn the_daily_limit_slides() {
        let links = sent(&[0, 60, 120, 1410]);
        assert!(!links.allow_another(&LIMITS, just_before(1440)));
        assert!(links.allow_another(&LIMITS, after_noon(1440)));
    }

    #[test]
    fn a_link_answers_only_its_own_request() {
        let links = sent(&[0, 60]);
        let [first, second] = [0, 60].map(|minutes| links.has_link_for(after_noon(minutes)));
        assert!(first && second && !links.has_link_for(after_noon(30)));
    }

    #[test]
    fn links_older_than_a_day_are_dropped() {
        assert_eq!(sent(&[0, 1380, 1440]), sent(&[1380, 1440]));
    }

    #[test]
    fn each_user_and_address_has_a_separate_row() {
        let key = |key: &str, email: &str| {
            links_key(
                &UserKey::text(key.to_owned()),
                &Email::parse(email).unwrap(),
            )
        };
        let ada = key("1", "ada@example.com");
        // Rows that an earlier version wrote must be found.
        let digest = sha256_hex(b"ada@example.com\x001");
        assert_eq!(ada, format!("links#{digest}"));
        assert_ne!(ada, key("2", "ada@example.com"));
        assert_ne!(ada, key("1", "ada@example.org"));
    }
}
