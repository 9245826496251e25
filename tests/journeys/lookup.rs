//! Rekey finds the user by the email address, reads no other attribute, and changes nothing.

use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::ADA;

#[tokio::test]
async fn an_address_of_several_users_gets_no_link() {
    let app = TestApp::with_ada().await;
    app.user("2", ADA).await;
    app.forgot(ADA).await;
    app.try_process_stream().await;
    assert_eq!(app.aws.emails().len(), 0);
    assert_eq!(app.events(), ["RequestsAccepted", "UnknownAddresses"]);
}

#[tokio::test]
async fn the_email_address_may_be_the_users_key() {
    let app = TestApp::with(&[("USERS_KEY_ATTRIBUTE", "email")]).await;
    app.user("1", ADA).await;
    let link = app.link(ADA).await;
    assert_eq!(app.reset(&link, "correct horse").await.status(), 204);
    app.process_stream().await;
}

/// IAM can limit a query's attributes only if the request names them.
#[tokio::test]
async fn the_lookup_names_the_attributes_that_it_reads() {
    for (key, index) in [("id", json!("email-index")), ("email", Value::Null)] {
        let app = TestApp::with(&[("USERS_KEY_ATTRIBUTE", key)]).await;
        app.user("1", ADA).await;
        app.forgot(ADA).await;
        app.aws.take_calls();
        app.try_process_stream().await;
        let calls = app.aws.take_calls();
        let expected = [
            "UpdateItem",
            "Query",
            "GetItem",
            "GetItem",
            "PutItem",
            "SendEmail",
            "PutItem",
        ];
        assert_eq!(calls, expected);
        let lookup = app.aws.last_body("Query");
        assert_eq!(lookup["TableName"], "users");
        assert_eq!(lookup["IndexName"], index);
        assert_eq!(lookup["Select"], "SPECIFIC_ATTRIBUTES");
        let projection = lookup["ProjectionExpression"].as_str().unwrap();
        assert_eq!(lookup["ExpressionAttributeNames"][projection], key);
    }
}

#[tokio::test]
async fn a_lookup_by_key_finds_no_user_for_an_unknown_address() {
    let app = TestApp::with(&[("USERS_KEY_ATTRIBUTE", "email")]).await;
    app.user("1", ADA).await;
    app.forgot("eve@example.com").await;
    app.try_process_stream().await;
    assert_eq!(app.aws.emails().len(), 0);
    assert_eq!(app.events(), ["RequestsAccepted", "UnknownAddresses"]);
}

#[tokio::test]
async fn a_request_does_not_change_the_user() {
    let app = TestApp::with_ada().await;
    app.link(ADA).await;
    let users = app
        .dynamodb
        .scan()
        .table_name("users")
        .send()
        .await
        .unwrap()
        .items
        .unwrap();
    assert_eq!(users[0].len(), 3);
    assert_eq!(app.stored("1", "password_hash").await, "old");
}
