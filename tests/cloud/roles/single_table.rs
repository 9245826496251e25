//! Attempts on a users table that has other items too, under the policies of a deployment with `UsersKeyPrefix`.

use std::process::Command;

use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::attempt::{Attempt, dynamodb, form, sign};
use super::credentials::{account, credentials_of_role, operator};
use crate::stack::Stack;

/// The stack under test has a plain table. So the test creates another one, and a role with the resolved policies.
const TABLE: &str = "single-table";

/// Only the partition key decides: IAM cannot restrict sort keys.
#[tokio::test]
async fn resets_public_half_may_write_no_item_but_a_users() {
    create_table().await;
    let policies = policies("change");
    let role = credentials_of("single-table", &policies).await;
    let allowed = allowed(&role).await;
    assert_eq!(
        allowed,
        [
            "set the password of a user",
            "set the password of a user, in a transaction",
            "set the password of a user's order",
            "set the password of a user's order, in a transaction",
        ]
    );
    assert_eq!(self::allowed(&operator()).await.len(), attempts().len());

    // The denials come from the prefix: without it, the role may write every item.
    let mut mutant = policies;
    let statements = mutant[0]["Statement"].as_array_mut().unwrap();
    let replace = statements
        .iter_mut()
        .find(|one| one["Sid"] == "ReplacePassword");
    let condition = replace.unwrap()["Condition"].as_object_mut().unwrap();
    condition.remove("ForAllValues:StringLike").unwrap();
    let role = credentials_of("single-table-mutant", &mutant).await;
    assert_eq!(self::allowed(&role).await.len(), attempts().len() - 1);
}

async fn allowed(credentials: &Credentials) -> Vec<String> {
    let mut allowed = Vec::new();
    for attempt in attempts() {
        if attempt.is_allowed(credentials).await {
            allowed.push(attempt.name);
        }
    }
    allowed
}

fn attempts() -> Vec<Attempt> {
    let update = |pk: &str, sk: &str, attribute: &str| {
        json!({
            "TableName": TABLE, "Key": { "PK": { "S": pk }, "SK": { "S": sk } },
            "UpdateExpression": "SET #attribute = :value",
            "ExpressionAttributeNames": { "#attribute": attribute },
            "ExpressionAttributeValues": { ":value": { "S": "x" } },
        })
    };
    let transaction = |updates: &[Value]| {
        let members: Vec<Value> = updates
            .iter()
            .map(|update| json!({ "Update": update }))
            .collect();
        json!({ "TransactItems": members })
    };
    let mut attempts = Vec::new();
    for (item, pk, sk) in [
        ("a user", "USER#1", "PROFILE"),
        ("a user's order", "USER#1", "ORDER#1"),
        ("an order", "ORDER#1", "ORDER#1"),
        ("an organization", "ORG#1", "PROFILE"),
        ("a uniqueness item", "USEREMAIL#1", "USEREMAIL#1"),
    ] {
        let name = format!("set the password of {item}");
        let body = update(pk, sk, "password_hash");
        attempts.push(dynamodb(&name, "UpdateItem", &body));
        let name = format!("{name}, in a transaction");
        attempts.push(dynamodb(&name, "TransactWriteItems", &transaction(&[body])));
    }
    let both = [
        update("USER#1", "PROFILE", "password_hash"),
        update("ORDER#1", "ORDER#1", "password_hash"),
    ];
    attempts.push(dynamodb(
        "set the passwords of a user and an order, in a transaction",
        "TransactWriteItems",
        &transaction(&both),
    ));
    attempts.push(dynamodb(
        "set another attribute of a user",
        "UpdateItem",
        &update("USER#1", "PROFILE", "is_admin"),
    ));
    attempts
}

async fn create_table() {
    let attribute = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute
            .attribute_type(ScalarAttributeType::S)
            .build()
            .unwrap()
    };
    let key = |name: &str, kind| {
        let key = KeySchemaElement::builder().attribute_name(name);
        key.key_type(kind).build().unwrap()
    };
    let create = Stack::new().dynamodb.create_table().table_name(TABLE);
    create
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("PK"))
        .attribute_definitions(attribute("SK"))
        .key_schema(key("PK", KeyType::Hash))
        .key_schema(key("SK", KeyType::Range))
        .send()
        .await
        .unwrap();
}

/// Resolves the template to the policies of a half's role, for a deployment with a single table.
fn policies(half: &str) -> Vec<Value> {
    const RESOLVE: &str = "import json, sys; sys.path.insert(0, 'infra/iam'); import roles; \
                           print(json.dumps(roles.policies(roles.load('template.yaml'), json.loads(sys.argv[1]))))";
    let parameters = json!({
        "ResetUrls": "https://app.example.com/reset", "ResetUrlOrigins": "https://app.example.com",
        "ProductName": "Example", "MailFromAddress": "no-reply@example.com", "UsersTableName": TABLE,
        "UsersKeyAttribute": "PK", "UsersKeyPrefix": "USER#",
        "UsersSortKeyAttribute": "SK", "UsersSortKeyPrefix": "PROFILE",
        "UsersEmailAttribute": "GSI1PK", "UsersEmailFormat": "EMAIL#{email}", "UsersEmailIndex": "GSI1",
    });
    let output = Command::new("target/tools/sam/bin/python")
        .args(["-c", RESOLVE, &parameters.to_string()])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let mut roles: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(roles[half].take()).unwrap()
}

/// Creates a role with these policies, and returns credentials for it.
async fn credentials_of(role: &str, policies: &[Value]) -> Credentials {
    let account = account().await;
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" }],
    });
    let create = [
        ("Action", "CreateRole"),
        ("AssumeRolePolicyDocument", &trust.to_string()),
    ];
    iam(role, &create).await;
    for (n, policy) in policies.iter().enumerate() {
        // infra/iam resolves pseudo parameters to another account.
        let policy = policy.to_string().replace("123456789012", &account);
        let name = n.to_string();
        let put = [
            ("Action", "PutRolePolicy"),
            ("PolicyName", &name),
            ("PolicyDocument", &policy),
        ];
        iam(role, &put).await;
    }
    credentials_of_role(&format!("arn:aws:iam::{account}:role/{role}")).await
}

async fn iam(role: &str, parameters: &[(&str, &str)]) {
    let mut body = Serializer::new(String::new());
    body.append_pair("Version", "2010-05-08");
    body.append_pair("RoleName", role).extend_pairs(parameters);
    let attempt = form("prepare a role", "iam", &body.finish());
    let mut request = attempt.call.build().unwrap();
    sign(&mut request, &operator(), "iam");
    let response = Stack::new().client.execute(request).await.unwrap();
    assert_eq!(response.status(), 200, "{:?}", response.text().await);
}
