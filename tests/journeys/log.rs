//! The log lines that operators filter and count.

use insta::assert_snapshot;
use serde_json::Value;
use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::faults::EVERY;

/// Returns the log with a line break after each member, so that a changed member is easy to see.
fn pretty(app: &TestApp) -> String {
    let lines = app.log();
    let lines = lines.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        format!("{line:#}\n")
    });
    lines.collect()
}

#[tokio::test]
async fn a_journey_logs_each_step_once() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.reset(&link, PASSWORD).await;
    app.process_stream().await;
    assert_snapshot!(pretty(&app), @r#"
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
    {
      "timestamp": "2026-11-23T12:00:00.25Z",
      "level": "INFO",
      "event": "LinksSent",
      "detail": "accepted by SES",
      "request_id": "request-1",
      "Stack": "rekey",
      "LinksSent": 1,
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
                "Name": "LinksSent",
                "Unit": "Count"
              }
            ]
          }
        ]
      }
    }
    {
      "timestamp": "2026-11-23T12:00:00.25Z",
      "level": "INFO",
      "event": "PasswordsChanged",
      "detail": "replaced",
      "request_id": "request-2",
      "Stack": "rekey",
      "PasswordsChanged": 1,
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
                "Name": "PasswordsChanged",
                "Unit": "Count"
              }
            ]
          }
        ]
      }
    }
    {
      "timestamp": "2026-11-23T12:00:00.25Z",
      "level": "INFO",
      "event": "NoticesSent",
      "detail": "accepted by SES",
      "request_id": "request-2",
      "Stack": "rekey",
      "NoticesSent": 1,
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
                "Name": "NoticesSent",
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
    assert_snapshot!(pretty(&app), @r#"
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
