//! Delivers the rows of the Rekey table to the private halves, as a stream does.

use std::time::{Duration, Instant};

use forgot::Forgot;
use rekey::lambda::Output;
use rekey::lambda::batch::Checkpoint;
use rekey::lambda::function::Function;
use rekey::pace::Pace;
use reset::Reset;
use serde_json::{Value, json};

use super::TestApp;

impl TestApp {
    /// Delivers the new rows to the private halves, and returns the checkpoint if a record failed. The next call
    /// delivers the remaining rows again.
    pub async fn try_process_stream(&self) -> Option<String> {
        let mut rows = self.rows("").await;
        rows.retain(|row| !self.processed.lock().unwrap().contains(&version(row)));
        rows.sort_by_key(|row| version(row).1);
        let requested = self.process_rows(&self.forgot, &rows, "request#").await;
        let changed = self.process_rows(&self.reset, &rows, "change#").await;
        requested.or(changed)
    }

    async fn process_rows(
        &self,
        function: &impl Function,
        rows: &[Value],
        prefix: &str,
    ) -> Option<String> {
        let rows: Vec<&Value> = rows
            .iter()
            .filter(|row| row["pk"]["S"].as_str().unwrap().starts_with(prefix))
            .collect();
        self.process_batch(function, &rows).await
    }

    /// Processes the stream, and fails the test if a record fails.
    pub async fn process_stream(&self) {
        assert_eq!(self.try_process_stream().await, None, "{}", self.log());
    }

    /// Allows stream records to be left unprocessed at the end of a test, for a reason.
    pub fn allow_unprocessed(&self, reason: &'static str) {
        assert!(!reason.is_empty());
        *self.unprocessed_reason.lock().unwrap() = Some(reason);
    }

    /// Marks rows as processed, by this app or by another process of the test.
    pub fn mark_processed<'a>(&self, rows: impl IntoIterator<Item = &'a Value>) {
        let versions = rows.into_iter().map(version);
        self.processed.lock().unwrap().extend(versions);
    }

    /// Returns the rows that no private half has processed, unless the test allows that.
    pub(super) fn unprocessed(&self) -> Vec<Value> {
        if self.unprocessed_reason.lock().unwrap().is_some() {
            return Vec::new();
        }
        let mut rows = self.aws.scan("rekey");
        let processed = self.processed.lock().unwrap();
        rows.retain(|row| {
            let key = row["pk"]["S"].as_str().unwrap();
            let is_record =
                key.starts_with(Forgot::KEY_PREFIX) || key.starts_with(Reset::KEY_PREFIX);
            is_record && !processed.contains(&version(row))
        });
        rows
    }

    /// Delivers rows to the private half of `forgot`, even if they were delivered before.
    pub async fn deliver(&self, rows: &[&Value]) -> Option<String> {
        self.process_batch(&self.forgot, rows).await
    }

    /// Delivers changes to the private half of `reset`, and returns the checkpoint if a record failed.
    pub async fn deliver_changes(&self, rows: &[&Value]) -> Option<String> {
        self.process_batch(&self.reset, rows).await
    }

    /// Delivers all requests to the private half of `forgot` at the pace of production, and returns the duration.
    pub async fn deliver_at_a_steady_pace(&self) -> Duration {
        let rows = self.rows("request#").await;
        let rows: Vec<&Value> = rows.iter().collect();
        let started = Instant::now();
        self.handle_at(&self.forgot, batch(&rows), Pace::STEADY)
            .await;
        self.mark_processed(rows);
        started.elapsed()
    }

    /// Processes one batch of a stream, and returns the checkpoint if a record failed.
    async fn process_batch(&self, function: &impl Function, rows: &[&Value]) -> Option<String> {
        match self.handle(function, batch(rows)).await {
            Output::Stream(checkpoint) => {
                let failed = failed_record(&checkpoint);
                let rows = rows.iter().copied();
                let is_done = |row: &&Value| failed.as_deref() != row["pk"]["S"].as_str();
                self.mark_processed(rows.take_while(is_done));
                failed
            }
            Output::Http(_) => panic!("expected a checkpoint, got an HTTP response"),
        }
    }

    /// Delivers an SES event to the half that subscribes to SES's topic.
    pub async fn feedback(&self, event: &Value) {
        let record = json!({ "EventSource": "aws:sns", "Sns": { "Message": event.to_string(), "Type": "Notification" } });
        match self
            .handle(&self.reset, json!({ "Records": [record] }))
            .await
        {
            Output::Stream(checkpoint) => assert_eq!(failed_record(&checkpoint), None),
            Output::Http(_) => panic!("expected a checkpoint, got an HTTP response"),
        }
    }
}

/// Returns a batch of a stream, as Lambda delivers it. A row's key is its sequence number.
pub fn batch(rows: &[&Value]) -> Value {
    let records = rows.iter().map(|row| {
        let change = json!({ "Keys": { "pk": row["pk"] }, "NewImage": row, "SequenceNumber": row["pk"]["S"] });
        json!({ "eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": change })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

fn failed_record(checkpoint: &Checkpoint) -> Option<String> {
    let json = serde_json::to_value(checkpoint).unwrap();
    json["batchItemFailures"]
        .get(0)
        .map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
}

/// Identifies one version of a row.
fn version(row: &Value) -> (String, String) {
    let time = row
        .get("requested_at")
        .or(row.get("changed_at"))
        .map(|time| time["N"].to_string());
    // A change that is settled has the same time.
    let open = row.get("settles_at").map_or("", |_| " open");
    (row["pk"]["S"].to_string(), time.unwrap_or_default() + open)
}
