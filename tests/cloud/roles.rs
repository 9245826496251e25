//! The calls that an attacker who controls one of the four functions may make, with the template's roles enforced.
//!
//! Each test tries every attempt under one role, and lists those that are not denied. The local AWS does not check who
//! reads a stream, so `policies.rs` reads the roles for that.

use std::time::SystemTime;

use aws_config::BehaviorVersion;
use aws_config::sts::AssumeRoleProvider;
use aws_sdk_dynamodb::config::{Credentials, ProvideCredentials as _};
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use reqwest::header::HeaderName;
use reqwest::{Body, Method, Request, RequestBuilder};
use serde_json::{Value, json};

use crate::stack::{Stack, variable, variable_of};

#[tokio::test]
async fn forgots_public_half_may_only_store_requests_and_count() {
    assert_eq!(
        allowed("forgot-request").await,
        ["put request#", "update rate#forgot#"]
    );
}

#[tokio::test]
async fn forgots_private_half_may_find_keys_store_tokens_and_send() {
    assert_eq!(
        allowed("forgot-deliver").await,
        [
            "put token#",
            "put links#",
            "get links#",
            "get epoch#",
            "update rate#mail#",
            "update rate#mail# and see the new count",
            "put token# in a transaction",
            "find a user's key",
            "send",
            "put into the failure queue",
        ]
    );
}

/// The role may also set a user's address. IAM does not distinguish attributes of a condition from those of an update.
#[tokio::test]
async fn resets_public_half_may_use_tokens_and_set_passwords() {
    assert_eq!(
        allowed("reset-change").await,
        [
            "find token#",
            "delete token#",
            "put change#",
            "update epoch#",
            "update rate#reset#",
            "set a password",
            "set an address",
        ]
    );
}

#[tokio::test]
async fn resets_private_half_may_only_send_from_one_address() {
    assert_eq!(
        allowed("reset-notify").await,
        ["send", "put into the failure queue"]
    );
}

/// Only the domain is verified until this test verifies the address. After that, SES checks the address instead.
#[tokio::test]
async fn private_halves_may_send_under_either_verified_identity() {
    for identity in ["example.com", "no-reply@example.com"] {
        let verified = json!({ "EmailIdentity": identity });
        let path = "/v2/email/identities";
        let verify = rest("verify", "ses", Method::POST, path, &verified);
        assert!(verify.is_allowed(&operator()).await);
        for half in ["forgot-deliver", "reset-notify"] {
            let allowed = allowed(half).await;
            assert!(allowed.contains(&"send".to_owned()), "{half}: {identity}");
        }
    }
}

/// The operator may make every harmless call. So denials come from the roles, not from mistakes in the test.
#[tokio::test]
async fn the_operator_may_make_every_harmless_attempt() {
    let operator = operator();
    let mut denied = Vec::new();
    for attempt in attempts()
        .into_iter()
        .filter(|attempt| !attempt.is_destructive)
    {
        if !attempt.is_allowed(&operator).await {
            denied.push(attempt.name);
        }
    }
    assert_eq!(denied, [""; 0]);
}

fn operator() -> Credentials {
    let (key, secret) = (
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY"),
    );
    Credentials::new(key, secret, None, None, "desk")
}

async fn allowed(function: &str) -> Vec<String> {
    let credentials = credentials_of(function).await;
    let mut allowed = Vec::new();
    for attempt in attempts() {
        if attempt.is_allowed(&credentials).await {
            allowed.push(attempt.name);
        }
    }
    allowed
}

/// A call that an attacker would want to make.
struct Attempt {
    name: String,
    service: &'static str,
    call: RequestBuilder,
    is_destructive: bool,
}

impl Attempt {
    async fn is_allowed(&self, credentials: &Credentials) -> bool {
        let mut request = self.call.try_clone().unwrap().build().unwrap();
        sign(&mut request, credentials, self.service);
        let response = Stack::new().client.execute(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.text().await.unwrap();
        assert!(!body.contains("ignature"), "{}: {body}", self.name);
        // A successful response may contain such words: a log does.
        status < 300
            || status != 403 && !body.contains("AccessDenied") && !body.contains("not authorized")
    }
}

fn sign(request: &mut Request, credentials: &Credentials, service: &str) {
    let identity = credentials.clone().into();
    let region = variable("AWS_REGION");
    let settings = SigningSettings::default();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .settings(settings);
    let parameters = parameters
        .region(&region)
        .name(service)
        .time(SystemTime::now());
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let body = request.body().and_then(Body::as_bytes).unwrap_or_default();
    let (method, url) = (request.method().as_str(), request.url().as_str());
    let signable = SignableRequest::new(method, url, headers, SignableBody::Bytes(body)).unwrap();
    let signed = http_request::sign(signable, &parameters.build().unwrap().into()).unwrap();
    let (instructions, _) = signed.into_parts();
    for (name, value) in instructions.headers() {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
}

fn attempts() -> Vec<Attempt> {
    let mut attempts = rows();
    attempts.extend(tables());
    attempts.extend(users());
    attempts.extend(emails());
    attempts.extend(elsewhere());
    attempts
}

/// Returns reads and writes of each kind of row.
fn rows() -> Vec<Attempt> {
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
fn tables() -> Vec<Attempt> {
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
fn users() -> Vec<Attempt> {
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

#[expect(clippy::too_many_lines, reason = "a list of calls")]
fn emails() -> Vec<Attempt> {
    let text = json!({ "Data": "x" });
    let message = |from: &str| {
        json!({
            "FromEmailAddress": from, "Destination": { "ToAddresses": ["roles@example.com"] },
            "Content": { "Simple": { "Subject": text, "Body": { "Text": text } } },
        })
    };
    let suppressed = json!({ "EmailAddress": "roles@example.com", "Reason": "BOUNCE" });
    let bulk = json!({
        "FromEmailAddress": "no-reply@example.com", "BulkEmailEntries": [],
        "DefaultContent": { "Template": { "TemplateName": "x", "TemplateData": "{}" } },
    });
    let attempt = |name: &str, path: &str, body: &Value| {
        rest(
            name,
            "ses",
            Method::POST,
            &format!("/v2/email/{path}"),
            body,
        )
    };
    vec![
        attempt("send", "outbound-emails", &message("no-reply@example.com")),
        attempt(
            "send from elsewhere",
            "outbound-emails",
            &message("eve@example.com"),
        ),
        attempt("send in bulk", "outbound-bulk-emails", &bulk),
        attempt(
            "verify a sender",
            "identities",
            &json!({ "EmailIdentity": "eve@evil.test" }),
        )
        .destructive(),
        rest(
            "suppress an address",
            "ses",
            Method::PUT,
            "/v2/email/suppression/addresses",
            &suppressed,
        )
        .destructive(),
        rest(
            "see who is suppressed",
            "ses",
            Method::GET,
            "/v2/email/suppression/addresses",
            &Value::Null,
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a list of calls")]
fn elsewhere() -> Vec<Attempt> {
    let (queue, another) = (variable("FAILURE_QUEUE_URL"), "forgot-deliver");
    let function = format!("/2015-03-31/functions/{}", variable_of(another, "FUNCTION"));
    let logs = json!({ "logGroupName": variable_of(another, "LOG") });
    let role = "arn:aws:iam::000000000000:role/another";
    let attempt = json_call;
    vec![
        attempt(
            "put into the failure queue",
            "sqs",
            "AmazonSQS.SendMessage",
            &json!({ "QueueUrl": queue, "MessageBody": "{}" }),
        )
        .destructive(),
        attempt(
            "read the failure queue",
            "sqs",
            "AmazonSQS.ReceiveMessage",
            &json!({ "QueueUrl": queue }),
        )
        .destructive(),
        attempt(
            "purge the failure queue",
            "sqs",
            "AmazonSQS.PurgeQueue",
            &json!({ "QueueUrl": queue }),
        )
        .destructive(),
        rest(
            "invoke another function",
            "lambda",
            Method::POST,
            &format!("{function}/invocations"),
            &json!({ "Records": [] }),
        ),
        rest(
            "change another function",
            "lambda",
            Method::PUT,
            &format!("{function}/configuration"),
            &json!({ "MemorySize": 256 }),
        )
        .destructive(),
        attempt(
            "read the logs",
            "logs",
            "Logs_20140328.FilterLogEvents",
            &logs,
        ),
        attempt(
            "delete the logs",
            "logs",
            "Logs_20140328.DeleteLogGroup",
            &logs,
        )
        .destructive(),
        attempt(
            "list secrets",
            "secretsmanager",
            "secretsmanager.ListSecrets",
            &json!({}),
        ),
        attempt(
            "read parameters",
            "ssm",
            "AmazonSSM.GetParametersByPath",
            &json!({ "Path": "/" }),
        ),
        form("list roles", "iam", "Action=ListRoles&Version=2010-05-08"),
        form(
            "create an IAM user",
            "iam",
            "Action=CreateUser&UserName=eve&Version=2010-05-08",
        )
        .destructive(),
        form(
            "assume another role",
            "sts",
            &format!("Action=AssumeRole&RoleArn={role}&RoleSessionName=eve&Version=2011-06-15"),
        )
        .destructive(),
        form("list topics", "sns", "Action=ListTopics&Version=2010-03-31"),
    ]
}

impl Attempt {
    /// Marks an attempt that the operator does not try, because it would succeed and do harm.
    fn destructive(self) -> Self {
        Self {
            is_destructive: true,
            ..self
        }
    }
}

fn dynamodb(name: &str, operation: &str, body: &Value) -> Attempt {
    json_call(
        name,
        "dynamodb",
        &format!("DynamoDB_20120810.{operation}"),
        body,
    )
}

/// Creates a call of a JSON service. One call for each service does not justify an SDK crate.
fn json_call(name: &str, service: &'static str, target: &str, body: &Value) -> Attempt {
    let attempt = rest(name, service, Method::POST, "/", body);
    Attempt {
        call: attempt.call.header("x-amz-target", target),
        ..attempt
    }
}

fn rest(name: &str, service: &'static str, method: Method, path: &str, body: &Value) -> Attempt {
    let url = format!("{}{path}", variable("AWS_ENDPOINT_URL"));
    let call = Stack::new().client.request(method, url);
    let call = call.header("content-type", "application/x-amz-json-1.0");
    Attempt {
        name: name.to_owned(),
        service,
        call: call.body(body.to_string()),
        is_destructive: false,
    }
}

fn form(name: &str, service: &'static str, body: &str) -> Attempt {
    let call = Stack::new().client.post(variable("AWS_ENDPOINT_URL"));
    let call = call.header("content-type", "application/x-www-form-urlencoded");
    Attempt {
        name: name.to_owned(),
        service,
        call: call.body(body.to_owned()),
        is_destructive: false,
    }
}

/// Returns credentials for a function's role.
async fn credentials_of(function: &str) -> Credentials {
    let operator = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let provider = AssumeRoleProvider::builder(role_of(function).await).session_name("roles");
    let provider = provider.configure(&operator).build().await;
    provider.provide_credentials().await.unwrap()
}

async fn role_of(function: &str) -> String {
    let path = format!(
        "/2015-03-31/functions/{}",
        variable_of(function, "FUNCTION")
    );
    let attempt = rest("read the role", "lambda", Method::GET, &path, &Value::Null);
    let mut request = attempt.call.build().unwrap();
    sign(&mut request, &operator(), "lambda");
    let response = Stack::new().client.execute(request).await.unwrap();
    let function: Value = response.json().await.unwrap();
    function["Configuration"]["Role"]
        .as_str()
        .unwrap()
        .to_owned()
}
