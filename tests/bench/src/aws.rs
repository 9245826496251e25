//! AWS on loopback: a `DynamoDB` in this process, and an SES that takes as long as it is told.

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

/// AWS, as functions see it.
pub(crate) struct Aws {
    pub(crate) endpoint: Endpoint,
    pub(crate) database: Database,
    state: Arc<State>,
    _server: Server,
}

#[derive(Default)]
struct State {
    calls: Mutex<Vec<Call>>,
    mails: Mutex<Vec<Value>>,
    arrived: Condvar,
    /// Of DynamoDB and of SES, in microseconds.
    latencies: [AtomicU64; 2],
    posting: AtomicUsize,
    posting_at_most: AtomicUsize,
}

/// A call, and when it was with AWS.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) came: Instant,
    pub(crate) went: Instant,
}

/// For all connections that there may be at one time.
const THREADS: usize = 64;

impl Aws {
    /// Over TLS 1.3.
    pub(crate) fn start() -> Self {
        Self::start_with(Some(Authority::of_this_run()))
    }

    /// Over HTTP, for counts: a handshake takes a number of instructions that changes, and under valgrind a time that
    /// comes near the functions' time-outs.
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

    /// The calls since the last look, in the order in which they were answered.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.state.calls.lock().unwrap())
    }

    /// The mails since the last look.
    pub(crate) fn take_mails(&self) -> Vec<Value> {
        std::mem::take(&mut *self.state.mails.lock().unwrap())
    }

    /// Waits for a mail, and takes it: some peers answer before they mail.
    pub(crate) fn mail(&self) -> Value {
        let mails = self.state.mails.lock().unwrap();
        let patience = Duration::from_mins(1);
        let (mut mails, _) = self
            .state
            .arrived
            .wait_timeout_while(mails, patience, |mails| mails.is_empty())
            .unwrap();
        mails.pop().expect("a mail in time")
    }

    /// From now on DynamoDB and SES take so long, each by itself.
    pub(crate) fn slow(&self, dynamodb: Duration, ses: Duration) {
        for (latency, now) in self.state.latencies.iter().zip([dynamodb, ses]) {
            latency.store(u64::try_from(now.as_micros()).unwrap(), Ordering::Relaxed);
        }
    }

    /// How many mails SES was being handed at one time, at the most.
    pub(crate) fn posted_at_once(&self) -> usize {
        self.state.posting_at_most.load(Ordering::Relaxed)
    }

    /// Puts many rows into a table.
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
            act(database, name, &request.body)
        } else {
            self.post(ses, &request.body)
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
            came: request.came,
            went: Instant::now(),
        };
        self.calls.lock().unwrap().push(call);
        answer
    }

    /// What SES does with a mail: it takes its time, and then it has it.
    fn post(&self, latency: Duration, body: &[u8]) -> (u16, String) {
        let posting = self.posting.fetch_add(1, Ordering::Relaxed) + 1;
        self.posting_at_most.fetch_max(posting, Ordering::Relaxed);
        wait(latency);
        self.posting.fetch_sub(1, Ordering::Relaxed);
        let mail = serde_json::from_slice(body).unwrap();
        self.mails.lock().unwrap().push(mail);
        self.arrived.notify_all();
        (200, json!({ "MessageId": "1" }).to_string())
    }
}

/// As if AWS were waited for.
pub(crate) fn wait(latency: Duration) {
    if !latency.is_zero() {
        #[expect(clippy::disallowed_methods, reason = "AWS's latency is what this is")]
        std::thread::sleep(latency);
    }
}

fn act(database: &Database, name: &str, body: &[u8]) -> (u16, String) {
    let answer = match name {
        "GetItem" => run(body, |request| database.get_item(request)),
        "PutItem" => run(body, |request| database.put_item(request)),
        "Query" => run(body, |request| database.query(request)),
        "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
        "UpdateItem" => run(body, |request| database.update_item(request)),
        other => panic!("{other} is not expected of anybody"),
    };
    answer.unwrap_or_else(|error| (error.status_code(), error.to_json()))
}

fn run<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    act: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<(u16, String), DynoxideError> {
    let answer = act(serde_json::from_slice(body).unwrap())?;
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
