//! SES feedback reaches the log through the template's topic, subscription, and function.

use aws_sdk_sesv2::types::SuppressionListReason::{Bounce, Complaint};
use jiff::Timestamp;

use crate::logs::wait_for_line;
use crate::stack::{Stack, sdk_config};

#[tokio::test]
async fn ses_feedback_is_logged_without_the_email_address() {
    let since = Timestamp::now();
    let stack = Stack::new();
    for (email, event) in [
        (
            "suppressionlist@simulator.amazonses.com",
            "EmailsSuppressed",
        ),
        ("bounce@simulator.amazonses.com", "EmailsBounced"),
        ("complaint@simulator.amazonses.com", "SpamComplaints"),
    ] {
        stack.user(email).await;
        let response = stack.forgot(email).await;
        assert_eq!(response.status(), 202);
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let log = wait_for_line(&stack, "reset-notify", since, |line| {
            line["event"] == event && line["request_id"] == *id
        })
        .await;
        assert!(!log.contains("simulator.amazonses.com"));
    }
}

#[tokio::test]
async fn ses_honors_the_suppression_list_and_stops_when_links_expire() {
    let client = aws_sdk_sesv2::Client::new(&sdk_config());
    let sets = client.list_configuration_sets().send().await.unwrap();
    let [name] = sets.configuration_sets() else {
        panic!("{sets:?}");
    };
    let set = client.get_configuration_set().configuration_set_name(name);
    let set = set.send().await.unwrap();
    let delivery = set.delivery_options.unwrap();
    let lifetime = 3600;
    assert_eq!(delivery.max_delivery_seconds, Some(lifetime));
    let options = set.suppression_options.unwrap();
    let mut reasons = options.suppressed_reasons().to_vec();
    reasons.sort();
    assert_eq!(reasons, [Bounce, Complaint]);
}
