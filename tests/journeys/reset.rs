use argon2::{Argon2, PasswordVerifier as _};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::{ADA, Link, Mail, PASSWORD, TestApp};
use crate::forgot::futures;

/// The one answer for every token that is not good.
pub(crate) fn is_refused(response: &rekey::http::response::Response) -> bool {
    let body: Value = serde_json::from_str(response.body()).unwrap_or_default();
    let told = "This link is not valid, or no longer. Please ask for a new one.";
    response.status() == 422 && body["errors"] == json!({ "token": [told] })
}

#[tokio::test]
async fn a_link_sets_a_new_password_and_its_owner_is_told() {
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

    app.stream().await;
    let notice = app.aws.mails().remove(1);
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
    assert!(is_refused(&app.reset(&link, "another password").await));
    assert_eq!(app.rows("token#").await.len(), 0);
    app.drain().await;
}

#[tokio::test]
async fn using_one_link_kills_every_other() {
    let app = TestApp::with_ada().await;
    let first = app.link(ADA).await;
    app.later(SignedDuration::from_secs(60));
    let second = app.link(ADA).await;
    assert_eq!(app.reset(&first, PASSWORD).await.status(), 204);
    assert!(is_refused(&app.reset(&second, "another password").await));

    app.later(SignedDuration::from_secs(60));
    let third = app.link(ADA).await;
    assert_eq!(app.reset(&third, "another password").await.status(), 204);
    app.drain().await;
}

/// `PutItem` with an item that was read before: what a data mapper does when it saves a user.
#[tokio::test]
async fn an_application_that_puts_back_an_old_item_revives_no_link() {
    let app = TestApp::with_ada().await;
    let used = app.link(ADA).await;
    app.later(SignedDuration::from_secs(60));
    let older = app.link(ADA).await;
    let users = app.dynamodb.scan().table_name("users");
    let item = users.send().await.unwrap().items.unwrap().remove(0);
    assert_eq!(app.reset(&used, PASSWORD).await.status(), 204);

    let put = app.dynamodb.put_item().table_name("users");
    put.set_item(Some(item)).send().await.unwrap();
    assert_eq!(app.stored("1", "password_hash").await, "old");
    assert!(is_refused(&app.reset(&older, "another password").await));
    assert!(is_refused(&app.reset(&used, "another password").await));

    app.later(SignedDuration::from_secs(60));
    let newer = app.link(ADA).await;
    assert_eq!(app.reset(&newer, "another password").await.status(), 204);
    app.drain().await;
}

/// The clocks of two instances differ. An hour is more than they do.
#[tokio::test]
async fn a_reset_by_a_clock_that_is_behind_revives_no_link() {
    let app = TestApp::with_ada().await;
    let mut links = Vec::new();
    for _ in 0..3 {
        links.push(app.link(ADA).await);
        app.later(SignedDuration::from_mins(2));
    }
    assert_eq!(app.reset(&links[0], PASSWORD).await.status(), 204);
    app.later(SignedDuration::from_mins(2));
    let last = app.link(ADA).await;
    app.later(SignedDuration::from_mins(-9));
    assert_eq!(app.reset(&last, "another password").await.status(), 204);
    for dead in &links[1..] {
        assert!(is_refused(&app.reset(dead, "a third password").await));
    }
    app.drain().await;
}

/// A REST API passes on a request id that a client may choose.
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
    app.stream().await;
    let notices = app.aws.mails().split_off(2);
    let mut owners: Vec<&str> = notices.iter().map(Mail::to).collect();
    owners.sort_unstable();
    assert_eq!(owners, [ADA, "bob@example.com"]);
}

#[tokio::test]
async fn a_link_that_was_made_while_the_password_was_hashed_is_killed_too() {
    let app = TestApp::with_ada().await;
    let first = app.link(ADA).await;
    app.later(SignedDuration::from_secs(60));
    let second = app.link(ADA).await;
    // Back to a moment before the second link: it is made between two looks at the clock.
    app.later(SignedDuration::from_millis(-500));
    app.tick(SignedDuration::from_secs(1));
    assert_eq!(app.reset(&first, PASSWORD).await.status(), 204);
    assert!(is_refused(&app.reset(&second, "another password").await));
    app.drain().await;
}

#[tokio::test]
async fn a_link_expires_to_the_second() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.later(SignedDuration::from_secs(3599));
    let other = app.link(ADA).await;
    app.later(SignedDuration::from_secs(1));
    app.aws.take_calls();
    assert!(is_refused(&app.reset(&link, PASSWORD).await));
    let calls = app.aws.take_calls();
    assert!(
        !calls.contains(&"TransactWriteItems".to_owned()),
        "nothing is hashed for it"
    );
    assert_eq!(app.reset(&other, PASSWORD).await.status(), 204);
    app.drain().await;
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
        assert!(is_refused(&app.reset(&stolen, PASSWORD).await));
    }
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    assert_eq!(app.stored("2", "password_hash").await, "old");
    app.drain().await;
}

#[tokio::test]
async fn a_link_dies_when_the_address_changes_or_the_user_goes() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.user("1", "countess@example.com").await;
    assert!(is_refused(&app.reset(&link, PASSWORD).await));
    assert_eq!(app.stored("1", "password_hash").await, "old");

    let key = AttributeValue::S("1".to_owned());
    app.dynamodb
        .delete_item()
        .table_name("users")
        .key("id", key)
        .send()
        .await
        .unwrap();
    assert!(is_refused(&app.reset(&link, PASSWORD).await));
    let users = app
        .dynamodb
        .scan()
        .table_name("users")
        .send()
        .await
        .unwrap();
    assert_eq!(users.count, 0, "a reset makes no users");
}

/// DynamoDB deletes a row some time after `expires_at`: a row has to stay for as long as it means something.
#[tokio::test]
async fn rows_stay_for_as_long_as_they_count() {
    let app = TestApp::with_ada().await;
    let start = app.now().as_second();
    let link = app.link(ADA).await;
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    let hour = 3600;
    // A request: the longest cooldown. Links: the daily limit. An epoch: an hour longer than the longest link. A change: longer than SES retries
    // and the failure queue keeps.
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
    app.drain().await;
}

#[tokio::test]
async fn a_link_dies_when_the_application_says_that_it_changed_the_password() {
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
    assert!(is_refused(&app.reset(&link, PASSWORD).await));
}

#[tokio::test]
async fn a_password_that_is_refused_burns_nothing_and_looks_nothing_up() {
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
    app.drain().await;
}

#[tokio::test]
async fn a_confirmation_that_is_given_must_be_the_same() {
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
        json!({ "password_confirmation": ["must be the same as the password"] })
    );
    assert_eq!(reset(PASSWORD).await.status(), 204);
    app.drain().await;
}

#[tokio::test]
async fn unknown_addresses_and_dead_tokens_are_answered_alike_with_the_same_calls() {
    let app = TestApp::with_ada().await;
    let used = app.link(ADA).await;
    app.reset(&used, PASSWORD).await;
    app.later(SignedDuration::from_secs(60));
    let expired = app.link(ADA).await;
    app.later(SignedDuration::from_hours(1));
    let live = app.link(ADA).await;
    let of_nobody = |token: &str| Link {
        email: "eve@example.com".to_owned(),
        token: token.to_owned(),
        ..live.clone()
    };
    let unknown = of_nobody(&"0".repeat(64));
    let wrong = Link {
        email: ADA.to_owned(),
        ..unknown.clone()
    };
    let others = of_nobody(&live.token);
    app.aws.take_traffic();

    let mut answers = Vec::new();
    for link in [&wrong, &unknown, &used, &expired, &others] {
        let response = app.reset(link, PASSWORD).await;
        assert!(is_refused(&response));
        let mut calls = app.aws.take_traffic();
        calls.sort();
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["Query", "UpdateItem"]);
        answers.push((response.with_header("X-Request-Id", ""), calls));
    }
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
    }
}

#[tokio::test]
async fn attempts_of_one_source_are_limited() {
    let app = TestApp::with(&[("SOURCE_LIMIT", "3")]).await;
    let link = Link {
        url: "https://app.example.com".parse().unwrap(),
        email: ADA.to_owned(),
        token: "0".repeat(64),
    };
    let answers = futures((0..10).map(|_| app.reset(&link, PASSWORD)).collect()).await;
    assert_eq!(
        answers.iter().filter(|answer| is_refused(answer)).count(),
        3
    );
    let flooded: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status() == 429)
        .collect();
    assert_eq!(flooded.len(), 7);
    assert_eq!(flooded[0].header("Retry-After"), Some("1800"));
}
