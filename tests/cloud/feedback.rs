//! What SES says later of a mail reaches the log by the topic, the subscription and the function of the template.

use crate::stack::Stack;
use crate::template::wait_for_line;

#[tokio::test]
async fn bounces_complaints_and_suppressed_addresses_are_told_to_the_operator_alone() {
    let stack = Stack::new();
    for (email, event) in [
        ("suppressionlist@simulator.amazonses.com", "MailsSuppressed"),
        ("bounce@simulator.amazonses.com", "MailsBounced"),
        ("complaint@simulator.amazonses.com", "MailsComplained"),
    ] {
        stack.user(email).await;
        let answer = stack.forgot(email).await;
        assert_eq!(answer.status(), 202);
        let id = answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let log = wait_for_line(&stack, "reset-notify", |line| {
            line["event"] == event && line["request_id"] == *id
        })
        .await;
        assert!(!log.contains("simulator.amazonses.com"));
    }
}
