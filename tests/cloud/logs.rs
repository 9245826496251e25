//! A reader of the deployed functions' logs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::stack::{Stack, variable_of};

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

/// Returns the name and content since this time of every log group, of Rekey and of its directory, and of the database.
pub(crate) async fn every_log(stack: &Stack, since: Timestamp) -> HashMap<String, String> {
    let groups = call(stack, "DescribeLogGroups", &json!({ "limit": 50 })).await;
    let groups = groups["logGroups"].as_array().unwrap().clone();
    assert!(groups.len() < 50, "read the other pages, too");
    let mut logs = HashMap::new();
    for group in groups {
        let group = group["logGroupName"].as_str().unwrap();
        logs.insert(group.to_owned(), read_log(stack, group, since).await);
    }
    if let Some(path) = rekey::config::process("DATABASE_LOG") {
        logs.insert(path.clone(), std::fs::read_to_string(path).unwrap());
    }
    logs
}

async fn read_log(stack: &Stack, group: &str, since: Timestamp) -> String {
    let mut log = String::new();
    let mut page = None;
    loop {
        let mut body = json!({ "logGroupName": group, "startTime": since.as_millisecond() });
        if let Some(page) = page.take() {
            body["nextToken"] = page;
        }
        let events = call(stack, "FilterLogEvents", &body).await;
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

async fn call(stack: &Stack, action: &str, body: &Value) -> Value {
    let target = format!("Logs_20140328.{action}");
    stack.json_call("logs", &target, body).await.unwrap()
}
