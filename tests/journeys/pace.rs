//! The pace of a batch: the times at which emails leave and the batch ends, and the record that Lambda delivers again.
//!
//! Tokio's clock is paused, and moves to the next timer when every task waits. So all times are exact.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use rekey::fault::Fault;
use rekey::http::problem::Problem;
use rekey::http::request::Request;
use rekey::http::response::Response;
use rekey::lambda;
use rekey::lambda::Output;
use rekey::lambda::batch::MAX_CONCURRENCY;
use rekey::lambda::function::{Clock, Function, Record, RecordError};
use rekey::pace::Pace;
use rekey::telemetry::Telemetry;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use support::app::stream::batch;

/// A function whose private half sends no email, and records the time at which it would.
struct Recorder {
    start: Instant,
    departures: Mutex<HashMap<String, Duration>>,
    telemetry: Telemetry,
}

#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    /// The milliseconds after which the record is processed, unless its email leaves later.
    work: u64,
    fails: bool,
    /// The milliseconds for which a directory's function finds the user, if there is one.
    #[serde(default)]
    lookup: Option<u64>,
}

impl Function for Recorder {
    const KEY_PREFIX: &'static str = "own#";
    type Row = Row;

    async fn handle_request(&self, _: &Request, _: Clock<'_>) -> Result<Response, Problem> {
        Err(Problem::NotFound)
    }

    async fn handle_record(
        &self,
        Record {
            row, mut departure, ..
        }: Record<Row>,
        _: Timestamp,
    ) -> Result<(), RecordError> {
        if let Some(lookup) = row.lookup {
            sleep(Duration::from_millis(lookup)).await;
            departure = departure.in_the_next_quantum().await;
        }
        let end = Instant::now() + Duration::from_millis(row.work);
        departure.wait().await;
        let departed = self.start.elapsed();
        self.departures.lock().unwrap().insert(row.name, departed);
        sleep_until(end).await;
        if row.fails {
            Err(Fault::internal("act", "Planned").into())
        } else {
            Ok(())
        }
    }

    fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}

/// The result of a batch.
struct Outcome {
    departures: HashMap<String, Duration>,
    took: Duration,
    failed: Value,
}

impl Outcome {
    /// Returns the milliseconds until the email of the record with this name left.
    fn left(&self, name: &str) -> Option<u128> {
        self.departures.get(name).map(Duration::as_millis)
    }

    fn took(&self) -> u128 {
        self.took.as_millis()
    }
}

/// Returns a row whose key is its name.
fn row(name: &str, work: u64) -> Value {
    json!({
        "pk": { "S": format!("own#{name}") },
        "name": { "S": name },
        "work": { "N": work.to_string() },
        "fails": { "BOOL": false },
    })
}

fn failing(name: &str, work: u64) -> Value {
    let mut row = row(name, work);
    row["fails"] = json!({ "BOOL": true });
    row
}

/// Returns this many rows, named by their index.
fn rows(count: usize) -> Vec<Value> {
    (0..count).map(|index| row(&index.to_string(), 0)).collect()
}

async fn deliver(rows: &[Value], pace: Pace) -> Outcome {
    let rows: Vec<&Value> = rows.iter().collect();
    process(batch(&rows), pace).await
}

async fn process(event: Value, pace: Pace) -> Outcome {
    let recorder = Recorder {
        start: Instant::now(),
        departures: Mutex::default(),
        telemetry: Telemetry::new("pace".to_owned(), Box::new(io::sink())),
    };
    let event = serde_json::from_value(event).unwrap();
    let clock = || "2026-11-23T12:00:00.250Z".parse().unwrap();
    let output = lambda::handle(&recorder, event, String::new(), clock, pace).await;
    let took = recorder.start.elapsed();
    let output = output.unwrap();
    assert!(matches!(output, Output::Stream(_)));
    let output = serde_json::to_value(output).unwrap();
    Outcome {
        departures: recorder.departures.into_inner().unwrap(),
        took,
        failed: output["batchItemFailures"].clone(),
    }
}

/// Returns the checkpoint at the record with this name.
fn checkpoint(name: &str) -> Value {
    json!([{ "itemIdentifier": format!("own#{name}") }])
}

#[tokio::test(start_paused = true)]
async fn emails_leave_by_their_index() {
    let outcome = deliver(&rows(16), Pace::STEADY).await;
    for (index, expected) in [(0, 80), (1, 83), (15, 125)] {
        assert_eq!(outcome.left(&index.to_string()), Some(expected), "{index}");
    }
    assert_eq!(outcome.departures.len(), 16);
    assert_eq!(outcome.failed, json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_record_delays_no_other_email() {
    let rows = [row("slow", 1_000), row("next", 0), failing("last", 0)];
    let outcome = deliver(&rows, Pace::STEADY).await;
    assert_eq!(outcome.left("slow"), Some(80));
    assert_eq!(outcome.left("next"), Some(83));
    assert_eq!(outcome.left("last"), Some(86));
}

#[tokio::test(start_paused = true)]
async fn the_index_does_not_count_superseded_records() {
    let mut newer = row("newer", 0);
    newer["pk"] = json!({ "S": "own#older" });
    let rows = [row("older", 0), row("other", 0), newer];
    let outcome = deliver(&rows, Pace::STEADY).await;
    assert_eq!(outcome.left("older"), None);
    assert_eq!(outcome.left("other"), Some(80));
    assert_eq!(outcome.left("newer"), Some(83));
}

#[tokio::test(start_paused = true)]
async fn the_index_does_not_count_another_functions_records() {
    let mut foreign = row("foreign", 0);
    foreign["pk"] = json!({ "S": "token#1" });
    let outcome = deliver(&[foreign, row("own", 0)], Pace::STEADY).await;
    assert_eq!(outcome.left("foreign"), None);
    assert_eq!(outcome.left("own"), Some(80));
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_at_a_multiple_of_the_quantum() {
    for (work, expected) in [(10, 250), (249, 250), (251, 500)] {
        let outcome = deliver(&[row("only", work)], Pace::STEADY).await;
        assert_eq!(outcome.took(), expected, "{work}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_sixteen_records_take_a_second_round() {
    assert_eq!(MAX_CONCURRENCY, 16);
    let outcome = deliver(&rows(18), Pace::STEADY).await;
    assert_eq!(outcome.left("15"), Some(125));
    assert_eq!(outcome.left("16"), Some(250 + 80));
    assert_eq!(outcome.left("17"), Some(250 + 83));
    assert_eq!(outcome.took(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_own_records_does_not_wait() {
    let mut foreign = row("foreign", 1_000);
    foreign["pk"] = json!({ "S": "token#1" });
    let mut events = vec![batch(&[]), batch(&[&foreign])];
    events.push(json!({ "Records": [{ "Sns": { "Message": "{}" } }] }));
    for event in events {
        let outcome = process(event.clone(), Pace::STEADY).await;
        assert_eq!(outcome.took(), 0, "{event}");
        assert_eq!(outcome.failed, json!([]));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unpaced_batch_does_not_wait() {
    let outcome = deliver(&rows(16), Pace::UNPACED).await;
    assert_eq!(outcome.departures.len(), 16);
    assert_eq!(outcome.took(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_checkpoint_is_the_first_failed_record_even_if_another_fails_earlier() {
    let rows = [row("fine", 0), failing("slow", 200), failing("quick", 0)];
    let outcome = deliver(&rows, Pace::STEADY).await;
    assert_eq!(outcome.failed, checkpoint("slow"));
    assert_eq!(outcome.took(), 250, "a failure does not end a batch early");
}

#[tokio::test(start_paused = true)]
async fn no_round_follows_a_failed_one() {
    let mut rows = rows(17);
    rows[3]["fails"] = json!({ "BOOL": true });
    let outcome = deliver(&rows, Pace::STEADY).await;
    assert_eq!(outcome.failed, checkpoint("3"));
    assert_eq!(outcome.departures.len(), 16);
    assert_eq!(outcome.left("16"), None);
    assert_eq!(outcome.took(), 250);
}

/// A directory's function may be slow. The work for a known user, after the function, must not show.
#[tokio::test(start_paused = true)]
async fn a_batch_lasts_as_long_for_a_known_user_however_slow_the_directory_is() {
    let found = |name: &str, lookup: u64, work: u64| {
        let mut row = row(name, work);
        row["lookup"] = json!({ "N": lookup.to_string() });
        row
    };
    for lookup in (0..800).step_by(7) {
        let other = found("other", 20, 0);
        let unknown = [found("suspect", lookup, 0), other.clone()];
        let known = [found("suspect", lookup, 240), other];
        let (unknown, known) = (
            deliver(&unknown, Pace::STEADY).await,
            deliver(&known, Pace::STEADY).await,
        );
        assert_eq!(known.took(), unknown.took(), "{lookup}");
        assert_eq!(known.left("other"), Some(250 + 83), "{lookup}");
        assert_eq!(unknown.left("other"), Some(250 + 83), "{lookup}");
    }
}
