//! Attempts on the two tables.

use serde_json::{Value, json};

use super::attempt::{Attempt, dynamodb};
use crate::stack::variable;

/// Returns reads and writes of each kind of row.
pub(crate) fn rows() -> Vec<Attempt> {
    let table = variable("REKEY_TABLE");
    let mut attempts = Vec::new();
    for kind in [
        "request#",
        "token#",
        "change#",
        "links#",
        "epoch#",
        "rate#forgot#",
        "rate#reset#",
        "rate#mail#",
    ] {
        let pk = json!({ "S": format!("{kind}unused") });
        let key = json!({ "pk": pk });
        let one = json!({ ":one": { "N": "1" } });
        let value = json!({ ":pk": pk });
        for (verb, target, body) in [
            ("put", "PutItem", json!({ "TableName": table, "Item": key })),
            ("get", "GetItem", json!({ "TableName": table, "Key": key })),
            (
                "find",
                "Query",
                json!({ "TableName": table, "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": value }),
            ),
            (
                "update",
                "UpdateItem",
                json!({ "TableName": table, "Key": key, "UpdateExpression": "ADD requests :one", "ExpressionAttributeValues": one }),
            ),
            (
                "delete",
                "DeleteItem",
                json!({ "TableName": table, "Key": key }),
            ),
        ] {
            attempts.push(dynamodb(&format!("{verb} {kind}"), target, &body));
            attempts.extend(returning(verb, kind, target, &body));
        }
    }
    attempts
}

/// Returns variants of a write that also read the row that it replaces, or the new count.
fn returning(verb: &str, kind: &str, target: &str, body: &Value) -> Vec<Attempt> {
    let ways: &[(&str, &str)] = match verb {
        "put" | "delete" => &[("ALL_OLD", "see the old row")],
        "update" => &[
            ("ALL_OLD", "see the old row"),
            ("ALL_NEW", "see the row"),
            ("UPDATED_NEW", "see the new count"),
        ],
        _ => &[],
    };
    let ways = ways.iter().map(|(returned, seen)| {
        let mut body = body.clone();
        body["ReturnValues"] = json!(returned);
        dynamodb(&format!("{verb} {kind} and {seen}"), target, &body)
    });
    ways.collect()
}

/// Returns other ways to reach the rows, and changes to the table.
pub(crate) fn tables() -> Vec<Attempt> {
    let table = variable("REKEY_TABLE");
    let key = json!({ "pk": { "S": "token#unused" } });
    let put = json!({ "Put": { "TableName": table, "Item": key } });
    let get = json!({ "Get": { "TableName": table, "Key": key } });
    let batch = json!({ &table: [{ "PutRequest": { "Item": key } }] });
    let ttl = json!({ "Enabled": false, "AttributeName": "expires_at" });
    let everything = format!("SELECT * FROM \"{table}\"");
    let attempt = dynamodb;
    vec![
        attempt(
            "put token# in a transaction",
            "TransactWriteItems",
            &json!({ "TransactItems": [put] }),
        ),
        attempt(
            "get token# in a transaction",
            "TransactGetItems",
            &json!({ "TransactItems": [get] }),
        ),
        attempt(
            "get token# in a batch",
            "BatchGetItem",
            &json!({ "RequestItems": { &table: { "Keys": [key] } } }),
        ),
        attempt(
            "put token# in a batch",
            "BatchWriteItem",
            &json!({ "RequestItems": batch }),
        ),
        attempt("scan", "Scan", &json!({ "TableName": table })),
        attempt(
            "select",
            "ExecuteStatement",
            &json!({ "Statement": everything }),
        ),
        attempt(
            "keep expired rows",
            "UpdateTimeToLive",
            &json!({ "TableName": table, "TimeToLiveSpecification": ttl }),
        )
        .destructive(),
        attempt(
            "delete the table",
            "DeleteTable",
            &json!({ "TableName": table }),
        )
        .destructive(),
    ]
}

#[expect(clippy::too_many_lines, reason = "a list of calls")]
pub(crate) fn users() -> Vec<Attempt> {
    let table = variable("USERS_TABLE");
    let key = json!({ "id": { "S": "roles" } });
    let query = |projection: Option<&str>| {
        let mut query = json!({
            "TableName": table, "IndexName": "email-index", "KeyConditionExpression": "email = :email",
            "ExpressionAttributeValues": { ":email": { "S": "roles@example.com" } },
        });
        if let Some(projection) = projection {
            query["ProjectionExpression"] = json!(projection);
        }
        query
    };
    let selected = |select: &str| {
        let mut query = query(Some("id, email").filter(|_| select == "SPECIFIC_ATTRIBUTES"));
        query["Select"] = json!(select);
        query
    };
    let set = |attribute: &str, returned: &str| {
        json!({
            "TableName": table, "Key": key, "UpdateExpression": format!("SET {attribute} = :value"),
            "ExpressionAttributeValues": { ":value": { "S": "x" } }, "ReturnValues": returned,
        })
    };
    let everything = format!("SELECT * FROM \"{table}\"");
    let attempt = dynamodb;
    vec![
        attempt(
            "find a user's key",
            "Query",
            &selected("SPECIFIC_ATTRIBUTES"),
        ),
        attempt(
            "find a user, naming attributes but not selecting them",
            "Query",
            &query(Some("id, email")),
        ),
        attempt(
            "find a user and select all",
            "Query",
            &selected("ALL_PROJECTED_ATTRIBUTES"),
        ),
        attempt("count users", "Query", &selected("COUNT")),
        attempt("find all of a user", "Query", &query(None)),
        attempt(
            "find a user's hash",
            "Query",
            &query(Some("id, password_hash")),
        ),
        attempt(
            "scan the index",
            "Scan",
            &json!({ "TableName": table, "IndexName": "email-index" }),
        ),
        attempt("scan users", "Scan", &json!({ "TableName": table })),
        attempt(
            "get a user",
            "GetItem",
            &json!({ "TableName": table, "Key": key }),
        ),
        attempt(
            "get users in a batch",
            "BatchGetItem",
            &json!({ "RequestItems": { &table: { "Keys": [key] } } }),
        ),
        attempt(
            "select users",
            "ExecuteStatement",
            &json!({ "Statement": everything }),
        ),
        attempt(
            "put a user",
            "PutItem",
            &json!({ "TableName": table, "Item": key }),
        ),
        attempt(
            "set a password",
            "UpdateItem",
            &set("password_hash", "NONE"),
        ),
        attempt("set an address", "UpdateItem", &set("email", "NONE")),
        attempt(
            "set a password and see the old one",
            "UpdateItem",
            &set("password_hash", "ALL_OLD"),
        ),
        attempt(
            "set another attribute",
            "UpdateItem",
            &set("is_admin", "NONE"),
        ),
        attempt(
            "delete a user",
            "DeleteItem",
            &json!({ "TableName": table, "Key": key }),
        ),
        attempt(
            "delete the users",
            "DeleteTable",
            &json!({ "TableName": table }),
        )
        .destructive(),
    ]
}
