//! Sends requests through `lambda::handle` and times them.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use forgot::Forgot;
use jiff::{SignedDuration, Timestamp};
use rand::TryRng as _;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use rand::seq::SliceRandom as _;
use rekey::aws;
use rekey::config::Env;
use rekey::directory::schema::Schema;
use rekey::directory::users_table::UsersTable;
use rekey::lambda;
use rekey::lambda::Output;
use rekey::lambda::function::Function;
use rekey::limits::Limits;
use rekey::pace::Pace;
use rekey::table::Table;
use reset::Reset;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use support::aws::Aws;
use support::deployment::{create_tables, environment, long_timeouts, sdk_config};

/// A deployment with its own `DynamoDB` on loopback, and with rate limits that no measurement reaches.
pub(crate) struct Bench {
    pub(crate) forgot: Forgot,
    pub(crate) reset: Reset,
    pub(crate) users: UsersTable,
    pub(crate) table: Table,
    pub(crate) dynamodb: Client,
    aws: Arc<Aws>,
    now: Mutex<Timestamp>,
}

impl Bench {
    pub(crate) async fn open() -> Self {
        let aws = Aws::start().await;
        let endpoint = aws.dynamodb.clone();
        Self::on(aws, &endpoint).await
    }

    /// Opens a deployment whose calls are recorded, so that the time of `DynamoDB` can be subtracted.
    pub(crate) async fn watched() -> Self {
        let aws = Aws::start().await;
        let endpoint = aws.endpoint.clone();
        Self::on(aws, &endpoint).await
    }

    async fn on(aws: Arc<Aws>, endpoint: &str) -> Self {
        let settings = environment(&[
            ("ADDRESS_LIMIT", "1000"),
            ("ADDRESS_DAILY_LIMIT", "1000"),
            ("DAILY_MAIL_BUDGET", "100000000"),
            ("SOURCE_LIMIT", "100000"),
            ("SOURCE_WINDOW_SECONDS", "3600"),
        ]);
        let sdk = sdk_config(endpoint, long_timeouts());
        let dynamodb = Client::new(&sdk);
        create_tables(&dynamodb, &settings).await;
        let variable = |name: &str| settings.get(name).cloned();
        let (users, table) = stores(&sdk, &variable);
        Self {
            forgot: Forgot::new(&sdk, &variable, Box::new(io::sink())).unwrap(),
            reset: Reset::new(&sdk, &variable, Box::new(io::sink())).unwrap(),
            users,
            table,
            dynamodb,
            aws,
            now: Mutex::new("2026-11-23T12:00:00.250Z".parse().unwrap()),
        }
    }

    pub(crate) async fn user(&self, email: &str) {
        let item = [("id", email), ("email", email), ("password_hash", "old")];
        let item = item.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
        let put = self.dynamodb.put_item().table_name("users");
        put.set_item(Some(item.into())).send().await.unwrap();
    }

    pub(crate) fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    pub(crate) fn later(&self, duration: SignedDuration) {
        *self.now.lock().unwrap() += duration;
    }

    /// Returns the time from an event to its response, in microseconds. The response must have this status.
    pub(crate) async fn time<F: Function>(&self, function: &F, body: &Value, status: u16) -> f64 {
        self.time_apart(function, body, status).await.0
    }

    /// Returns the time that `DynamoDB` took since the last call of this function. Its calls overlap.
    fn take_dynamodb_time(&self) -> Duration {
        let spans = std::mem::take(&mut *self.aws.spans.lock().unwrap());
        let start = spans.iter().map(|(start, _)| *start).min();
        let end = spans.iter().map(|(_, end)| *end).max();
        let time = start.zip(end).map(|(start, end)| end - start);
        time.unwrap_or_default()
    }

    /// Returns the same, and that time without `DynamoDB`, if its calls are recorded.
    pub(crate) async fn time_apart<F: Function>(
        &self,
        function: &F,
        body: &Value,
        status: u16,
    ) -> (f64, f64) {
        let path = match body.get("token") {
            Some(_) => "/password/reset",
            None => "/password/forgot",
        };
        let event = json!({
            "version": "2.0",
            "rawPath": path,
            "headers": { "content-type": "application/json" },
            "requestContext": {
                "http": { "method": "POST", "path": path, "sourceIp": "192.0.2.1" },
                "requestId": format!("{:016x}", random()),
            },
            "body": body.to_string(),
            "isBase64Encoded": false,
        });
        let event = serde_json::from_value(event).unwrap();
        let now = self.now();
        let start = Instant::now();
        let output = lambda::handle(function, event, String::new(), || now, Pace::UNPACED).await;
        let took = start.elapsed();
        match output.unwrap() {
            Output::Http(response) => assert_eq!(response.status(), status, "{}", response.body()),
            Output::Stream(_) => panic!("expected a response to a gateway"),
        }
        let own = took.saturating_sub(self.take_dynamodb_time());
        (took.as_secs_f64() * 1e6, own.as_secs_f64() * 1e6)
    }
}

/// Returns the stores of the functions, for the test to fill.
fn stores(sdk: &SdkConfig, variable: &dyn Fn(&str) -> Option<String>) -> (UsersTable, Table) {
    let mut env = Env::new(variable);
    let schema = Schema::read(&mut env);
    let limits = Limits::read(&mut env, Some(SignedDuration::from_hours(1)));
    let (schema, limits) = env.finish(schema.zip(limits)).unwrap();
    let dynamodb = aws::dynamodb(sdk);
    let table = Table::new(dynamodb.clone(), variable("REKEY_TABLE").unwrap(), limits);
    (UsersTable::new(dynamodb, schema), table)
}

/// Returns a runtime with one thread, as in Lambda, so that a scheduler adds no noise.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Waits until no other test measures. Tests are threads of one process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A failure of another test must not fail this one.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn random() -> u64 {
    SysRng.try_next_u64().unwrap()
}

pub(crate) fn shuffle<T>(items: &mut [T]) {
    items.shuffle(&mut UnwrapErr(SysRng));
}

/// Returns random addresses of equal length.
pub(crate) fn addresses(count: usize) -> Vec<String> {
    let address = || format!("{:016x}@example.com", random());
    std::iter::repeat_with(address).take(count).collect()
}
