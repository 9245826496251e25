//! Processes a batch of the table's stream.

use std::collections::HashMap;

use futures_util::stream::{FuturesOrdered, StreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use serde_dynamo::{AttributeValue, Item};
use tokio::time::Instant;

use super::event::StreamRecord;
use super::function::{Function, Record, RecordError};
use crate::pace::{Departure, Pace};
use crate::request_id::RequestId;
use crate::telemetry::metric::Metric;

/// The number of records that a private half processes at the same time: the template's `BatchSize`.
pub const MAX_CONCURRENCY: usize = 16;

/// Processes the records of a batch, and returns the first that Lambda must deliver again.
///
/// For a stream, a reported failure is a checkpoint: Lambda delivers that record and all later ones again. See the AWS
/// Lambda Developer Guide, "Configuring partial batch response with DynamoDB and Lambda".
pub(super) async fn process_batch<F: Function>(
    function: &F,
    records: Vec<StreamRecord>,
    clock: &(impl Fn() -> Timestamp + Sync),
    pace: Pace,
) -> Checkpoint {
    let pending = records.into_iter().filter_map(Pending::of::<F>).collect();
    let pending = keep_newest(function, pending, clock());
    let mut pending = pending.into_iter().peekable();
    // There is more than one round only if `redrive.py` sends a long batch.
    while pending.peek().is_some() {
        let round = pending.by_ref().take(MAX_CONCURRENCY).collect();
        if let Some(failed) = process_round(function, round, clock, pace).await {
            return Checkpoint::at(failed);
        }
    }
    Checkpoint::default()
}

/// Processes these records at the same time. Returns the sequence number of the first that failed.
async fn process_round<F: Function>(
    function: &F,
    records: Vec<Pending>,
    clock: &(impl Fn() -> Timestamp + Sync),
    pace: Pace,
) -> Option<String> {
    let start = Instant::now();
    let processed: FuturesOrdered<_> = records
        .into_iter()
        .zip(0..)
        .map(|(record, index)| {
            process_record(function, record, Departure::at(start, index, pace), clock)
        })
        .collect();
    let failures: Vec<Option<String>> = processed.collect().await;
    pace.end(start).await;
    failures.into_iter().flatten().next()
}

/// Processes one record. Returns its sequence number if Lambda must deliver it again.
async fn process_record<F: Function>(
    function: &F,
    record: Pending,
    departure: Departure,
    clock: impl Fn() -> Timestamp,
) -> Option<String> {
    let now = clock();
    let log = function.telemetry().for_request(&record.request_id, now);
    let result = match serde_dynamo::from_item(record.image) {
        Ok(row) => {
            let key = record.key;
            let record = Record {
                key,
                row,
                departure,
            };
            Box::pin(function.handle_record(record, now)).await
        }
        Err(_) => Err(RecordError::Discard("the row is malformed")),
    };
    match result {
        Ok(()) => None,
        Err(RecordError::Discard(reason)) => {
            log.count(Metric::RecordsDiscarded, reason);
            None
        }
        Err(RecordError::Retry(fault)) => {
            log.fault(&fault);
            Some(record.sequence_number)
        }
    }
}

/// A record that waits to be processed.
struct Pending {
    key: String,
    sequence_number: String,
    request_id: RequestId,
    image: Item,
}

impl Pending {
    /// Returns the record if its row belongs to the private half of `F`.
    fn of<F: Function>(record: StreamRecord) -> Option<Self> {
        let image = record.new_image?;
        let key = text(&image, "pk").filter(|key| key.starts_with(F::KEY_PREFIX))?;
        let request_id = text(&image, "request_id").and_then(|id| RequestId::parse(id).ok());
        Some(Self {
            key: key.to_owned(),
            sequence_number: record.sequence_number,
            request_id: request_id.unwrap_or_else(RequestId::unknown),
            image,
        })
    }
}

fn text<'a>(image: &'a Item, attribute: &str) -> Option<&'a str> {
    match image.get(attribute) {
        Some(AttributeValue::S(text)) => Some(text),
        _ => None,
    }
}

/// Keeps the newest record of each row, in the stream's order.
///
/// During a backlog, one address may have several requests. The newest replaced the others in the table, so one link is
/// enough. It also means that no two records of one address are processed at the same time: Lambda keeps the order of
/// each row across batches.
fn keep_newest<F: Function>(function: &F, pending: Vec<Pending>, now: Timestamp) -> Vec<Pending> {
    let last: HashMap<String, usize> = pending
        .iter()
        .enumerate()
        .map(|(place, record)| (record.key.clone(), place))
        .collect();
    let kept = pending.into_iter().enumerate().filter(|(place, record)| {
        let is_newest = last.get(&record.key) == Some(place);
        if !is_newest {
            let telemetry = function.telemetry();
            function.log_replaced(&telemetry.for_request(&record.request_id, now));
        }
        is_newest
    });
    kept.map(|(_, record)| record).collect()
}

/// The first record of a batch that Lambda must deliver again, if any.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    batch_item_failures: Vec<BatchItemFailure>,
}

impl Checkpoint {
    /// Returns the checkpoint after which Lambda delivers the record of this sequence number, and all later ones,
    /// again.
    pub fn at(sequence_number: String) -> Self {
        Self {
            batch_item_failures: vec![BatchItemFailure {
                item_identifier: sequence_number,
            }],
        }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure {
    item_identifier: String,
}
