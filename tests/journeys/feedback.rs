//! What becomes of a mail is told to the operator, and to nobody else.

use serde_json::{Value, json};

use crate::desk::{ADA, Desk};

#[tokio::test]
async fn that_an_address_asked_but_is_suppressed_is_in_the_log_under_the_requests_id() {
    let desk = Desk::with_ada().await;
    let answer = desk.forgot(ADA).await;
    let stranger = desk.forgot("nobody@example.com").await;
    assert_eq!(
        answer.body(),
        stranger.body(),
        "a caller sees nothing of it"
    );
    desk.stream().await;

    let tag = desk.aws.mails()[0].tag().clone();
    let bounce = json!({
        "bounceType": "Permanent", "bounceSubType": "OnAccountSuppressionList",
        "bouncedRecipients": [{ "emailAddress": ADA }],
    });
    let tags = json!({ tag["Name"].as_str().unwrap(): [tag["Value"]], "ses:configuration-set": ["rekey-mail"] });
    let mail = json!({ "destination": [ADA], "tags": tags });
    desk.feedback(&json!({ "eventType": "Bounce", "bounce": bounce, "mail": mail }))
        .await;

    let log = desk.log();
    let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(line["event"], "MailsSuppressed");
    assert_eq!(line["MailsSuppressed"], 1);
    assert_eq!(line["request_id"], answer.header("X-Request-Id").unwrap());
    assert!(!log.contains("example.com"));
}

#[tokio::test]
async fn what_ses_says_otherwise_is_passed_over() {
    let desk = Desk::open().await;
    for event in [
        json!({ "eventType": "Delivery", "mail": { "tags": {} } }),
        json!({ "notificationType": "AmazonSnsSubscriptionSucceeded" }),
        json!("Successfully validated SNS topic for Amazon SES event publishing."),
    ] {
        desk.feedback(&event).await;
    }
    assert_eq!(desk.events(), [""; 0]);
}
