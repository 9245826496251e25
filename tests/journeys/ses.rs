//! Rekey discards an email whose recipient SES rejects. Every other email waits for SES, and none is lost or sent
//! twice.

use jiff::SignedDuration;
use rekey::aws;
use serde_json::Value;

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::faults::{Fault, Reply};

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
