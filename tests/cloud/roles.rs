//! What whoever takes over one of the four functions may do, and what not: with the template's roles, enforced.
//!
//! Everything that an attacker would want is tried under each role; a test lists what is not denied. What the local AWS
//! does not check at all (reading a stream) is left to policies.rs, which reads the roles instead.

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
async fn forgots_public_half_may_only_write_requests_and_count() {
    assert_eq!(
        allowed("forgot-request").await,
        ["put request#", "update rate#forgot#"]
    );
}

#[tokio::test]
async fn forgots_private_half_may_look_addresses_up_write_tokens_and_send_from_one_address() {
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

/// It may set a user's address besides the password: IAM cannot tell an attribute of a condition from one of an update.
#[tokio::test]
async fn resets_public_half_may_use_tokens_write_notices_and_set_passwords() {
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

/// Only the domain is verified until this test verifies the address. From then on, SES checks the address instead.
#[tokio::test]
async fn either_private_half_may_send_whether_the_domain_or_the_address_is_verified() {
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

/// A denial is the role's, and no mistake of the test: the operator may do all that does no harm.
#[tokio::test]
async fn the_operator_is_denied_none_of_it() {
    let operator = operator();
    let mut denied = Vec::new();
    for act in acts().into_iter().filter(|act| !act.is_destructive) {
        if !act.is_allowed(&operator).await {
            denied.push(act.name);
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
    for act in acts() {
        if act.is_allowed(&credentials).await {
            allowed.push(act.name);
        }
    }
    allowed
}

/// Something that an attacker would want to do.
struct Act {
    name: String,
    service: &'static str,
    call: RequestBuilder,
    is_destructive: bool,
}

impl Act {
    async fn is_allowed(&self, credentials: &Credentials) -> bool {
        let mut request = self.call.try_clone().unwrap().build().unwrap();
        sign(&mut request, credentials, self.service);
        let answer = Stack::new().client.execute(request).await.unwrap();
        let status = answer.status().as_u16();
        let told = answer.text().await.unwrap();
        assert!(!told.contains("ignature"), "{}: {told}", self.name);
        // A successful answer may repeat such words: a log does.
        status < 300
            || status != 403 && !told.contains("AccessDenied") && !told.contains("not authorized")
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

fn acts() -> Vec<Act> {
    let mut acts = rows();
    acts.extend(tables());
    acts.extend(users());
    acts.extend(mail());
    acts.extend(elsewhere());
    acts
}

/// Each kind of row, read and written.
fn rows() -> Vec<Act> {
    let table = variable("REKEY_TABLE");
    let mut acts = Vec::new();
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
        let pk = json!({ "S": format!("{kind}of nobody") });
        let key = json!({ "pk": pk });
        let one = json!({ ":one": { "N": "1" } });
        let asked = json!({ ":pk": pk });
        for (verb, target, body) in [
            ("put", "PutItem", json!({ "TableName": table, "Item": key })),
            ("get", "GetItem", json!({ "TableName": table, "Key": key })),
            (
                "find",
                "Query",
                json!({ "TableName": table, "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": asked }),
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
            acts.push(dynamodb(&format!("{verb} {kind}"), target, &body));
            acts.extend(returning(verb, kind, target, &body));
        }
    }
    acts
}

/// The same write, asking for the row that it replaces, or for the count that it makes.
fn returning(verb: &str, kind: &str, target: &str, body: &Value) -> Vec<Act> {
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

/// Ways around the rows, and the table itself.
fn tables() -> Vec<Act> {
    let table = variable("REKEY_TABLE");
    let key = json!({ "pk": { "S": "token#of nobody" } });
    let put = json!({ "Put": { "TableName": table, "Item": key } });
    let get = json!({ "Get": { "TableName": table, "Key": key } });
    let batch = json!({ &table: [{ "PutRequest": { "Item": key } }] });
    let ttl = json!({ "Enabled": false, "AttributeName": "expires_at" });
    let everything = format!("SELECT * FROM \"{table}\"");
    let act = dynamodb;
    vec![
        act(
            "put token# in a transaction",
            "TransactWriteItems",
            &json!({ "TransactItems": [put] }),
        ),
        act(
            "get token# in a transaction",
            "TransactGetItems",
            &json!({ "TransactItems": [get] }),
        ),
        act(
            "get token# in a batch",
            "BatchGetItem",
            &json!({ "RequestItems": { &table: { "Keys": [key] } } }),
        ),
        act(
            "put token# in a batch",
            "BatchWriteItem",
            &json!({ "RequestItems": batch }),
        ),
        act("scan", "Scan", &json!({ "TableName": table })),
        act(
            "select",
            "ExecuteStatement",
            &json!({ "Statement": everything }),
        ),
        act(
            "keep expired rows",
            "UpdateTimeToLive",
            &json!({ "TableName": table, "TimeToLiveSpecification": ttl }),
        )
        .destructive(),
        act(
            "delete the table",
            "DeleteTable",
            &json!({ "TableName": table }),
        )
        .destructive(),
    ]
}

#[expect(clippy::too_many_lines, reason = "a list of calls")]
fn users() -> Vec<Act> {
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
    let act = dynamodb;
    vec![
        act(
            "find a user's key",
            "Query",
            &selected("SPECIFIC_ATTRIBUTES"),
        ),
        act(
            "find a user, naming attributes but not selecting them",
            "Query",
            &query(Some("id, email")),
        ),
        act(
            "find a user and select all",
            "Query",
            &selected("ALL_PROJECTED_ATTRIBUTES"),
        ),
        act("count users", "Query", &selected("COUNT")),
        act("find all of a user", "Query", &query(None)),
        act(
            "find a user's hash",
            "Query",
            &query(Some("id, password_hash")),
        ),
        act(
            "scan the index",
            "Scan",
            &json!({ "TableName": table, "IndexName": "email-index" }),
        ),
        act("scan users", "Scan", &json!({ "TableName": table })),
        act(
            "get a user",
            "GetItem",
            &json!({ "TableName": table, "Key": key }),
        ),
        act(
            "get users in a batch",
            "BatchGetItem",
            &json!({ "RequestItems": { &table: { "Keys": [key] } } }),
        ),
        act(
            "select users",
            "ExecuteStatement",
            &json!({ "Statement": everything }),
        ),
        act(
            "put a user",
            "PutItem",
            &json!({ "TableName": table, "Item": key }),
        ),
        act(
            "set a password",
            "UpdateItem",
            &set("password_hash", "NONE"),
        ),
        act("set an address", "UpdateItem", &set("email", "NONE")),
        act(
            "set a password and see the old one",
            "UpdateItem",
            &set("password_hash", "ALL_OLD"),
        ),
        act(
            "set another attribute",
            "UpdateItem",
            &set("is_admin", "NONE"),
        ),
        act(
            "delete a user",
            "DeleteItem",
            &json!({ "TableName": table, "Key": key }),
        ),
        act(
            "delete the users",
            "DeleteTable",
            &json!({ "TableName": table }),
        )
        .destructive(),
    ]
}

#[expect(clippy::too_many_lines, reason = "a list of calls")]
fn mail() -> Vec<Act> {
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
    let act = |name: &str, path: &str, body: &Value| {
        rest(
            name,
            "ses",
            Method::POST,
            &format!("/v2/email/{path}"),
            body,
        )
    };
    vec![
        act("send", "outbound-emails", &message("no-reply@example.com")),
        act(
            "send from elsewhere",
            "outbound-emails",
            &message("eve@example.com"),
        ),
        act("send in bulk", "outbound-bulk-emails", &bulk),
        act(
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
fn elsewhere() -> Vec<Act> {
    let (queue, another) = (variable("FAILURE_QUEUE_URL"), "forgot-deliver");
    let function = format!("/2015-03-31/functions/{}", variable_of(another, "FUNCTION"));
    let logs = json!({ "logGroupName": variable_of(another, "LOG") });
    let role = "arn:aws:iam::000000000000:role/another";
    let act = json_call;
    vec![
        act(
            "put into the failure queue",
            "sqs",
            "AmazonSQS.SendMessage",
            &json!({ "QueueUrl": queue, "MessageBody": "{}" }),
        )
        .destructive(),
        act(
            "read what was given up",
            "sqs",
            "AmazonSQS.ReceiveMessage",
            &json!({ "QueueUrl": queue }),
        )
        .destructive(),
        act(
            "forget what was given up",
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
        act(
            "read the logs",
            "logs",
            "Logs_20140328.FilterLogEvents",
            &logs,
        ),
        act(
            "delete the logs",
            "logs",
            "Logs_20140328.DeleteLogGroup",
            &logs,
        )
        .destructive(),
        act(
            "list secrets",
            "secretsmanager",
            "secretsmanager.ListSecrets",
            &json!({}),
        ),
        act(
            "read parameters",
            "ssm",
            "AmazonSSM.GetParametersByPath",
            &json!({ "Path": "/" }),
        ),
        form("list roles", "iam", "Action=ListRoles&Version=2010-05-08"),
        form(
            "make a user of the account",
            "iam",
            "Action=CreateUser&UserName=eve&Version=2010-05-08",
        )
        .destructive(),
        form(
            "take another role",
            "sts",
            &format!("Action=AssumeRole&RoleArn={role}&RoleSessionName=eve&Version=2011-06-15"),
        )
        .destructive(),
        form("list topics", "sns", "Action=ListTopics&Version=2010-03-31"),
    ]
}

impl Act {
    /// Not for the operator, who would be allowed to.
    fn destructive(self) -> Self {
        Self {
            is_destructive: true,
            ..self
        }
    }
}

fn dynamodb(name: &str, operation: &str, body: &Value) -> Act {
    json_call(
        name,
        "dynamodb",
        &format!("DynamoDB_20120810.{operation}"),
        body,
    )
}

/// These are single calls of many services, for which an SDK crate each would be too much.
fn json_call(name: &str, service: &'static str, target: &str, body: &Value) -> Act {
    let act = rest(name, service, Method::POST, "/", body);
    Act {
        call: act.call.header("x-amz-target", target),
        ..act
    }
}

fn rest(name: &str, service: &'static str, method: Method, path: &str, body: &Value) -> Act {
    let url = format!("{}{path}", variable("AWS_ENDPOINT_URL"));
    let call = Stack::new().client.request(method, url);
    let call = call.header("content-type", "application/x-amz-json-1.0");
    Act {
        name: name.to_owned(),
        service,
        call: call.body(body.to_string()),
        is_destructive: false,
    }
}

fn form(name: &str, service: &'static str, body: &str) -> Act {
    let call = Stack::new().client.post(variable("AWS_ENDPOINT_URL"));
    let call = call.header("content-type", "application/x-www-form-urlencoded");
    Act {
        name: name.to_owned(),
        service,
        call: call.body(body.to_owned()),
        is_destructive: false,
    }
}

/// The credentials that the function runs with.
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
    let act = rest("its role", "lambda", Method::GET, &path, &Value::Null);
    let mut request = act.call.build().unwrap();
    sign(&mut request, &operator(), "lambda");
    let answer = Stack::new().client.execute(request).await.unwrap();
    let told: Value = answer.json().await.unwrap();
    told["Configuration"]["Role"].as_str().unwrap().to_owned()
}
