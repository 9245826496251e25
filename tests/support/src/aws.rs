//! A fake AWS on a socket. It forwards `DynamoDB` calls to a database in this process, and plays SES itself. Tests can
//! make any call fail, in any way that a network can.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::directory::Directory;
use crate::email::SentEmail;
use crate::faults::{Chaos, Fault, Planned, Reply};
use crate::wire::{Incoming, response};

/// The AWS that the functions call.
pub struct Aws {
    pub endpoint: String,
    /// The endpoint of `DynamoDB` itself, which bypasses the injected faults.
    pub dynamodb: String,
    database: dynoxide::Database,
    /// The team's directory functions.
    pub directory: Directory,
    client: reqwest::Client,
    emails: Mutex<Vec<SentEmail>>,
    calls: Mutex<Vec<(Call, Instant)>>,
    /// The body of the last request of each call.
    last_bodies: Mutex<HashMap<String, Value>>,
    /// The times at which `DynamoDB` started and finished each call.
    pub spans: Mutex<Vec<(Instant, Instant)>>,
    plan: Mutex<Vec<Planned>>,
    chaos: Mutex<Option<Chaos>>,
    /// The number of faults that chaos injected, if a test injects chaos.
    chaos_faults: Mutex<Option<usize>>,
    /// The reason why planned faults may remain.
    unfired_reason: Mutex<Option<&'static str>>,
    /// The number of emails that SES is receiving.
    sending: AtomicUsize,
    max_sending: AtomicUsize,
    /// The servers, which stop when the last handle is dropped: a test may start hundreds.
    servers: Mutex<JoinSet<()>>,
}

/// A call to AWS, as an observer of the network sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    pub name: String,
    /// The length of the request's body, in bytes.
    pub request_length: usize,
    /// The length of the response's body, in bytes.
    pub response_length: usize,
}

impl Aws {
    pub async fn start() -> Arc<Self> {
        fail_fast();
        let dynamodb = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let database = dynoxide::Database::memory().unwrap();
        let aws = Arc::new(Self {
            endpoint: format!("http://{}", front.local_addr().unwrap()),
            dynamodb: format!("http://{}", dynamodb.local_addr().unwrap()),
            database: database.clone(),
            directory: Directory::default(),
            client: reqwest::Client::new(),
            emails: Mutex::default(),
            calls: Mutex::default(),
            last_bodies: Mutex::default(),
            spans: Mutex::default(),
            plan: Mutex::default(),
            chaos: Mutex::default(),
            chaos_faults: Mutex::default(),
            unfired_reason: Mutex::default(),
            sending: AtomicUsize::new(0),
            max_sending: AtomicUsize::new(0),
            servers: Mutex::default(),
        });
        let mut servers = aws.servers.lock().unwrap();
        servers.spawn(dynoxide::server::serve_on(dynamodb, database));
        servers.spawn(accept(front, Arc::downgrade(&aws)));
        drop(servers);
        aws
    }

    /// Returns the emails that SES has accepted.
    pub fn emails(&self) -> Vec<SentEmail> {
        self.emails.lock().unwrap().clone()
    }

    /// Returns the largest number of concurrent emails since the last call of this function.
    pub fn take_max_concurrent_emails(&self) -> usize {
        self.max_sending.swap(0, Ordering::Relaxed)
    }

    /// Returns the names of the calls since they were last taken, such as `PutItem` and `SendEmail`.
    pub fn take_calls(&self) -> Vec<String> {
        let traffic = self.take_traffic().into_iter();
        traffic.map(|call| call.name).collect()
    }

    /// Returns the calls since they were last taken, with their lengths.
    pub fn take_traffic(&self) -> Vec<Call> {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls.into_iter().map(|(call, _)| call).collect()
    }

    /// Returns the names and times of the calls since they were last taken.
    pub fn take_timed_calls(&self) -> Vec<(String, Instant)> {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls
            .into_iter()
            .map(|(call, at)| (call.name, at))
            .collect()
    }

    /// Returns the body of the last request of this call.
    pub fn last_body(&self, call: &str) -> Value {
        self.last_bodies.lock().unwrap()[call].clone()
    }

    /// Makes the next such calls fail with a fault.
    pub fn inject(&self, call: &str, times: usize, fault: Fault) {
        self.plan(Planned::new(call, times, Some(fault)));
    }

    /// Makes the next such calls fail with an error response.
    pub fn fail(&self, call: &str, times: usize, (status, code, message): (u16, &str, &str)) {
        self.inject(call, times, Fault::rejected(status, code, message));
    }

    /// Makes the next transactions conflict with another one on their rows.
    pub fn conflict(&self, times: usize) {
        self.inject("TransactWriteItems", times, Fault::conflict());
    }

    /// Makes the next such calls succeed, before the planned faults.
    pub fn succeed(&self, call: &str, times: usize) {
        self.plan(Planned::new(call, times, None));
    }

    /// Makes any later call fail if `chaos` returns a fault for it.
    pub fn inject_chaos(&self, chaos: Chaos) {
        *self.chaos.lock().unwrap() = Some(chaos);
        self.chaos_faults.lock().unwrap().get_or_insert(0);
    }

    /// Makes all later calls succeed. Panics if a planned fault has not fired.
    pub fn heal(&self) {
        assert_eq!(self.unfired(), [""; 0], "planned faults did not fire");
        self.plan.lock().unwrap().clear();
        *self.chaos.lock().unwrap() = None;
    }

    /// Allows planned faults to remain at the end of a test, for a reason.
    pub fn allow_unfired(&self, reason: &'static str) {
        assert!(!reason.is_empty());
        *self.unfired_reason.lock().unwrap() = Some(reason);
    }

    /// Returns the planned faults that have not fired, unless the test allows that. A test whose faults do not fire
    /// proves nothing.
    pub fn unfired(&self) -> Vec<String> {
        if self.unfired_reason.lock().unwrap().is_some() {
            return Vec::new();
        }
        let plan = self.plan.lock().unwrap();
        let left = plan.iter().filter(|planned| !planned.has_fired());
        let mut unfired: Vec<String> = left.map(|planned| format!("{planned:?}")).collect();
        if *self.chaos_faults.lock().unwrap() == Some(0) {
            unfired.push("chaos".to_owned());
        }
        unfired
    }

    /// Returns the rows of a table, in `DynamoDB`'s JSON. A destructor can call it, because it needs no runtime.
    pub fn scan(&self, table: &str) -> Vec<Value> {
        let mut request = json!({ "TableName": table });
        let mut rows = Vec::new();
        loop {
            let page = serde_json::from_value(request.clone()).unwrap();
            let page = serde_json::to_value(self.database.scan(page).unwrap()).unwrap();
            rows.extend(page["Items"].as_array().unwrap().iter().cloned());
            let Some(last) = page.get("LastEvaluatedKey").filter(|key| !key.is_null()) else {
                return rows;
            };
            request["ExclusiveStartKey"] = last.clone();
        }
    }

    fn plan(&self, planned: Planned) {
        self.plan.lock().unwrap().push(planned);
    }

    fn next_fault(&self, call: &str) -> Option<Fault> {
        if let Some(chaos) = self.chaos.lock().unwrap().as_mut() {
            let fault = chaos(call);
            if let (Some(_), Some(faults)) = (&fault, self.chaos_faults.lock().unwrap().as_mut()) {
                *faults += 1;
            }
            return fault;
        }
        let mut plan = self.plan.lock().unwrap();
        let planned = plan
            .iter_mut()
            .find(|planned| planned.call == call && planned.left > 0)?;
        planned.left -= 1;
        planned.fault.clone()
    }

    /// Handles a call. Returns the response and whether the connection stays open, or `None` if the connection closes
    /// without a response.
    async fn handle(&self, target: Option<&str>, body: Vec<u8>) -> Option<(String, bool)> {
        if target.is_some() {
            return self.respond(target, body).await;
        }
        let now = self.sending.fetch_add(1, Ordering::Relaxed) + 1;
        self.max_sending.fetch_max(now, Ordering::Relaxed);
        let reply = self.respond(target, body).await;
        self.sending.fetch_sub(1, Ordering::Relaxed);
        reply
    }

    async fn respond(&self, target: Option<&str>, body: Vec<u8>) -> Option<(String, bool)> {
        let call = target.map_or("SendEmail", |target| target.rsplit('.').next().unwrap());
        let (name, request_length) = (call.to_owned(), body.len());
        let parsed = serde_json::from_slice(&body).unwrap();
        self.last_bodies
            .lock()
            .unwrap()
            .insert(name.clone(), parsed);
        let received = Call {
            name,
            request_length,
            response_length: 0,
        };
        self.calls.lock().unwrap().push((received, Instant::now()));
        let Some(fault) = self.next_fault(call) else {
            let start = Instant::now();
            let result = self.perform(target, body).await;
            self.spans.lock().unwrap().push((start, Instant::now()));
            let mut calls = self.calls.lock().unwrap();
            if let Some((latest, _)) = calls.iter_mut().rfind(|(latest, _)| latest.name == call) {
                latest.response_length = result.1.len();
            }
            return Some((response(&result), true));
        };
        let result = if fault.is_done {
            response(&self.perform(target, body).await)
        } else {
            response(&(200, "{}".to_owned()))
        };
        match fault.reply {
            Reply::Late(delay) => {
                tokio::time::sleep(delay).await;
                Some((result, true))
            }
            Reply::Error(status, body) => Some((response(&(status, body)), true)),
            Reply::Nothing => std::future::pending().await,
            Reply::Closed => None,
            Reply::Garbage => Some((response(&(200, "<html>".to_owned())), true)),
            Reply::Truncated => Some((result[..result.len() - 1].to_owned(), false)),
        }
    }

    /// Performs an operation, and returns the status and the body of its response.
    async fn perform(&self, target: Option<&str>, body: Vec<u8>) -> (u16, String) {
        let Some(target) = target else {
            self.emails
                .lock()
                .unwrap()
                .push(SentEmail(serde_json::from_slice(&body).unwrap()));
            return (200, json!({ "MessageId": "1" }).to_string());
        };
        if target.starts_with(LAMBDA) {
            let request = serde_json::from_slice(&body).unwrap();
            return (200, self.directory.invoke(&request));
        }
        let request = self.client.post(&self.dynamodb).body(body);
        let request = request
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.0");
        let authorization = "AWS4-HMAC-SHA256 Credential=a/20261123/us-east-1/dynamodb/aws4_request, \
                             SignedHeaders=host, Signature=0";
        let request = request
            .header("authorization", authorization)
            .header("x-amz-date", "20261123T000000Z");
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

/// Ends the process at the first panic if `REKEY_FAIL_FAST` is set. One failed test is enough for `make mutants`.
fn fail_fast() {
    if rekey::config::process("REKEY_FAIL_FAST").is_some() {
        std::panic::set_hook(Box::new(|panic| {
            // Write to stderr directly: the test harness captures printed text, and would lose it at the exit.
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "{name}: {panic}");
            std::process::exit(101);
        }));
    }
}

/// The prefix of the targets that stand for invocations. Tests plan faults for `Find` and `Replace`.
const LAMBDA: &str = "Lambda.";

/// Returns the target that stands for an invocation, which has a path instead.
fn invocation(line: &str) -> Option<&'static str> {
    let (_, function) = line.split_once("/2015-03-31/functions/")?;
    Some(if function.contains("%3Afind/") {
        "Lambda.Find"
    } else {
        "Lambda.Replace"
    })
}

async fn accept(front: TcpListener, aws: Weak<Aws>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = front.accept().await {
        connections.spawn(serve(Weak::clone(&aws), socket));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(aws: Weak<Aws>, socket: TcpStream) -> Option<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let Incoming {
            line,
            headers,
            body,
        } = Incoming::read(&mut socket).await?;
        let target = headers.get("x-amz-target").map(String::as_str);
        let target = invocation(&line).or(target);
        let (response, stays_open) = aws.upgrade()?.handle(target, body).await?;
        socket.write_all(response.as_bytes()).await.ok()?;
        stays_open.then_some(())?;
    }
}
