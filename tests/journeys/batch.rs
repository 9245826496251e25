//! Lambda delivers records in batches, and delivers some of them again. Each email is sent once.

use std::collections::HashMap;
use std::time::Duration;

use jiff::SignedDuration;
use rekey::lambda::batch::MAX_CONCURRENCY;
use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::{ADA, PAGE, PASSWORD};
use support::faults::{Fault, Reply};

/// Starts an app with this many users, each of whom has requested a link.
async fn crowd(number: usize) -> TestApp {
    let app = TestApp::open().await;
    for n in 0..number {
        let email = format!("user{n}@example.com");
        app.user(&n.to_string(), &email).await;
        assert_eq!(app.forgot(&email).await.status(), 202);
        app.clock.advance(SignedDuration::from_millis(10));
    }
    app.aws.take_calls();
    app
}

/// Returns the number of emails of each recipient.
fn emails_by_recipient(app: &TestApp) -> Vec<usize> {
    let mut recipients: HashMap<String, usize> = HashMap::new();
    for email in app.aws.emails() {
        *recipients.entry(email.to().to_owned()).or_default() += 1;
    }
    recipients.into_values().collect()
}

/// Returns the number of calls to SES since calls were last taken.
fn calls_to_ses(app: &TestApp) -> usize {
    let calls = app.aws.take_calls();
    calls.iter().filter(|call| *call == "SendEmail").count()
}

/// An error that the SDK does not retry, so exactly one record fails.
const PAUSED: (u16, &str, &str) = (400, "SendingPausedException", "");

/// Lambda delivers all records from the first failure again, even those whose emails were sent.
#[tokio::test]
async fn a_failed_email_stops_later_rounds_and_no_email_is_sent_twice() {
    let mut app = crowd(40).await;
    app.aws.succeed("SendEmail", 5);
    app.aws.fail("SendEmail", 1, PAUSED);
    assert!(app.try_process_stream().await.is_some());
    assert_eq!(
        calls_to_ses(&app),
        MAX_CONCURRENCY,
        "no further round starts"
    );

    // Lambda may give the batch to another instance.
    app.restart();
    assert_eq!(app.try_process_stream().await, None);
    assert_eq!(emails_by_recipient(&app), [1; 40]);
}

/// SES responds late, so that emails overlap unless one waits for another.
#[tokio::test]
async fn all_emails_of_a_batch_are_sent_at_the_same_time() {
    let app = crowd(2 * MAX_CONCURRENCY).await;
    let (is_done, reply) = (true, Reply::Late(Duration::from_millis(50)));
    app.aws
        .inject("SendEmail", 2 * MAX_CONCURRENCY, Fault { is_done, reply });
    assert_eq!(app.try_process_stream().await, None);
    assert_eq!(app.aws.take_max_concurrent_emails(), MAX_CONCURRENCY);
    assert_eq!(emails_by_recipient(&app), [1; 2 * MAX_CONCURRENCY]);
}

#[tokio::test]
async fn only_the_newest_request_of_an_address_in_a_batch_is_delivered() {
    for is_known in [true, false] {
        let app = TestApp::open().await;
        if is_known {
            app.user("1", ADA).await;
        }
        let mut rows = Vec::new();
        for _ in 0..3 {
            app.clock.advance(SignedDuration::from_mins(2));
            app.forgot(ADA).await;
            rows.extend(app.rows("request#").await);
        }
        let rows: Vec<&Value> = rows.iter().collect();
        assert_eq!(app.deliver(&rows).await, None);

        let emails = app.aws.emails();
        assert_eq!(emails.len(), usize::from(is_known));
        for email in emails {
            let id = rows[2]["request_id"]["S"].as_str().unwrap();
            // SES allows few characters in tags, so this one is in hex.
            assert_eq!(email.tag()["Value"], rekey::digest::hex(id.as_bytes()));
        }
        let replaced = "replaced by a newer request for the address";
        assert_eq!(app.log().matches(replaced).count(), 2);
        // An unknown address is also logged only once.
        assert_eq!(app.events().len(), 3 + 2 + 1);
    }
}

/// The replaced record counts as done, so the checkpoint is the newest record.
#[tokio::test]
async fn the_newest_request_is_retried_after_a_failure() {
    let app = TestApp::with_ada().await;
    let mut rows = Vec::new();
    for _ in 0..2 {
        app.clock.advance(SignedDuration::from_mins(2));
        app.forgot(ADA).await;
        rows.extend(app.rows("request#").await);
    }
    let rows: Vec<&Value> = rows.iter().collect();
    app.aws.fail("SendEmail", 1, PAUSED);
    assert!(app.deliver(&rows).await.is_some());
    assert_eq!(app.deliver(&rows[1..]).await, None);
    assert_eq!(app.aws.emails().len(), 1);
}

#[tokio::test]
async fn a_record_delivered_again_after_its_link_was_sent_sends_nothing() {
    let app = TestApp::with_ada().await;
    app.link(ADA).await;
    let row = app.rows("request#").await.remove(0);
    assert_eq!(app.deliver(&[&row]).await, None);
    assert_eq!(app.aws.emails().len(), 1);
    // The request ID may repeat, because clients of a REST API can choose it. The time cannot repeat.
    app.clock.advance(SignedDuration::from_mins(2));
    let body = json!({ "email": ADA, "reset_url": PAGE });
    let mut event = app.event("/password/forgot", &body.to_string());
    event["requestContext"]["requestId"] = row["request_id"]["S"].clone();
    assert_eq!(app.send(event).await.status(), 202);
    app.process_stream().await;
    assert_eq!(app.aws.emails().len(), 2);
}

/// Lambda ends the function after SES accepted the email, and before the link is stored.
#[tokio::test]
async fn a_request_that_is_delivered_twice_has_one_usable_link() {
    let app = TestApp::with_ada().await;
    app.aws.succeed("PutItem", 1);
    app.aws.fail("PutItem", 3, (500, "InternalServerError", ""));
    let first = app.link(ADA).await;
    let row = app.rows("request#").await.remove(0);
    assert_eq!(app.deliver(&[&row]).await, None);
    let second = app.aws.emails()[1].link();
    assert_ne!(first, second);
    assert_eq!(app.reset(&first, PASSWORD).await.status(), 204);
    assert_eq!(app.reset(&second, PASSWORD).await.status(), 422);
    app.process_stream().await;
}
