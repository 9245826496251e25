//! The resources that the template creates: environment, event sources, logs, and alarms.

use serde_json::{Value, json};

use crate::policies::resources;
use support::template;

/// Lambda allows 4 KB for all variables of a function together (AWS Lambda Developer Guide, "Lambda quotas").
#[test]
fn the_longest_allow_list_fits_into_a_functions_environment() {
    const LIMIT: usize = 4096;
    /// Twice the length of a typical text. All texts at their maximum length would not fit.
    const TEXT: usize = 48;
    const ORIGINS: usize = 512;
    let functions = resources();
    let allow_list: usize = template::parameter("ResetUrls").number("MaxLength");
    assert!(allow_list >= 1500);
    let length = |(name, value): (&String, &Value)| {
        let value = match name.as_str() {
            "RESET_URLS" => allow_list,
            "RESET_URL_ORIGINS" => ORIGINS,
            _ => value["Ref"]
                .as_str()
                .and_then(longest_value)
                .unwrap_or(TEXT),
        };
        name.len() + value
    };
    for function in ["ForgotRequest", "ResetChange"] {
        let variables = &functions[function]["Properties"]["Environment"]["Variables"];
        let variables = variables.as_object().unwrap();
        let size: usize = variables.iter().map(length).sum();
        assert!(size <= LIMIT, "{function}: {size} bytes");
    }
}

/// The public half of `reset` compares the settings with its own memory, which the private half does not have.
#[test]
fn only_the_function_that_hashes_gets_the_settings_of_hashing() {
    let functions = resources();
    let hashing = |function: &str| {
        let variables = &functions[function]["Properties"]["Environment"]["Variables"];
        let names = variables.as_object().unwrap().keys();
        let is_hashing = |name: &&String| {
            ["PASSWORD_HASH", "ARGON2_", "BCRYPT_", "PBKDF2_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        names.filter(is_hashing).count()
    };
    assert_eq!(hashing("ResetChange"), 6);
    for other in ["ForgotRequest", "ForgotDeliver", "ResetNotify"] {
        assert_eq!(hashing(other), 0, "{other}");
    }
}

/// Returns the length of a parameter's longest value, if it is a number or one of a list.
fn longest_value(parameter: &str) -> Option<usize> {
    if !template::parameters().iter().any(|name| name == parameter) {
        return None;
    }
    let declared = template::parameter(parameter);
    let values = declared
        .value("MaxValue")
        .or(declared.value("AllowedValues"))?;
    let values = values.trim_matches(['[', ']']).split(", ");
    values.map(str::len).max()
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
    assert!(
        template::text().contains("\nTransform: AWS::Serverless-2016-10-31\n"),
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
