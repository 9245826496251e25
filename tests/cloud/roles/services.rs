//! Attempts on SES, the failure queue, the other functions, their logs, and other services.

use reqwest::Method;
use serde_json::{Value, json};

use super::attempt::{Attempt, form, json_call, rest};
use crate::stack::{variable, variable_of};

#[expect(clippy::too_many_lines, reason = "a list of calls")]
pub(crate) fn emails() -> Vec<Attempt> {
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
pub(crate) fn elsewhere() -> Vec<Attempt> {
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
