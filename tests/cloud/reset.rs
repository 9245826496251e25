//! Password changes at the deployed stack.

use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::directory_users::OLD_PASSWORD;
use crate::stack::{Stack, is_rejected, problem};
use support::deployment::PASSWORD;
use support::email::Link;

#[tokio::test]
async fn a_link_replaces_the_password_and_the_owner_is_notified() {
    let email = "reset-flow@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    assert!(stack.accepts(email, OLD_PASSWORD).await);
    let before = stack.emails_to(email).await.len();
    assert_eq!(stack.forgot(" Reset-Flow@Example.com ").await.status(), 202);
    let link = stack.wait_for_emails(email, before + 1).await[before].link();
    assert!(link.url.as_str().starts_with(
        "https://app.example.com/password/reset?email=reset-flow%40example.com&token="
    ));

    // A password that the policy rejects does not use up the link.
    let (status, errors) = problem(stack.reset(&link, "short").await).await;
    assert_eq!((status, errors["password"].is_array()), (422, true));

    let response = stack.reset(&link, PASSWORD).await;
    assert_eq!(response.status(), 204);
    assert!(response.headers().contains_key("x-request-id"));
    assert!(stack.accepts(email, PASSWORD).await);
    assert!(!stack.accepts(email, OLD_PASSWORD).await);

    let emails = stack.wait_for_emails(email, 2).await;
    assert!(
        emails[1].subject.starts_with("Your password for"),
        "{}",
        emails[1].subject
    );
    assert!(is_rejected(stack.reset(&link, "another password").await).await);
}

#[tokio::test]
async fn using_one_link_invalidates_all_others() {
    let email = "reset-two@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let first = stack.link(email).await;
    stack
        .set_time(
            email,
            "request#",
            "requested_at",
            Timestamp::now().as_second() - 60,
        )
        .await;
    stack.wait_for_the_stream().await;
    let second = stack.link(email).await;
    assert_eq!(stack.reset(&second, PASSWORD).await.status(), 204);
    assert!(is_rejected(stack.reset(&first, PASSWORD).await).await);
}

#[tokio::test]
async fn an_expired_link_is_rejected_while_its_row_still_exists() {
    let email = "reset-late@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let link = stack.link(email).await;
    stack
        .set_time(
            email,
            "token#",
            "expires_at",
            Timestamp::now().as_second() - 1,
        )
        .await;
    assert!(is_rejected(stack.reset(&link, PASSWORD).await).await);
    assert!(stack.accepts(email, OLD_PASSWORD).await);
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_token_are_rejected_alike() {
    let email = "reset-wrong@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let link = stack.link(email).await;
    let wrong = Link {
        token: "0".repeat(64),
        ..link.clone()
    };
    let unknown = Link {
        email: "reset-unknown@example.com".to_owned(),
        ..link.clone()
    };
    assert!(is_rejected(stack.reset(&wrong, PASSWORD).await).await);
    assert!(is_rejected(stack.reset(&unknown, PASSWORD).await).await);
    assert_eq!(stack.reset(&link, PASSWORD).await.status(), 204);
}

#[tokio::test]
async fn only_one_of_fifty_resets_with_one_link_succeeds() {
    let email = "reset-race@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let link = stack.link(email).await;
    let mut resets = JoinSet::new();
    for n in 0..50 {
        let body = serde_json::json!({
            "email": link.email, "token": link.token, "password": format!("password of number {n}"),
        });
        let call = stack.call("/password/reset").json(&body).send();
        resets.spawn(async move { (n, call.await.unwrap()) });
    }
    let mut winners = Vec::new();
    for (n, response) in resets.join_all().await {
        match response.status().as_u16() {
            204 => winners.push(n),
            _ => assert!(is_rejected(response).await),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let expected = format!("password of number {}", winners[0]);
    assert!(stack.accepts(email, &expected).await);
    stack.wait_for_emails(email, 2).await;
    stack.wait_for_the_stream().await;
    assert_eq!(
        stack.emails_to(email).await.len(),
        2,
        "one link, one notice"
    );
}
