//! The Rekey table: its rows, and the statements that keep them true.
//!
//! | row | key | lives |
//! |---|---|---|
//! | [`ResetRequested`] | `request#` and the SHA-256 of the address | an hour |
//! | [`TokenIssued`] | `token#` and the SHA-256 of the token | the token's lifetime; gone at first use |
//! | [`links::SentLinks`] | `links#` and the SHA-256 of the address and the user's key | a day after the last link |
//! | the epoch | `epoch#` and the SHA-256 of the user's key | 25 hours: longer than any link |
//! | [`PasswordChanged`] | `change#` and the SHA-256 of the token | 15 days: longer than the queue of what was given up |
//! | a counter | `rate#`, what is counted, the start of its window | the window |
//!
//! What must hold: a token works once; a change kills every other link of the user; a changed password is never
//! without its notice; a request is written down or refused. Each is a condition in one write, so no race can break it.
//! `DynamoDB` deletes expired rows late, so that every read checks the time itself.

pub mod links;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::builders::PutBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValue, TransactWriteItem, Update,
};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::aws::failed_conditions;
use crate::digest::sha256_hex;
use crate::email::Email;
use crate::fault::Fault;
use crate::http::RequestId;
use crate::limits::{Limit, Limits, LocalLimiter};
use crate::locale::Locale;
use crate::source::Source;
use crate::token::{Token, TokenHash};
use crate::users::{User, UserKey};

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

/// How the keys of [`ResetRequested`] begin.
pub const REQUEST_PREFIX: &str = "request#";
/// How the keys of [`PasswordChanged`] begin.
pub const CHANGE_PREFIX: &str = "change#";
const TOKEN_PREFIX: &str = "token#";
const LINKS_PREFIX: &str = "links#";
const EPOCH_PREFIX: &str = "epoch#";
const RATE_PREFIX: &str = "rate#";
/// How long an epoch row is kept: an hour longer than the longest link lives.
const EPOCH_LIFETIME: SignedDuration = SignedDuration::from_hours(25);

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The request is stored.
    Accepted,
    /// The address is within its cooldown.
    AddressLimited,
    /// The source reached its limit.
    SourceLimited {
        /// The time until its window ends.
        retry_after: Duration,
    },
}

/// What came of using a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redemption {
    /// The password is replaced, the token gone, and the notice written down.
    Done,
    /// None of these: meanwhile the token was used, the password replaced, the address changed or the user deleted.
    Rejected,
}

/// The Rekey table.
#[derive(Debug)]
pub struct Table {
    client: Client,
    name: String,
    limits: Limits,
    local_limiter: LocalLimiter,
}

impl Table {
    /// The table of a name, under these limits.
    pub fn new(client: Client, name: String, limits: Limits) -> Self {
        Self {
            client,
            name,
            limits,
            local_limiter: LocalLimiter::default(),
        }
    }

    /// The limits of this deployment.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Writes down that somebody asked, unless the source has asked too often, or somebody asked for the address a moment
    /// ago.
    ///
    /// One transaction: no number of parallel requests slips through.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it, or does not say that it did.
    pub async fn record_request(
        &self,
        requested: &ResetRequested,
        source: &Source,
        now: Timestamp,
    ) -> Result<Admission, Fault> {
        const OPERATION: &str = "table.record_request";
        let source_limited = self.source_limited(now);
        if !self.local_limiter.allows(*source, &self.limits.source, now) {
            return Ok(source_limited);
        }
        let transaction = self.client.transact_write_items();
        let transaction =
            transaction.set_transact_items(Some(self.request_statements(requested, source, now)?));
        let Err(error) = transaction.send().await else {
            return Ok(Admission::Accepted);
        };
        match failed_conditions(&error) {
            Some(failed) if failed.first() == Some(&true) => Ok(source_limited),
            Some(_) => Ok(Admission::AddressLimited),
            None => Err(cancelled(OPERATION, &error)),
        }
    }

    /// The statements of [`Table::record_request`]: the source is counted, the request is put.
    ///
    /// # Errors
    /// A fault that cannot be: all parts are given.
    pub fn request_statements(
        &self,
        requested: &ResetRequested,
        source: &Source,
        now: Timestamp,
    ) -> Result<Vec<TransactWriteItem>, Fault> {
        const OPERATION: &str = "table.record_request";
        let address = sha256_hex(requested.email.as_str().as_bytes());
        let source = Counter::of_source("forgot", source);
        let count_source = self.count(&source, &self.limits.source, now);
        let key = format!("{REQUEST_PREFIX}{address}");
        let put = self
            .put(
                &key,
                requested,
                now + SignedDuration::from_hours(1),
                OPERATION,
            )?
            .condition_expression("attribute_not_exists(pk) OR requested_at <= :cooled")
            .expression_attribute_values(
                ":cooled",
                unix_seconds::attribute(now - self.limits.cooldown),
            )
            .build();
        let item = TransactWriteItem::builder;
        Ok(vec![
            item().update(built(count_source, OPERATION)?).build(),
            item().put(built(put, OPERATION)?).build(),
        ])
    }

    /// Counts an attempt to use a token.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it.
    pub async fn count_attempt(&self, source: &Source, now: Timestamp) -> Result<Admission, Fault> {
        const OPERATION: &str = "table.count_attempt";
        let limit = &self.limits.source;
        if !self.local_limiter.allows(*source, limit, now) {
            return Ok(self.source_limited(now));
        }
        let count = built(
            self.count(&Counter::of_source("reset", source), limit, now),
            OPERATION,
        )?;
        match self.update(OPERATION, count, ReturnValue::None).await? {
            Some(_) => Ok(Admission::Accepted),
            None => Ok(self.source_limited(now)),
        }
    }

    /// Takes one mail from the day's budget, and says how much of it is used, in percent. None where nothing is left.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it.
    pub async fn spend_email_budget(&self, now: Timestamp) -> Result<Option<u32>, Fault> {
        const OPERATION: &str = "table.spend_email_budget";
        let budget = &self.limits.daily_emails;
        let count = built(
            self.count(&Counter("mail#deployment".to_owned()), budget, now),
            OPERATION,
        )?;
        let Some(mut new) = self
            .update(OPERATION, count, ReturnValue::UpdatedNew)
            .await?
        else {
            return Ok(None);
        };
        let used = new.remove("requests");
        let used = used.and_then(|used| used.as_n().ok()?.parse::<u32>().ok());
        let used = used.ok_or_else(|| Fault::internal(OPERATION, "NotACount"))?;
        Ok(Some(percent(used, budget.max)))
    }

    /// Writes down that a token was made for a user.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it.
    pub async fn store_token(&self, token: &TokenHash, issued: &TokenIssued) -> Result<(), Fault> {
        self.put_alone("table.store_token", self.token_statement(token, issued)?)
            .await
    }

    /// The statement of [`Table::store_token`].
    ///
    /// # Errors
    /// A fault that cannot be: all parts are given.
    pub fn token_statement(&self, token: &TokenHash, issued: &TokenIssued) -> Result<Put, Fault> {
        const OPERATION: &str = "table.store_token";
        let put = self.put(&token_key(token), issued, issued.expires_at, OPERATION)?;
        built(put.build(), OPERATION)
    }

    /// Finds what a token was issued for, if it is still good for this address.
    ///
    /// The table itself passes over a token that is not: whether one is unknown, used, expired or somebody else's shows
    /// neither in what it answers nor in how long we take.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not answer.
    pub async fn find_token(
        &self,
        token: &Token,
        email: &Email,
        now: Timestamp,
    ) -> Result<Option<TokenIssued>, Fault> {
        let output = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk")
            .filter_expression("email = :email AND expires_at > :now")
            .expression_attribute_values(":pk", text(token_key(&token.hash())))
            .expression_attribute_values(":email", text(email.as_str().to_owned()))
            .expression_attribute_values(":now", unix_seconds::attribute(now))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Fault::from_sdk("table.find_token", &error))?;
        let item = output.items.and_then(|mut items| items.pop());
        // A row that cannot be read is no token of ours.
        let issued = item.and_then(|item| serde_dynamo::from_item::<_, TokenIssued>(item).ok());
        Ok(issued.filter(|issued| issued.is_valid_for(email, now)))
    }

    /// Uses a token: deletes it, ends the user's links, replaces the password and writes down that this was done, or
    /// none of it.
    ///
    /// # Errors
    /// A fault where `DynamoDB` does not do it, or does not say that it did.
    pub async fn redeem(
        &self,
        token: &TokenHash,
        issued: &TokenIssued,
        replacement: Update,
        changed: &PasswordChanged,
    ) -> Result<Redemption, Fault> {
        let transaction = self.client.transact_write_items();
        let redemption = self.redemption_statements(token, issued, replacement, changed)?;
        let Err(error) = transaction
            .set_transact_items(Some(redemption))
            .send()
            .await
        else {
            return Ok(Redemption::Done);
        };
        match failed_conditions(&error) {
            Some(_) => Ok(Redemption::Rejected),
            None => Err(cancelled("table.redeem", &error)),
        }
    }

    /// The statements of [`Table::redeem`]: the token is deleted, the user's links end, the password is replaced, the
    /// notice is put.
    ///
    /// # Errors
    /// A fault that cannot be: all parts are given.
    pub fn redemption_statements(
        &self,
        token: &TokenHash,
        issued: &TokenIssued,
        replacement: Update,
        changed: &PasswordChanged,
    ) -> Result<Vec<TransactWriteItem>, Fault> {
        const OPERATION: &str = "table.redeem";
        let now = changed.changed_at;
        let delete = Delete::builder()
            .table_name(&self.name)
            .key("pk", text(token_key(token)))
            .condition_expression("attribute_exists(pk) AND expires_at > :now")
            .expression_attribute_values(":now", unix_seconds::attribute(now))
            .build();
        // By the token's hash: a client of a REST API may choose the request's ID, and could overwrite another notice.
        let key = format!("{CHANGE_PREFIX}{}", token.as_str());
        let expires_at = now + SignedDuration::from_hours(15 * 24);
        let put = self.put(&key, changed, expires_at, OPERATION)?.build();
        let item = TransactWriteItem::builder;
        Ok(vec![
            item().delete(built(delete, OPERATION)?).build(),
            item()
                .update(built(self.end_links(issued, now), OPERATION)?)
                .build(),
            item().update(replacement).build(),
            item().put(built(put, OPERATION)?).build(),
        ])
    }

    /// The statement that ends all links of a user that were issued until now, and fails if the link that is used has
    /// been ended before.
    ///
    /// The user's own row says so too (`password_changed_at`), but the application writes that row: if it puts back a
    /// whole item that it read before the change, the row alone would revive every link that the change ended.
    fn end_links(&self, issued: &TokenIssued, now: Timestamp) -> Result<Update, BuildError> {
        Update::builder()
            .table_name(&self.name)
            .key("pk", text(links::epoch_key(&issued.user)))
            .update_expression("SET ended_at = :now, expires_at = :kept")
            .condition_expression("attribute_not_exists(ended_at) OR ended_at < :issued_at")
            .expression_attribute_values(":now", unix_seconds::attribute(now))
            .expression_attribute_values(":kept", number((now + EPOCH_LIFETIME).as_second()))
            .expression_attribute_values(":issued_at", unix_seconds::attribute(issued.issued_at))
            .build()
    }

    /// Runs an update alone. Returns the attributes asked for, or `None` if its condition failed.
    async fn update(
        &self,
        operation: &'static str,
        update: Update,
        returned: ReturnValue,
    ) -> Result<Option<HashMap<String, AttributeValue>>, Fault> {
        let update = self
            .client
            .update_item()
            .table_name(update.table_name)
            .set_key(Some(update.key))
            .update_expression(update.update_expression)
            .set_condition_expression(update.condition_expression)
            .set_expression_attribute_values(update.expression_attribute_values)
            .return_values(returned);
        match update.send().await {
            Ok(output) => Ok(Some(output.attributes.unwrap_or_default())),
            Err(SdkError::ServiceError(error))
                if error.err().is_conditional_check_failed_exception() =>
            {
                Ok(None)
            }
            Err(error) => Err(Fault::from_sdk(operation, &error)),
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
                text(format!("{RATE_PREFIX}{}#{}", counter.0, start.as_second())),
            )
            .update_expression("SET expires_at = :ends ADD requests :one")
            .condition_expression("attribute_not_exists(requests) OR requests < :limit")
            .expression_attribute_values(":ends", number(end.as_second()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":limit", number(limit.max.into()))
            .build()
    }

    /// Reads a row. One that cannot be read counts as none.
    async fn row<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        key: String,
    ) -> Result<Option<T>, Fault> {
        let output = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("pk", text(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Fault::from_sdk(operation, &error))?;
        Ok(output
            .item
            .and_then(|item| serde_dynamo::from_item(item).ok()))
    }

    async fn put_alone(&self, operation: &'static str, put: Put) -> Result<(), Fault> {
        self.client
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .send()
            .await
            .map_err(|error| Fault::from_sdk(operation, &error))?;
        Ok(())
    }

    fn source_limited(&self, now: Timestamp) -> Admission {
        let end = self.limits.source.window_end(now);
        // Of whole seconds, so that nobody comes back a moment too early.
        let seconds = end.as_second() - now.as_second();
        Admission::SourceLimited {
            retry_after: Duration::from_secs(seconds.unsigned_abs()),
        }
    }

    fn put(
        &self,
        key: &str,
        row: &impl Serialize,
        expires_at: Timestamp,
        operation: &'static str,
    ) -> Result<PutBuilder, Fault> {
        let item = serde_dynamo::to_item(row).map_err(|_| Fault::internal(operation, "NotARow"))?;
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

fn token_key(token: &TokenHash) -> String {
    format!("{TOKEN_PREFIX}{}", token.as_str())
}

/// How much of a whole is used, in percent.
fn percent(used: u32, whole: u32) -> u32 {
    let percent = u64::from(used) * 100 / u64::from(whole);
    u32::try_from(percent).unwrap_or(u32::MAX)
}

fn text(value: String) -> AttributeValue {
    AttributeValue::S(value)
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn built<T>(result: Result<T, BuildError>, operation: &'static str) -> Result<T, Fault> {
    result.map_err(|_| Fault::internal(operation, "BuildError"))
}

/// A transaction that was cancelled for no condition of ours met another one, or was throttled: both pass.
fn cancelled(
    operation: &'static str,
    error: &SdkError<
        TransactWriteItemsError,
        aws_smithy_runtime_api::client::orchestrator::HttpResponse,
    >,
) -> Fault {
    let fault = Fault::from_sdk(operation, error);
    match error.as_service_error() {
        Some(error) if crate::aws::is_conflict(error) => fault.conflict(),
        Some(error) if crate::aws::is_transient_cancellation(error) => fault.transient(),
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
    fn a_large_budget_has_a_percentage_too() {
        assert_eq!(percent(79_999_999, 100_000_000), 79);
        assert_eq!(percent(80_000_000, 100_000_000), 80);
        assert_eq!(percent(u32::MAX, 1), u32::MAX);
    }

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
