//! Nothing secret is said.

use jiff::SignedDuration;
use serde_json::Value;

use crate::desk::{ADA, Desk, Link, PASSWORD};

#[tokio::test]
async fn a_whole_journeys_log_holds_no_address_token_password_or_hash_and_follows_one_id() {
    let desk = Desk::with_ada().await;
    let link = desk.link(ADA).await;
    desk.forgot("eve@example.com").await;
    desk.reset(&link, "short").await;
    desk.reset(&link, PASSWORD).await;
    desk.reset(&link, PASSWORD).await;
    desk.aws.fail(
        "SendEmail",
        1,
        (400, "MessageRejected", "ada@example.com is bad"),
    );
    desk.stream().await;
    desk.later(SignedDuration::from_mins(2));
    desk.aws.fail(
        "TransactWriteItems",
        3,
        (400, "ThrottlingException", "ada@example.com"),
    );
    desk.forgot(ADA).await;

    let log = desk.log();
    let hash = desk.stored("1", "password_hash").await;
    let stored = link.token.as_str();
    for secret in [
        ADA,
        "eve@",
        "example.com",
        stored,
        PASSWORD,
        "short",
        hash.as_str(),
        "argon2",
        "192.0.2.1",
    ] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    for row in desk.rows("").await {
        let key = row["pk"]["S"].as_str().unwrap();
        let digest = key.split('#').find(|part| part.len() == 64).unwrap_or("#");
        assert!(!log.contains(digest), "{key} in {log}");
    }
    // The public half's line and the private half's carry the same id.
    assert_eq!(id_of(&log, "RequestsAccepted"), id_of(&log, "LinksSent"));
    assert_eq!(id_of(&log, "PasswordsChanged"), id_of(&log, "MailsRefused"));
}

/// The request id of the first such event.
fn id_of(log: &str, event: &str) -> Value {
    let mut lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.find(|line| line["event"] == event).unwrap();
    line["request_id"].clone()
}

#[tokio::test]
async fn what_happens_is_counted_in_cloudwatchs_embedded_format() {
    let desk = Desk::with_ada().await;
    let link = desk.link(ADA).await;
    let dead = Link {
        token: "0".repeat(64),
        ..link
    };
    desk.reset(&dead, PASSWORD).await;
    for written in desk.log().lines() {
        let json: Value = serde_json::from_str(written).unwrap();
        let metrics = &json["_aws"]["CloudWatchMetrics"][0];
        let name = metrics["Metrics"][0]["Name"].as_str().unwrap();
        assert_eq!(metrics["Namespace"], "Rekey");
        assert_eq!(metrics["Dimensions"], serde_json::json!([["Stack"]]));
        assert_eq!((&json[name], &json["Stack"]), (&1.into(), &"rekey".into()));
        assert!(json["_aws"]["Timestamp"].is_i64());
    }
    assert_eq!(
        desk.events(),
        ["RequestsAccepted", "LinksSent", "TokensRefused"]
    );
}
