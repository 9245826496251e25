//! The Rekey table: its rows, and the statements that keep them true.
//!
//! | row | key | lives |
//! |---|---|---|
//! | [`Requested`] | `request#` and the SHA-256 of the address | an hour |
//! | [`Issued`] | `token#` and the SHA-256 of the token | the token's lifetime; gone at first use |
//! | [`Changed`] | `change#` and the request id | 15 days: longer than the queue of what was given up |
//! | a counter | `rate#`, the door, the SHA-256 of the source, the window | the window |
//!
//! What must hold: a token works once; a change kills every other link of the user; a changed password is never
//! without its notice; a request is written down or refused. Each is a condition in one write, so no race can break it.
//! `DynamoDB` deletes expired rows late, so that every read checks the time itself.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::aws::{RetryCancelled, failed_conditions};
use crate::config::Env;
use crate::digest::sha256_hex;
use crate::email::Email;
use crate::fault::Fault;
use crate::http::RequestId;
use crate::locale::Locale;
use crate::source::Source;
use crate::token::{Token, TokenHash};
use crate::users::UserKey;

/// Somebody asked for a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
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

/// A token was made for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
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

/// A password was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
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

/// How the keys of [`Requested`] begin.
pub const REQUESTED: &str = "request#";
/// How the keys of [`Changed`] begin.
pub const CHANGED: &str = "change#";
const ISSUED: &str = "token#";
const RATE: &str = "rate#";

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is written down.
    Admitted,
    /// It is not: for this address somebody asked a moment ago.
    Cooling,
    /// It is not: the source has asked too often.
    Flooded {
        /// When its window ends.
        retry_after: Duration,
    },
}

/// What came of using a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redemption {
    /// The password is replaced, the token gone, and the notice written down.
    Done,
    /// None of these: meanwhile the token was used, the password replaced, the address changed or the user deleted.
    Refused,
}

/// The limits that the table counts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    cooldown: SignedDuration,
    per_source: u32,
    window: u32,
}

impl Limits {
    /// Reads `COOLDOWN_SECONDS`, `SOURCE_LIMIT` and `SOURCE_WINDOW_SECONDS`.
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let cooldown = env.number("COOLDOWN_SECONDS", 60, 1..=3600);
        let per_source = env.number("SOURCE_LIMIT", 100, 1..=100_000);
        let window = env.number("SOURCE_WINDOW_SECONDS", 300, 10..=3600);
        Some(Self {
            cooldown: SignedDuration::from_secs(cooldown?.into()),
            per_source: per_source?,
            window: window?,
        })
    }
}

/// The Rekey table.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
    limits: Limits,
}

impl Table {
    /// Makes a client.
    pub fn new(sdk: &SdkConfig, name: String, limits: Limits) -> Self {
        let client = Client::from_conf(Builder::from(sdk).retry_classifier(RetryCancelled).build());
        Self {
            client,
            name,
            limits,
        }
    }

    /// Writes down that somebody asked, unless the source has asked too often or the address is cooling.
    ///
    /// One transaction: no number of parallel requests slips through.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it. Then nothing is written.
    pub async fn admit(
        &self,
        requested: &Requested,
        source: &Source,
        now: Timestamp,
    ) -> Result<Admission, Fault> {
        const ACT: &str = "table.admit";
        let key = format!(
            "{REQUESTED}{}",
            sha256_hex(requested.email.as_str().as_bytes())
        );
        let put = self
            .put(&key, requested, now + SignedDuration::from_hours(1), ACT)?
            .condition_expression("attribute_not_exists(pk) OR requested_at <= :cooled")
            .expression_attribute_values(
                ":cooled",
                unix_seconds::attribute(now - self.limits.cooldown),
            )
            .build();
        let (count, window_ends) = self.count("forgot", source, now);
        let transaction = self
            .client
            .transact_write_items()
            .transact_items(
                TransactWriteItem::builder()
                    .update(built(count, ACT)?)
                    .build(),
            )
            .transact_items(TransactWriteItem::builder().put(built(put, ACT)?).build());
        let Err(error) = transaction.send().await else {
            return Ok(Admission::Admitted);
        };
        match failed_conditions(&error) {
            Some(failed) if failed.first() == Some(&true) => Ok(Admission::Flooded {
                retry_after: duration_until(window_ends, now),
            }),
            Some(_) => Ok(Admission::Cooling),
            None => Err(cancelled(ACT, &error)),
        }
    }

    /// Counts an attempt to use a token.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it.
    pub async fn count_attempt(&self, source: &Source, now: Timestamp) -> Result<Admission, Fault> {
        const ACT: &str = "table.count_attempt";
        let (count, window_ends) = self.count("reset", source, now);
        let count = built(count, ACT)?;
        let update = self
            .client
            .update_item()
            .table_name(count.table_name)
            .set_key(Some(count.key))
            .update_expression(count.update_expression)
            .set_condition_expression(count.condition_expression)
            .set_expression_attribute_names(count.expression_attribute_names)
            .set_expression_attribute_values(count.expression_attribute_values);
        match update.send().await {
            Ok(_) => Ok(Admission::Admitted),
            Err(SdkError::ServiceError(error))
                if matches!(
                    error.err(),
                    UpdateItemError::ConditionalCheckFailedException(_)
                ) =>
            {
                Ok(Admission::Flooded {
                    retry_after: duration_until(window_ends, now),
                })
            }
            Err(error) => Err(Fault::of_call(ACT, &error)),
        }
    }

    /// Writes down that a token was made for a user.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it.
    pub async fn issue(&self, token: &TokenHash, issued: &Issued) -> Result<(), Fault> {
        const ACT: &str = "table.issue";
        let item = serde_dynamo::to_item(issued).map_err(|_| Fault::of_our_own(ACT, "NotARow"))?;
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .item("pk", text(issued_key(token)))
            .send()
            .await
            .map_err(|error| Fault::of_call(ACT, &error))?;
        Ok(())
    }

    /// Finds what a token was issued for, if it is still good for this address.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not answer.
    pub async fn issued(
        &self,
        token: &Token,
        email: &Email,
        now: Timestamp,
    ) -> Result<Option<Issued>, Fault> {
        let output = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("pk", text(issued_key(&token.hash())))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Fault::of_call("table.issued", &error))?;
        // A row that cannot be read is no token of ours.
        let issued = output
            .item
            .and_then(|item| serde_dynamo::from_item::<_, Issued>(item).ok());
        Ok(issued.filter(|issued| issued.email == *email && now < issued.expires_at))
    }

    /// Uses a token: deletes it, replaces the user's password and writes down that this was done, or none of it.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it. Then nothing is changed.
    pub async fn redeem(
        &self,
        token: &Token,
        replacement: Update,
        changed: &Changed,
    ) -> Result<Redemption, Fault> {
        const ACT: &str = "table.redeem";
        let now = changed.changed_at;
        let delete = Delete::builder()
            .table_name(&self.name)
            .key("pk", text(issued_key(&token.hash())))
            .condition_expression("attribute_exists(pk) AND expires_at > :now")
            .expression_attribute_values(":now", unix_seconds::attribute(now))
            .build();
        let key = format!("{CHANGED}{}", changed.request_id.as_str());
        let put = self
            .put(
                &key,
                changed,
                now + SignedDuration::from_hours(15 * 24),
                ACT,
            )?
            .build();
        let transaction = self
            .client
            .transact_write_items()
            .transact_items(
                TransactWriteItem::builder()
                    .delete(built(delete, ACT)?)
                    .build(),
            )
            .transact_items(TransactWriteItem::builder().update(replacement).build())
            .transact_items(TransactWriteItem::builder().put(built(put, ACT)?).build());
        let Err(error) = transaction.send().await else {
            return Ok(Redemption::Done);
        };
        match failed_conditions(&error) {
            Some(_) => Ok(Redemption::Refused),
            None => Err(cancelled(ACT, &error)),
        }
    }

    /// Counts one more from a source in the window of now, unless that is one too many. Says when the window ends.
    fn count(
        &self,
        door: &str,
        source: &Source,
        now: Timestamp,
    ) -> (Result<Update, BuildError>, Timestamp) {
        let window = i64::from(self.limits.window);
        let started = now.as_second() - now.as_second().rem_euclid(window);
        let ends = now + SignedDuration::from_secs(started + window - now.as_second());
        let update = Update::builder()
            .table_name(&self.name)
            .key(
                "pk",
                text(format!("{RATE}{door}#{}#{started}", source.key())),
            )
            .update_expression("SET expires_at = :ends ADD requests :one")
            .condition_expression("attribute_not_exists(requests) OR requests < :limit")
            .expression_attribute_values(":ends", number(ends.as_second()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":limit", number(self.limits.per_source.into()))
            .build();
        (update, ends)
    }

    fn put(
        &self,
        key: &str,
        row: &impl Serialize,
        expires_at: Timestamp,
        act: &'static str,
    ) -> Result<aws_sdk_dynamodb::types::builders::PutBuilder, Fault> {
        let item = serde_dynamo::to_item(row).map_err(|_| Fault::of_our_own(act, "NotARow"))?;
        Ok(Put::builder()
            .table_name(&self.name)
            .set_item(Some(item))
            .item("pk", text(key.to_owned()))
            .item("expires_at", number(expires_at.as_second())))
    }
}

fn issued_key(token: &TokenHash) -> String {
    format!("{ISSUED}{}", token.as_str())
}

fn text(value: String) -> AttributeValue {
    AttributeValue::S(value)
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn duration_until(then: Timestamp, now: Timestamp) -> Duration {
    // What has passed by now needs no waiting.
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

fn built<T>(result: Result<T, BuildError>, act: &'static str) -> Result<T, Fault> {
    result.map_err(|_| Fault::of_our_own(act, "BuildError"))
}

/// A transaction that was cancelled for no condition of ours met another one, or was throttled: both pass.
fn cancelled(
    act: &'static str,
    error: &SdkError<
        TransactWriteItemsError,
        aws_smithy_runtime_api::client::orchestrator::HttpResponse,
    >,
) -> Fault {
    let fault = Fault::of_call(act, error);
    match error.as_service_error() {
        Some(error) if crate::aws::is_passing_cancellation(error) => fault.passing(),
        _ => fault,
    }
}

/// Times as seconds since 1970, to the millisecond: a number that other programs can compare.
pub(crate) mod unix_seconds {
    use aws_sdk_dynamodb::types::AttributeValue;
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// The number, in a condition.
    pub(crate) fn attribute(time: Timestamp) -> AttributeValue {
        AttributeValue::N(format!(
            "{}.{:03}",
            time.as_second(),
            time.subsec_millisecond()
        ))
    }

    pub(crate) fn serialize<S: Serializer>(
        time: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "53 bits of milliseconds last for 285,000 years"
        )]
        serializer.serialize_f64(time.as_millisecond() as f64 / 1000.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        // A cast would make 1970 of it.
        if seconds.is_nan() {
            return Err(D::Error::custom("not a number"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "out of bounds saturates, and is refused"
        )]
        Timestamp::from_millisecond((seconds * 1000.0).round() as i64).map_err(D::Error::custom)
    }
}

/// Times in whole seconds since 1970, as the TTL attribute wants them.
mod whole_seconds {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        time: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.as_second())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        Timestamp::from_second(i64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_dynamo::{AttributeValue, Item};

    use super::*;

    #[test]
    fn a_row_whose_time_is_no_time_is_no_row() {
        let row = Requested {
            email: Email::parse("ada@example.com").unwrap(),
            reset_url: "https://app.example.com/password/reset".to_owned(),
            locale: Locale::En,
            request_id: RequestId::unknown(),
            requested_at: Timestamp::UNIX_EPOCH,
        };
        let read = |time: &str| {
            let item: Item = serde_dynamo::to_item(&row).unwrap();
            let mut attributes = item.into_inner();
            attributes.insert(
                "requested_at".to_owned(),
                AttributeValue::N(time.to_owned()),
            );
            serde_dynamo::from_item::<_, Requested>(Item::from(attributes))
        };
        assert_eq!(read("0").unwrap(), row);
        for bad in ["NaN", "inf", "-inf", "1e300", "253402300800"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
