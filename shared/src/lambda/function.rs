//! The trait of a function: two halves, deployed separately, each with its own role.

use std::future::Future;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::fault::Fault;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::pace::Departure;
use crate::telemetry::{RequestLog, Telemetry};

/// A function: a public half and a private half.
///
/// The event selects the half. Lambda's handler name cannot: one process serves both halves under `cargo lambda watch`.
pub trait Function: Sync {
    /// The key prefix of the rows that the private half processes.
    const KEY_PREFIX: &'static str;
    /// The row that the stream delivers to the private half.
    type Row: DeserializeOwned + Send;

    /// Handles a request, as the public half. Matches on the route, and ends in one write.
    fn handle_request(
        &self,
        request: &Request,
        clock: Clock<'_>,
    ) -> impl Future<Output = Result<Response, Problem>> + Send;

    /// Processes a row that a public half wrote, as the private half.
    fn handle_record(
        &self,
        record: Record<Self::Row>,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), RecordError>> + Send;

    /// Logs that a newer version of a row, in the same batch, replaced this request's.
    fn log_replaced(&self, _log: &RequestLog<'_>) {}

    /// Returns the log of both halves.
    fn telemetry(&self) -> &Telemetry;
}

/// A row that the stream delivers to a private half.
#[derive(Debug)]
pub struct Record<R> {
    /// The row's key.
    pub key: String,
    /// The row.
    pub row: R,
    /// The time at which an email for a request may leave. It does not depend on the other records of the batch.
    pub departure: Departure,
}

/// The clock of a public half, which reads it once, and again after slow work.
pub type Clock<'a> = &'a (dyn Fn() -> Timestamp + Sync);

/// The reason for which the private half did not process a record.
#[derive(Debug, PartialEq, Eq)]
pub enum RecordError {
    /// A later attempt may succeed: the stream delivers the record again.
    Retry(Fault),
    /// No attempt can succeed: the record is discarded, because it would block its shard.
    Discard(&'static str),
}

impl From<Fault> for RecordError {
    fn from(fault: Fault) -> Self {
        Self::Retry(fault)
    }
}
