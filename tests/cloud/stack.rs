//! Access to the deployed stack for callers, users, and operators.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use support::deployment::PAGE;
use support::email::Link;

/// A caller with its own IP address, so that tests do not exhaust each other's rate limits.
pub(crate) struct Stack {
    pub(crate) client: Client,
    pub(crate) dynamodb: DynamoDb,
}

impl Stack {
    pub(crate) fn new() -> Self {
        static CALLERS: AtomicU16 = AtomicU16::new(1);
        let [high, low] = CALLERS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let caller = Ipv4Addr::new(127, 1, high, low);
        let client = Client::builder()
            .local_address(IpAddr::from(caller))
            .build()
            .unwrap();
        Self::of(client)
    }

    /// Creates a caller that uses this client.
    pub(crate) fn of(client: Client) -> Self {
        Self {
            client,
            dynamodb: DynamoDb::new(&sdk_config()),
        }
    }

    pub(crate) async fn put_into_failure_queue(&self, message: &str) {
        let body = json!({ "QueueUrl": variable("FAILURE_QUEUE_URL"), "MessageBody": message });
        self.sqs("SendMessage", &body).await;
    }

    pub(crate) async fn failure_queue_attributes(&self) -> Value {
        let body = json!({ "QueueUrl": variable("FAILURE_QUEUE_URL"), "AttributeNames": ["All"] });
        self.sqs("GetQueueAttributes", &body).await["Attributes"].take()
    }

    async fn sqs(&self, action: &str, body: &Value) -> Value {
        let target = format!("AmazonSQS.{action}");
        self.json_call("sqs", &target, body).await.unwrap()
    }

    /// Calls a JSON service. A few calls of each do not justify another SDK crate.
    ///
    /// # Errors
    /// Returns the service's error.
    pub(crate) async fn json_call(
        &self,
        service: &str,
        target: &str,
        body: &Value,
    ) -> Result<Value, Value> {
        let call = self
            .client
            .post(variable("AWS_ENDPOINT_URL"))
            .header("authorization", authorization(service))
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .body(body.to_string());
        let response = call.send().await.unwrap();
        let is_success = response.status().is_success();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        if is_success { Ok(body) } else { Err(body) }
    }

    pub(crate) fn call(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", variable("API_URL")))
    }

    /// Requests a link.
    pub(crate) async fn forgot(&self, email: &str) -> Response {
        self.call("/password/forgot")
            .json(&json!({ "email": email, "reset_url": PAGE }))
            .send()
            .await
            .unwrap()
    }

    /// Requests a link and waits for its email.
    pub(crate) async fn link(&self, email: &str) -> Link {
        let before = self.emails_to(email).await.len();
        assert_eq!(self.forgot(email).await.status(), 202);
        let emails = self.wait_for_emails(email, before + 1).await;
        let message = emails
            .iter()
            .skip(before)
            .find(|message| message.subject.contains("new password"));
        message.expect("an email with a link").link()
    }

    /// Sets a password through a link.
    pub(crate) async fn reset(&self, link: &Link, password: &str) -> Response {
        let body = json!({ "email": link.email, "token": link.token, "password": password });
        self.call("/password/reset")
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    /// Sets a time in the rows of an address, so that a test need not wait.
    pub(crate) async fn set_time(&self, email: &str, prefix: &str, attribute: &str, seconds: i64) {
        let table = variable("REKEY_TABLE");
        let rows = self
            .dynamodb
            .scan()
            .table_name(&table)
            .send()
            .await
            .unwrap()
            .items
            .unwrap();
        let is_affected = |row: &HashMap<String, AttributeValue>| {
            row["pk"].as_s().unwrap().starts_with(prefix)
                && row
                    .get("email")
                    .is_some_and(|stored| stored.as_s().unwrap() == email)
        };
        let affected: Vec<_> = rows.into_iter().filter(is_affected).collect();
        assert!(!affected.is_empty());
        for mut row in affected {
            row.insert(attribute.to_owned(), AttributeValue::N(seconds.to_string()));
            self.dynamodb
                .put_item()
                .table_name(&table)
                .set_item(Some(row))
                .send()
                .await
                .unwrap();
        }
    }

    pub(crate) async fn emails_to(&self, email: &str) -> Vec<Email> {
        let mut emails = self.emails().await;
        emails.retain(|message| message.to == [email]);
        emails
    }

    /// Returns every email of this run, in order.
    pub(crate) async fn emails(&self) -> Vec<Email> {
        let mailbox: Value = self
            .client
            .get(variable("MAILBOX_URL"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let mut emails: Vec<Email> = match &mailbox["messages"] {
            Value::Array(emails) => emails.iter().map(Email::read).collect(),
            Value::Object(accounts) => accounts
                .values()
                .flat_map(|emails| emails.as_array().unwrap().iter().map(Email::read))
                .collect(),
            other => panic!("{other}"),
        };
        emails.sort_by(|a, b| a.time.total_cmp(&b.time));
        emails
    }

    /// Waits until an address has at least `count` emails, and returns them.
    pub(crate) async fn wait_for_emails(&self, email: &str, count: usize) -> Vec<Email> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let emails = self.emails_to(email).await;
            if emails.len() >= count {
                return emails;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {count} emails have arrived",
                emails.len()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until all earlier requests have been processed. The stream keeps their order, so a last one marks the end.
    pub(crate) async fn wait_for_the_stream(&self) {
        static LAST: AtomicU8 = AtomicU8::new(0);
        let last = format!("last-{}@example.com", LAST.fetch_add(1, Ordering::Relaxed));
        self.user(&last).await;
        self.link(&last).await;
    }
}

pub(crate) fn sdk_config() -> aws_config::SdkConfig {
    let credentials = Credentials::new(
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY"),
        None,
        None,
        "desk",
    );
    aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(variable("AWS_REGION")))
        .endpoint_url(variable("AWS_ENDPOINT_URL"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// Returns the header of a call as the operator. The local AWS does not check the signature.
pub(crate) fn authorization(service: &str) -> String {
    let (key, region) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_REGION"));
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20261123/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

/// Returns a variable that `make test` sets.
pub(crate) fn variable(name: &str) -> String {
    rekey::config::process(name)
        .unwrap_or_else(|| panic!("{name} is not set. Run these tests with `make test`."))
}

/// Returns a variable of one of the four functions: its name (`FUNCTION`) or its log group (`LOG`).
pub(crate) fn variable_of(function: &str, kind: &str) -> String {
    let half = function.to_uppercase().replace('-', "_");
    variable(&format!("{half}_{kind}"))
}

/// Returns the status and the errors of a problem response.
pub(crate) async fn problem(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    (status, body["errors"].clone())
}

/// Returns whether a token was rejected, with the one response for every invalid token.
pub(crate) async fn is_rejected(response: Response) -> bool {
    let message = "This link is invalid or has expired. Request a new one.";
    problem(response).await == (422, json!({ "token": [message] }))
}

#[derive(Clone, Debug)]
pub(crate) struct Email {
    pub(crate) to: Vec<String>,
    time: f64,
    pub(crate) subject: String,
    pub(crate) text: String,
}

impl Email {
    fn read(message: &Value) -> Self {
        let recipients = message["To"].as_array().into_iter().flatten();
        Self {
            to: recipients
                .map(|to| to.as_str().unwrap().to_owned())
                .collect(),
            time: message["Timestamp"].as_f64().unwrap_or_default(),
            subject: message["Subject"].as_str().unwrap_or_default().to_owned(),
            text: message["BodyText"].as_str().unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn link(&self) -> Link {
        Link::in_text(&self.text)
    }
}
