//! A reader of the deployed functions' logs.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::stack::{Stack, variable, variable_of};

/// Waits for a matching line in a function's log since this time, and returns the log since then. The whole log of a long
/// run has too many pages to read in time.
pub(crate) async fn wait_for_line(
    stack: &Stack,
    function: &str,
    since: Timestamp,
    is_match: impl Fn(&Value) -> bool,
) -> String {
    let group = variable_of(function, "LOG");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = read_log(stack, &group, since).await;
        if log
            .lines()
            .filter_map(|line| serde_json::from_str(line.trim()).ok())
            .any(|line| is_match(&line))
        {
            return log;
        }
        assert!(
            Instant::now() < deadline,
            "no matching line in {group}:\n{log}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Calls `CloudWatch` Logs. One call does not justify another SDK crate.
async fn read_log(stack: &Stack, group: &str, since: Timestamp) -> String {
    let mut log = String::new();
    let mut page = None;
    loop {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/20261123/{}/logs/aws4_request, SignedHeaders=host, Signature=0",
            variable("AWS_ACCESS_KEY_ID"),
            variable("AWS_REGION")
        );
        let mut body = json!({ "logGroupName": group, "startTime": since.as_millisecond() });
        if let Some(page) = page.take() {
            body["nextToken"] = page;
        }
        let call = stack
            .client
            .post(variable("AWS_ENDPOINT_URL"))
            .header("authorization", authorization);
        let call = call.header("x-amz-target", "Logs_20140328.FilterLogEvents");
        let call = call
            .header("content-type", "application/x-amz-json-1.1")
            .body(body.to_string());
        let events: Value = call.send().await.unwrap().json().await.unwrap();
        for event in events["events"].as_array().into_iter().flatten() {
            log.push_str(event["message"].as_str().unwrap_or_default());
            log.push('\n');
        }
        match events.get("nextToken") {
            Some(next) if next.is_string() => page = Some(next.clone()),
            _ => return log,
        }
    }
}
