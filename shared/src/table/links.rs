//! The links that were sent to a user, and whether one more may be sent.
//!
//! The limit of an address counts live links instead of requests. So a user who is held back already has a link that
//! works, whoever asked for it, unless the application itself has ended the links since.

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
/// Only accepted emails count. If a link counted before it left, a few failed attempts would hold back a user who has
/// no link at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SentLinks {
    links: Vec<SentLink>,
    /// The epoch: links issued at or before it are dead.
    #[serde(skip)]
    ended_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "every row of the table names its times so"
)]
struct SentLink {
    /// The time of the request that it answers.
    #[serde(with = "unix_seconds")]
    requested_at: Timestamp,
    #[serde(with = "unix_seconds")]
    issued_at: Timestamp,
    #[serde(with = "whole_seconds")]
    expires_at: Timestamp,
}

const LINKS_PREFIX: &str = "links#";

/// The period of the daily limit. It slides, so that no boundary lets twice the limit pass.
const DAY: SignedDuration = SignedDuration::from_hours(24);

impl SentLinks {
    /// Adds the epoch: links issued at or before it are dead.
    #[must_use]
    pub fn since(self, epoch: Option<Epoch>) -> Self {
        Self {
            ended_at: epoch.map(|epoch| epoch.ended_at),
            ..self
        }
    }

    /// Returns whether one more link may be sent.
    ///
    /// Up to [`AddressLimits::live`] links may be alive at a time. After [`AddressLimits::daily`] links in 24 hours, only
    /// one may be alive. The limit never reaches zero, so requests alone cannot lock a user out.
    ///
    /// Links that the application ended by `password_changed_at` count until they expire: the private half cannot read
    /// that attribute.
    pub fn allow_another(&self, limits: &AddressLimits, now: Timestamp) -> bool {
        let is_alive = |link: &&SentLink| {
            now < link.expires_at
                && self
                    .ended_at
                    .is_none_or(|ended_at| ended_at < link.issued_at)
        };
        let alive = self.links.iter().filter(is_alive).count();
        let is_daily_limit_reached = self.of_the_last_day(now).count() >= limits.daily as usize;
        let max = if is_daily_limit_reached {
            1
        } else {
            limits.live
        };
        alive < max as usize
    }

    /// Returns whether a link was already sent for the request made at `requested_at`.
    ///
    /// A stream delivers a record again if one before it in the batch failed. The time identifies the request: two
    /// requests for one address are at least a cooldown apart. The request ID would not do, since a client of a REST
    /// API may be able to choose it.
    pub fn has_link_for(&self, requested_at: Timestamp) -> bool {
        let is_of_request =
            |link: &SentLink| link.requested_at.as_millisecond() == requested_at.as_millisecond();
        self.links.iter().any(is_of_request)
    }

    /// Returns these links and the one that was just sent, without those that no limit counts any more.
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

    /// No link lives for longer than a day, so these include every live one.
    fn of_the_last_day(&self, now: Timestamp) -> impl Iterator<Item = &SentLink> {
        let is_recent = move |link: &&SentLink| now < link.issued_at + DAY;
        self.links.iter().filter(is_recent)
    }
}

impl Table {
    /// Reads the links that were sent to a user, and when a change last ended them.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` does not answer.
    pub async fn sent_links(&self, user: &User) -> Result<SentLinks, Fault> {
        let (links, epoch) = try_join!(
            self.row::<SentLinks>("table.sent_links", links_key(&user.key, &user.email)),
            self.row::<Epoch>("table.epoch", epoch_key(&user.key)),
        )?;
        Ok(links.unwrap_or_default().since(epoch))
    }

    /// Stores the links that were sent to a user, the one that was just issued included.
    ///
    /// One private half at a time processes an address, so no other write comes between the read and this one.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` does not do it.
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
/// A link works for the user it was made for, and only while that user has the address it was sent to. So links of a
/// former owner of the address, or to a former address, do not count.
pub fn links_key(user: &UserKey, email: &Email) -> String {
    let (email, key) = (email.as_str(), user.as_str());
    // An address has no NUL, so no two pairs are written alike.
    format!(
        "{LINKS_PREFIX}{}",
        sha256_hex(format!("{email}\0{key}").as_bytes())
    )
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

    /// Links that were issued so many minutes after noon, and live for an hour.
    fn sent(minutes: &[i64]) -> SentLinks {
        let issued = |minutes: &i64| TokenIssued {
            user: UserKey::Text("1".to_owned()),
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
    fn live_links_hold_another_one_back_until_the_first_expires() {
        let links = sent(&[0, 30]);
        assert!(!links.allow_another(&LIMITS, after_noon(30)));
        assert!(!links.allow_another(&LIMITS, just_before(60)));
        assert!(links.allow_another(&LIMITS, after_noon(60)));
    }

    #[test]
    fn a_change_lifts_the_limit() {
        for (ended_at, may_be_sent) in [(-1, false), (0, true), (30, true)] {
            let epoch = Epoch {
                ended_at: after_noon(ended_at),
            };
            let links = sent(&[0, 30]).since(Some(epoch));
            let is_allowed = links.allow_another(&LIMITS, after_noon(30));
            assert_eq!(is_allowed, may_be_sent, "{ended_at}");
        }
    }

    #[test]
    fn after_the_daily_limit_one_link_may_be_alive() {
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
    fn a_link_answers_one_request() {
        let links = sent(&[0, 60]);
        let [first, second] = [0, 60].map(|minutes| links.has_link_for(after_noon(minutes)));
        assert!(first && second && !links.has_link_for(after_noon(30)));
    }

    #[test]
    fn links_that_no_limit_counts_are_dropped() {
        assert_eq!(sent(&[0, 1380, 1440]), sent(&[1380, 1440]));
    }

    #[test]
    fn users_and_addresses_do_not_share_a_row() {
        let key = |key: &str, email: &str| {
            links_key(
                &UserKey::Text(key.to_owned()),
                &Email::parse(email).unwrap(),
            )
        };
        let ada = key("1", "ada@example.com");
        assert_ne!(ada, key("2", "ada@example.com"));
        assert_ne!(ada, key("1", "ada@example.org"));
    }
}
