//! The log of a journey and a copy of the table contain no secret.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::email::Link;

#[tokio::test]
async fn the_log_of_a_journey_has_one_request_id_and_no_secret() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.forgot("eve@example.com").await;
    app.reset(&link, "short").await;
    app.reset(&link, PASSWORD).await;
    app.reset(&link, PASSWORD).await;
    app.aws.fail(
        "SendEmail",
        1,
        (400, "MessageRejected", "ada@example.com is bad"),
    );
    app.try_process_stream().await;
    app.clock.advance(SignedDuration::from_mins(2));
    app.aws.fail(
        "TransactWriteItems",
        3,
        (400, "ThrottlingException", "ada@example.com"),
    );
    app.forgot(ADA).await;

    let log = app.log();
    let hash = app.stored("1", "password_hash").await;
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
    for row in app.rows("").await {
        let key = row["pk"]["S"].as_str().unwrap();
        let digest = key.split('#').find(|part| part.len() == 64).unwrap_or("#");
        assert!(!log.contains(digest), "{key} in {log}");
    }
    // The lines of the public half and of the private half have the same request ID.
    assert_eq!(id_of(&log, "RequestsAccepted"), id_of(&log, "LinksSent"));
    assert_eq!(
        id_of(&log, "PasswordsChanged"),
        id_of(&log, "EmailsRejected")
    );
}

/// Returns the request ID of the first such event.
fn id_of(log: &str, event: &str) -> Value {
    let mut lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.find(|line| line["event"] == event).unwrap();
    line["request_id"].clone()
}

#[tokio::test]
async fn the_table_holds_no_token() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    let rows = json!(app.rows("").await).to_string();
    assert!(rows.contains("token#") && !rows.contains(&link.token));
}

/// A copy of the table contains nothing that works as a token, and no password.
#[tokio::test]
async fn a_copy_of_the_table_contains_no_usable_token() {
    let app = TestApp::with_ada().await;
    let used = app.link(ADA).await;
    app.reset(&used, PASSWORD).await;
    app.clock.advance(SignedDuration::from_mins(2));
    let link = app.link(ADA).await;
    let hash = app.stored("1", "password_hash").await;
    let rows = app.rows("").await;
    let copy = json!(rows).to_string();
    for secret in [&link.token, &used.token, PASSWORD, &hash, "argon2"] {
        assert!(!copy.contains(secret), "{secret}");
    }
    for row in &rows {
        let key = row["pk"]["S"].as_str().unwrap();
        let may_hold = ["request#", "token#", "change#"]
            .iter()
            .any(|prefix| key.starts_with(prefix));
        assert!(
            may_hold || !row.to_string().contains("example.com"),
            "{row}"
        );
    }
    let is_digit = |c: char| c.is_ascii_hexdigit();
    let words: BTreeSet<&str> = copy
        .split(|c| !is_digit(c))
        .filter(|word| word.len() >= 8)
        .collect();
    assert!(words.len() >= 4, "{words:?}");
    for word in words {
        let padded = format!("{word:0>64}");
        for token in [word, &padded] {
            let guess = Link {
                token: token.to_owned(),
                ..link.clone()
            };
            assert_eq!(app.reset(&guess, PASSWORD).await.status(), 422, "{word}");
        }
    }
    assert_eq!(
        app.reset(&link, PASSWORD).await.status(),
        204,
        "the link itself works"
    );
    app.process_stream().await;
}
