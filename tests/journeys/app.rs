//! The test app: both functions, the Rekey table, the users table, and SES. Tests deliver the stream explicitly.
//!
//! The app has its own clock. `advance` moves it, and nothing sleeps.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ScalarAttributeType,
};
use forgot::Forgot;
use jiff::{SignedDuration, Timestamp};
use rekey::aws;
use rekey::http::response::Response;
use rekey::lambda;
use rekey::lambda::Output;
use rekey::lambda::batch::Checkpoint;
use rekey::lambda::function::Function;
use rekey::pace::Pace;
use reset::Reset;
use serde_json::{Value, json};
use url::Url;

use crate::aws::Aws;

pub(crate) const ADA: &str = "ada@example.com";
pub(crate) const PAGE: &str = "https://app.example.com/password/reset";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Limits so high that only a test of limits reaches one.
pub(crate) const WIDE_LIMITS: [(&str, &str); 4] = [
    ("SOURCE_LIMIT", "100000"),
    ("DAILY_MAIL_BUDGET", "100000000"),
    ("ADDRESS_LIMIT", "1000"),
    ("ADDRESS_DAILY_LIMIT", "1000"),
];

/// The divisor of the pauses between attempts.
const PAUSE_DIVISOR: u32 = 20;

/// A deployment of Rekey in this process.
pub(crate) struct TestApp {
    forgot: Forgot,
    reset: Reset,
    pub(crate) aws: Arc<Aws>,
    pub(crate) dynamodb: Client,
    pub(crate) settings: HashMap<String, String>,
    log: Log,
    now: Mutex<Timestamp>,
    tick: Mutex<SignedDuration>,
    processed: Mutex<HashSet<(String, String)>>,
    /// Whether dropping this app checks for unfired faults and unprocessed records.
    is_checked: bool,
    /// The reason why records may be left unprocessed.
    unprocessed_reason: Mutex<Option<&'static str>>,
    requests: Mutex<u32>,
}

impl TestApp {
    pub(crate) async fn open() -> Self {
        Self::with(&[]).await
    }

    /// Starts a deployment with some settings replaced.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
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
            now: Mutex::new("2026-11-23T12:00:00.250Z".parse().unwrap()),
            tick: Mutex::default(),
            processed: Mutex::default(),
            is_checked: true,
            unprocessed_reason: Mutex::default(),
            requests: Mutex::default(),
        }
    }

    /// Starts another instance of the same deployment, as Lambda does under load.
    pub(crate) fn instance(&self) -> Self {
        static INSTANCES: AtomicU32 = AtomicU32::new(1);
        let (forgot, reset) = functions(&self.aws, &self.settings, &self.log, long_timeouts());
        Self {
            forgot,
            reset,
            aws: Arc::clone(&self.aws),
            dynamodb: self.dynamodb.clone(),
            settings: self.settings.clone(),
            log: self.log.clone(),
            now: Mutex::new(self.now()),
            tick: Mutex::default(),
            processed: Mutex::default(),
            // The first app processes the stream for all instances.
            is_checked: false,
            unprocessed_reason: Mutex::default(),
            requests: Mutex::new(INSTANCES.fetch_add(1, Ordering::Relaxed) * 1_000_000),
        }
    }

    /// Restarts both functions with the product's timeouts, divided by this number.
    pub(crate) fn shorten_timeouts(&mut self, divisor: u32) {
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
    pub(crate) fn restart(&mut self) {
        self.start(long_timeouts());
    }

    fn start(&mut self, timeouts: TimeoutConfig) {
        (self.forgot, self.reset) = functions(&self.aws, &self.settings, &self.log, timeouts);
    }

    /// Starts an app with one user, whose address is [`ADA`].
    pub(crate) async fn with_ada() -> Self {
        let app = Self::open().await;
        app.user("1", ADA).await;
        app
    }

    pub(crate) async fn user(&self, id: &str, email: &str) {
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

    /// Returns an attribute of a user from the users table.
    pub(crate) async fn stored(&self, id: &str, attribute: &str) -> String {
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

    pub(crate) fn advance(&self, duration: SignedDuration) {
        *self.now.lock().unwrap() += duration;
    }

    /// Makes each reading of the clock advance it by this duration.
    pub(crate) fn tick(&self, duration: SignedDuration) {
        *self.tick.lock().unwrap() = duration;
    }

    pub(crate) fn now(&self) -> Timestamp {
        let mut now = self.now.lock().unwrap();
        let read = *now;
        *now += *self.tick.lock().unwrap();
        read
    }

    /// Requests a link.
    pub(crate) async fn forgot(&self, email: &str) -> Response {
        self.post(
            "/password/forgot",
            &json!({ "email": email, "reset_url": PAGE }),
        )
        .await
    }

    /// Requests a link, processes the stream, and returns the link in the email.
    pub(crate) async fn link(&self, email: &str) -> Link {
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
    pub(crate) async fn reset(&self, link: &Link, password: &str) -> Response {
        self.post(
            "/password/reset",
            &json!({ "email": link.email, "token": link.token, "password": password }),
        )
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.send(self.event(path, &body.to_string())).await
    }

    /// Returns an event of API Gateway's HTTP API (payload 2.0), which tests may change.
    pub(crate) fn event(&self, path: &str, body: &str) -> Value {
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
    pub(crate) async fn send(&self, event: Value) -> Response {
        let path = event["rawPath"]
            .as_str()
            .or(event["path"].as_str())
            .unwrap_or_default();
        let output = if path.contains("reset") {
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
        let event = serde_json::from_value(event).unwrap();
        let (invocation, clock) = ("invocation".to_owned(), || self.now());
        lambda::handle(function, event, invocation, clock, Pace::UNPACED)
            .await
            .unwrap()
    }

    /// Delivers the new rows to the private halves, and returns the checkpoint if a record failed. The next call
    /// delivers the remaining rows again.
    pub(crate) async fn try_process_stream(&self) -> Option<String> {
        let mut rows = self.rows("").await;
        rows.retain(|row| !self.processed.lock().unwrap().contains(&version(row)));
        rows.sort_by_key(|row| version(row).1);
        let requested = self.process_rows(&self.forgot, &rows, "request#").await;
        let changed = self.process_rows(&self.reset, &rows, "change#").await;
        requested.or(changed)
    }

    async fn process_rows(
        &self,
        function: &impl Function,
        rows: &[Value],
        prefix: &str,
    ) -> Option<String> {
        let rows: Vec<&Value> = rows
            .iter()
            .filter(|row| row["pk"]["S"].as_str().unwrap().starts_with(prefix))
            .collect();
        self.process_batch(function, &rows).await
    }

    /// Processes the stream, and fails the test if a record fails.
    pub(crate) async fn process_stream(&self) {
        assert_eq!(self.try_process_stream().await, None, "{}", self.log());
    }

    /// Allows stream records to be left unprocessed at the end of a test, for a reason.
    pub(crate) fn allow_unprocessed(&self, reason: &'static str) {
        assert!(!reason.is_empty());
        *self.unprocessed_reason.lock().unwrap() = Some(reason);
    }

    /// Marks rows as processed, by this app or by another process of the test.
    pub(crate) fn mark_processed<'a>(&self, rows: impl IntoIterator<Item = &'a Value>) {
        let versions = rows.into_iter().map(version);
        self.processed.lock().unwrap().extend(versions);
    }

    /// Returns the rows that no private half has processed, unless the test allows that.
    fn unprocessed(&self) -> Vec<Value> {
        if self.unprocessed_reason.lock().unwrap().is_some() {
            return Vec::new();
        }
        let mut rows = self.aws.scan("rekey");
        let processed = self.processed.lock().unwrap();
        rows.retain(|row| {
            let key = row["pk"]["S"].as_str().unwrap();
            let is_record =
                key.starts_with(Forgot::KEY_PREFIX) || key.starts_with(Reset::KEY_PREFIX);
            is_record && !processed.contains(&version(row))
        });
        rows
    }

    /// Delivers rows to the private half of `forgot`, even if they were delivered before.
    pub(crate) async fn deliver(&self, rows: &[&Value]) -> Option<String> {
        self.process_batch(&self.forgot, rows).await
    }

    /// Processes one batch of a stream, and returns the checkpoint if a record failed.
    async fn process_batch(&self, function: &impl Function, rows: &[&Value]) -> Option<String> {
        match self.handle(function, batch(rows)).await {
            Output::Stream(checkpoint) => {
                let failed = failed_record(&checkpoint);
                let rows = rows.iter().copied();
                let is_done = |row: &&Value| failed.as_deref() != row["pk"]["S"].as_str();
                self.mark_processed(rows.take_while(is_done));
                failed
            }
            Output::Http(_) => panic!("expected a checkpoint, got an HTTP response"),
        }
    }

    /// Delivers an SES event to the half that subscribes to SES's topic.
    pub(crate) async fn feedback(&self, event: &Value) {
        let record = json!({ "EventSource": "aws:sns", "Sns": { "Message": event.to_string(), "Type": "Notification" } });
        match self
            .handle(&self.reset, json!({ "Records": [record] }))
            .await
        {
            Output::Stream(checkpoint) => assert_eq!(failed_record(&checkpoint), None),
            Output::Http(_) => panic!("expected a checkpoint, got an HTTP response"),
        }
    }

    /// Returns the rows of the Rekey table whose keys have this prefix, in `DynamoDB`'s JSON.
    #[expect(
        clippy::unused_async,
        reason = "callers of a real table would await it"
    )]
    pub(crate) async fn rows(&self, prefix: &str) -> Vec<Value> {
        let mut rows = self.aws.scan("rekey");
        rows.retain(|row| row["pk"]["S"].as_str().unwrap().starts_with(prefix));
        rows
    }

    /// Returns the whole log.
    pub(crate) fn log(&self) -> String {
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }

    /// Returns the events in the log, in order.
    pub(crate) fn events(&self) -> Vec<String> {
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

/// Returns a batch of a stream, as Lambda delivers it. A row's key is its sequence number.
pub(crate) fn batch(rows: &[&Value]) -> Value {
    let records = rows.iter().map(|row| {
        let change = json!({ "Keys": { "pk": row["pk"] }, "NewImage": row, "SequenceNumber": row["pk"]["S"] });
        json!({ "eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": change })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

fn failed_record(checkpoint: &Checkpoint) -> Option<String> {
    let json = serde_json::to_value(checkpoint).unwrap();
    json["batchItemFailures"]
        .get(0)
        .map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
}

/// Identifies one version of a row.
fn version(row: &Value) -> (String, String) {
    let time = row
        .get("requested_at")
        .or(row.get("changed_at"))
        .map(|time| time["N"].to_string());
    (row["pk"]["S"].to_string(), time.unwrap_or_default())
}

fn functions(
    aws: &Aws,
    settings: &HashMap<String, String>,
    log: &Log,
    timeouts: TimeoutConfig,
) -> (Forgot, Reset) {
    let sdk = sdk_config(&aws.endpoint, timeouts);
    let variable = |name: &str| settings.get(name).cloned();
    let log = || Box::new(log.clone());
    (
        Forgot::new(&sdk, &variable, log()).unwrap(),
        Reset::new(&sdk, &variable, log()).unwrap(),
    )
}

/// Returns the settings of a deployment, with some replaced.
pub(crate) fn environment(replaced: &[(&str, &str)]) -> HashMap<String, String> {
    let settings = [
        ("STACK_NAME", "rekey"),
        ("REKEY_TABLE", "rekey"),
        (
            "RESET_URLS",
            "https://app.example.com/password/reset,https://app.example.com/account?view=reset",
        ),
        ("RESET_URL_ORIGINS", "https://app.example.com"),
        ("PRODUCT_NAME", "Example & Söhne"),
        ("MAIL_FROM_ADDRESS", "no-reply@example.com"),
        ("MAIL_FROM_NAME", "Example & Söhne"),
        ("SES_CONFIGURATION_SET", "rekey-mail"),
        ("USERS_TABLE", "users"),
        ("USERS_KEY_ATTRIBUTE", "id"),
        ("USERS_EMAIL_ATTRIBUTE", "email"),
        ("USERS_EMAIL_INDEX", "email-index"),
        ("USERS_PASSWORD_ATTRIBUTE", "password_hash"),
    ];
    settings
        .iter()
        .chain(replaced)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Returns the product's SDK settings, with other timeouts and with shorter pauses between attempts.
pub(crate) fn sdk_config(endpoint: &str, timeouts: TimeoutConfig) -> SdkConfig {
    static REGIONS: AtomicU32 = AtomicU32::new(0);
    // The SDK keeps one retry budget per region in a process. Tests must not use up each other's budget.
    let region = format!("test-{}", REGIONS.fetch_add(1, Ordering::Relaxed));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        // The tests use no TLS, so its set-up would only cost time.
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(region))
        .endpoint_url(endpoint)
        .retry_config(retries())
        .timeout_config(timeouts)
        .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(
            Credentials::for_tests(),
        ))
        .build()
}

/// Returns the product's retry settings, with pauses divided by [`PAUSE_DIVISOR`].
pub(crate) fn retries() -> RetryConfig {
    let retries = aws::retries();
    let (initial, longest) = (retries.initial_backoff(), retries.max_backoff());
    retries
        .with_initial_backoff(initial / PAUSE_DIVISOR)
        .with_max_backoff(longest / PAUSE_DIVISOR)
}

/// Returns long timeouts: up to fifty callers share one processor here, and each would have its own in Lambda.
pub(crate) fn long_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_timeout(15 * aws::DYNAMODB_TIMEOUT)
        .build()
}

pub(crate) async fn create_tables(dynamodb: &Client, settings: &HashMap<String, String>) {
    let attribute = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute
            .attribute_type(ScalarAttributeType::S)
            .build()
            .unwrap()
    };
    let key = |name: &str| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(KeyType::Hash)
            .build()
            .unwrap()
    };
    let create = |name: &str| {
        dynamodb
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
    };

    create("rekey")
        .attribute_definitions(attribute("pk"))
        .key_schema(key("pk"))
        .send()
        .await
        .unwrap();

    let (users_key, email) = (
        &settings["USERS_KEY_ATTRIBUTE"],
        &settings["USERS_EMAIL_ATTRIBUTE"],
    );
    let users = create("users")
        .attribute_definitions(attribute(users_key))
        .key_schema(key(users_key));
    let users = if users_key == email {
        users
    } else {
        let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly);
        let index = GlobalSecondaryIndex::builder()
            .index_name(&settings["USERS_EMAIL_INDEX"])
            .key_schema(key(email))
            .projection(keys_only.build());
        users
            .attribute_definitions(attribute(email))
            .global_secondary_indexes(index.build().unwrap())
    };
    users.send().await.unwrap();
}

/// The parts of a reset link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) url: Url,
    pub(crate) email: String,
    pub(crate) token: String,
}

/// An email, as SES received it.
#[derive(Clone, Debug)]
pub(crate) struct SentEmail(pub(crate) Value);

impl SentEmail {
    pub(crate) fn to(&self) -> &str {
        self.0["Destination"]["ToAddresses"][0].as_str().unwrap()
    }

    pub(crate) fn subject(&self) -> &str {
        self.0["Content"]["Simple"]["Subject"]["Data"]
            .as_str()
            .unwrap()
    }

    /// Returns the tag that SES feedback about the email contains.
    pub(crate) fn tag(&self) -> &Value {
        &self.0["EmailTags"][0]
    }

    pub(crate) fn text(&self) -> &str {
        self.0["Content"]["Simple"]["Body"]["Text"]["Data"]
            .as_str()
            .unwrap()
    }

    pub(crate) fn html(&self) -> &str {
        self.0["Content"]["Simple"]["Body"]["Html"]["Data"]
            .as_str()
            .unwrap()
    }

    pub(crate) fn link(&self) -> Link {
        let line = self
            .text()
            .lines()
            .find(|line| line.starts_with("http"))
            .expect("a link");
        let url = Url::parse(line).unwrap();
        let parameters = url.fragment().or(url.query()).unwrap().to_owned();
        let pairs: HashMap<_, _> = url::form_urlencoded::parse(parameters.as_bytes())
            .into_owned()
            .collect();
        Link {
            url,
            email: pairs["email"].clone(),
            token: pairs["token"].clone(),
        }
    }
}

/// A log that tests can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
