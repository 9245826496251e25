//! Events in, answers out: which half of a function an event is for.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::stream::{self, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use lambda_http::lambda_runtime::{self, LambdaEvent};
use lambda_http::{Error, service_fn};
use secrecy::SecretString;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_dynamo::{AttributeValue, Item};

use crate::fault::Fault;
use crate::feedback::Feedback;
use crate::http::{self, Request, RequestId, Response};
use crate::problem::Problem;
use crate::source::Source;
use crate::telemetry::Telemetry;

/// A function has two halves, deployed apart, each with a role of its own.
pub trait Function: Sync {
    /// The path that the public half answers.
    const PATH: &'static str;
    /// How the keys of the private half's rows begin.
    const ROWS: &'static str;
    /// The row that the table's stream brings to the private half.
    type Row: DeserializeOwned + Send;

    /// The public half: answers the internet, and ends in one write.
    fn answer(
        &self,
        request: &Request,
        clock: Clock<'_>,
    ) -> impl Future<Output = Result<Response, Problem>> + Send;
    /// The private half: acts on a row that a public half wrote.
    fn act(
        &self,
        row: Self::Row,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Where both write down what they did.
    fn telemetry(&self) -> &Telemetry;
    /// What the private half knows from one batch to the next.
    fn progress(&self) -> &Progress;
}

/// Where a public half reads the time: once, and again where its own work took long.
pub type Clock<'a> = &'a (dyn Fn() -> Timestamp + Sync);

/// Why the private half did not act.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may work later: the record comes again.
    Retry(Fault),
    /// It can never work: the record is dropped, since a poisoned row would block its shard.
    Discard(&'static str),
}

impl From<Fault> for Failure {
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
        handle(&function, event.payload, event.context.request_id, clock)
    }))
    .await
}

/// One event in, one answer out. `invocation` is Lambda's id for it.
///
/// # Errors
/// Where the event is neither a gateway's nor a stream's.
pub async fn handle<F: Function>(
    function: &F,
    event: Event,
    invocation: String,
    clock: impl Fn() -> Timestamp + Send + Sync,
) -> Result<Answer, Error> {
    let Event(event) = event;
    if let Some(records) = event.records {
        return Ok(Answer::Stream(drain(function, records, clock).await));
    }
    let is_payload_2 = event.is_payload_2();
    let request = event.into_request(&invocation).ok_or(NO_EVENT)?;
    let answer = match route::<F>(&request) {
        // Boxed: the SDK's futures are large, and deeply nested.
        Ok(()) => Box::pin(function.answer(&request, &clock)).await,
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
    Ok(Answer::Http(if is_payload_2 {
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

/// How many records a private half acts on at a time, at the most: so many mails are on their way to SES at once.
pub const AT_ONCE: usize = 16;

/// How long a private half begins records for. Those that are left then come again: Lambda would end it before long, and
/// nobody would know what was done.
pub const BEGINS: SignedDuration = SignedDuration::from_mins(4);

/// Acts on the records, begun in their order, until one must come again.
///
/// To a stream, a reported failure is a checkpoint and not a member of a set: all records from it on are delivered
/// again (AWS Lambda Developer Guide, "Configuring partial batch response with DynamoDB and Lambda"). So none is begun
/// any more once one has failed, and those behind it that were done by then are remembered, and passed over when they
/// come again. And after a failure one is acted on at a time, then two, and so on: where SES has had enough, nothing is
/// ahead of what fails.
async fn drain<F: Function>(
    function: &F,
    records: Vec<Record>,
    clock: impl Fn() -> Timestamp,
) -> Checkpoint {
    let began = clock();
    let (has_acted, has_failed) = (AtomicBool::new(false), AtomicBool::new(false));
    let begins = || !has_failed.load(Ordering::Relaxed) && clock() - began < BEGINS;
    let progress = function.progress();
    let outcomes: Vec<Outcome> = stream::iter(records)
        .map(async |record| {
            let outcome = settle(function, record, &clock, begins).await;
            let (acted, failed) = match outcome {
                Outcome::Nothing | Outcome::Known(_) | Outcome::Left(_) => (false, false),
                Outcome::Done(_) => (true, false),
                Outcome::Failed(_) => (true, true),
            };
            has_acted.fetch_or(acted, Ordering::Relaxed);
            has_failed.fetch_or(failed, Ordering::Relaxed);
            outcome
        })
        .buffered(progress.at_once())
        .collect()
        .await;
    if has_acted.into_inner() {
        progress.adapt(has_failed.into_inner());
    }
    let mut outcomes = outcomes.into_iter();
    let first_left = outcomes.find_map(|outcome| match outcome {
        Outcome::Failed(record) | Outcome::Left(record) => Some(record),
        Outcome::Done(_) | Outcome::Known(_) | Outcome::Nothing => None,
    });
    match first_left {
        Some(record) => {
            progress.remember(outcomes);
            Checkpoint::at(record.sequence_number)
        }
        None => Checkpoint::default(),
    }
}

/// What came of a record.
enum Outcome {
    /// It was not for us.
    Nothing,
    /// It was acted upon, or never can be.
    Done(RecordId),
    /// It was done before.
    Known(RecordId),
    /// It must come again.
    Failed(RecordId),
    /// It was not begun.
    Left(RecordId),
}

/// Acts on one record, if any are begun still.
async fn settle<F: Function>(
    function: &F,
    record: Record,
    clock: impl Fn() -> Timestamp,
    begins: impl Fn() -> bool,
) -> Outcome {
    let change = match record {
        Record::Change { change } => change,
        Record::Notification { notification } => {
            pass_on(&notification, function.telemetry(), clock());
            return Outcome::Nothing;
        }
    };
    let Some(image) = change.new_image else {
        return Outcome::Nothing;
    };
    let Some(key) = text(&image, "pk").filter(|key| key.starts_with(F::ROWS)) else {
        return Outcome::Nothing;
    };
    let record = RecordId {
        key: key.to_owned(),
        sequence_number: change.sequence_number,
    };
    if function.progress().has_done(&record) {
        return Outcome::Known(record);
    }
    if !begins() {
        return Outcome::Left(record);
    }
    let now = clock();
    let id = text(&image, "request_id").and_then(|id| RequestId::parse(id).ok());
    let id = id.unwrap_or_else(RequestId::unknown);
    let outcome = match serde_dynamo::from_item(image) {
        Ok(row) => Box::pin(function.act(row, now)).await,
        Err(_) => Err(Failure::Discard("the row is malformed")),
    };
    match outcome {
        Ok(()) => {}
        Err(Failure::Discard(reason)) => function.telemetry().discarded(reason, &id, now),
        Err(Failure::Retry(fault)) => {
            function.telemetry().fault(&fault, &id, now);
            return Outcome::Failed(record);
        }
    }
    Outcome::Done(record)
}

/// A record of the stream: sequence numbers are told apart within one row's shard only.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RecordId {
    key: String,
    sequence_number: String,
}

/// What an instance's private half knows of its stream from one batch to the next.
///
/// It saves second mails where it can. Where another instance is given the records, or this one ends, they are acted on
/// again: delivery is at least once.
#[derive(Debug)]
pub struct Progress(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// The records that are done, though one before them failed.
    ahead: HashSet<RecordId>,
    at_once: usize,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Mutex::new(Known {
            ahead: HashSet::new(),
            at_once: AT_ONCE,
        }))
    }
}

impl Progress {
    /// The most records that are remembered: of more failures than anybody will see before they are mended.
    const CAPACITY: usize = 10_000;

    /// How many records are acted on at a time.
    fn at_once(&self) -> usize {
        self.known().at_once
    }

    /// Whether a record is done already. That is told once: if it has to be told again, it is remembered again.
    fn has_done(&self, record: &RecordId) -> bool {
        self.known().ahead.remove(record)
    }

    /// One at a time after a failure, and twice as many after each batch without one.
    fn adapt(&self, has_failed: bool) {
        let mut known = self.known();
        known.at_once = if has_failed {
            1
        } else {
            (known.at_once * 2).min(AT_ONCE)
        };
    }

    /// Remembers what was done behind the record that comes again.
    fn remember(&self, behind: impl Iterator<Item = Outcome>) {
        let mut known = self.known();
        if known.ahead.len() >= Self::CAPACITY {
            known.ahead.clear();
        }
        known
            .ahead
            .extend(behind.filter_map(|outcome| match outcome {
                Outcome::Done(record) | Outcome::Known(record) => Some(record),
                Outcome::Failed(_) | Outcome::Left(_) | Outcome::Nothing => None,
            }));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What is known is right, whatever happened to a record.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what SES said of a mail. That cannot fail, and is not worth another try where SES said something else.
fn pass_on(notification: &Notification, telemetry: &Telemetry, now: Timestamp) {
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
    Change {
        #[serde(rename = "dynamodb")]
        change: Change,
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
struct Change {
    sequence_number: String,
    /// Absent when a row was deleted.
    new_image: Option<Item>,
}

/// What Lambda is answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
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
