//! The names that the template derives from the stack's name, and their limits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::policies::resources;

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
