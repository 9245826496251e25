//! The deployed functions' logs follow a request, and contain no secrets.

use jiff::Timestamp;

use crate::directory_users::OLD_PASSWORD;
use crate::logs::{every_log, wait_for_line};
use crate::stack::{Stack, variable};
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
        for secret in ["@example.com", &link.token, PASSWORD, "argon2id"] {
            assert!(!log.contains(secret), "{function} logged {secret}");
        }
    }
}

/// A directory's functions receive each new password or its hash, and a database may log statements.
#[tokio::test]
async fn no_log_contains_a_password_a_hash_or_a_token() {
    let since = Timestamp::now();
    let email = "log-search@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let link = stack.link(email).await;
    let (short, new, late) = ("tooshrt", "a password to search for", "a password too late");
    let mut request = String::new();
    for (password, status) in [(short, 422), (new, 204), (late, 422)] {
        let response = stack.reset(&link, password).await;
        assert_eq!(response.status(), status, "{password}");
        if status == 204 {
            request = response.headers()["x-request-id"]
                .to_str()
                .unwrap()
                .to_owned();
        }
    }
    stack.wait_for_emails(email, 2).await;
    wait_for_line(&stack, "reset-notify", since, |line| {
        line["request_id"] == *request
    })
    .await;

    let logs = every_log(&stack, since).await;
    let hash = stack.password_hash(email).await;
    let hash = hash.as_deref().unwrap_or("argon2");
    for (name, log) in &logs {
        for secret in [OLD_PASSWORD, short, new, late, hash, "argon2", &link.token] {
            assert!(!log.contains(secret), "{name} contains {secret}");
        }
    }
    // The search finds what each log must contain.
    let mut expected = vec![
        (variable("RESET_CHANGE_LOG"), request.as_str()),
        (variable("RESET_NOTIFY_LOG"), request.as_str()),
        (variable("ACCESS_LOG"), request.as_str()),
    ];
    let optional = [
        ("FIND_LOG", "START RequestId"),
        ("REPLACE_LOG", "START RequestId"),
        ("DATABASE_LOG", "UPDATE users"),
    ];
    for (name, text) in optional {
        expected.extend(rekey::config::process(name).map(|name| (name, text)));
    }
    for (name, text) in expected {
        assert!(
            logs[&name].contains(text),
            "{name} lacks {text}: {}",
            logs[&name]
        );
    }
}
