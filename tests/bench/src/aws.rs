//! AWS on loopback: a `DynamoDB` in this process, and an SES with a configurable latency.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use dynoxide::errors::DynoxideError;
use dynoxide::{Database, ImportOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http::{Request, Server, response};
use crate::tls::{Authority, Endpoint};

/// The AWS that the functions call.
pub(crate) struct Aws {
    pub(crate) endpoint: Endpoint,
    pub(crate) database: Database,
    state: Arc<State>,
    _server: Server,
}

#[derive(Default)]
struct State {
    calls: Mutex<Vec<Call>>,
    emails: Mutex<Vec<Value>>,
    arrived: Condvar,
    /// The latencies of `DynamoDB` and of SES, in microseconds.
    latencies: [AtomicU64; 2],
    sending: AtomicUsize,
    max_sending: AtomicUsize,
}

/// A call, and when AWS received and answered it.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) received: Instant,
    pub(crate) answered: Instant,
}

/// The number of threads: enough for all concurrent connections.
const THREADS: usize = 64;

impl Aws {
    /// Starts an AWS over TLS 1.3.
    pub(crate) fn start() -> Self {
        Self::start_with(Some(Authority::of_this_run()))
    }

    /// Starts an AWS over HTTP, for counts. A handshake takes a varying number of instructions. Under valgrind, its
    /// time comes near the functions' timeouts.
    pub(crate) fn start_plain() -> Self {
        Self::start_with(None)
    }

    fn start_with(authority: Option<&Authority>) -> Self {
        let database = Database::memory().unwrap();
        create_tables(&database);
        let state = Arc::new(State::default());
        let tls = authority.map(|authority| &authority.server);
        let server = Server::start(THREADS, tls, {
            let (database, state) = (database.clone(), Arc::clone(&state));
            move |request| Some(state.answer(&database, &request))
        });
        let port = server.address.port();
        let endpoint = match authority {
            Some(authority) => Endpoint::new(port, authority),
            None => Endpoint::plain(port),
        };
        Self {
            endpoint,
            database,
            state,
            _server: server,
        }
    }

    /// Takes the calls since the last call of this function, in the order of their responses.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.state.calls.lock().unwrap())
    }

    /// Takes the emails since the last call of this function.
    pub(crate) fn take_emails(&self) -> Vec<Value> {
        std::mem::take(&mut *self.state.emails.lock().unwrap())
    }

    /// Waits for an email and takes it. Some peers respond before they send it.
    pub(crate) fn take_email(&self) -> Value {
        let emails = self.state.emails.lock().unwrap();
        let timeout = Duration::from_mins(1);
        let (mut emails, _) = self
            .state
            .arrived
            .wait_timeout_while(emails, timeout, |emails| emails.is_empty())
            .unwrap();
        emails.pop().expect("an email in time")
    }

    /// Sets the latencies of `DynamoDB` and SES.
    pub(crate) fn slow(&self, dynamodb: Duration, ses: Duration) {
        for (latency, now) in self.state.latencies.iter().zip([dynamodb, ses]) {
            latency.store(u64::try_from(now.as_micros()).unwrap(), Ordering::Relaxed);
        }
    }

    /// Returns the maximum number of concurrent calls to SES.
    pub(crate) fn max_concurrent_emails(&self) -> usize {
        self.state.max_sending.load(Ordering::Relaxed)
    }

    /// Imports rows into a table.
    pub(crate) fn fill(&self, table: &str, rows: impl Iterator<Item = Value>) {
        let rows: Vec<Value> = rows.collect();
        for rows in rows.chunks(10_000) {
            let items = rows
                .iter()
                .map(|row| serde_json::from_value(row.clone()).unwrap());
            self.database
                .import_items(table, items.collect(), ImportOptions::default())
                .unwrap();
        }
    }
}

impl State {
    fn answer(&self, database: &Database, request: &Request) -> Vec<u8> {
        let target = request.headers.get("x-amz-target");
        let name = target.map_or("SendEmail", |target| target.rsplit('.').next().unwrap());
        let [dynamodb, ses] = [0, 1].map(|service: usize| {
            Duration::from_micros(self.latencies[service].load(Ordering::Relaxed))
        });
        let (status, body) = if target.is_some() {
            wait(dynamodb);
            execute(database, name, &request.body)
        } else {
            self.send_email(ses, &request.body)
        };
        let error: Option<Value> = (status >= 400).then(|| serde_json::from_str(&body).unwrap());
        let kind = error
            .as_ref()
            .and_then(|error| error["__type"].as_str())
            .unwrap_or("none");
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amzn-errortype", kind),
        ];
        let headers = if status >= 400 {
            &headers[..]
        } else {
            &headers[..1]
        };
        let answer = response(status, headers, &body);
        let call = Call {
            name: name.to_owned(),
            received: request.received,
            answered: Instant::now(),
        };
        self.calls.lock().unwrap().push(call);
        answer
    }

    /// Accepts an email after SES's latency.
    fn send_email(&self, latency: Duration, body: &[u8]) -> (u16, String) {
        let sending = self.sending.fetch_add(1, Ordering::Relaxed) + 1;
        self.max_sending.fetch_max(sending, Ordering::Relaxed);
        wait(latency);
        self.sending.fetch_sub(1, Ordering::Relaxed);
        let email = serde_json::from_slice(body).unwrap();
        self.emails.lock().unwrap().push(email);
        self.arrived.notify_all();
        (200, json!({ "MessageId": "1" }).to_string())
    }
}

/// Sleeps for a latency of AWS.
pub(crate) fn wait(latency: Duration) {
    if !latency.is_zero() {
        #[expect(clippy::disallowed_methods, reason = "this simulates AWS's latency")]
        std::thread::sleep(latency);
    }
}

fn execute(database: &Database, name: &str, body: &[u8]) -> (u16, String) {
    let answer = match name {
        "GetItem" => run(body, |request| database.get_item(request)),
        "PutItem" => run(body, |request| database.put_item(request)),
        "Query" => run(body, |request| database.query(request)),
        "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
        "UpdateItem" => run(body, |request| database.update_item(request)),
        other => panic!("unexpected call: {other}"),
    };
    answer.unwrap_or_else(|error| (error.status_code(), error.to_json()))
}

fn run<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<(u16, String), DynoxideError> {
    let answer = operation(serde_json::from_slice(body).unwrap())?;
    Ok((200, serde_json::to_string(&answer).unwrap()))
}

fn create_tables(database: &Database) {
    let key = |name: &str| json!([{ "AttributeName": name, "KeyType": "HASH" }]);
    let tables = [
        json!({
            "TableName": "rekey",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
            "KeySchema": key("pk"),
        }),
        json!({
            "TableName": "users",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                { "AttributeName": "id", "AttributeType": "S" },
                { "AttributeName": "email", "AttributeType": "S" },
            ],
            "KeySchema": key("id"),
            "GlobalSecondaryIndexes": [{
                "IndexName": "email-index",
                "KeySchema": key("email"),
                "Projection": { "ProjectionType": "KEYS_ONLY" },
            }],
        }),
    ];
    for table in tables {
        database
            .create_table(serde_json::from_value(table).unwrap())
            .unwrap();
    }
}
