//! Tests of the desk from the view of a front-end developer.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stack::{Stack, variable};

/// Runs Python code that can import the desk's modules.
fn python(program: &str, variables: &[(&str, &str)]) -> Output {
    Command::new("target/tools/desk/bin/python")
        .args(["-c", program])
        .env("PYTHONPATH", "infra/desk")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// Prints the parameters of a desk, or the reason why it stops.
const PARAMETERS: &str = r#"
import parameters, stop
try:
    found = parameters.parameters_for("http://localhost:4601/", "x86_64")
    print(found["ResetUrls"], found["ResetUrlOrigins"], sep="\n")
except stop.Stop as reason:
    print(reason)
"#;

fn parameters(variables: &[(&str, &str)]) -> String {
    let output = python(PARAMETERS, variables);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_invalid_parameter_is_reported_in_one_sentence() {
    for (given, expected) in [
        (
            "ProductNme=x",
            "Unknown parameter ProductNme. Did you mean ProductName?\n",
        ),
        ("Zzz=x", "Unknown parameter Zzz.\n"),
        (
            "CooldownSeconds=0",
            "CooldownSeconds=0: must be a number from 1 to 3600.\n",
        ),
        (
            "CooldownSeconds=soon",
            "CooldownSeconds=soon: must be a number from 1 to 3600.\n",
        ),
        (
            "LinkPlacement=path",
            "LinkPlacement=path: must be one of query, fragment.\n",
        ),
        (
            "MailFromAddress=Ada",
            "MailFromAddress=Ada: must be one plain address in lower case, like no-reply@example.com.\n",
        ),
    ] {
        assert_eq!(parameters(&[("PARAMETERS", given)]), expected);
    }
    for valid in [
        "",
        "CooldownSeconds=1",
        "ProductName='Two words' LogLevel=WARN",
    ] {
        assert!(
            parameters(&[("PARAMETERS", valid)]).starts_with("http://localhost:4601/,"),
            "{valid}"
        );
    }
}

#[test]
fn an_unknown_kind_of_users_is_reported() {
    let output = python(
        "import stop, users\ntry: users.chosen()\nexcept stop.Stop as reason: print(reason)",
        &[("USERS", "mysql")],
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "USERS: expected one of table, postgresql, cognito, got 'mysql'.\n",
        "{output:?}"
    );
}

#[test]
fn the_app_variable_extends_allow_list_and_origins() {
    let printed = parameters(&[("APP", "http://localhost:5173/reset")]);
    let (urls, origins) = printed.split_once('\n').unwrap();
    assert!(
        urls.starts_with("http://localhost:4601/,http://localhost:5173/reset,"),
        "{urls}"
    );
    assert!(
        origins.starts_with("http://localhost:4601,http://localhost:5173,"),
        "{origins}"
    );
    let printed = parameters(&[("APP", "localhost:5173")]);
    assert!(
        printed.starts_with("APP: expected the URL of your reset page"),
        "{printed}"
    );
}

#[test]
fn a_second_desk_has_its_own_env_file() {
    let output = python(
        "import desk; print(desk.env_file(4601).name, desk.env_file(4701).name)",
        &[],
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "dev.env dev-4701.env\n",
        "{output:?}"
    );
}

/// Raises the errors that a closed tab causes, and then the error of a bug.
const FAILURES: &str = r#"
import page_server
server = page_server.Server(("127.0.0.1", 0), page_server.Handler)
for error in (ConnectionResetError("a tab was closed"), BrokenPipeError("a tab was closed"), ValueError("a mistake")):
    try:
        raise error
    except Exception:
        server.handle_error(None, ("127.0.0.1", 1))
"#;

#[test]
fn a_closed_tab_prints_no_traceback() {
    let output = python(FAILURES, &[]);
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("a mistake"), "{printed}");
    assert!(!printed.contains("a tab was closed"), "{printed}");
}

async fn mailbox() -> Value {
    let mailbox = reqwest::get(variable("MAILBOX_URL")).await.unwrap();
    mailbox.json().await.unwrap()
}

/// Waits for a matching line about a rate-limited request.
async fn held_back(is_match: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mailbox = mailbox().await;
        let lines = mailbox["held_back"].as_array().unwrap();
        let mut lines = lines.iter().map(|line| line.as_str().unwrap());
        if let Some(line) = lines.find(|line| is_match(line)) {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "{:?}", mailbox["held_back"]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_mailbox_lists_rate_limited_requests_with_their_end() {
    let (stack, email) = (Stack::new(), "desk-held-back@example.com");
    stack.user(email).await;
    for _ in 0..5 {
        stack.link(email).await;
        stack.set_time(email, "request#", "requested_at", 1).await;
    }
    assert_eq!(stack.forgot(email).await.status(), 202);
    let line = held_back(|line| line.contains(email)).await;
    assert!(line.contains(" held back: 5 links to "), "{line}");
    assert!(line.contains(" are live; the first expires at "), "{line}");

    assert_eq!(stack.forgot(email).await.status(), 202);
    let line = held_back(|line| line.contains("cooldown")).await;
    assert!(line.contains(" held back: cooldown until "), "{line}");
}

#[tokio::test]
async fn the_desks_log_includes_the_functions_lines() {
    let (stack, email) = (Stack::new(), "desk-log@example.com");
    stack.user(email).await;
    stack.link(email).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while !["ForgotRequest {", "ForgotDeliver {"].iter().all(|line| {
        fs::read_to_string(variable("DESK_LOG"))
            .unwrap()
            .contains(line)
    }) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The mailbox serves an email's HTML unchanged, so the sandbox must block its scripts and requests.
#[tokio::test]
async fn the_html_of_an_email_is_served_in_a_sandbox() {
    let (stack, email) = (Stack::new(), "desk-html@example.com");
    stack.user(email).await;
    let link = stack.link(email).await;
    let mailbox = mailbox().await;
    let mut accounts = mailbox["messages"].as_object().unwrap().values();
    let message = accounts
        .find_map(|account| {
            account
                .as_array()
                .unwrap()
                .iter()
                .find(|message| message["To"][0] == email)
        })
        .unwrap();
    let id = message["MessageId"].as_str().unwrap();
    let response = reqwest::get(format!("{}/{id}", variable("MAILBOX_URL")))
        .await
        .unwrap();
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("sandbox"),
        "{policy}"
    );
    assert!(!policy.contains("script"), "{policy}");
    let html = response.text().await.unwrap();
    assert!(
        html.contains("<base target=\"_top\">") && html.contains(&link.token),
        "{html}"
    );
}
