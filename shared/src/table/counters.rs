//! Counters: one row for each source and window, and one for each day's emails.

use std::time::Duration;

use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{ReturnValue, Update};
use jiff::Timestamp;

use super::{Table, number, text};
use crate::fault::Fault;
use crate::limits::Limit;
use crate::source::Source;

const RATE_PREFIX: &str = "rate#";

/// The outcome of counting a request of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The request is counted, and within the limit.
    Counted,
    /// The source reached its limit.
    Limited {
        /// The time until its window ends.
        retry_after: Duration,
    },
}

/// The subject of a counter: the part of its key before the window.
pub(super) struct Counter(String);

impl Counter {
    pub(super) fn of_source(function: &str, source: &Source) -> Self {
        Self(format!("{function}#source#{}", source.key()))
    }

    fn of_emails() -> Self {
        Self("mail#deployment".to_owned())
    }
}

impl Table {
    /// Counts an attempt to use a token.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects the call or does not answer.
    pub async fn count_attempt(&self, source: &Source, now: Timestamp) -> Result<Attempt, Fault> {
        let counter = Counter::of_source("reset", source);
        let count = self.count_statement(&counter, &self.limits.source, now);
        let updated = self
            .update("table.count_attempt", count, ReturnValue::None)
            .await?;
        let retry_after = self.source_retry_after(now);
        Ok(updated.map_or(Attempt::Limited { retry_after }, |_| Attempt::Counted))
    }

    /// Counts a request of a source in this instance alone. Call this first, so that a flood costs no call to `DynamoDB`.
    pub fn count_locally(&self, source: &Source, now: Timestamp) -> Attempt {
        let limit = &self.limits.source;
        if self.local_limiter.allows(*source, limit, now) {
            return Attempt::Counted;
        }
        let retry_after = self.source_retry_after(now);
        Attempt::Limited { retry_after }
    }

    /// Takes one email from the day's budget. Returns how much of the budget is used, in percent, or `None` if nothing
    /// is left.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects the call or does not answer.
    pub async fn spend_email_budget(&self, now: Timestamp) -> Result<Option<u32>, Fault> {
        const OPERATION: &str = "table.spend_email_budget";
        let budget = &self.limits.daily_emails;
        let count = self.count_statement(&Counter::of_emails(), budget, now);
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

    /// Returns the time until the sources' window ends, in whole seconds. So no client retries a moment too early.
    pub(super) fn source_retry_after(&self, now: Timestamp) -> Duration {
        let end = self.limits.source.window_end(now);
        Duration::from_secs((end.as_second() - now.as_second()).unsigned_abs())
    }

    /// Returns the statement that counts one more in the current window, unless the limit is reached.
    pub(super) fn count_statement(
        &self,
        counter: &Counter,
        limit: &Limit,
        now: Timestamp,
    ) -> UpdateBuilder {
        let (start, end) = (limit.window_start(now), limit.window_end(now));
        let key = format!("{RATE_PREFIX}{}#{}", counter.0, start.as_second());
        Update::builder()
            .table_name(&self.name)
            .key("pk", text(key))
            .update_expression("SET expires_at = :ends ADD requests :one")
            .condition_expression("attribute_not_exists(requests) OR requests < :limit")
            .expression_attribute_values(":ends", number(end.as_second()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":limit", number(limit.max.into()))
    }
}

/// Returns how much of a whole is used, in percent.
fn percent(used: u32, whole: u32) -> u32 {
    let percent = u64::from(used) * 100 / u64::from(whole);
    u32::try_from(percent).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_budget_has_a_percentage_too() {
        assert_eq!(percent(79_999_999, 100_000_000), 79);
        assert_eq!(percent(80_000_000, 100_000_000), 80);
        assert_eq!(percent(u32::MAX, 1), u32::MAX);
    }
}
