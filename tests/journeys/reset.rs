//! Journeys of users who set a password.

use argon2::{Argon2, PasswordVerifier as _};
use jiff::SignedDuration;
use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::email::{Link, SentEmail};
use support::futures::futures;
use support::responses::is_rejected;

#[tokio::test]
async fn a_link_sets_a_new_password_and_the_owner_is_notified() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    let response = app.reset(&link, PASSWORD).await;
    assert_eq!((response.status(), response.body()), (204, ""));

    let hash = app.stored("1", "password_hash").await;
    assert!(
        Argon2::default()
            .verify_password(PASSWORD.as_bytes(), hash.as_str())
            .is_ok()
    );
    assert!(
        Argon2::default()
            .verify_password(b"correct horse battery", hash.as_str())
            .is_err()
    );
    assert_eq!(
        app.stored("1", "password_changed_at").await,
        "1795435200.25"
    );

    app.try_process_stream().await;
    let notice = app.aws.emails().remove(1);
    assert_eq!(
        (notice.to(), notice.subject()),
        (ADA, "Your password for Example & Söhne was changed")
    );
    assert!(notice.text().contains("on 23 November 2026 at 12:00 UTC"));
    assert_eq!(
        app.events(),
        [
            "RequestsAccepted",
            "LinksSent",
            "PasswordsChanged",
            "NoticesSent"
        ]
    );
}

/// A REST API forwards a request ID that a client can choose.
#[tokio::test]
async fn two_changes_with_one_request_id_have_two_notices() {
    let app = TestApp::with_ada().await;
    app.user("2", "bob@example.com").await;
    for email in [ADA, "bob@example.com"] {
        let link = app.link(email).await;
        let body = json!({ "email": email, "token": link.token, "password": PASSWORD });
        let mut event = app.event("/password/reset", &body.to_string());
        event["requestContext"]["requestId"] = json!("chosen");
        assert_eq!(app.send(event).await.status(), 204);
    }
    assert_eq!(app.rows("change#").await.len(), 2);
    app.try_process_stream().await;
    let notices = app.aws.emails().split_off(2);
    let mut owners: Vec<&str> = notices.iter().map(SentEmail::to).collect();
    owners.sort_unstable();
    assert_eq!(owners, [ADA, "bob@example.com"]);
}

/// DynamoDB deletes a row some time after `expires_at`, so a row must not expire while Rekey still needs it.
#[tokio::test]
async fn rows_do_not_expire_while_they_are_needed() {
    let app = TestApp::with_ada().await;
    let start = app.clock.now().as_second();
    let link = app.link(ADA).await;
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    let hour = 3600;
    // A request is needed for the longest cooldown, and links for the daily limit. An epoch is kept an hour longer
    // than the longest link. A change is kept longer than SES retries and the failure queue keeps records.
    for (prefix, kept) in [
        ("request#", hour),
        ("links#", 24 * hour),
        ("epoch#", 25 * hour),
        ("change#", 15 * 24 * hour),
    ] {
        let rows = app.rows(prefix).await;
        let expires_at: i64 = rows[0]["expires_at"]["N"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((0..10).contains(&(expires_at - start - kept)), "{prefix}");
    }
    app.process_stream().await;
}

#[tokio::test]
async fn a_rejected_password_keeps_the_link_and_causes_no_lookup() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.aws.take_calls();
    let response = app.reset(&link, "short").await;
    let body: Value = serde_json::from_str(response.body()).unwrap();
    assert_eq!(response.status(), 422);
    assert_eq!(
        body["errors"],
        json!({ "password": ["must have at least 8 characters"] })
    );
    assert!(app.aws.take_calls().is_empty());
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    app.process_stream().await;
}

#[tokio::test]
async fn a_confirmation_must_match_the_password() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    let reset = |confirmation: &str| {
        let body = json!({
            "email": link.email, "token": link.token, "password": PASSWORD, "password_confirmation": confirmation,
        });
        async { app.post("/password/reset", &{ body }).await }
    };
    let response = reset("something else").await;
    let body: Value = serde_json::from_str(response.body()).unwrap();
    assert_eq!(
        body["errors"],
        json!({ "password_confirmation": ["must match the password"] })
    );
    assert_eq!(reset(PASSWORD).await.status(), 204);
    app.process_stream().await;
}

#[tokio::test]
async fn unknown_addresses_and_invalid_tokens_cause_the_same_responses_and_calls() {
    let app = TestApp::with_ada().await;
    let used = app.link(ADA).await;
    app.reset(&used, PASSWORD).await;
    app.clock.advance(SignedDuration::from_secs(60));
    let expired = app.link(ADA).await;
    app.clock.advance(SignedDuration::from_hours(1));
    let live = app.link(ADA).await;
    let of_unknown_address = |token: &str| Link {
        email: "eve@example.com".to_owned(),
        token: token.to_owned(),
        ..live.clone()
    };
    let unknown = of_unknown_address(&"0".repeat(64));
    let wrong = Link {
        email: ADA.to_owned(),
        ..unknown.clone()
    };
    let stolen = of_unknown_address(&live.token);
    app.aws.take_traffic();

    let mut responses = Vec::new();
    for link in [&wrong, &unknown, &used, &expired, &stolen] {
        let response = app.reset(link, PASSWORD).await;
        assert!(is_rejected(&response));
        let mut calls = app.aws.take_traffic();
        calls.sort();
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["Query", "UpdateItem"]);
        responses.push((response.with_header("X-Request-Id", ""), calls));
    }
    for response in &responses {
        assert_eq!(*response, responses[0]);
    }
}

#[tokio::test]
async fn reset_attempts_of_one_source_are_limited() {
    let app = TestApp::with(&[("SOURCE_LIMIT", "3")]).await;
    let link = Link {
        url: "https://app.example.com".parse().unwrap(),
        email: ADA.to_owned(),
        token: "0".repeat(64),
    };
    let responses = futures((0..10).map(|_| app.reset(&link, PASSWORD)).collect()).await;
    assert_eq!(
        responses
            .iter()
            .filter(|response| is_rejected(response))
            .count(),
        3
    );
    let limited: Vec<_> = responses
        .iter()
        .filter(|response| response.status() == 429)
        .collect();
    assert_eq!(limited.len(), 7);
    assert_eq!(limited[0].header("Retry-After"), Some("1800"));
}
