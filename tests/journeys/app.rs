//! The app: both functions, the table and the users, SES, and the stream, which is carried by hand.
//!
//! Time is the app's: `later` moves it, and nothing sleeps.

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

/// Limits that no test of something else reaches.
pub(crate) const WIDE_LIMITS: [(&str, &str); 4] = [
    ("SOURCE_LIMIT", "100000"),
    ("DAILY_MAIL_BUDGET", "100000000"),
    ("ADDRESS_LIMIT", "1000"),
    ("ADDRESS_DAILY_LIMIT", "1000"),
];

/// How many times as short the pauses before another attempt are.
const DESK_HASTE: u32 = 20;

/// A deployment on this app.
pub(crate) struct TestApp {
    forgot: Forgot,
    reset: Reset,
    pub(crate) aws: Arc<Aws>,
    pub(crate) dynamodb: Client,
    pub(crate) settings: HashMap<String, String>,
    log: Log,
    now: Mutex<Timestamp>,
    tick: Mutex<SignedDuration>,
    carried: Mutex<HashSet<(String, String)>>,
    /// Whether dropping this app checks for unfired faults and unprocessed records.
    is_checked: bool,
    /// Why records may be left unprocessed.
    unprocessed_reason: Mutex<Option<&'static str>>,
    requests: Mutex<u32>,
}

impl TestApp {
    pub(crate) async fn open() -> Self {
        Self::with(&[]).await
    }

    /// A deployment with other settings than the app's own.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let aws = Aws::start().await;
        // Past what can be made to fail: for what the app itself wants to know.
        let dynamodb = Client::new(&sdk_config(&aws.dynamodb, unhurried()));
        let settings = environment(settings);
        create_tables(&dynamodb, &settings).await;
        let log = Log::default();
        let (forgot, reset) = functions(&aws, &settings, &log, unhurried());
        Self {
            forgot,
            reset,
            aws,
            dynamodb,
            settings,
            log,
            now: Mutex::new("2026-11-23T12:00:00.250Z".parse().unwrap()),
            tick: Mutex::default(),
            carried: Mutex::default(),
            is_checked: true,
            unprocessed_reason: Mutex::default(),
            requests: Mutex::default(),
        }
    }

    /// Another instance of the same deployment, as Lambda starts them when there is much to do.
    pub(crate) fn instance(&self) -> Self {
        static INSTANCES: AtomicU32 = AtomicU32::new(1);
        let (forgot, reset) = functions(&self.aws, &self.settings, &self.log, unhurried());
        Self {
            forgot,
            reset,
            aws: Arc::clone(&self.aws),
            dynamodb: self.dynamodb.clone(),
            settings: self.settings.clone(),
            log: self.log.clone(),
            now: Mutex::new(self.now()),
            tick: Mutex::default(),
            carried: Mutex::default(),
            // The first app carries the stream for all instances.
            is_checked: false,
            unprocessed_reason: Mutex::default(),
            requests: Mutex::new(INSTANCES.fetch_add(1, Ordering::Relaxed) * 1_000_000),
        }
    }

    /// Restarts both functions with timeouts that are this many times as short as the product's.
    pub(crate) fn hurry(&mut self, haste: u32) {
        let timeouts = aws::timeouts();
        let shorter = |timeout: Option<Duration>| timeout.unwrap() / haste;
        self.start(
            TimeoutConfig::builder()
                .connect_timeout(shorter(timeouts.connect_timeout()))
                .operation_attempt_timeout(shorter(timeouts.operation_attempt_timeout()))
                .operation_timeout(shorter(timeouts.operation_timeout()))
                .build(),
        );
    }

    /// From now on both functions are new processes, with all the time in the world.
    pub(crate) fn calm_down(&mut self) {
        self.start(unhurried());
    }

    fn start(&mut self, timeouts: TimeoutConfig) {
        (self.forgot, self.reset) = functions(&self.aws, &self.settings, &self.log, timeouts);
    }

    /// A app with one user, whose address is [`ADA`].
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

    /// What the users table says of an attribute.
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

    pub(crate) fn later(&self, duration: SignedDuration) {
        *self.now.lock().unwrap() += duration;
    }

    /// From now on so much time passes between two looks at the clock.
    pub(crate) fn tick(&self, duration: SignedDuration) {
        *self.tick.lock().unwrap() = duration;
    }

    pub(crate) fn now(&self) -> Timestamp {
        let mut now = self.now.lock().unwrap();
        let read = *now;
        *now += *self.tick.lock().unwrap();
        read
    }

    /// Asks for a link.
    pub(crate) async fn forgot(&self, email: &str) -> Response {
        self.post(
            "/password/forgot",
            &json!({ "email": email, "reset_url": PAGE }),
        )
        .await
    }

    /// Asks for a link, carries the stream, and takes the link out of the mail.
    pub(crate) async fn link(&self, email: &str) -> Link {
        let mails = self.aws.mails().len();
        assert_eq!(self.forgot(email).await.status(), 202);
        self.stream().await;
        let mails = self.aws.mails().split_off(mails);
        let mail = mails
            .iter()
            .find(|mail| mail.subject().contains("new password"));
        mail.expect("a mail with a link").link()
    }

    /// Follows a link, and sets a password.
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

    /// An event of API Gateway's HTTP API (payload 2.0), for tests to change.
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

    /// Hands an event to the function of its path.
    pub(crate) async fn send(&self, event: Value) -> Response {
        let path = event["rawPath"]
            .as_str()
            .or(event["path"].as_str())
            .unwrap_or_default();
        let answer = if path.contains("reset") {
            self.handle(&self.reset, event).await
        } else {
            self.handle(&self.forgot, event).await
        };
        match answer {
            Output::Http(response) => response,
            Output::Stream(_) => panic!("an answer to a stream"),
        }
    }

    async fn handle(&self, function: &impl Function, event: Value) -> Output {
        let event = serde_json::from_value(event).unwrap();
        let (invocation, clock) = ("invocation".to_owned(), || self.now());
        lambda::handle(function, event, invocation, clock, Pace::UNPACED)
            .await
            .unwrap()
    }

    /// Carries what was written to the private halves, and says where they stopped, if they did. What was not carried
    /// is carried again the next time.
    pub(crate) async fn stream(&self) -> Option<String> {
        let mut rows = self.rows("").await;
        rows.retain(|row| !self.carried.lock().unwrap().contains(&version(row)));
        rows.sort_by_key(|row| version(row).1);
        let requested = self.carry(&self.forgot, &rows, "request#").await;
        let changed = self.carry(&self.reset, &rows, "change#").await;
        requested.or(changed)
    }

    async fn carry(
        &self,
        function: &impl Function,
        rows: &[Value],
        prefix: &str,
    ) -> Option<String> {
        let rows: Vec<&Value> = rows
            .iter()
            .filter(|row| row["pk"]["S"].as_str().unwrap().starts_with(prefix))
            .collect();
        self.bring(function, &rows).await
    }

    /// Carries the stream, which must not stop.
    pub(crate) async fn drain(&self) {
        assert_eq!(self.stream().await, None, "{}", self.log());
    }

    /// Allows stream records to be left unprocessed at the end of a test, for a reason.
    pub(crate) fn allow_unprocessed(&self, reason: &'static str) {
        assert!(!reason.is_empty());
        *self.unprocessed_reason.lock().unwrap() = Some(reason);
    }

    /// Records that rows were processed, by this app or by a process of the test's own.
    pub(crate) fn mark_processed<'a>(&self, rows: impl IntoIterator<Item = &'a Value>) {
        let versions = rows.into_iter().map(version);
        self.carried.lock().unwrap().extend(versions);
    }

    /// The rows that no private half has processed, unless the test allows that.
    fn unprocessed(&self) -> Vec<Value> {
        if self.unprocessed_reason.lock().unwrap().is_some() {
            return Vec::new();
        }
        let mut rows = self.aws.scan("rekey");
        let carried = self.carried.lock().unwrap();
        rows.retain(|row| {
            let key = row["pk"]["S"].as_str().unwrap();
            let is_record =
                key.starts_with(Forgot::KEY_PREFIX) || key.starts_with(Reset::KEY_PREFIX);
            is_record && !carried.contains(&version(row))
        });
        rows
    }

    /// Brings rows to `forgot`'s private half, whether or not they were brought before.
    pub(crate) async fn bring_to_forgot(&self, rows: &[&Value]) -> Option<String> {
        self.bring(&self.forgot, rows).await
    }

    /// One batch of a stream.
    async fn bring(&self, function: &impl Function, rows: &[&Value]) -> Option<String> {
        match self.handle(function, batch(rows)).await {
            Output::Stream(checkpoint) => {
                let stopped = stopped_at(&checkpoint);
                let rows = rows.iter().copied();
                let is_done = |row: &&Value| stopped.as_deref() != row["pk"]["S"].as_str();
                self.mark_processed(rows.take_while(is_done));
                stopped
            }
            Output::Http(_) => panic!("an answer to a gateway"),
        }
    }

    /// Brings an event of SES to the half that SES's topic is connected to.
    pub(crate) async fn feedback(&self, event: &Value) {
        let record = json!({ "EventSource": "aws:sns", "Sns": { "Message": event.to_string(), "Type": "Notification" } });
        match self
            .handle(&self.reset, json!({ "Records": [record] }))
            .await
        {
            Output::Stream(checkpoint) => assert_eq!(stopped_at(&checkpoint), None),
            Output::Http(_) => panic!("an answer to a gateway"),
        }
    }

    /// The rows of the Rekey table whose keys begin so, in `DynamoDB`'s JSON.
    #[expect(clippy::unused_async, reason = "a user of the table waits for it")]
    pub(crate) async fn rows(&self, prefix: &str) -> Vec<Value> {
        let mut rows = self.aws.scan("rekey");
        rows.retain(|row| row["pk"]["S"].as_str().unwrap().starts_with(prefix));
        rows
    }

    /// Everything that was logged.
    pub(crate) fn log(&self) -> String {
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }

    /// The events that were logged, in order.
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
    /// Fails the test if a planned fault did not fire, or if no private half processed a record. Either way, the test
    /// did not try what it says.
    fn drop(&mut self) {
        if !self.is_checked || std::thread::panicking() {
            return;
        }
        let unfired = self.aws.unfired();
        assert_eq!(unfired, [""; 0], "planned faults did not fire");
        let unprocessed = self.unprocessed();
        assert_eq!(
            unprocessed, [""; 0],
            "records are unprocessed: drain the stream, or allow it"
        );
    }
}

/// A batch of a stream, as Lambda hands it over. A row's key is its sequence number.
pub(crate) fn batch(rows: &[&Value]) -> Value {
    let records = rows.iter().map(|row| {
        let change = json!({ "Keys": { "pk": row["pk"] }, "NewImage": row, "SequenceNumber": row["pk"]["S"] });
        json!({ "eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": change })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

fn stopped_at(checkpoint: &Checkpoint) -> Option<String> {
    let json = serde_json::to_value(checkpoint).unwrap();
    json["batchItemFailures"]
        .get(0)
        .map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
}

/// Tells the versions of a row apart.
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

/// The settings of a deployment, with some replaced.
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

/// The product's own settings, but for the time-outs, and with short pauses before an attempt.
pub(crate) fn sdk_config(endpoint: &str, timeouts: TimeoutConfig) -> SdkConfig {
    static REGIONS: AtomicU32 = AtomicU32::new(0);
    // The budget of retries is the process's, for each region: no app shall use up another one's.
    let region = format!("desk-{}", REGIONS.fetch_add(1, Ordering::Relaxed));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        // There is no TLS here to get ready for.
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

/// The product's retries, with pauses that are [`DESK_HASTE`] times as short.
pub(crate) fn retries() -> RetryConfig {
    let retries = aws::retries();
    let (initial, longest) = (retries.initial_backoff(), retries.max_backoff());
    retries
        .with_initial_backoff(initial / DESK_HASTE)
        .with_max_backoff(longest / DESK_HASTE)
}

/// Fifty callers share one processor here, of which each would have one in Lambda.
pub(crate) fn unhurried() -> TimeoutConfig {
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

/// What a link carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) url: Url,
    pub(crate) email: String,
    pub(crate) token: String,
}

/// A mail, as SES was handed it.
#[derive(Clone, Debug)]
pub(crate) struct Mail(pub(crate) Value);

impl Mail {
    pub(crate) fn to(&self) -> &str {
        self.0["Destination"]["ToAddresses"][0].as_str().unwrap()
    }

    pub(crate) fn subject(&self) -> &str {
        self.0["Content"]["Simple"]["Subject"]["Data"]
            .as_str()
            .unwrap()
    }

    /// The tag by which what becomes of the mail is told.
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
        let carrier = url.fragment().or(url.query()).unwrap().to_owned();
        let pairs: HashMap<_, _> = url::form_urlencoded::parse(carrier.as_bytes())
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
