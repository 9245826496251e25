//! The deployed functions' logs follow a request, and contain no secrets.

use jiff::Timestamp;

use crate::logs::wait_for_line;
use crate::stack::Stack;
use support::deployment::PASSWORD;

/// The local AWS enforces the roles. The whole flow works, and its logs reveal no user and no secret.
#[tokio::test]
async fn the_logs_follow_a_request_and_contain_no_secrets() {
    let since = Timestamp::now();
    let email = "log-silence@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let link = stack.link(email).await;
    let requested = stack.forgot("log-unknown@example.com").await.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let changed = stack.reset(&link, PASSWORD).await.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    stack.wait_for_emails(email, 2).await;
    stack.wait_for_the_stream().await;

    let hash = stack.user_row(email).await["password_hash"]
        .as_s()
        .unwrap()
        .clone();
    for (function, id, event) in [
        ("forgot-request", &requested, "RequestsAccepted"),
        ("forgot-deliver", &requested, "UnknownAddresses"),
        ("reset-change", &changed, "PasswordsChanged"),
        ("reset-notify", &changed, "NoticesSent"),
    ] {
        let log = wait_for_line(&stack, function, since, |line| {
            line["request_id"] == **id && line["event"] == event
        })
        .await;
        for secret in ["@example.com", &link.token, PASSWORD, &hash, "argon2id"] {
            assert!(!log.contains(secret), "{function} logged {secret}");
        }
    }
}
