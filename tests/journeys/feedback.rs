//! Feedback about emails: only the operator sees what happened to an email.

use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::ADA;

#[tokio::test]
async fn a_suppressed_address_is_logged_under_the_requests_id() {
    let app = TestApp::with_ada().await;
    let response = app.forgot(ADA).await;
    let stranger = app.forgot("nobody@example.com").await;
    assert_eq!(response.body(), stranger.body(), "the caller cannot see it");
    app.try_process_stream().await;

    let tag = app.aws.emails()[0].tag().clone();
    let bounce = json!({
        "bounceType": "Permanent", "bounceSubType": "OnAccountSuppressionList",
        "bouncedRecipients": [{ "emailAddress": ADA }],
    });
    let tags = json!({ tag["Name"].as_str().unwrap(): [tag["Value"]], "ses:configuration-set": ["rekey-mail"] });
    let mail = json!({ "destination": [ADA], "tags": tags });
    app.feedback(&json!({ "eventType": "Bounce", "bounce": bounce, "mail": mail }))
        .await;

    let log = app.log();
    let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(line["event"], "EmailsSuppressed");
    assert_eq!(line["EmailsSuppressed"], 1);
    assert_eq!(line["request_id"], response.header("X-Request-Id").unwrap());
    assert!(!log.contains("example.com"));
}

/// Returns the metric and the detail that an event adds to the log.
async fn logged(app: &TestApp, event: &Value) -> Option<(String, String)> {
    let before = app.log().lines().count();
    app.feedback(event).await;
    let log = app.log();
    let line: Value = serde_json::from_str(log.lines().nth(before)?).unwrap();
    let text = |name: &str| line[name].as_str().unwrap().to_owned();
    Some((text("event"), text("detail")))
}

#[tokio::test]
async fn every_kind_of_bounce_has_its_metric() {
    let app = TestApp::open().await;
    for (kind, sub_kind, metric) in [
        ("Undetermined", "Undetermined", "EmailsBounced"),
        ("Permanent", "General", "EmailsBounced"),
        ("Permanent", "NoEmail", "EmailsBounced"),
        ("Permanent", "Suppressed", "EmailsSuppressed"),
        ("Permanent", "OnAccountSuppressionList", "EmailsSuppressed"),
        ("Permanent", "OnTenantSuppressionList", "EmailsSuppressed"),
        ("Permanent", "EmailValidationSuppressed", "EmailsSuppressed"),
        ("Permanent", "UnsubscribedRecipient", "EmailsSuppressed"),
        ("Transient", "General", "EmailsBounced"),
        ("Transient", "MailboxFull", "EmailsBounced"),
        ("Transient", "MessageTooLarge", "EmailsBounced"),
        ("Transient", "CustomTimeoutExceeded", "EmailsBounced"),
        ("Transient", "ContentRejected", "EmailsBounced"),
        ("Transient", "AttachmentRejected", "EmailsBounced"),
        ("Permanent", "SomethingNew", "EmailsBounced"),
    ] {
        let bounce = json!({ "bounceType": kind, "bounceSubType": sub_kind });
        let event = json!({ "eventType": "Bounce", "bounce": bounce, "mail": {} });
        let (event, _) = logged(&app, &event).await.unwrap();
        assert_eq!(event, metric, "{kind} {sub_kind}");
    }
    let unknown = json!({ "eventType": "Bounce", "bounce": {}, "mail": {} });
    let (event, _) = logged(&app, &unknown).await.unwrap();
    assert_eq!(event, "EmailsBounced", "a bounce without a type");
}

#[tokio::test]
async fn a_complaint_is_counted_as_spam_only_if_a_recipient_sent_it() {
    let app = TestApp::open().await;
    let complaint = |sub_kind: Value, kind: Value| {
        let complaint = json!({ "complaintSubType": sub_kind, "complaintFeedbackType": kind });
        json!({ "eventType": "Complaint", "complaint": complaint, "mail": {} })
    };
    for sub_kind in ["OnAccountSuppressionList", "OnTenantSuppressionList"] {
        let event = complaint(json!(sub_kind), Value::Null);
        let (metric, _) = logged(&app, &event).await.unwrap();
        assert_eq!(metric, "EmailsSuppressed", "{sub_kind}");
    }
    for kind in ["abuse", "auth-failure", "fraud", "virus", "other", "new"] {
        let event = complaint(Value::Null, json!(kind));
        let (metric, _) = logged(&app, &event).await.unwrap();
        assert_eq!(metric, "SpamComplaints", "{kind}");
    }
    let bare = json!({ "eventType": "Complaint", "mail": {} });
    assert_eq!(logged(&app, &bare).await.unwrap().0, "SpamComplaints");
    // The recipient moved the email out of the spam folder.
    let not_spam = complaint(Value::Null, json!("not-spam"));
    assert_eq!(logged(&app, &not_spam).await, None);
}

#[tokio::test]
async fn the_log_gives_the_reason_of_a_bounce() {
    let app = TestApp::open().await;
    for (kind, sub_kind, detail) in [
        (
            "Permanent",
            "NoEmail",
            "the mailbox does not exist or accepts no email",
        ),
        (
            "Transient",
            "MailboxFull",
            "the mailbox could not accept the email",
        ),
        (
            "Transient",
            "ContentRejected",
            "the recipient's server rejected the content",
        ),
        (
            "Transient",
            "CustomTimeoutExceeded",
            "SES could not deliver the email in time",
        ),
        (
            "Permanent",
            "OnAccountSuppressionList",
            "SES suppressed the address and did not send the email",
        ),
    ] {
        let bounce = json!({ "bounceType": kind, "bounceSubType": sub_kind });
        let event = json!({ "eventType": "Bounce", "bounce": bounce, "mail": {} });
        assert_eq!(logged(&app, &event).await.unwrap().1, detail, "{sub_kind}");
    }
}

#[tokio::test]
async fn other_ses_events_are_ignored() {
    let app = TestApp::open().await;
    for event in [
        json!({ "eventType": "Delivery", "mail": { "tags": {} } }),
        json!({ "notificationType": "AmazonSnsSubscriptionSucceeded" }),
        json!("Successfully validated SNS topic for Amazon SES event publishing."),
    ] {
        app.feedback(&event).await;
    }
    assert_eq!(app.events(), [""; 0]);
}
