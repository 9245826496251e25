//! Journeys of users who set a password.

use argon2::{Argon2, PasswordVerifier as _};
use aws_sdk_dynamodb::types::AttributeValue;
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

#[tokio::test]
async fn a_link_works_once() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    assert!(is_rejected(&app.reset(&link, "another password").await));
    assert_eq!(app.rows("token#").await.len(), 0);
    app.process_stream().await;
}

#[tokio::test]
async fn using_one_link_invalidates_every_other() {
    let app = TestApp::with_ada().await;
    let first = app.link(ADA).await;
    app.clock.advance(SignedDuration::from_secs(60));
    let second = app.link(ADA).await;
    assert_eq!(app.reset(&first, PASSWORD).await.status(), 204);
    assert!(is_rejected(&app.reset(&second, "another password").await));

    app.clock.advance(SignedDuration::from_secs(60));
    let third = app.link(ADA).await;
    assert_eq!(app.reset(&third, "another password").await.status(), 204);
    app.process_stream().await;
}

/// A data mapper that saves a user calls `PutItem` with an item that it read before.
#[tokio::test]
async fn an_application_that_puts_back_an_old_item_restores_no_link() {
    let app = TestApp::with_ada().await;
    let used = app.link(ADA).await;
    app.clock.advance(SignedDuration::from_secs(60));
    let older = app.link(ADA).await;
    let users = app.dynamodb.scan().table_name("users");
    let item = users.send().await.unwrap().items.unwrap().remove(0);
    assert_eq!(app.reset(&used, PASSWORD).await.status(), 204);

    let put = app.dynamodb.put_item().table_name("users");
    put.set_item(Some(item)).send().await.unwrap();
    assert_eq!(app.stored("1", "password_hash").await, "old");
    assert!(is_rejected(&app.reset(&older, "another password").await));
    assert!(is_rejected(&app.reset(&used, "another password").await));

    app.clock.advance(SignedDuration::from_secs(60));
    let newer = app.link(ADA).await;
    assert_eq!(app.reset(&newer, "another password").await.status(), 204);
    app.process_stream().await;
}

/// The clocks of two instances differ, but by less than an hour.
#[tokio::test]
async fn a_reset_on_a_clock_that_is_behind_restores_no_link() {
    let app = TestApp::with_ada().await;
    let mut links = Vec::new();
    for _ in 0..3 {
        links.push(app.link(ADA).await);
        app.clock.advance(SignedDuration::from_mins(2));
    }
    assert_eq!(app.reset(&links[0], PASSWORD).await.status(), 204);
    app.clock.advance(SignedDuration::from_mins(2));
    let last = app.link(ADA).await;
    app.clock.advance(SignedDuration::from_mins(-9));
    assert_eq!(app.reset(&last, "another password").await.status(), 204);
    for invalidated in &links[1..] {
        assert!(is_rejected(
            &app.reset(invalidated, "a third password").await
        ));
    }
    app.process_stream().await;
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

#[tokio::test]
async fn a_link_issued_during_the_hashing_is_also_invalidated() {
    let app = TestApp::with_ada().await;
    let first = app.link(ADA).await;
    app.clock.advance(SignedDuration::from_secs(60));
    let second = app.link(ADA).await;
    // Go back to before the second link, so that it is issued between two readings of the clock.
    app.clock.advance(SignedDuration::from_millis(-500));
    app.clock.step(SignedDuration::from_secs(1));
    assert_eq!(app.reset(&first, PASSWORD).await.status(), 204);
    assert!(is_rejected(&app.reset(&second, "another password").await));
    app.process_stream().await;
}

#[tokio::test]
async fn a_link_expires_to_the_second() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.clock.advance(SignedDuration::from_secs(3599));
    let other = app.link(ADA).await;
    app.clock.advance(SignedDuration::from_secs(1));
    app.aws.take_calls();
    assert!(is_rejected(&app.reset(&link, PASSWORD).await));
    let calls = app.aws.take_calls();
    assert!(
        !calls.contains(&"TransactWriteItems".to_owned()),
        "Rekey hashes nothing for an expired link"
    );
    assert_eq!(app.reset(&other, PASSWORD).await.status(), 204);
    app.process_stream().await;
}

#[tokio::test]
async fn a_link_belongs_to_the_address_it_was_sent_to() {
    let app = TestApp::with_ada().await;
    app.user("2", "bob@example.com").await;
    let link = app.link(ADA).await;
    for email in ["bob@example.com", "nobody@example.com"] {
        let stolen = Link {
            email: email.to_owned(),
            ..link.clone()
        };
        assert!(is_rejected(&app.reset(&stolen, PASSWORD).await));
    }
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    assert_eq!(app.stored("2", "password_hash").await, "old");
    app.process_stream().await;
}

#[tokio::test]
async fn a_link_stops_working_when_the_address_changes_or_the_user_is_deleted() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.user("1", "countess@example.com").await;
    assert!(is_rejected(&app.reset(&link, PASSWORD).await));
    assert_eq!(app.stored("1", "password_hash").await, "old");

    let key = AttributeValue::S("1".to_owned());
    app.dynamodb
        .delete_item()
        .table_name("users")
        .key("id", key)
        .send()
        .await
        .unwrap();
    assert!(is_rejected(&app.reset(&link, PASSWORD).await));
    let users = app
        .dynamodb
        .scan()
        .table_name("users")
        .send()
        .await
        .unwrap();
    assert_eq!(users.count, 0, "a reset creates no user");
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
async fn a_link_stops_working_when_the_application_records_a_password_change() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    let update = app
        .dynamodb
        .update_item()
        .table_name("users")
        .key("id", AttributeValue::S("1".to_owned()));
    let update = update.update_expression("SET password_changed_at = :now");
    update
        .expression_attribute_values(":now", AttributeValue::N("1795435201".to_owned()))
        .send()
        .await
        .unwrap();
    assert!(is_rejected(&app.reset(&link, PASSWORD).await));
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
