//! What does not work is told, tried again, and neither lost nor done twice.

use std::collections::HashMap;
use std::time::Duration;

use jiff::SignedDuration;
use rekey::aws;
use rekey::lambda::batch::MAX_CONCURRENCY;
use serde_json::{Value, json};

use crate::app::{ADA, PAGE, PASSWORD, TestApp};
use crate::aws::{Answer, EVERY, Wrong};

#[tokio::test]
async fn a_throttled_table_is_503_and_says_when_to_come_back() {
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
async fn a_call_that_is_not_allowed_is_500_without_detail() {
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
async fn one_failure_of_the_table_is_not_seen() {
    let app = TestApp::with_ada().await;
    app.aws
        .fail("TransactWriteItems", 1, (500, "InternalServerError", ""));
    assert_eq!(app.forgot(ADA).await.status(), 202);
    app.drain().await;
}

#[tokio::test]
async fn a_transaction_that_meets_another_is_tried_again() {
    let app = TestApp::with_ada().await;
    app.aws.conflict(2);
    assert_eq!(app.forgot(ADA).await.status(), 202);
    app.stream().await;
    let link = app.aws.mails()[0].link();

    app.aws.conflict(2);
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);

    // For ever, it is neither accepted nor refused.
    app.aws.conflict(3);
    assert_eq!(app.forgot("eve@example.com").await.status(), 503);
    app.drain().await;
}

/// The alarm `ServerErrors` counts these. Anyone can cause a conflict with parallel requests.
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

/// What CloudWatch adds up in the metric `RequestsFailed`.
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
async fn a_reset_that_fails_burns_nothing() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    for call in ["UpdateItem", "Query", "TransactWriteItems"] {
        app.aws.fail(call, 3, (500, "InternalServerError", ""));
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 503, "{call}");
        assert_eq!(app.stored("1", "password_hash").await, "old");
    }
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    app.drain().await;
}

/// So many users, each of whom has asked for a link.
async fn crowd(number: usize) -> TestApp {
    let app = TestApp::open().await;
    for n in 0..number {
        let email = format!("user{n}@example.com");
        app.user(&n.to_string(), &email).await;
        assert_eq!(app.forgot(&email).await.status(), 202);
        app.later(SignedDuration::from_millis(10));
    }
    app.aws.take_calls();
    app
}

/// Who has how many mails.
fn mails_of_each(app: &TestApp) -> Vec<usize> {
    let mut recipients: HashMap<String, usize> = HashMap::new();
    for mail in app.aws.mails() {
        *recipients.entry(mail.to().to_owned()).or_default() += 1;
    }
    recipients.into_values().collect()
}

/// How often SES was called since the last look.
fn mailings(app: &TestApp) -> usize {
    let calls = app.aws.take_calls();
    calls.iter().filter(|call| *call == "SendEmail").count()
}

/// It is not tried again within the call: so it is one record that fails.
const PAUSED: (u16, &str, &str) = (400, "SendingPausedException", "");

/// Lambda repeats everything from the first failure on, also what was sent behind it.
#[tokio::test]
async fn a_failed_email_stops_the_batch_after_its_round_and_no_email_is_sent_twice() {
    let mut app = crowd(40).await;
    app.aws.spare("SendEmail", 5);
    app.aws.fail("SendEmail", 1, PAUSED);
    assert!(app.stream().await.is_some());
    assert_eq!(mailings(&app), MAX_CONCURRENCY, "the rest is not begun");

    // Lambda may give the batch to another instance.
    app.calm_down();
    assert_eq!(app.stream().await, None);
    assert_eq!(mails_of_each(&app), [1; 40]);
}

/// SES answers late, so that emails overlap if they do not wait for one another.
#[tokio::test]
async fn all_emails_of_a_batch_are_sent_at_the_same_time() {
    let app = crowd(2 * MAX_CONCURRENCY).await;
    let (is_done, answer) = (true, Answer::Late(Duration::from_millis(50)));
    app.aws
        .inject("SendEmail", 2 * MAX_CONCURRENCY, Wrong { is_done, answer });
    assert_eq!(app.stream().await, None);
    assert_eq!(app.aws.take_mails_at_once(), MAX_CONCURRENCY);
    assert_eq!(mails_of_each(&app), [1; 2 * MAX_CONCURRENCY]);
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
            app.later(SignedDuration::from_mins(2));
            app.forgot(ADA).await;
            rows.extend(app.rows("request#").await);
        }
        let rows: Vec<&Value> = rows.iter().collect();
        assert_eq!(app.bring_to_forgot(&rows).await, None);

        let mails = app.aws.mails();
        assert_eq!(mails.len(), usize::from(is_known));
        for mail in mails {
            let id = rows[2]["request_id"]["S"].as_str().unwrap();
            // SES allows few characters in tags, so this one is in hex.
            assert_eq!(mail.tag()["Value"], rekey::digest::hex(id.as_bytes()));
        }
        let replaced = "replaced by a newer request for the address";
        assert_eq!(app.log().matches(replaced).count(), 2);
        // An unknown address is logged as such once, too.
        assert_eq!(app.events().len(), 3 + 2 + 1);
    }
}

/// The replaced record counts as done, so the checkpoint is the newest.
#[tokio::test]
async fn the_newest_request_is_retried_after_a_failure() {
    let app = TestApp::with_ada().await;
    let mut rows = Vec::new();
    for _ in 0..2 {
        app.later(SignedDuration::from_mins(2));
        app.forgot(ADA).await;
        rows.extend(app.rows("request#").await);
    }
    let rows: Vec<&Value> = rows.iter().collect();
    app.aws.fail("SendEmail", 1, PAUSED);
    assert!(app.bring_to_forgot(&rows).await.is_some());
    assert_eq!(app.bring_to_forgot(&rows[1..]).await, None);
    assert_eq!(app.aws.mails().len(), 1);
}

/// What SES says when identities are not verified (SES Developer Guide, "Amazon SES email sending errors").
fn not_verified(identities: &str) -> String {
    format!(
        "Email address is not verified. \
         The following identities failed the check in region US-EAST-1: {identities}"
    )
}

#[tokio::test]
async fn an_email_whose_recipient_ses_rejects_is_dropped_and_blocks_nothing() {
    let app = TestApp::open().await;
    for (id, email) in [("1", "a@example.com"), ("2", "b@example.com")] {
        app.user(id, email).await;
        app.forgot(email).await;
        app.later(SignedDuration::from_millis(10));
    }
    let words = not_verified("a@example.com");
    app.aws
        .fail("SendEmail", 1, (400, "MessageRejected", &words));
    assert_eq!(app.stream().await, None);
    assert_eq!(app.aws.mails().len(), 1);
    let mut events = app.events().split_off(2);
    events.sort();
    assert_eq!(events, ["EmailsRejected", "LinksSent"]);
    assert!(!app.log().contains("example.com"));
}

/// The last line of the log about a failed call.
fn last_fault(app: &TestApp) -> Value {
    let log = app.log();
    let mut lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .rfind(|line: &Value| line["event"] == "Fault")
        .unwrap()
}

/// All the errors of `SendEmail`, and some that every AWS service has.
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
        let before = app.aws.mails().len();
        // The SDK itself tries again what may pass.
        let times = if level == "WARN" { 3 } else { 1 };
        app.aws
            .fail("SendEmail", times, (status, code, "of ada@example.com"));
        assert!(app.stream().await.is_some(), "{code} is retried");
        let fault = last_fault(&app);
        assert_eq!(
            [&fault["detail"], &fault["code"], &fault["level"]],
            ["mailer.send", code, level]
        );
        assert_eq!(app.stream().await, None);
        assert_eq!(app.aws.mails().len(), before + 1, "{code} loses no email");
        app.later(SignedDuration::from_mins(61));
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
        // SES cuts a long list off: the sender may be in the rest.
        (true, "ada@example.com, ..."),
        (true, "ada@example.com…"),
        (false, "ada@example.com"),
        // Anyone can have an address that contains the sender's.
        (false, "xno-reply@example.com"),
        (false, "no-reply@example.com.evil.test"),
        (false, "Ada <ada@example.com>, ada@example.com"),
    ] {
        let app = TestApp::with_ada().await;
        app.forgot(ADA).await;
        let words = not_verified(identities);
        app.aws
            .fail("SendEmail", 1, (400, "MessageRejected", &words));
        assert_eq!(app.stream().await.is_some(), waits, "{identities}");
        assert_eq!(app.stream().await, None);
        let emails = app.aws.mails().len();
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
    assert!(app.stream().await.is_some());
    app.later(SignedDuration::from_hours(20));
    assert_eq!(app.stream().await, None);
    assert!(app.aws.mails()[1].subject().contains("was changed"));
}

#[tokio::test]
async fn a_record_that_comes_again_after_its_link_was_sent_sends_nothing() {
    let app = TestApp::with_ada().await;
    app.link(ADA).await;
    let row = app.rows("request#").await.remove(0);
    assert_eq!(app.bring_to_forgot(&[&row]).await, None);
    assert_eq!(app.aws.mails().len(), 1);
    // The request ID may repeat: clients of a REST API can choose it. The time cannot.
    app.later(SignedDuration::from_mins(2));
    let body = json!({ "email": ADA, "reset_url": PAGE });
    let mut event = app.event("/password/forgot", &body.to_string());
    event["requestContext"]["requestId"] = row["request_id"]["S"].clone();
    assert_eq!(app.send(event).await.status(), 202);
    app.drain().await;
    assert_eq!(app.aws.mails().len(), 2);
}

/// Lambda ends after SES accepted the email and before the link is stored.
#[tokio::test]
async fn a_link_that_is_sent_twice_can_be_used_once() {
    let app = TestApp::with_ada().await;
    app.aws.spare("PutItem", 1);
    app.aws.fail("PutItem", 3, (500, "InternalServerError", ""));
    let first = app.link(ADA).await;
    let row = app.rows("request#").await.remove(0);
    assert_eq!(app.bring_to_forgot(&[&row]).await, None);
    let second = app.aws.mails()[1].link();
    assert_ne!(first, second);
    assert_eq!(app.reset(&first, PASSWORD).await.status(), 204);
    assert_eq!(app.reset(&second, PASSWORD).await.status(), 422);
    app.drain().await;
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_done_once_and_said_to_be_done() {
    let app = TestApp::with_ada().await;
    for answer in [Answer::Closed, Answer::Half] {
        let unheard = || Wrong {
            is_done: true,
            answer: answer.clone(),
        };
        app.later(SignedDuration::from_mins(2));
        app.aws.inject("TransactWriteItems", 1, unheard());
        let link = app.link(ADA).await;

        app.aws.take_calls();
        app.aws.inject("TransactWriteItems", 2, unheard());
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
    assert_eq!(counted, ["2"], "each request once");
    assert_eq!(app.rows("change#").await.len(), 2);
    app.drain().await;
}

#[tokio::test]
async fn a_change_that_nobody_heard_of_is_told_to_its_owner() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    let (is_done, answer) = (true, Answer::Closed);
    app.aws
        .inject("TransactWriteItems", 3, Wrong { is_done, answer });
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 503);
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 422);
    assert_ne!(app.stored("1", "password_hash").await, "old");
    app.stream().await;
    assert!(app.aws.mails()[1].subject().contains("was changed"));
}

/// SES has the mail, and takes its time to say so. To ask again after a while would send a second one.
#[tokio::test]
async fn a_mail_that_ses_is_slow_to_take_is_sent_once() {
    let mut app = TestApp::with_ada().await;
    app.forgot(ADA).await;
    app.hurry(8);
    let (is_done, answer) = (true, Answer::Late(aws::SES_TIMEOUT / 8 * 3 / 4));
    app.aws.inject("SendEmail", 1, Wrong { is_done, answer });
    assert_eq!(app.stream().await, None);
    assert_eq!(app.aws.mails().len(), 1);
}
