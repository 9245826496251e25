//! Events and failed requests are counted in CloudWatch's embedded metric format.

use serde_json::Value;

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::email::Link;

#[tokio::test]
async fn events_are_counted_in_cloudwatchs_embedded_metric_format() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    let invalid = Link {
        token: "0".repeat(64),
        ..link
    };
    app.reset(&invalid, PASSWORD).await;
    for line in app.log().lines() {
        let json: Value = serde_json::from_str(line).unwrap();
        let metrics = &json["_aws"]["CloudWatchMetrics"][0];
        let name = metrics["Metrics"][0]["Name"].as_str().unwrap();
        assert_eq!(metrics["Namespace"], "Rekey");
        assert_eq!(metrics["Dimensions"], serde_json::json!([["Stack"]]));
        assert_eq!((&json[name], &json["Stack"]), (&1.into(), &"rekey".into()));
        assert!(json["_aws"]["Timestamp"].is_i64());
    }
    assert_eq!(
        app.events(),
        ["RequestsAccepted", "LinksSent", "TokensRejected"]
    );
}

/// The alarm `ServerErrors` counts failed requests, except for conflicts: anyone can cause one with parallel requests.
#[tokio::test]
async fn a_failed_request_counts_unless_transactions_conflict() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.aws.conflict(3);
    assert_eq!(app.forgot("eve@example.com").await.status(), 503);
    app.aws
        .fail("UpdateItem", 1, (400, "TransactionConflictException", ""));
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 503);
    assert_eq!(failed_requests(&app), 0);
    assert!(app.log().contains("\"code\":\"TransactionConflict\""));

    app.aws
        .fail("TransactWriteItems", 3, (400, "ThrottlingException", ""));
    assert_eq!(app.forgot("eve@example.com").await.status(), 503);
    app.aws.fail("Query", 1, (400, "AccessDeniedException", ""));
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 500);
    assert_eq!(failed_requests(&app), 2);
}

/// Returns the sum that CloudWatch computes for the metric `RequestsFailed`.
fn failed_requests(app: &TestApp) -> usize {
    let log = app.log();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["RequestsFailed"] == 1 && line["Stack"] == "rekey")
        .filter(|line| {
            let metric = &line["_aws"]["CloudWatchMetrics"][0];
            metric["Namespace"] == "Rekey" && metric["Metrics"][0]["Name"] == "RequestsFailed"
        })
        .count()
}
