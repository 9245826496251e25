//! The policies of the transformed template: each statement names its actions and resources.

use serde_json::{Map, Value, json};

use crate::stack::variable;

/// The resources that need a wildcard, each with the reason.
const EXCEPTIONS: [(&str, &str); 2] = [
    (
        "ForgotRequestPostPermission",
        "SAM allows every stage of the API, and $default is the only one",
    ),
    ("ResetChangePostPermission", "same reason"),
];

#[test]
fn only_listed_policies_have_a_wildcard() {
    let mut found = Vec::new();
    for (name, resource) in resources() {
        let mut wild = resource["Properties"]
            .as_object()
            .is_some_and(|properties| properties.contains_key("ManagedPolicyArns"));
        if resource["Type"] == "AWS::Lambda::Permission" {
            let permission = &resource["Properties"];
            assert!(
                permission.get("SourceArn").is_some(),
                "{name}: any API or topic may invoke the function"
            );
            wild |= texts(permission).iter().any(|text| text.contains('*'));
        }
        for statement in statements(&resource) {
            for denial in ["NotAction", "NotResource", "NotPrincipal"] {
                assert!(statement.get(denial).is_none(), "{name}: {denial}");
            }
            for part in ["Action", "Resource", "Principal"] {
                let part = statement.get(part).unwrap_or(&Value::Null);
                wild |= texts(part).iter().any(|text| text.contains('*'));
            }
        }
        if wild {
            found.push(name);
        }
    }
    let excepted: Vec<&str> = found
        .iter()
        .filter_map(|name| {
            EXCEPTIONS
                .iter()
                .find(|(excepted, _)| name.contains(excepted))
        })
        .map(|(excepted, _)| *excepted)
        .collect();
    assert_eq!(
        found.len(),
        excepted.len(),
        "add a reason to EXCEPTIONS for each of these with a wildcard: {found:?}"
    );
    assert_eq!(
        excepted.len(),
        EXCEPTIONS.len(),
        "an exception is no longer needed"
    );
}

/// `ForAllValues` matches a request without the key (IAM User Guide, "Multivalued context keys").
#[test]
fn every_for_all_values_condition_requires_the_key() {
    let mut guarded = 0;
    for (name, resource) in resources() {
        for statement in statements(&resource) {
            let Some(conditions) = statement.get("Condition").and_then(Value::as_object) else {
                continue;
            };
            for (operator, keys) in conditions {
                if !operator.starts_with("ForAllValues") {
                    continue;
                }
                for key in if_true(keys).as_object().unwrap().keys() {
                    let null = if_true(&conditions["Null"][key]);
                    assert_eq!(null, "false", "{name}: {key}");
                    guarded += 1;
                }
            }
        }
    }
    assert!(guarded >= 8, "{guarded}");
}

/// The local AWS lets every event source read the stream. Only this test shows that the public halves may not.
#[test]
fn only_private_halves_use_stream_failure_queue_and_ses() {
    for (name, resource) in resources() {
        if resource["Type"] != "AWS::IAM::Role" {
            continue;
        }
        let is_private = name.contains("Deliver") || name.contains("Notify");
        let actions: Vec<String> = statements(&resource)
            .iter()
            .flat_map(|statement| texts(&statement["Action"]))
            .collect();
        for action in ["dynamodb:GetRecords", "sqs:SendMessage", "ses:SendEmail"] {
            assert_eq!(
                actions.iter().any(|each| each == action),
                is_private,
                "{name}: {action}"
            );
        }
        assert!(
            !actions.iter().any(|each| each == "sqs:ReceiveMessage"),
            "{name}"
        );
    }
}

/// `ALL_OLD` would return the row that a write replaces. Only the budget's counter needs its new value, and only a failed
/// claim of a directory function the epoch row.
#[test]
fn every_write_permission_restricts_the_returned_values() {
    let mut pinned = Vec::new();
    for (name, resource) in resources() {
        for statement in statements(&resource) {
            let is_write = |action: &String| {
                ["PutItem", "UpdateItem", "DeleteItem"]
                    .iter()
                    .any(|write| action == &format!("dynamodb:{write}"))
            };
            if !texts(&statement["Action"]).iter().any(is_write) {
                continue;
            }
            let returned = &statement["Condition"]["StringEqualsIfExists"]["dynamodb:ReturnValues"];
            let condition = &statement["Condition"];
            let keys = &if_true(&condition["ForAllValues:StringLike"])["dynamodb:LeadingKeys"];
            let expected = match texts(keys).as_slice() {
                [key] if key == "rate#mail#*" => json!("UPDATED_NEW"),
                [key] if key == "epoch#*" => {
                    json!({ "Fn::If": ["HasFunctions", ["NONE", "ALL_OLD"], "NONE"] })
                }
                _ => json!("NONE"),
            };
            assert_eq!(*returned, expected, "{name}: {}", statement["Sid"]);
            pinned.push(name.clone());
        }
    }
    assert_eq!(pinned.len(), 11, "{pinned:?}");
}

/// A query that names no attributes reads all of them. `GetItem` lacks the `Select` parameter.
#[test]
fn the_user_lookup_must_name_its_attributes() {
    let role = &resources()["ForgotDeliverRole"];
    for sid in ["FindUser", "ReadUser"] {
        let lookup = statement(role, sid);
        assert_eq!(lookup["Action"], "dynamodb:Query");
        assert_eq!(
            lookup["Condition"]["StringEquals"]["dynamodb:Select"],
            "SPECIFIC_ATTRIBUTES"
        );
    }
}

/// IAM cannot restrict sort keys, so the prefix of the partition key is all that protects other items of a table.
#[test]
fn a_key_prefix_restricts_the_users_that_roles_may_read_and_update() {
    let roles = resources();
    for (role, sid) in [
        ("ForgotDeliverRole", "ReadUser"),
        ("ResetChangeRole", "ReplacePassword"),
    ] {
        let condition = &statement(&roles[role], sid)["Condition"];
        assert_eq!(
            condition["ForAllValues:StringLike"],
            json!({ "Fn::If": [
                "HasKeyPrefix",
                { "dynamodb:LeadingKeys": [{ "Fn::Sub": "${UsersKeyPrefix}*" }] },
                { "Ref": "AWS::NoValue" },
            ] })
        );
    }
}

/// Returns the resources of the template, as SAM transformed it.
pub(crate) fn resources() -> Map<String, Value> {
    let template = std::fs::read_to_string(variable("TRANSFORMED_TEMPLATE")).unwrap();
    let template: Value = serde_json::from_str(&template).unwrap();
    let resources = template["Resources"].as_object().unwrap().clone();
    let roles = resources
        .values()
        .filter(|resource| resource["Type"] == "AWS::IAM::Role");
    assert_eq!(roles.count(), 4, "SAM must not add a role");
    resources
}

/// Returns the statements of all policies in a resource.
fn statements(value: &Value) -> Vec<Map<String, Value>> {
    match value {
        Value::Object(object) => {
            let here = object
                .get("Statement")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let here = here.map(|statement| if_true(statement).as_object().unwrap().clone());
            here.chain(object.values().flat_map(statements)).collect()
        }
        Value::Array(values) => values.iter().flat_map(statements).collect(),
        _ => Vec::new(),
    }
}

/// Returns the statement with this ID.
fn statement(value: &Value, sid: &str) -> Map<String, Value> {
    let mut statements = statements(value).into_iter();
    let found = statements.find(|each| each.get("Sid").is_some_and(|each| each == sid));
    found.unwrap()
}

/// Returns the value that `Fn::If` has if its condition is true, or any other value unchanged.
fn if_true(value: &Value) -> &Value {
    value.get("Fn::If").map_or(value, |branches| &branches[1])
}

/// Returns all strings in a value, including those in intrinsic functions.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(object) => object.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
