//! The resources that the template creates, its build, and the logs of its functions.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::TimeToLiveStatus;
use serde_json::{Value, json};

use crate::policies::resources;
use crate::stack::{Stack, variable, variable_of};
use support::deployment::PASSWORD;

#[tokio::test]
async fn expired_rows_are_deleted_and_the_email_index_hides_hashes() {
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
        "a lookup by address must not reveal a hash"
    );
}

/// A failed first deployment deletes what it created. CloudFormation cannot delete a protected table.
#[test]
fn only_the_users_table_is_protected_from_deletion() {
    let resources = resources();
    let protected = |table: &str| &resources[table]["Properties"]["DeletionProtectionEnabled"];
    assert_eq!(protected("RekeyTable"), &Value::Null);
    assert_eq!(
        protected("UsersTable"),
        &json!({ "Ref": "DeletionProtection" })
    );
    assert_eq!(resources["UsersTable"]["DeletionPolicy"], "Retain");
}

/// The properties that may contain the stack's name, with their limits from the services' API references.
const LIMITS: [(&str, &str, usize); 6] = [
    ("AWS::ApiGatewayV2::Api", "Body.info.title", 128),
    ("AWS::ApiGatewayV2::Api", "Body.info.description", 1024),
    ("AWS::CloudWatch::Alarm", "Dimensions.Value", 1024),
    (
        "AWS::CloudWatch::Alarm",
        "Metrics.MetricStat.Metric.Dimensions.Value",
        1024,
    ),
    // The value of the dimension `Stack`.
    (
        "AWS::Lambda::Function",
        "Environment.Variables.STACK_NAME",
        1024,
    ),
    ("AWS::Logs::LogGroup", "LogGroupName", 512),
];

/// CloudFormation allows 128 characters, and shortens only the names that it generates.
#[test]
fn the_longest_stack_name_exceeds_no_limit() {
    let mut found = BTreeMap::new();
    for (name, resource) in resources() {
        let mut derived = Vec::new();
        from_stack_name(&resource["Properties"], "", &mut derived);
        for (path, text) in derived {
            let kind = resource["Type"].as_str().unwrap();
            let limit = LIMITS
                .iter()
                .find(|(type_, property, _)| (*type_, *property) == (kind, &path));
            let (.., limit) = limit.unwrap_or_else(|| panic!("{name}: no limit for {path}"));
            assert!(text.len() <= *limit, "{name}: {path} is {text}");
            found.insert((kind.to_owned(), path), text);
        }
    }
    assert_eq!(found.len(), LIMITS.len(), "{found:?}");
    assert!(found.values().all(|text| text.len() >= 128), "{found:?}");
}

/// Collects the properties that contain the stack's name, with their paths.
fn from_stack_name(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            let is_made = object
                .keys()
                .any(|key| key == "Ref" || (key.starts_with("Fn::") && key != "Fn::If"));
            if is_made {
                if value.to_string().contains("AWS::Stack") {
                    found.push((path.trim_start_matches('.').to_owned(), resolve(value)));
                }
                return;
            }
            for (key, value) in object {
                let path = if key == "Fn::If" {
                    path.to_owned()
                } else {
                    format!("{path}.{key}")
                };
                from_stack_name(value, &path, found);
            }
        }
        Value::Array(values) => {
            for value in values {
                from_stack_name(value, path, found);
            }
        }
        _ => {}
    }
}

/// Evaluates the template's intrinsic functions for a stack with the longest name. Other references are empty.
fn resolve(value: &Value) -> String {
    let name = "n".repeat(128);
    let id = format!(
        "arn:aws:cloudformation:ap-southeast-2:123456789012:stack/{name}/{}",
        "d".repeat(36)
    );
    let Some((function, argument)) = value.as_object().and_then(|object| object.iter().next())
    else {
        return value.as_str().unwrap().to_owned();
    };
    match (function.as_str(), argument) {
        ("Ref", _) if argument == "AWS::StackName" => name,
        ("Ref", _) if argument == "AWS::StackId" => id,
        ("Ref", _) => String::new(),
        ("Fn::Sub", Value::String(text)) => text
            .replace("${AWS::StackName}", &name)
            .replace("${AWS::StackId}", &id),
        ("Fn::Sub", Value::Array(parts)) => {
            let mut text = resolve(&json!({ "Fn::Sub": parts[0] }));
            for (name, value) in parts[1].as_object().unwrap() {
                text = text.replace(&format!("${{{name}}}"), &resolve(value));
            }
            text
        }
        ("Fn::Select", Value::Array(parts)) => {
            let split = &parts[1]["Fn::Split"];
            let index = usize::try_from(parts[0].as_u64().unwrap()).unwrap();
            let whole = resolve(&split[1]);
            let mut split = whole.split(split[0].as_str().unwrap());
            split.nth(index).unwrap().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

/// Lambda allows 4 KB for all variables of a function together (AWS Lambda Developer Guide, "Lambda quotas").
#[test]
fn the_longest_allow_list_fits_into_a_functions_environment() {
    const LIMIT: usize = 4096;
    /// Twice the length of a typical value. All values at their maximum length would not fit.
    const VALUE: usize = 48;
    const ORIGINS: usize = 512;
    let functions = resources();
    let variables = &functions["ForgotRequest"]["Properties"]["Environment"]["Variables"];
    let variables = variables.as_object().unwrap();
    let names: usize = variables.keys().map(String::len).sum();
    let template = std::fs::read_to_string("template.yaml").unwrap();
    let (_, declared) = template.split_once("  ResetUrls:\n").unwrap();
    let (_, rest) = declared.split_once("MaxLength: ").unwrap();
    let allow_list: usize = rest.split_whitespace().next().unwrap().parse().unwrap();
    assert!(allow_list >= 1500);
    let size = names + variables.len() * VALUE + ORIGINS + allow_list;
    assert!(size <= LIMIT, "{size} bytes");
}

/// The private halves start all records of a batch at once: up to 16 emails.
#[test]
fn both_private_halves_get_up_to_sixteen_records() {
    let resources = resources();
    for (name, parallelization) in [
        (
            "ForgotDeliverRequested",
            json!({ "Ref": "DeliverParallelization" }),
        ),
        ("ResetNotifyChanged", Value::Null),
    ] {
        let mapping = &resources[name]["Properties"];
        assert_eq!(mapping["BatchSize"], 16);
        assert_eq!(mapping["ParallelizationFactor"], parallelization);
    }
}

/// API Gateway stores the ARN without ":*". With it, the stack would show drift.
#[test]
fn the_access_logs_arn_has_no_wildcard() {
    let stage = &resources()["ApiApiGatewayDefaultStage"]["Properties"];
    let destination = stage["AccessLogSettings"]["DestinationArn"].to_string();
    assert!(
        destination.contains(":log-group:${AccessLog}") && !destination.contains(":*"),
        "{destination}"
    );
}

/// CloudFormation ignores a changed policy unless something else in the resource changes. So the metadata changes too.
#[test]
fn keep_logs_and_failures_retains_logs_and_failure_queue() {
    let template = std::fs::read_to_string("template.yaml").unwrap();
    assert!(
        template.contains("\nTransform: AWS::Serverless-2016-10-31\n"),
        "AWS::LanguageExtensions rejects RetainExceptOnCreate"
    );
    let kept = |resource: &Value| {
        let is_conditional = |policy: &str, keep: &str| {
            resource[policy] == json!({ "Fn::If": ["KeepRecords", keep, "Delete"] })
        };
        is_conditional("DeletionPolicy", "RetainExceptOnCreate")
            && is_conditional("UpdateReplacePolicy", "Retain")
            && resource["Metadata"]["KeepLogsAndFailures"]["Ref"] == "KeepLogsAndFailures"
    };
    let resources = resources();
    let records: Vec<&Value> = resources
        .values()
        .filter(|resource| {
            resource["Type"] == "AWS::Logs::LogGroup" || resource["Type"] == "AWS::SQS::Queue"
        })
        .collect();
    assert_eq!(records.len(), 6);
    assert!(records.into_iter().all(kept));
}

/// One failure every few minutes must raise the alarm. Transaction conflicts must not, but API Gateway's 5xx metric
/// counts both.
#[test]
fn the_server_error_alarm_sums_failures_over_fifteen_minutes() {
    let resources = resources();
    let alarm = &resources["ServerErrors"]["Properties"];
    assert_eq!(alarm["ComparisonOperator"], "GreaterThanOrEqualToThreshold");
    assert_eq!(alarm["Threshold"], 3);
    assert_eq!(alarm["EvaluationPeriods"], 1);
    assert_eq!(alarm["TreatMissingData"], "notBreaching");
    let (mut watched, mut sums) = (Vec::new(), Vec::new());
    for metric in alarm["Metrics"].as_array().unwrap() {
        if let Some(sum) = metric.get("Expression") {
            // `ReturnData` defaults to true, so the alarm watches this metric.
            assert_eq!(metric.get("ReturnData"), None);
            sums.push(sum.as_str().unwrap());
        }
        if let Some(stat) = metric.get("MetricStat") {
            assert_eq!(metric["ReturnData"], false);
            assert_eq!(
                (&stat["Stat"], &stat["Period"]),
                (&json!("Sum"), &json!(900))
            );
            let value = &stat["Metric"]["Dimensions"][0]["Value"]["Ref"];
            let name = stat["Metric"]["MetricName"].as_str().unwrap();
            watched.push(format!("{name} of {}", value.as_str().unwrap()));
        }
    }
    let expected = [
        "RequestsFailed of AWS::StackName",
        "Errors of ForgotRequest",
        "Throttles of ForgotRequest",
        "Errors of ResetChange",
        "Throttles of ResetChange",
    ];
    assert_eq!(watched, expected);
    // A metric without a value counts as 0, not as missing.
    assert_eq!(sums, ["SUM(FILL(METRICS(), 0))"]);
    let suppressed = &resources["EmailsSuppressed"]["Properties"];
    assert_eq!(
        (&suppressed["MetricName"], &suppressed["Statistic"]),
        (&json!("EmailsSuppressed"), &json!("Sum"))
    );
}

/// This machine cannot compile for arm64, so a stand-in for cargo-lambda records SAM's arguments.
#[test]
fn sam_builds_for_the_architecture_in_samconfig() {
    let folder = std::env::current_dir().unwrap().join("target/samconfig");
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    let script = "#!/bin/sh\necho \"$*\" >> \"$CALLS\"\nexit 1\n";
    for tool in ["cargo", "cargo-lambda"] {
        let tool = folder.join("bin").join(tool);
        std::fs::write(&tool, script).unwrap();
        std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    }
    for file in ["template.yaml", "Cargo.toml"] {
        std::fs::copy(file, folder.join(file)).unwrap();
    }
    let config = std::fs::read_to_string("samconfig.toml").unwrap();
    assert_eq!(
        config.matches("\nparameter_overrides = ").count(),
        1,
        "{config}"
    );
    assert_eq!(config.matches("Architecture=x86_64").count(), 1, "{config}");
    let builds_for_arm = |config: &str| {
        std::fs::write(folder.join("samconfig.toml"), config).unwrap();
        sam_build(&folder).contains("lambda build --release --arm64")
    };
    assert!(!builds_for_arm(&config));
    assert!(builds_for_arm(
        &config.replace("Architecture=x86_64", "Architecture=arm64")
    ));
}

/// On the command line, `--parameter-overrides` replaces the list of `samconfig.toml`, for that command alone.
#[test]
fn the_guide_builds_and_deploys_for_one_architecture() {
    let guide = std::fs::read_to_string("docs/deploy.md").unwrap();
    let (_, rest) = guide
        .split_once("$ sam build --parameter-overrides")
        .unwrap();
    let (command, _) = rest.split_once("```").unwrap();
    let command = format!("sam build --parameter-overrides{command}").replace("\\\n", " ");
    let architectures: Vec<&str> = command
        .split("&&")
        .zip(["sam build ", "sam deploy "])
        .map(|(step, starts_with)| {
            assert!(step.trim().starts_with(starts_with), "{command}");
            let mut words = step.split_whitespace();
            words
                .find_map(|word| word.strip_prefix("Architecture="))
                .unwrap()
        })
        .collect();
    assert_eq!(architectures.len(), 2, "{command}");
    assert_eq!(command.matches("Architecture=").count(), 2, "{command}");
    assert_eq!(architectures[0], architectures[1], "{command}");
}

/// Runs `sam build` with the tools of a folder, and returns its calls to them.
fn sam_build(folder: &Path) -> String {
    let calls = folder.join("calls");
    std::fs::write(&calls, "").unwrap();
    let path = format!("{}/bin:{}", folder.display(), variable("PATH"));
    Command::new(
        std::env::current_dir()
            .unwrap()
            .join("target/tools/sam/bin/sam"),
    )
    .arg("build")
    .current_dir(folder)
    .env("PATH", path)
    .env("CALLS", &calls)
    .env("SAM_CLI_TELEMETRY", "0")
    .output()
    .unwrap();
    let calls = std::fs::read_to_string(calls).unwrap();
    assert!(calls.contains("lambda build --release"), "{calls}");
    calls
}

#[test]
fn each_binarys_bill_of_materials_lists_only_compiled_crates() {
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

/// The local AWS enforces the roles. The whole flow works, and its logs reveal no user and no secret.
#[tokio::test]
async fn the_logs_follow_a_request_and_contain_no_secrets() {
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
        let log = wait_for_line(&stack, function, |line| {
            line["request_id"] == **id && line["event"] == event
        })
        .await;
        for secret in ["@example.com", &link.token, PASSWORD, &hash, "argon2id"] {
            assert!(!log.contains(secret), "{function} logged {secret}");
        }
    }
}

/// Waits for a matching line in a function's log, and returns the whole log.
pub(crate) async fn wait_for_line(
    stack: &Stack,
    function: &str,
    is_match: impl Fn(&Value) -> bool,
) -> String {
    let group = variable_of(function, "LOG");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = read_log(stack, &group).await;
        if log
            .lines()
            .filter_map(|line| serde_json::from_str(line.trim()).ok())
            .any(|line| is_match(&line))
        {
            return log;
        }
        assert!(
            Instant::now() < deadline,
            "no matching line in {group}:\n{log}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Calls `CloudWatch` Logs. One call does not justify another SDK crate.
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
