//! Outages: failures are reported and retried, and no effect is lost or repeated.

use std::collections::HashMap;
use std::time::Duration;

use jiff::SignedDuration;
use rekey::aws;
use rekey::lambda::batch::MAX_CONCURRENCY;
use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::{ADA, PAGE, PASSWORD};
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

/// The alarm `ServerErrors` counts failed requests, except for conflicts: anyone can cause one with parallel requests.
#[tokio::test]
async fn a_failed_request_counts_unless_transactions_conflict() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.aws.conflict(3);
    assert_eq!(app.forgot("eve@example.com").await.status(), 503);
    app.aws
        .fail("UpdateItem", 1, (400, "TransactionConflictException", ""));
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 503);
    assert_eq!(failed_requests(&app), 0);
    assert!(app.log().contains("\"code\":\"TransactionConflict\""));

    app.aws
        .fail("TransactWriteItems", 3, (400, "ThrottlingException", ""));
    assert_eq!(app.forgot("eve@example.com").await.status(), 503);
    app.aws.fail("Query", 1, (400, "AccessDeniedException", ""));
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 500);
    assert_eq!(failed_requests(&app), 2);
}

/// Returns the sum that CloudWatch computes for the metric `RequestsFailed`.
fn failed_requests(app: &TestApp) -> usize {
    let log = app.log();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["RequestsFailed"] == 1 && line["Stack"] == "rekey")
        .filter(|line| {
            let metric = &line["_aws"]["CloudWatchMetrics"][0];
            metric["Namespace"] == "Rekey" && metric["Metrics"][0]["Name"] == "RequestsFailed"
        })
        .count()
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

/// Returns SES's message about unverified identities (SES Developer Guide, "Amazon SES email sending errors").
fn not_verified(identities: &str) -> String {
    format!(
        "Email address is not verified. \
         The following identities failed the check in region US-EAST-1: {identities}"
    )
}

#[tokio::test]
async fn an_email_whose_recipient_ses_rejects_is_discarded_and_blocks_nothing() {
    let app = TestApp::open().await;
    for (id, email) in [("1", "a@example.com"), ("2", "b@example.com")] {
        app.user(id, email).await;
        app.forgot(email).await;
        app.clock.advance(SignedDuration::from_millis(10));
    }
    let message = not_verified("a@example.com");
    app.aws
        .fail("SendEmail", 1, (400, "MessageRejected", &message));
    assert_eq!(app.try_process_stream().await, None);
    assert_eq!(app.aws.emails().len(), 1);
    let mut events = app.events().split_off(2);
    events.sort();
    assert_eq!(events, ["EmailsRejected", "LinksSent"]);
    assert!(!app.log().contains("example.com"));
}

/// Returns the last log line about a failed call.
fn last_fault(app: &TestApp) -> Value {
    let log = app.log();
    let mut lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .rfind(|line: &Value| line["event"] == "Fault")
        .unwrap()
}

/// Covers all errors of `SendEmail`, and some common to all AWS services.
#[tokio::test]
async fn an_email_waits_while_ses_rejects_the_deployment_or_is_overloaded() {
    let app = TestApp::with_ada().await;
    for (status, code, level) in [
        (400, "AccountSuspendedException", "ERROR"),
        (400, "BadRequestException", "ERROR"),
        (400, "MailFromDomainNotVerifiedException", "ERROR"),
        (400, "SendingPausedException", "ERROR"),
        (404, "NotFoundException", "ERROR"),
        (403, "AccessDeniedException", "ERROR"),
        (400, "LimitExceededException", "WARN"),
        (400, "ThrottlingException", "WARN"),
        (429, "TooManyRequestsException", "WARN"),
        (500, "InternalFailure", "WARN"),
    ] {
        assert_eq!(app.forgot(ADA).await.status(), 202);
        let before = app.aws.emails().len();
        // The SDK itself retries transient errors.
        let times = if level == "WARN" { 3 } else { 1 };
        app.aws
            .fail("SendEmail", times, (status, code, "of ada@example.com"));
        assert!(
            app.try_process_stream().await.is_some(),
            "{code} is retried"
        );
        let fault = last_fault(&app);
        assert_eq!(
            [&fault["detail"], &fault["code"], &fault["level"]],
            ["mailer.send", code, level]
        );
        assert_eq!(app.try_process_stream().await, None);
        assert_eq!(app.aws.emails().len(), before + 1, "{code} loses no email");
        app.clock.advance(SignedDuration::from_mins(61));
    }
    assert!(!app.events().contains(&"EmailsRejected".to_owned()));
    assert!(!app.log().contains("example.com"));
}

#[tokio::test]
async fn an_email_waits_while_its_sender_is_not_verified() {
    for (waits, identities) in [
        (true, "no-reply@example.com"),
        (true, "ada@example.com, no-reply@example.com"),
        (true, "=?UTF-8?B?RXhhbXBsZQ==?= <No-Reply@example.com>"),
        (true, "example.com"),
        // SES truncates a long list, and the sender may be in the missing part.
        (true, "ada@example.com, ..."),
        (true, "ada@example.com…"),
        (false, "ada@example.com"),
        // An attacker can have an address that contains the sender's.
        (false, "xno-reply@example.com"),
        (false, "no-reply@example.com.evil.test"),
        (false, "Ada <ada@example.com>, ada@example.com"),
    ] {
        let app = TestApp::with_ada().await;
        app.forgot(ADA).await;
        let message = not_verified(identities);
        app.aws
            .fail("SendEmail", 1, (400, "MessageRejected", &message));
        assert_eq!(
            app.try_process_stream().await.is_some(),
            waits,
            "{identities}"
        );
        assert_eq!(app.try_process_stream().await, None);
        let emails = app.aws.emails().len();
        assert_eq!(emails, usize::from(waits), "{identities}");
        assert!(!app.log().contains("example.com"));
    }
}

#[tokio::test]
async fn a_notice_waits_for_ses_and_is_not_lost() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.reset(&link, PASSWORD).await;
    app.aws.fail("SendEmail", 3, (500, "InternalFailure", ""));
    assert!(app.try_process_stream().await.is_some());
    app.clock.advance(SignedDuration::from_hours(20));
    assert_eq!(app.try_process_stream().await, None);
    assert!(app.aws.emails()[1].subject().contains("was changed"));
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

/// SES accepts the email, but responds slowly. A retry before the timeout would send a second email.
#[tokio::test]
async fn an_email_is_sent_once_while_ses_is_slow() {
    let mut app = TestApp::with_ada().await;
    app.forgot(ADA).await;
    app.shorten_timeouts(8);
    let (is_done, reply) = (true, Reply::Late(aws::SES_TIMEOUT / 8 * 3 / 4));
    app.aws.inject("SendEmail", 1, Fault { is_done, reply });
    assert_eq!(app.try_process_stream().await, None);
    assert_eq!(app.aws.emails().len(), 1);
}
