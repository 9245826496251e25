//! Tests of `make users-check`, run as an operator runs it.

use std::process::Command;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::stack::{Stack, variable};

/// Other products had such users: openfoodfacts-server#5807, habitica#9707.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn users_check_lists_unreachable_users_with_the_reason() {
    let stack = Stack::new();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let time = |seconds: &str| AttributeValue::N(seconds.to_owned());
    let good = "users-check@example.com";
    let users = [
        (
            "users-check-case",
            "Users-Check-Case@Example.com",
            None,
            "has upper-case letters in its address",
        ),
        (
            "users-check-space",
            "users-check-space@example.com ",
            None,
            "has whitespace around its address",
        ),
        (
            "users-check-domain",
            "users-check@münchen.example",
            None,
            "has a domain that is not in its xn-- form",
        ),
        (
            "users-check-local",
            "üsers-check@example.com",
            None,
            "has a local part that is not ASCII",
        ),
        (
            "users-check-at",
            "users-check",
            None,
            "has an address without @",
        ),
        (
            "users-check-twice",
            "users-check-two@example.com",
            None,
            "shares its address with another user",
        ),
        (
            "users-check-again",
            "users-check-two@example.com",
            None,
            "shares its address with another user",
        ),
        (
            "users-check-iso",
            "users-check-iso@example.com",
            Some(text("2026-11-25T09:00:00Z")),
            "is not a number",
        ),
        (
            "users-check-ms",
            "users-check-ms@example.com",
            Some(time("1795435200250")),
            "not milliseconds",
        ),
    ];
    stack.user(good).await;
    for (id, email, changed_at, _) in &users {
        let put = stack
            .dynamodb
            .put_item()
            .table_name(variable("USERS_TABLE"));
        let put = put.item("id", text(id)).item("email", text(email));
        let put = changed_at.iter().fold(put, |put, time| {
            put.item("password_changed_at", time.clone())
        });
        put.send().await.unwrap();
    }
    let (is_fine, printed) = users_check();
    assert!(!is_fine, "{printed}");
    for (id, _, _, reason) in &users {
        let line = printed
            .lines()
            .find(|line| line.starts_with(&format!("\"{id}\": ")));
        assert!(
            line.is_some_and(|line| line.contains(reason)),
            "{id}: {printed}"
        );
    }
    assert!(!printed.contains(good), "{printed}");
    let last = printed.lines().last().unwrap();
    assert!(last.ends_with(" with problems."), "{printed}");
}

fn users_check() -> (bool, String) {
    let output = Command::new("target/tools/desk/bin/python")
        .args(["infra/users_check.py", &variable("STACK_NAME")])
        .env("AWS_DEFAULT_REGION", variable("AWS_REGION"))
        .output()
        .unwrap();
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.success(), printed)
}
