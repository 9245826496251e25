//! The log lines that operators filter and count.

use insta::assert_snapshot;
use serde_json::Value;
use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::faults::EVERY;

fn lines(app: &TestApp) -> Vec<Value> {
    let log = app.log();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

#[tokio::test]
async fn a_journey_logs_each_step_once() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.reset(&link, PASSWORD).await;
    app.process_stream().await;
    let steps = lines(&app).into_iter().map(|line| {
        let part = |name: &str| line[name].as_str().unwrap().to_owned();
        format!(
            "{} {} {}: {}\n",
            part("request_id"),
            part("level"),
            part("event"),
            part("detail")
        )
    });
    assert_snapshot!(steps.collect::<String>(), @"
    request-1 INFO RequestsAccepted: stored
    request-1 INFO LinksSent: accepted by SES
    request-2 INFO PasswordsChanged: replaced
    request-2 INFO NoticesSent: accepted by SES
    ");
}

#[tokio::test]
async fn an_event_is_a_metric_too() {
    let app = TestApp::open().await;
    app.forgot(ADA).await;
    app.allow_unprocessed("only the public half is of interest");
    let [line] = lines(&app).try_into().unwrap();
    assert_snapshot!(format!("{line:#}"), @r#"
    {
      "timestamp": "2026-11-23T12:00:00.25Z",
      "level": "INFO",
      "event": "RequestsAccepted",
      "detail": "stored",
      "request_id": "request-1",
      "Stack": "rekey",
      "RequestsAccepted": 1,
      "_aws": {
        "Timestamp": 1795435200250,
        "CloudWatchMetrics": [
          {
            "Namespace": "Rekey",
            "Dimensions": [
              [
                "Stack"
              ]
            ],
            "Metrics": [
              {
                "Name": "RequestsAccepted",
                "Unit": "Count"
              }
            ]
          }
        ]
      }
    }
    "#);
}

#[tokio::test]
async fn a_failed_request_logs_its_fault_and_counts_itself() {
    let app = TestApp::open().await;
    let code = "AccessDeniedException";
    app.aws
        .fail("TransactWriteItems", EVERY, (400, code, "not authorized"));
    app.forgot(ADA).await;
    let [line] = lines(&app).try_into().unwrap();
    assert_snapshot!(format!("{line:#}"), @r#"
    {
      "timestamp": "2026-11-23T12:00:00.25Z",
      "level": "ERROR",
      "event": "Fault",
      "detail": "table.record_request",
      "code": "AccessDeniedException",
      "aws_request_id": null,
      "request_id": "request-1",
      "Stack": "rekey",
      "RequestsFailed": 1,
      "_aws": {
        "Timestamp": 1795435200250,
        "CloudWatchMetrics": [
          {
            "Namespace": "Rekey",
            "Dimensions": [
              [
                "Stack"
              ]
            ],
            "Metrics": [
              {
                "Name": "RequestsFailed",
                "Unit": "Count"
              }
            ]
          }
        ]
      }
    }
    "#);
}
