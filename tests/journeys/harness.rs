//! Checks of the test app itself: a test fails if it does not try what it claims.

use support::app::TestApp;
use support::deployment::ADA;
use support::faults::EVERY;

const DENIED: (u16, &str, &str) = (400, "AccessDeniedException", "");

#[tokio::test]
#[should_panic(expected = "planned faults did not fire")]
async fn a_planned_fault_that_does_not_fire_fails_the_test() {
    let app = TestApp::open().await;
    app.aws.fail("GetItem", EVERY, DENIED);
}

#[tokio::test]
#[should_panic(expected = "planned faults did not fire")]
async fn a_planned_fault_that_fires_too_rarely_fails_the_test() {
    let app = TestApp::open().await;
    app.aws.fail("TransactWriteItems", 2, DENIED);
    assert_eq!(app.forgot(ADA).await.status(), 500);
}

#[tokio::test]
#[should_panic(expected = "planned faults did not fire")]
async fn healing_does_not_hide_a_planned_fault() {
    let app = TestApp::open().await;
    app.aws.fail("GetItem", 1, DENIED);
    app.aws.heal();
}

#[tokio::test]
#[should_panic(expected = "planned faults did not fire")]
async fn chaos_without_a_fault_fails_the_test() {
    let app = TestApp::open().await;
    app.aws.inject_chaos(Box::new(|_| None));
    assert_eq!(app.forgot(ADA).await.status(), 202);
    app.process_stream().await;
}

#[tokio::test]
async fn a_test_may_allow_a_planned_fault_to_remain() {
    let app = TestApp::open().await;
    app.aws.fail("GetItem", 1, DENIED);
    app.aws.allow_unfired("this test is about the permission");
}

#[tokio::test]
#[should_panic(expected = "records are unprocessed")]
async fn a_request_that_no_private_half_processed_fails_the_test() {
    let app = TestApp::open().await;
    assert_eq!(app.forgot(ADA).await.status(), 202);
}

#[tokio::test]
#[should_panic(expected = "records are unprocessed")]
async fn a_request_that_must_be_processed_again_fails_the_test() {
    let app = TestApp::with_ada().await;
    assert_eq!(app.forgot(ADA).await.status(), 202);
    app.aws.fail("UpdateItem", 1, DENIED);
    assert!(app.try_process_stream().await.is_some());
}

#[tokio::test]
async fn a_test_may_allow_records_to_remain() {
    let app = TestApp::open().await;
    assert_eq!(app.forgot(ADA).await.status(), 202);
    app.allow_unprocessed("this test is about the permission");
}
