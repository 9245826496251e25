//! What the template made, and what the functions wrote about it.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::TimeToLiveStatus;
use serde_json::{Value, json};

use crate::stack::{PASSWORD, Stack, variable, variable_of};

#[tokio::test]
async fn expired_rows_are_deleted_and_tables_are_guarded() {
    let stack = Stack::new();
    let ttl = stack
        .dynamodb
        .describe_time_to_live()
        .table_name(variable("REKEY_TABLE"))
        .send()
        .await
        .unwrap();
    let ttl = ttl.time_to_live_description.unwrap();
    assert_eq!(ttl.attribute_name.as_deref(), Some("expires_at"));
    assert_eq!(ttl.time_to_live_status, Some(TimeToLiveStatus::Enabled));

    let users = stack
        .dynamodb
        .describe_table()
        .table_name(variable("USERS_TABLE"))
        .send()
        .await
        .unwrap()
        .table
        .unwrap();
    let index = users.global_secondary_indexes().first().unwrap();
    let projection = index
        .projection
        .as_ref()
        .unwrap()
        .projection_type
        .as_ref()
        .unwrap();
    assert_eq!(
        projection.as_str(),
        "KEYS_ONLY",
        "who looks an address up sees no hash"
    );
}

#[test]
fn each_binary_has_a_bill_of_what_is_compiled_in_and_of_nothing_else() {
    for (binary, has, has_not) in [
        ("forgot", "aws-sdk-sesv2", "argon2"),
        ("reset", "argon2", "forgot"),
    ] {
        let bom = std::fs::read(format!("target/sam/{binary}.cdx.json")).unwrap();
        let bom: Value = serde_json::from_slice(&bom).unwrap();
        assert_eq!(
            (&bom["bomFormat"], &bom["specVersion"]),
            (&json!("CycloneDX"), &json!("1.5"))
        );
        assert_eq!(bom["metadata"]["component"]["name"], binary);
        let crates = bom["components"].as_array().unwrap();
        let names: Vec<&str> = crates
            .iter()
            .map(|each| each["name"].as_str().unwrap())
            .collect();
        assert!(
            names.contains(&has) && !names.contains(&has_not) && !names.contains(&"dynoxide-rs")
        );
        for each in crates.iter().filter(|each| each["name"] != "rekey") {
            assert!(
                each["hashes"][0]["content"].is_string() && each["licenses"][0].is_object(),
                "{each}"
            );
        }
    }
}

/// With roles enforced by the local AWS: the whole flow works, and nothing that it wrote gives anybody away.
#[tokio::test]
async fn the_logs_of_all_four_functions_follow_a_request_and_hold_no_secret() {
    let email = "log-silence@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let link = stack.link(email).await;
    let asked = stack.forgot("log-unknown@example.com").await.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let changed = stack.reset(&link, PASSWORD).await.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    stack.wait_for_mails(email, 2).await;
    stack.wait_for_the_stream().await;

    let hash = stack.user_row(email).await["password_hash"]
        .as_s()
        .unwrap()
        .clone();
    for (function, id, event) in [
        ("forgot-request", &asked, "RequestsAccepted"),
        ("forgot-deliver", &asked, "UnknownAddresses"),
        ("reset-change", &changed, "PasswordsChanged"),
        ("reset-notify", &changed, "NoticesSent"),
    ] {
        let log = wait_for_line(&stack, function, |line| {
            line["request_id"] == **id && line["event"] == event
        })
        .await;
        for secret in ["@example.com", &link.token, PASSWORD, &hash, "argon2id"] {
            assert!(!log.contains(secret), "{function} logged {secret}");
        }
    }
}

/// Waits for a line in a function's log, and returns all of it.
pub(crate) async fn wait_for_line(
    stack: &Stack,
    function: &str,
    is_meant: impl Fn(&Value) -> bool,
) -> String {
    let group = variable_of(function, "LOG");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = read_log(stack, &group).await;
        if log
            .lines()
            .filter_map(|line| serde_json::from_str(line.trim()).ok())
            .any(|line| is_meant(&line))
        {
            return log;
        }
        assert!(
            Instant::now() < deadline,
            "the line is not in {group}:\n{log}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// One call of `CloudWatch` Logs, which is not worth an SDK crate.
async fn read_log(stack: &Stack, group: &str) -> String {
    let mut log = String::new();
    let mut page = None;
    loop {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/20261123/{}/logs/aws4_request, SignedHeaders=host, Signature=0",
            variable("AWS_ACCESS_KEY_ID"),
            variable("AWS_REGION")
        );
        let mut body = json!({ "logGroupName": group });
        if let Some(page) = page.take() {
            body["nextToken"] = page;
        }
        let call = stack
            .client
            .post(variable("AWS_ENDPOINT_URL"))
            .header("authorization", authorization);
        let call = call.header("x-amz-target", "Logs_20140328.FilterLogEvents");
        let call = call
            .header("content-type", "application/x-amz-json-1.1")
            .body(body.to_string());
        let events: Value = call.send().await.unwrap().json().await.unwrap();
        for event in events["events"].as_array().into_iter().flatten() {
            log.push_str(event["message"].as_str().unwrap_or_default());
            log.push('\n');
        }
        match events.get("nextToken") {
            Some(next) if next.is_string() => page = Some(next.clone()),
            _ => return log,
        }
    }
}
