//! The test app: both functions, the Rekey table, the users table, and SES. Tests deliver the stream explicitly.
//!
//! The app has its own clock, and nothing sleeps.

pub mod stream;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use forgot::Forgot;
use rekey::aws;
use rekey::http::response::Response;
use rekey::lambda;
use rekey::lambda::Output;
use rekey::lambda::function::Function;
use rekey::pace::Pace;
use reset::Reset;
use serde_json::{Value, json};

use crate::aws::Aws;
use crate::clock::Clock;
use crate::deployment::{
    ADA, Log, PAGE, create_tables, environment, functions, long_timeouts, sdk_config,
};
use crate::directory::FUNCTIONS;
use crate::email::Link;

/// The routes of `reset`. Every other path goes to `forgot`.
const RESET_ROUTES: [&str; 1] = ["/password/reset"];

/// A deployment of Rekey in this process.
pub struct TestApp {
    forgot: Forgot,
    reset: Reset,
    pub aws: Arc<Aws>,
    pub dynamodb: Client,
    pub settings: HashMap<String, String>,
    log: Log,
    pub clock: Clock,
    processed: Mutex<HashSet<(String, String)>>,
    /// Whether dropping this app checks for unfired faults and unprocessed records.
    is_checked: bool,
    /// The reason why records may be left unprocessed.
    unprocessed_reason: Mutex<Option<&'static str>>,
    requests: Mutex<u32>,
}

impl TestApp {
    pub async fn open() -> Self {
        Self::with(&[]).await
    }

    /// Starts a deployment with some settings replaced.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let aws = Aws::start().await;
        // The app's own queries bypass the injected faults.
        let dynamodb = Client::new(&sdk_config(&aws.dynamodb, long_timeouts()));
        let settings = environment(settings);
        create_tables(&dynamodb, &settings).await;
        let log = Log::default();
        let (forgot, reset) = functions(&aws, &settings, &log, long_timeouts());
        Self {
            forgot,
            reset,
            aws,
            dynamodb,
            settings,
            log,
            clock: Clock::at("2026-11-23T12:00:00.250Z".parse().unwrap()),
            processed: Mutex::default(),
            is_checked: true,
            unprocessed_reason: Mutex::default(),
            requests: Mutex::default(),
        }
    }

    /// Starts another instance of the same deployment, as Lambda does under load.
    pub fn instance(&self) -> Self {
        static INSTANCES: AtomicU32 = AtomicU32::new(1);
        let (forgot, reset) = functions(&self.aws, &self.settings, &self.log, long_timeouts());
        Self {
            forgot,
            reset,
            aws: Arc::clone(&self.aws),
            dynamodb: self.dynamodb.clone(),
            settings: self.settings.clone(),
            log: self.log.clone(),
            clock: Clock::at(self.clock.now()),
            processed: Mutex::default(),
            // The first app processes the stream for all instances.
            is_checked: false,
            unprocessed_reason: Mutex::default(),
            requests: Mutex::new(INSTANCES.fetch_add(1, Ordering::Relaxed) * 1_000_000),
        }
    }

    /// Restarts both functions with the product's timeouts, divided by this number.
    pub fn shorten_timeouts(&mut self, divisor: u32) {
        let timeouts = aws::timeouts();
        let shorter = |timeout: Option<Duration>| timeout.unwrap() / divisor;
        self.start(
            TimeoutConfig::builder()
                .connect_timeout(shorter(timeouts.connect_timeout()))
                .operation_attempt_timeout(shorter(timeouts.operation_attempt_timeout()))
                .operation_timeout(shorter(timeouts.operation_timeout()))
                .build(),
        );
    }

    /// Restarts both functions, as new processes with long timeouts.
    pub fn restart(&mut self) {
        self.start(long_timeouts());
    }

    fn start(&mut self, timeouts: TimeoutConfig) {
        (self.forgot, self.reset) = functions(&self.aws, &self.settings, &self.log, timeouts);
    }

    /// Starts an app with one user, whose address is [`ADA`].
    pub async fn with_ada() -> Self {
        let app = Self::open().await;
        app.user("1", ADA).await;
        app
    }

    /// Starts an app with directory functions, and with one user, whose ID is 42 and whose address is [`ADA`].
    pub async fn with_functions(settings: &[(&str, &str)]) -> Self {
        let settings: Vec<_> = FUNCTIONS.iter().chain(settings).copied().collect();
        let app = Self::with(&settings).await;
        app.aws.directory.add("42", ADA);
        app
    }

    pub async fn user(&self, id: &str, email: &str) {
        let item = [("id", id), ("email", email), ("password_hash", "old")];
        let item = item.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
        self.dynamodb
            .put_item()
            .table_name("users")
            .set_item(Some(item.into()))
            .send()
            .await
            .unwrap();
    }

    /// Sets the epoch in a row, as disowning a link does.
    pub async fn end_links(&self, key: &str, ended_at: f64) {
        let update = self.dynamodb.update_item().table_name("rekey");
        let update = update.key("pk", AttributeValue::S(key.to_owned()));
        let update = update.update_expression("SET ended_at = :ended_at");
        let ended_at = AttributeValue::N(ended_at.to_string());
        let update = update.expression_attribute_values(":ended_at", ended_at);
        update.send().await.unwrap();
    }

    /// Returns an attribute of a user from the users table.
    pub async fn stored(&self, id: &str, attribute: &str) -> String {
        let key = AttributeValue::S(id.to_owned());
        let item = self
            .dynamodb
            .get_item()
            .table_name("users")
            .key("id", key)
            .send()
            .await
            .unwrap()
            .item
            .unwrap();
        match &item[attribute] {
            AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Requests a link.
    pub async fn forgot(&self, email: &str) -> Response {
        self.post(
            "/password/forgot",
            &json!({ "email": email, "reset_url": PAGE }),
        )
        .await
    }

    /// Requests a link, processes the stream, and returns the link in the email.
    pub async fn link(&self, email: &str) -> Link {
        let before = self.aws.emails().len();
        assert_eq!(self.forgot(email).await.status(), 202);
        self.try_process_stream().await;
        let emails = self.aws.emails().split_off(before);
        let sent = emails
            .iter()
            .find(|sent| sent.subject().contains("new password"));
        sent.expect("an email with a link").link()
    }

    /// Follows a link and sets a password.
    pub async fn reset(&self, link: &Link, password: &str) -> Response {
        self.post(
            "/password/reset",
            &json!({ "email": link.email, "token": link.token, "password": password }),
        )
        .await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.send(self.event(path, &body.to_string())).await
    }

    /// Returns an event of API Gateway's HTTP API (payload 2.0), which tests may change.
    pub fn event(&self, path: &str, body: &str) -> Value {
        let mut requests = self.requests.lock().unwrap();
        *requests += 1;
        json!({
            "version": "2.0",
            "routeKey": format!("POST {path}"),
            "rawPath": path,
            "rawQueryString": "",
            "headers": { "content-type": "application/json" },
            "requestContext": {
                "http": { "method": "POST", "path": path, "sourceIp": "192.0.2.1" },
                "requestId": format!("request-{requests}"),
                "stage": "$default",
            },
            "body": body,
            "isBase64Encoded": false,
        })
    }

    /// Sends an event to the function of its path.
    pub async fn send(&self, event: Value) -> Response {
        let path = event["rawPath"]
            .as_str()
            .or(event["path"].as_str())
            .unwrap_or_default();
        let output = if RESET_ROUTES.iter().any(|route| path.contains(route)) {
            self.handle(&self.reset, event).await
        } else {
            self.handle(&self.forgot, event).await
        };
        match output {
            Output::Http(response) => response,
            Output::Stream(_) => panic!("expected an HTTP response, got a checkpoint"),
        }
    }

    async fn handle(&self, function: &impl Function, event: Value) -> Output {
        self.handle_at(function, event, Pace::UNPACED).await
    }

    async fn handle_at(&self, function: &impl Function, event: Value, pace: Pace) -> Output {
        let event = serde_json::from_value(event).unwrap();
        let (invocation, clock) = ("invocation".to_owned(), || self.clock.now());
        lambda::handle(function, event, invocation, clock, pace)
            .await
            .unwrap()
    }

    /// Returns the rows of the Rekey table whose keys have this prefix, in `DynamoDB`'s JSON.
    #[expect(
        clippy::unused_async,
        reason = "callers of a real table would await it"
    )]
    pub async fn rows(&self, prefix: &str) -> Vec<Value> {
        let mut rows = self.aws.scan("rekey");
        rows.retain(|row| row["pk"]["S"].as_str().unwrap().starts_with(prefix));
        rows
    }

    /// Returns the whole log.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Returns the events in the log, in order.
    pub fn events(&self) -> Vec<String> {
        let lines = self.log();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|line| line["event"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for TestApp {
    /// Fails the test if a planned fault did not fire, or if no private half processed a record. In both cases, the
    /// test did not try what it claims.
    fn drop(&mut self) {
        if !self.is_checked || std::thread::panicking() {
            return;
        }
        let unfired = self.aws.unfired();
        assert_eq!(unfired, [""; 0], "planned faults did not fire");
        let unprocessed = self.unprocessed();
        assert_eq!(
            unprocessed, [""; 0],
            "records are unprocessed: process the stream, or allow it"
        );
    }
}
