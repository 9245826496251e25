//! Failures of DynamoDB are reported or retried, and no effect is lost or repeated.

use jiff::SignedDuration;

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::faults::{EVERY, Fault, Reply};

#[tokio::test]
async fn a_throttled_table_causes_503_with_retry_after() {
    let app = TestApp::with_ada().await;
    app.aws.fail(
        "TransactWriteItems",
        EVERY,
        (400, "ThrottlingException", "slow down"),
    );
    let response = app.forgot(ADA).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.header("Retry-After"), Some("2"));
    assert!(!response.body().contains("slow down"));
    assert_eq!(app.rows("").await.len(), 0);
    assert_eq!(app.events(), ["Fault"]);
}

#[tokio::test]
async fn a_denied_call_causes_500_without_detail() {
    let app = TestApp::with_ada().await;
    app.aws.fail(
        "TransactWriteItems",
        EVERY,
        (400, "AccessDeniedException", "role x may not"),
    );
    let response = app.forgot(ADA).await;
    assert_eq!(
        (response.status(), response.header("Retry-After")),
        (500, None)
    );
    assert!(!response.body().contains("role") && !app.log().contains("role x"));
    assert!(app.log().contains("AccessDeniedException"));
}

#[tokio::test]
async fn one_failed_call_to_the_table_is_retried_unseen() {
    let app = TestApp::with_ada().await;
    app.aws
        .fail("TransactWriteItems", 1, (500, "InternalServerError", ""));
    assert_eq!(app.forgot(ADA).await.status(), 202);
    app.process_stream().await;
}

#[tokio::test]
async fn a_conflicting_transaction_is_retried() {
    let app = TestApp::with_ada().await;
    app.aws.conflict(2);
    assert_eq!(app.forgot(ADA).await.status(), 202);
    app.try_process_stream().await;
    let link = app.aws.emails()[0].link();

    app.aws.conflict(2);
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);

    // A transaction that conflicts on every attempt is neither accepted nor rejected.
    app.aws.conflict(3);
    assert_eq!(app.forgot("eve@example.com").await.status(), 503);
    app.process_stream().await;
}

#[tokio::test]
async fn a_failed_reset_does_not_use_up_the_link() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    for call in ["UpdateItem", "Query", "TransactWriteItems"] {
        app.aws.fail(call, 3, (500, "InternalServerError", ""));
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 503, "{call}");
        assert_eq!(app.stored("1", "password_hash").await, "old");
    }
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    app.process_stream().await;
}

#[tokio::test]
async fn a_change_whose_response_is_lost_is_applied_once_and_gets_204() {
    let app = TestApp::with_ada().await;
    for reply in [Reply::Closed, Reply::Truncated] {
        let lost_response = || Fault {
            is_done: true,
            reply: reply.clone(),
        };
        app.clock.advance(SignedDuration::from_mins(2));
        app.aws.inject("TransactWriteItems", 1, lost_response());
        let link = app.link(ADA).await;

        app.aws.take_calls();
        app.aws.inject("TransactWriteItems", 2, lost_response());
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
        let calls = app.aws.take_calls();
        let attempts = calls.iter().filter(|call| *call == "TransactWriteItems");
        assert_eq!(attempts.count(), 3);
    }
    let counted = app.rows("rate#forgot#source").await;
    let counted: Vec<&str> = counted
        .iter()
        .map(|row| row["requests"]["N"].as_str().unwrap())
        .collect();
    assert_eq!(counted, ["2"], "each request counts once");
    assert_eq!(app.rows("change#").await.len(), 2);
    app.process_stream().await;
}

#[tokio::test]
async fn the_owner_is_notified_of_a_change_whose_response_was_lost() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    let (is_done, reply) = (true, Reply::Closed);
    app.aws
        .inject("TransactWriteItems", 3, Fault { is_done, reply });
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 503);
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 422);
    assert_ne!(app.stored("1", "password_hash").await, "old");
    app.try_process_stream().await;
    assert!(app.aws.emails()[1].subject().contains("was changed"));
}
