//! The Rekey table: its rows, and the statements that keep them true.
//!
//! | row | key | lives |
//! |---|---|---|
//! | [`Requested`] | `request#` and the SHA-256 of the address | an hour |
//! | [`Issued`] | `token#` and the SHA-256 of the token | the token's lifetime; gone at first use |
//! | [`Changed`] | `change#` and the request id | 15 days: longer than the queue of what was given up |
//! | a counter | `rate#`, what is counted, the start of its window | the window |
//!
//! What must hold: a token works once; a change kills every other link of the user; a changed password is never
//! without its notice; a request is written down or refused. Each is a condition in one write, so no race can break it.
//! `DynamoDB` deletes expired rows late, so that every read checks the time itself.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValue, TransactWriteItem, Update,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::aws::failed_conditions;
use crate::digest::sha256_hex;
use crate::email::Email;
use crate::fault::Fault;
use crate::http::RequestId;
use crate::limits::{Limit, Limits, Seen};
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

impl Requested {
    /// Whether nobody waits for it any more: a link would have ended by now, had it been sent at once.
    pub fn is_too_old(&self, lifetime: SignedDuration, now: Timestamp) -> bool {
        now.duration_since(self.requested_at) > lifetime
    }
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

impl Issued {
    /// Whether the token is good for this address now. What has happened to the user meanwhile is not known here.
    pub fn is_good(&self, email: &Email, now: Timestamp) -> bool {
        self.email == *email && now < self.expires_at
    }
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
    /// It is not: for this address somebody asked a moment ago, or often enough while a link is alive.
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

/// The Rekey table.
#[derive(Debug)]
pub struct Table {
    client: Client,
    name: String,
    limits: Limits,
    seen: Seen,
}

impl Table {
    /// The table of a name, under these limits.
    pub fn new(client: Client, name: String, limits: Limits) -> Self {
        Self {
            client,
            name,
            limits,
            seen: Seen::default(),
        }
    }

    /// Writes down that somebody asked, unless the source has asked too often or the address has been asked for enough.
    ///
    /// One transaction: no number of parallel requests slips through.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it, or does not say that it did.
    pub async fn admit(
        &self,
        requested: &Requested,
        source: &Source,
        now: Timestamp,
    ) -> Result<Admission, Fault> {
        const ACT: &str = "table.admit";
        let flooded = self.flooded(now);
        if !self.seen.admits(*source, &self.limits.source, now) {
            return Ok(flooded);
        }
        let transaction = self.client.transact_write_items();
        let transaction =
            transaction.set_transact_items(Some(self.admission(requested, source, now)?));
        let Err(error) = transaction.send().await else {
            return Ok(Admission::Admitted);
        };
        match failed_conditions(&error) {
            Some(failed) if failed.first() == Some(&true) => Ok(flooded),
            Some(_) => Ok(Admission::Cooling),
            None => Err(cancelled(ACT, &error)),
        }
    }

    /// The statements of [`Table::admit`]: the source is counted, the address is counted, the request is put.
    ///
    /// # Errors
    /// A fault that cannot be: all parts are given.
    pub fn admission(
        &self,
        requested: &Requested,
        source: &Source,
        now: Timestamp,
    ) -> Result<Vec<TransactWriteItem>, Fault> {
        const ACT: &str = "table.admit";
        let address = sha256_hex(requested.email.as_str().as_bytes());
        let source = Counter::of_source("forgot", source);
        let count_source = self.count(&source, &self.limits.source, now);
        let count_address = self.count(
            &Counter(format!("forgot#address#{address}")),
            &self.limits.address,
            now,
        );
        let key = format!("{REQUESTED}{address}");
        let put = self
            .put(&key, requested, now + SignedDuration::from_hours(1), ACT)?
            .condition_expression("attribute_not_exists(pk) OR requested_at <= :cooled")
            .expression_attribute_values(
                ":cooled",
                unix_seconds::attribute(now - self.limits.cooldown),
            )
            .build();
        let item = TransactWriteItem::builder;
        Ok(vec![
            item().update(built(count_source, ACT)?).build(),
            item().update(built(count_address, ACT)?).build(),
            item().put(built(put, ACT)?).build(),
        ])
    }

    /// Counts an attempt to use a token.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it.
    pub async fn count_attempt(&self, source: &Source, now: Timestamp) -> Result<Admission, Fault> {
        let limit = &self.limits.source;
        if !self.seen.admits(*source, limit, now) {
            return Ok(self.flooded(now));
        }
        let counter = Counter::of_source("reset", source);
        match self
            .count_now("table.count_attempt", &counter, limit, now)
            .await?
        {
            Some(_) => Ok(Admission::Admitted),
            None => Ok(self.flooded(now)),
        }
    }

    /// Takes one mail from the day's budget, and says how much of it is used, in percent. None where nothing is left.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it.
    pub async fn spend_mail(&self, now: Timestamp) -> Result<Option<u32>, Fault> {
        let budget = &self.limits.deployment;
        let counter = Counter("mail#deployment".to_owned());
        let used = self
            .count_now("table.spend_mail", &counter, budget, now)
            .await?;
        Ok(used.map(|used| used.saturating_mul(100) / budget.most))
    }

    /// Writes down that a token was made for a user.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it.
    pub async fn issue(&self, token: &TokenHash, issued: &Issued) -> Result<(), Fault> {
        let put = self.issuance(token, issued)?;
        self.client
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .send()
            .await
            .map_err(|error| Fault::of_call("table.issue", &error))?;
        Ok(())
    }

    /// The statement of [`Table::issue`].
    ///
    /// # Errors
    /// A fault that cannot be: all parts are given.
    pub fn issuance(&self, token: &TokenHash, issued: &Issued) -> Result<Put, Fault> {
        const ACT: &str = "table.issue";
        let put = self.put(&issued_key(token), issued, issued.expires_at, ACT)?;
        built(put.build(), ACT)
    }

    /// Finds what a token was issued for, if it is still good for this address.
    ///
    /// The table itself passes over a token that is not: whether one is unknown, used, expired or somebody else's shows
    /// neither in what it answers nor in how long we take.
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
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk")
            .filter_expression("email = :email AND expires_at > :now")
            .expression_attribute_values(":pk", text(issued_key(&token.hash())))
            .expression_attribute_values(":email", text(email.as_str().to_owned()))
            .expression_attribute_values(":now", unix_seconds::attribute(now))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Fault::of_call("table.issued", &error))?;
        let item = output.items.and_then(|mut items| items.pop());
        // A row that cannot be read is no token of ours.
        let issued = item.and_then(|item| serde_dynamo::from_item::<_, Issued>(item).ok());
        Ok(issued.filter(|issued| issued.is_good(email, now)))
    }

    /// Uses a token: deletes it, replaces the user's password and writes down that this was done, or none of it.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it, or does not say that it did.
    pub async fn redeem(
        &self,
        token: &Token,
        replacement: Update,
        changed: &Changed,
    ) -> Result<Redemption, Fault> {
        let transaction = self.client.transact_write_items();
        let redemption = self.redemption(token, replacement, changed)?;
        let Err(error) = transaction
            .set_transact_items(Some(redemption))
            .send()
            .await
        else {
            return Ok(Redemption::Done);
        };
        match failed_conditions(&error) {
            Some(_) => Ok(Redemption::Refused),
            None => Err(cancelled("table.redeem", &error)),
        }
    }

    /// The statements of [`Table::redeem`]: the token is deleted, the password replaced, the notice put.
    ///
    /// # Errors
    /// A fault that cannot be: all parts are given.
    pub fn redemption(
        &self,
        token: &Token,
        replacement: Update,
        changed: &Changed,
    ) -> Result<Vec<TransactWriteItem>, Fault> {
        const ACT: &str = "table.redeem";
        let now = changed.changed_at;
        let delete = Delete::builder()
            .table_name(&self.name)
            .key("pk", text(issued_key(&token.hash())))
            .condition_expression("attribute_exists(pk) AND expires_at > :now")
            .expression_attribute_values(":now", unix_seconds::attribute(now))
            .build();
        let key = format!("{CHANGED}{}", changed.request_id.as_str());
        let expires_at = now + SignedDuration::from_hours(15 * 24);
        let put = self.put(&key, changed, expires_at, ACT)?.build();
        let item = TransactWriteItem::builder;
        Ok(vec![
            item().delete(built(delete, ACT)?).build(),
            item().update(replacement).build(),
            item().put(built(put, ACT)?).build(),
        ])
    }

    /// Counts one more in the window of now, unless that is one too many. Says how many that makes.
    async fn count_now(
        &self,
        act: &'static str,
        counter: &Counter,
        limit: &Limit,
        now: Timestamp,
    ) -> Result<Option<u32>, Fault> {
        let count = built(self.count(counter, limit, now), act)?;
        let update = self
            .client
            .update_item()
            .table_name(count.table_name)
            .set_key(Some(count.key))
            .update_expression(count.update_expression)
            .set_condition_expression(count.condition_expression)
            .set_expression_attribute_values(count.expression_attribute_values)
            .return_values(ReturnValue::UpdatedNew);
        match update.send().await {
            Ok(output) => {
                let requests = output.attributes.and_then(|mut new| new.remove("requests"));
                let requests = requests.and_then(|requests| requests.as_n().ok()?.parse().ok());
                requests
                    .map(Some)
                    .ok_or_else(|| Fault::of_our_own(act, "NotACount"))
            }
            Err(SdkError::ServiceError(error))
                if error.err().is_conditional_check_failed_exception() =>
            {
                Ok(None)
            }
            Err(error) => Err(Fault::of_call(act, &error)),
        }
    }

    /// The statement that counts one more in the window of now, unless that is one too many.
    fn count(
        &self,
        counter: &Counter,
        limit: &Limit,
        now: Timestamp,
    ) -> Result<Update, BuildError> {
        let (start, end) = (limit.window_start(now), limit.window_end(now));
        Update::builder()
            .table_name(&self.name)
            .key(
                "pk",
                text(format!("{RATE}{}#{}", counter.0, start.as_second())),
            )
            .update_expression("SET expires_at = :ends ADD requests :one")
            .condition_expression("attribute_not_exists(requests) OR requests < :limit")
            .expression_attribute_values(":ends", number(end.as_second()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":limit", number(limit.most.into()))
            .build()
    }

    fn flooded(&self, now: Timestamp) -> Admission {
        let end = self.limits.source.window_end(now);
        // Of whole seconds, so that nobody comes back a moment too early.
        let seconds = end.as_second() - now.as_second();
        Admission::Flooded {
            retry_after: Duration::from_secs(seconds.unsigned_abs()),
        }
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

/// What is counted: the part of a counter's key before its window.
struct Counter(String);

impl Counter {
    fn of_source(door: &str, source: &Source) -> Self {
        Self(format!("{door}#source#{}", source.key()))
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
        Some(error) if crate::aws::is_conflict(error) => fault.conflict(),
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
