//! Requests for links at the deployed stack.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::stack::Stack;
use support::deployment::PAGE;

#[tokio::test]
async fn an_unknown_address_gets_the_same_response_and_no_email() {
    let (known, unknown) = ("forgot-known@example.com", "forgot-unknown@example.com");
    let stack = Stack::new();
    stack.user(known).await;

    let mut responses = Vec::new();
    for email in [known, unknown] {
        let response = stack.forgot(email).await;
        assert_eq!(response.status(), 202);
        let mut headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .filter(|(name, _)| {
                !["date", "x-request-id", "apigw-requestid"].contains(&name.as_str())
            })
            .collect();
        headers.sort();
        responses.push((headers, response.text().await.unwrap()));
    }
    assert_eq!(responses[0], responses[1]);

    stack.wait_for_the_stream().await;
    assert_eq!(stack.emails_to(known).await.len(), 1);
    assert_eq!(stack.emails_to(unknown).await.len(), 0);
}

#[tokio::test]
async fn a_request_within_the_cooldown_looks_alike_but_sends_nothing() {
    let email = "forgot-cooling@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let first = stack.forgot(email).await.text().await.unwrap();
    let second = stack.forgot(email).await;
    assert_eq!(second.status(), 202);
    assert_eq!(second.text().await.unwrap(), first);
    stack.wait_for_the_stream().await;
    assert_eq!(stack.emails_to(email).await.len(), 1);

    // Move the request a minute into the past.
    stack
        .set_time(
            email,
            "request#",
            "requested_at",
            Timestamp::now().as_second() - 60,
        )
        .await;
    stack.wait_for_the_stream().await;
    let emails = stack.emails_to(email).await.len();
    assert_eq!(stack.forgot(email).await.status(), 202);
    stack.wait_for_emails(email, emails + 1).await;
}

#[tokio::test]
async fn the_source_limit_ignores_headers_and_spares_other_sources() {
    let stack = Stack::new();
    let request = |n: usize| {
        let body = json!({ "email": format!("flood-{n}@example.com"), "reset_url": PAGE });
        stack
            .call("/password/forgot")
            .header("x-forwarded-for", format!("198.51.100.{n}"))
            .json(&body)
            .send()
    };
    let mut statuses = Vec::new();
    // One more than twice the limit, since a window may end during the loop.
    for n in 0..=200 {
        let response = request(n).await.unwrap();
        statuses.push(response.status().as_u16());
        if response.status() == 429 {
            let seconds: u64 = response.headers()["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((1..=1800).contains(&seconds));
            let body: Value = response.json().await.unwrap();
            assert_eq!(body["type"], "urn:rekey:problem:too-many-requests");
            break;
        }
    }
    assert_eq!(statuses.pop(), Some(429));
    assert!(
        statuses.len() >= 100 && statuses.iter().all(|status| *status == 202),
        "{statuses:?}"
    );
    assert_eq!(
        Stack::new()
            .forgot("flood-other@example.com")
            .await
            .status(),
        202
    );
}
