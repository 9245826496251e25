//! Events in, answers out: which half of a function an event is for.

use std::collections::HashMap;
use std::future::Future;

use futures_util::stream::{FuturesOrdered, StreamExt as _};
use jiff::Timestamp;
use lambda_http::lambda_runtime::{self, LambdaEvent};
use lambda_http::{Error, service_fn};
use secrecy::SecretString;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_dynamo::{AttributeValue, Item};
use tokio::time::Instant;

use crate::fault::Fault;
use crate::feedback::Feedback;
use crate::http::{self, Request, RequestId, Response};
use crate::pace::{Departure, Pace};
use crate::problem::Problem;
use crate::source::Source;
use crate::telemetry::{Metric, Telemetry};

/// A function has two halves, deployed apart, each with a role of its own.
pub trait Function: Sync {
    /// The path that the public half answers.
    const PATH: &'static str;
    /// How the keys of the private half's rows begin.
    const KEY_PREFIX: &'static str;
    /// The row that the table's stream brings to the private half.
    type Row: DeserializeOwned + Send;

    /// The public half: answers the internet, and ends in one write.
    fn handle_request(
        &self,
        request: &Request,
        clock: Clock<'_>,
    ) -> impl Future<Output = Result<Response, Problem>> + Send;
    /// The private half: acts on a row that a public half wrote. An email for a request leaves at `departure`, so that
    /// its time does not depend on the other records of the batch.
    fn handle_record(
        &self,
        row: Self::Row,
        departure: Departure,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), RecordError>> + Send;
    /// Where both write down what they did.
    fn telemetry(&self) -> &Telemetry;
}

/// Where a public half reads the time: once, and again where its own work took long.
pub type Clock<'a> = &'a (dyn Fn() -> Timestamp + Sync);

/// Why the private half did not act.
#[derive(Debug, PartialEq, Eq)]
pub enum RecordError {
    /// It may work later: the record comes again.
    Retry(Fault),
    /// It can never work: the record is dropped, since a poisoned row would block its shard.
    Discard(&'static str),
}

impl From<Fault> for RecordError {
    fn from(fault: Fault) -> Self {
        Self::Retry(fault)
    }
}

/// Serves events until Lambda ends the process. The only place that reads the clock.
///
/// # Errors
/// Where Lambda's Runtime API cannot be reached.
pub async fn run(function: impl Function) -> Result<(), Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that reads the clock"
    )]
    let clock = Timestamp::now;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| {
        let invocation = event.context.request_id;
        handle(&function, event.payload, invocation, clock, Pace::STEADY)
    }))
    .await
}

/// One event in, one answer out. `invocation` is Lambda's id for it. Batches of a stream keep to `pace`.
///
/// # Errors
/// Where the event is neither a gateway's nor a stream's.
pub async fn handle<F: Function>(
    function: &F,
    event: Event,
    invocation: String,
    clock: impl Fn() -> Timestamp + Send + Sync,
    pace: Pace,
) -> Result<Output, Error> {
    let Event(event) = event;
    if let Some(records) = event.records {
        return Ok(Output::Stream(
            process_batch(function, records, &clock, pace).await,
        ));
    }
    let is_payload_2 = event.is_payload_2();
    let request = event.into_request(&invocation).ok_or(NO_EVENT)?;
    let answer = match route::<F>(&request) {
        // Boxed: the SDK's futures are large, and deeply nested.
        Ok(()) => Box::pin(function.handle_request(&request, &clock)).await,
        Err(problem) => Err(problem),
    };
    let response = answer.unwrap_or_else(|problem| {
        if let Problem::Fault(fault) = &problem {
            function
                .telemetry()
                .request_failed(fault, &request.id, clock());
        }
        problem.response()
    });
    let response = response.with_header("X-Request-Id", request.id.as_str());
    Ok(Output::Http(if is_payload_2 {
        response.with_no_cookies()
    } else {
        response
    }))
}

/// A gateway routes before us. `cargo lambda watch`, a function URL or a `$default` route do not.
fn route<F: Function>(request: &Request) -> Result<(), Problem> {
    // A stage or a base path may stand before it.
    if !request.path.ends_with(F::PATH) {
        Err(Problem::NotFound)
    } else if request.method != "POST" {
        Err(Problem::MethodNotAllowed)
    } else {
        Ok(())
    }
}

/// The most records that a private half processes at the same time: the template's `BatchSize`.
pub const MAX_CONCURRENCY: usize = 16;

/// Processes the records of a batch, and returns the first that Lambda must deliver again.
///
/// To a stream, a reported failure is a checkpoint: all records from it on are delivered again (AWS Lambda Developer
/// Guide, "Configuring partial batch response with DynamoDB and Lambda").
async fn process_batch<F: Function>(
    function: &F,
    records: Vec<Record>,
    clock: &(impl Fn() -> Timestamp + Sync),
    pace: Pace,
) -> Checkpoint {
    let telemetry = function.telemetry();
    let mut pending = Vec::new();
    for record in records {
        match record {
            Record::StreamRecord { change } => pending.extend(Pending::of::<F>(change)),
            Record::Notification { notification } => {
                record_feedback(&notification, telemetry, clock())
            }
        }
    }
    let mut pending = newest(pending, telemetry, clock()).into_iter().peekable();
    // More than one round only if `redrive.py` hands over a long batch.
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
    let settled: FuturesOrdered<_> = records
        .into_iter()
        .zip(0..)
        .map(|(record, index)| {
            process_record(function, record, Departure::at(start, index, pace), clock)
        })
        .collect();
    let failures: Vec<Option<String>> = settled.collect().await;
    pace.end(start).await;
    failures.into_iter().flatten().next()
}

/// A record that waits to be processed.
struct Pending {
    key: String,
    sequence_number: String,
    request_id: RequestId,
    image: Item,
}

impl Pending {
    /// Returns the record if its row is one of `F`'s.
    fn of<F: Function>(change: StreamRecord) -> Option<Self> {
        let image = change.new_image?;
        let key = text(&image, "pk").filter(|key| key.starts_with(F::KEY_PREFIX))?;
        let request_id = text(&image, "request_id").and_then(|id| RequestId::parse(id).ok());
        Some(Self {
            key: key.to_owned(),
            sequence_number: change.sequence_number,
            request_id: request_id.unwrap_or_else(RequestId::unknown),
            image,
        })
    }
}

/// Keeps the newest record of each row, in the stream's order.
///
/// During a backlog one address can be requested several times. The newest request replaced the others in the table, so
/// one link is enough. And no two records of one address are processed at the same time: Lambda keeps the order of each
/// row across batches.
fn newest(pending: Vec<Pending>, telemetry: &Telemetry, now: Timestamp) -> Vec<Pending> {
    let last: HashMap<String, usize> = pending
        .iter()
        .enumerate()
        .map(|(place, record)| (record.key.clone(), place))
        .collect();
    let kept = pending.into_iter().enumerate().filter(|(place, record)| {
        let is_newest = last.get(&record.key) == Some(place);
        if !is_newest {
            let detail = "a newer request for the address replaced this one";
            telemetry.count(Metric::RequestsThrottled, detail, &record.request_id, now);
        }
        is_newest
    });
    kept.map(|(_, record)| record).collect()
}

/// Processes one record. Returns its sequence number if Lambda must deliver it again.
async fn process_record<F: Function>(
    function: &F,
    record: Pending,
    departure: Departure,
    clock: impl Fn() -> Timestamp,
) -> Option<String> {
    let (now, id) = (clock(), record.request_id);
    let outcome = match serde_dynamo::from_item(record.image) {
        Ok(row) => Box::pin(function.handle_record(row, departure, now)).await,
        Err(_) => Err(RecordError::Discard("the row is malformed")),
    };
    match outcome {
        Ok(()) => None,
        Err(RecordError::Discard(reason)) => {
            function.telemetry().discarded(reason, &id, now);
            None
        }
        Err(RecordError::Retry(fault)) => {
            function.telemetry().fault(&fault, &id, now);
            Some(record.sequence_number)
        }
    }
}

/// Says what SES said of a mail. That cannot fail, and is not worth another try where SES said something else.
fn record_feedback(notification: &Notification, telemetry: &Telemetry, now: Timestamp) {
    let Ok(feedback) = serde_json::from_str::<Feedback>(&notification.message) else {
        return;
    };
    if let Some((metric, detail)) = feedback.meaning() {
        telemetry.count(metric, detail, &feedback.request_id(), now);
    }
}

fn text<'a>(image: &'a Item, attribute: &str) -> Option<&'a str> {
    match image.get(attribute) {
        Some(AttributeValue::S(text)) => Some(text),
        _ => None,
    }
}

/// An event as Lambda hands it over: an API Gateway's, of payload 1.0 or 2.0, or a `DynamoDB` stream's.
///
/// Of a gateway's event, only what the functions look at is read. `lambda_http` builds a whole `http::Request` of it,
/// and panics over a query string that is no URI (`?<`), which any client can send.
#[derive(Debug)]
pub struct Event(Fields);

impl<'de> Deserialize<'de> for Event {
    /// serde's words are dropped: they repeat what was sent, and Lambda's runtime logs them.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(deserializer);
        fields.map(Self).map_err(|_| D::Error::custom(NO_EVENT))
    }
}

const NO_EVENT: &str = "neither a gateway's event nor a stream's";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
    request_context: Option<GatewayContext>,
    raw_path: Option<String>,
    path: Option<String>,
    http_method: Option<String>,
    headers: Option<HashMap<String, Option<String>>>,
    body: Option<SecretString>,
    #[serde(default)]
    is_base64_encoded: bool,
}

impl Fields {
    fn is_payload_2(&self) -> bool {
        let context = self.request_context.as_ref();
        context.is_some_and(|context| context.http.is_some())
    }

    fn into_request(self, invocation: &str) -> Option<Request> {
        let context = self.request_context?;
        let (method, source) = match context.http {
            Some(http) => (http.method, http.source_ip),
            None => (
                self.http_method?,
                context.identity.and_then(|identity| identity.source_ip),
            ),
        };
        let content_type =
            self.headers
                .unwrap_or_default()
                .into_iter()
                .find_map(|(name, value)| {
                    if name.eq_ignore_ascii_case("content-type") {
                        value
                    } else {
                        None
                    }
                });
        let gateways = context.request_id.and_then(|id| RequestId::parse(&id).ok());
        Some(Request {
            method,
            path: self.raw_path.or(self.path)?,
            content_type,
            body: http::body(self.body.as_ref(), self.is_base64_encoded),
            source: Source::parse(source.as_deref()),
            id: gateways
                .or_else(|| RequestId::parse(invocation).ok())
                .unwrap_or_else(RequestId::unknown),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GatewayContext {
    request_id: Option<String>,
    http: Option<HttpContext>,
    identity: Option<Identity>,
}

/// Payload 2.0.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext {
    method: String,
    source_ip: Option<String>,
}

/// Payload 1.0.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    source_ip: Option<String>,
}

/// A record of the table's stream, or of the topic that SES tells what became of mails.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Record {
    StreamRecord {
        #[serde(rename = "dynamodb")]
        change: StreamRecord,
    },
    Notification {
        #[serde(rename = "Sns")]
        notification: Notification,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamRecord {
    sequence_number: String,
    /// Absent when a row was deleted.
    new_image: Option<Item>,
}

/// What Lambda is answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// To a gateway.
    Http(Response),
    /// To a stream.
    Stream(Checkpoint),
}

/// Up to where a stream's records are done with.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    batch_item_failures: Vec<BatchItemFailure>,
}

impl Checkpoint {
    /// The record at this sequence number, and those behind it, shall come again.
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
