//! A deployment in this process: its settings, its SDK, and its tables.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use forgot::Forgot;
use rekey::aws;
use reset::Reset;

use crate::aws::Aws;

pub const ADA: &str = "ada@example.com";
pub const PAGE: &str = "https://app.example.com/password/reset";
pub const PASSWORD: &str = "correct horse battery staple";

/// Limits so high that only a test of limits reaches one.
pub const WIDE_LIMITS: [(&str, &str); 4] = [
    ("SOURCE_LIMIT", "100000"),
    ("DAILY_MAIL_BUDGET", "100000000"),
    ("ADDRESS_LIMIT", "1000"),
    ("ADDRESS_DAILY_LIMIT", "1000"),
];

/// The divisor of the pauses between attempts.
const PAUSE_DIVISOR: u32 = 20;

/// Starts both functions.
pub(crate) fn functions(
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
pub fn environment(replaced: &[(&str, &str)]) -> HashMap<String, String> {
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
pub fn sdk_config(endpoint: &str, timeouts: TimeoutConfig) -> SdkConfig {
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
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .build()
}

/// Returns the product's retry settings, with shorter pauses.
pub fn retries() -> RetryConfig {
    let retries = aws::retries();
    let (initial, longest) = (retries.initial_backoff(), retries.max_backoff());
    retries
        .with_initial_backoff(initial / PAUSE_DIVISOR)
        .with_max_backoff(longest / PAUSE_DIVISOR)
}

/// Returns long timeouts: up to fifty callers share one processor here, and each would have its own in Lambda.
pub fn long_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_timeout(15 * aws::DYNAMODB_TIMEOUT)
        .build()
}

pub async fn create_tables(dynamodb: &Client, settings: &HashMap<String, String>) {
    let rekey = dynamodb.create_table().table_name("rekey");
    rekey
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", &ScalarAttributeType::S))
        .key_schema(key("pk", KeyType::Hash))
        .send()
        .await
        .unwrap();
    create_users_table(dynamodb, settings, &KeyTypes::default()).await;
}

/// The parts of a users table's layout that no setting names.
pub struct KeyTypes {
    pub key: ScalarAttributeType,
    pub sort_key: ScalarAttributeType,
    /// The sort key of the index, which Rekey does not use.
    pub index_sort_key: Option<&'static str>,
}

impl Default for KeyTypes {
    fn default() -> Self {
        Self {
            key: ScalarAttributeType::S,
            sort_key: ScalarAttributeType::S,
            index_sort_key: None,
        }
    }
}

/// Deletes the users table, and creates one whose keys have other types.
pub async fn recreate_users_table(
    dynamodb: &Client,
    settings: &HashMap<String, String>,
    types: &KeyTypes,
) {
    let delete = dynamodb.delete_table().table_name("users");
    delete.send().await.unwrap();
    create_users_table(dynamodb, settings, types).await;
}

/// Creates a users table in the layout that the settings describe, with a `KEYS_ONLY` index.
async fn create_users_table(
    dynamodb: &Client,
    settings: &HashMap<String, String>,
    types: &KeyTypes,
) {
    let (users_key, email) = (
        &settings["USERS_KEY_ATTRIBUTE"],
        &settings["USERS_EMAIL_ATTRIBUTE"],
    );
    let mut users = dynamodb
        .create_table()
        .table_name("users")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute(users_key, &types.key))
        .key_schema(key(users_key, KeyType::Hash));
    if let Some(sort_key) = settings.get("USERS_SORT_KEY_ATTRIBUTE") {
        users = users
            .attribute_definitions(attribute(sort_key, &types.sort_key))
            .key_schema(key(sort_key, KeyType::Range));
    }
    if users_key != email {
        let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly);
        let mut index = GlobalSecondaryIndex::builder()
            .index_name(&settings["USERS_EMAIL_INDEX"])
            .key_schema(key(email, KeyType::Hash))
            .projection(keys_only.build());
        users = users.attribute_definitions(attribute(email, &ScalarAttributeType::S));
        if let Some(sort_key) = types.index_sort_key {
            index = index.key_schema(key(sort_key, KeyType::Range));
            users = users.attribute_definitions(attribute(sort_key, &ScalarAttributeType::S));
        }
        users = users.global_secondary_indexes(index.build().unwrap());
    }
    users.send().await.unwrap();
}

fn attribute(name: &str, kind: &ScalarAttributeType) -> AttributeDefinition {
    let attribute = AttributeDefinition::builder().attribute_name(name);
    attribute.attribute_type(kind.clone()).build().unwrap()
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    let key = KeySchemaElement::builder().attribute_name(name);
    key.key_type(kind).build().unwrap()
}

/// A log that tests can read.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
