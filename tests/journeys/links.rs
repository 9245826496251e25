//! A link works once, until it expires, and only for the user and the address that it was sent to.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::email::Link;
use support::responses::is_rejected;

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
