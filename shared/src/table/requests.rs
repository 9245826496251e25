//! Requests for links: one row for each address.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::counters::{Attempt, Counter};
use super::rows::{REQUEST_PREFIX, ResetRequested};
use super::{Outcome, Statement, Table};
use crate::digest::sha256_hex;
use crate::fault::Fault;
use crate::source::Source;
use crate::times::unix_seconds;

/// The outcome of recording a reset request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The request is stored.
    Accepted,
    /// The request is not stored: the address is within its cooldown.
    AddressLimited,
    /// The request is not stored: the source reached its limit.
    SourceLimited {
        /// The time until its window ends.
        retry_after: Duration,
    },
}

/// The lifetime of a request's row: as long as the stream retries its delivery.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

impl Table {
    /// Stores a request, unless its source reached its limit or its address is within the cooldown.
    ///
    /// It is one transaction, so parallel requests cannot exceed the limits.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects the call or does not answer.
    pub async fn record_request(
        &self,
        requested: &ResetRequested,
        source: &Source,
        now: Timestamp,
    ) -> Result<Admission, Fault> {
        if let Attempt::Limited { retry_after } = self.count_locally(source, now) {
            return Ok(Admission::SourceLimited { retry_after });
        }
        let statements = self.request_statements(requested, source, now);
        Ok(
            match self.transact("table.record_request", statements).await? {
                Outcome::Committed => Admission::Accepted,
                Outcome::ConditionsFailed(conditions)
                    if conditions.first().is_some_and(|one| one.has_failed) =>
                {
                    let retry_after = self.source_retry_after(now);
                    Admission::SourceLimited { retry_after }
                }
                Outcome::ConditionsFailed(_) => Admission::AddressLimited,
            },
        )
    }

    /// Returns the statements of [`Table::record_request`]: count the source, put the request.
    pub fn request_statements(
        &self,
        requested: &ResetRequested,
        source: &Source,
        now: Timestamp,
    ) -> [Statement; 2] {
        let source = Counter::of_source("forgot", source);
        let address = sha256_hex(requested.email.as_str().as_bytes());
        let key = format!("{REQUEST_PREFIX}{address}");
        let put = self
            .put_statement(&key, requested, now + LIFETIME)
            .condition_expression("attribute_not_exists(pk) OR requested_at <= :cooled")
            .expression_attribute_values(
                ":cooled",
                unix_seconds::attribute(now - self.limits.cooldown),
            );
        [
            Statement::Update(self.count_statement(&source, &self.limits.source, now)),
            Statement::Put(put),
        ]
    }
}
