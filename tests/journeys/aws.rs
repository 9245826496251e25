//! AWS on a socket: `DynamoDB` is passed on to one in this process, SES is answered here. Any call can be made to fail,
//! in any way that a network has.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::app::Mail;

/// AWS, as the functions see it.
pub(crate) struct Aws {
    pub(crate) endpoint: String,
    /// The table without anything in front.
    pub(crate) dynamodb: String,
    database: dynoxide::Database,
    client: reqwest::Client,
    mails: Mutex<Vec<Mail>>,
    calls: Mutex<Vec<(Call, Instant)>>,
    /// The body of the last request, by the name of its call.
    last_bodies: Mutex<HashMap<String, Value>>,
    /// From when to when a call was with `DynamoDB`.
    pub(crate) spans: Mutex<Vec<(Instant, Instant)>>,
    plan: Mutex<Vec<Planned>>,
    chaos: Mutex<Option<Chaos>>,
    /// Whether chaos was asked for, and the number of faults that it injected.
    chaos_faults: Mutex<Option<usize>>,
    /// Why planned faults may remain.
    unfired_reason: Mutex<Option<&'static str>>,
    /// How many mails are on their way.
    mailing: AtomicUsize,
    mailing_at_most: AtomicUsize,
    /// They stop when the last handle is dropped: a test may start hundreds.
    servers: Mutex<JoinSet<()>>,
}

/// A call to AWS: what a look at the network would tell of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// The length of what was asked, in bytes.
    pub(crate) asked: usize,
    /// The length of what was answered.
    pub(crate) answered: usize,
}

/// What goes wrong with a call.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    /// Whether AWS does what it was asked to do, whatever it says then.
    pub(crate) is_done: bool,
    pub(crate) answer: Answer,
}

/// What is heard of a call.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// What AWS says, but late.
    Late(Duration),
    /// This status, and this body.
    Refusal(u16, String),
    /// Nothing, and the connection stays open.
    Nothing,
    /// Nothing, and the connection is closed.
    Closed,
    /// A success, and what is no answer.
    Garbage,
    /// A success whose body breaks off.
    Half,
}

impl Wrong {
    /// Not done, and said so.
    pub(crate) fn refused(status: u16, code: &str, message: &str) -> Self {
        let body = json!({ "__type": code, "message": message }).to_string();
        Self {
            is_done: false,
            answer: Answer::Refusal(status, body),
        }
    }

    /// A transaction that met another one on its rows.
    pub(crate) fn conflict() -> Self {
        Self::cancelled("TransactionConflict")
    }

    /// A transaction of which one part was cancelled for a reason.
    pub(crate) fn cancelled(reason: &str) -> Self {
        let reasons = json!([{ "Code": "None" }, { "Code": reason }]);
        let body =
            json!({ "__type": "TransactionCanceledException", "CancellationReasons": reasons });
        Self {
            is_done: false,
            answer: Answer::Refusal(400, body.to_string()),
        }
    }
}

/// Fails every matching call from now on. At least one call must follow.
pub(crate) const EVERY: usize = usize::MAX;

/// Something that goes wrong with some calls to come.
#[derive(Debug)]
struct Planned {
    call: String,
    /// How many calls it affects: a number, all of which must come, or [`EVERY`].
    times: usize,
    /// How many of them are still to come.
    left: usize,
    /// None where these calls shall work.
    wrong: Option<Wrong>,
}

impl Planned {
    fn new(call: &str, times: usize, wrong: Option<Wrong>) -> Self {
        Self {
            call: call.to_owned(),
            times,
            left: times,
            wrong,
        }
    }

    fn has_fired(&self) -> bool {
        if self.times == EVERY {
            self.left < EVERY
        } else {
            self.left == 0
        }
    }
}

/// Says of each call whether something goes wrong with it.
pub(crate) type Chaos = Box<dyn FnMut(&str) -> Option<Wrong> + Send>;

impl Aws {
    pub(crate) async fn start() -> Arc<Self> {
        fail_fast();
        let dynamodb = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let database = dynoxide::Database::memory().unwrap();
        let aws = Arc::new(Self {
            endpoint: format!("http://{}", front.local_addr().unwrap()),
            dynamodb: format!("http://{}", dynamodb.local_addr().unwrap()),
            database: database.clone(),
            client: reqwest::Client::new(),
            mails: Mutex::default(),
            calls: Mutex::default(),
            last_bodies: Mutex::default(),
            spans: Mutex::default(),
            plan: Mutex::default(),
            chaos: Mutex::default(),
            chaos_faults: Mutex::default(),
            unfired_reason: Mutex::default(),
            mailing: AtomicUsize::new(0),
            mailing_at_most: AtomicUsize::new(0),
            servers: Mutex::default(),
        });
        let mut servers = aws.servers.lock().unwrap();
        servers.spawn(dynoxide::server::serve_on(dynamodb, database));
        servers.spawn(accept(front, Arc::downgrade(&aws)));
        drop(servers);
        aws
    }

    /// The mails that SES has taken.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }

    /// How many mails were on their way at one time, at the most, since the last look.
    pub(crate) fn take_mails_at_once(&self) -> usize {
        self.mailing_at_most.swap(0, Ordering::Relaxed)
    }

    /// The calls since the last look: `PutItem`, `SendEmail`.
    pub(crate) fn take_calls(&self) -> Vec<String> {
        let traffic = self.take_traffic().into_iter();
        traffic.map(|call| call.name).collect()
    }

    /// The same with their lengths.
    pub(crate) fn take_traffic(&self) -> Vec<Call> {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls.into_iter().map(|(call, _)| call).collect()
    }

    /// The calls since the last look, and when they came.
    pub(crate) fn take_timed_calls(&self) -> Vec<(String, Instant)> {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls
            .into_iter()
            .map(|(call, at)| (call.name, at))
            .collect()
    }

    /// Returns the body of the last such request.
    pub(crate) fn last_body(&self, call: &str) -> Value {
        self.last_bodies.lock().unwrap()[call].clone()
    }

    /// Makes the next such calls go wrong.
    pub(crate) fn inject(&self, call: &str, times: usize, wrong: Wrong) {
        self.plan(Planned::new(call, times, Some(wrong)));
    }

    /// Makes the next such calls fail.
    pub(crate) fn fail(
        &self,
        call: &str,
        times: usize,
        (status, code, message): (u16, &str, &str),
    ) {
        self.inject(call, times, Wrong::refused(status, code, message));
    }

    /// Makes the next transactions meet another one on their rows.
    pub(crate) fn conflict(&self, times: usize) {
        self.inject("TransactWriteItems", times, Wrong::conflict());
    }

    /// Lets the next such calls work, before others fail.
    pub(crate) fn spare(&self, call: &str, times: usize) {
        self.plan(Planned::new(call, times, None));
    }

    /// From now on something may go wrong with any call.
    pub(crate) fn stir(&self, chaos: Chaos) {
        *self.chaos.lock().unwrap() = Some(chaos);
        self.chaos_faults.lock().unwrap().get_or_insert(0);
    }

    /// From now on everything works. Panics if a planned fault has not fired.
    pub(crate) fn heal(&self) {
        assert_eq!(self.unfired(), [""; 0], "planned faults did not fire");
        self.plan.lock().unwrap().clear();
        *self.chaos.lock().unwrap() = None;
    }

    /// Allows planned faults to remain at the end of a test, for a reason.
    pub(crate) fn allow_unfired(&self, reason: &'static str) {
        assert!(!reason.is_empty());
        *self.unfired_reason.lock().unwrap() = Some(reason);
    }

    /// The planned faults that have not fired, unless the test allows that. A test whose faults do not fire proves
    /// nothing.
    pub(crate) fn unfired(&self) -> Vec<String> {
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

    /// The rows of a table, in `DynamoDB`'s JSON. It needs no runtime, so that a destructor can call it.
    pub(crate) fn scan(&self, table: &str) -> Vec<Value> {
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

    fn goes_wrong(&self, call: &str) -> Option<Wrong> {
        if let Some(chaos) = self.chaos.lock().unwrap().as_mut() {
            let wrong = chaos(call);
            if let (Some(_), Some(faults)) = (&wrong, self.chaos_faults.lock().unwrap().as_mut()) {
                *faults += 1;
            }
            return wrong;
        }
        let mut plan = self.plan.lock().unwrap();
        let planned = plan
            .iter_mut()
            .find(|planned| planned.call == call && planned.left > 0)?;
        planned.left -= 1;
        planned.wrong.clone()
    }

    /// Does what was asked, and says what comes of it, and whether the connection stays open. None where nothing is
    /// said, and it is closed.
    async fn answer(&self, target: Option<&str>, body: Vec<u8>) -> Option<(String, bool)> {
        if target.is_some() {
            return self.answer_one(target, body).await;
        }
        let now = self.mailing.fetch_add(1, Ordering::Relaxed) + 1;
        self.mailing_at_most.fetch_max(now, Ordering::Relaxed);
        let answer = self.answer_one(target, body).await;
        self.mailing.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    async fn answer_one(&self, target: Option<&str>, body: Vec<u8>) -> Option<(String, bool)> {
        let call = target.map_or("SendEmail", |target| target.rsplit('.').next().unwrap());
        let (name, asked) = (call.to_owned(), body.len());
        let parsed = serde_json::from_slice(&body).unwrap();
        self.last_bodies
            .lock()
            .unwrap()
            .insert(name.clone(), parsed);
        let heard = Call {
            name,
            asked,
            answered: 0,
        };
        self.calls.lock().unwrap().push((heard, Instant::now()));
        let Some(wrong) = self.goes_wrong(call) else {
            let start = Instant::now();
            let truth = self.act(target, body).await;
            self.spans.lock().unwrap().push((start, Instant::now()));
            let mut calls = self.calls.lock().unwrap();
            if let Some((heard, _)) = calls.iter_mut().rfind(|(heard, _)| heard.name == call) {
                heard.answered = truth.1.len();
            }
            return Some((response(&truth), true));
        };
        let truth = if wrong.is_done {
            response(&self.act(target, body).await)
        } else {
            response(&(200, "{}".to_owned()))
        };
        match wrong.answer {
            Answer::Late(delay) => {
                tokio::time::sleep(delay).await;
                Some((truth, true))
            }
            Answer::Refusal(status, body) => Some((response(&(status, body)), true)),
            Answer::Nothing => std::future::pending().await,
            Answer::Closed => None,
            Answer::Garbage => Some((response(&(200, "<html>".to_owned())), true)),
            Answer::Half => Some((truth[..truth.len() - 1].to_owned(), false)),
        }
    }

    async fn act(&self, target: Option<&str>, body: Vec<u8>) -> (u16, String) {
        let Some(target) = target else {
            self.mails
                .lock()
                .unwrap()
                .push(Mail(serde_json::from_slice(&body).unwrap()));
            return (200, json!({ "MessageId": "1" }).to_string());
        };
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

/// Ends the process at the first panic if `REKEY_FAIL_FAST` is set: one failed test is enough for `make mutants`.
fn fail_fast() {
    if rekey::config::process("REKEY_FAIL_FAST").is_some() {
        std::panic::set_hook(Box::new(|panic| {
            // Past the test harness, which captures what tests print and would lose it here.
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "{name}: {panic}");
            std::process::exit(101);
        }));
    }
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
        let Incoming { headers, body, .. } = Incoming::read(&mut socket).await?;
        let target = headers.get("x-amz-target").map(String::as_str);
        let (response, stays_open) = aws.upgrade()?.answer(target, body).await?;
        socket.write_all(response.as_bytes()).await.ok()?;
        stays_open.then_some(())?;
    }
}

/// A request on a socket.
pub(crate) struct Incoming {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Incoming {
    /// None where the connection was closed.
    pub(crate) async fn read(socket: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        let read = socket.read_line(&mut line).await.ok()?;
        if read == 0 {
            return None;
        }
        let mut headers = HashMap::new();
        loop {
            let mut header = String::new();
            socket.read_line(&mut header).await.ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length");
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        socket.read_exact(&mut body).await.ok()?;
        Some(Self {
            line,
            headers,
            body,
        })
    }
}

fn response((status, body): &(u16, String)) -> String {
    let error: Value = serde_json::from_str(body).unwrap_or_default();
    let code = error["__type"].as_str();
    let code = code.map_or(String::new(), |code| {
        format!("x-amzn-errortype: {code}\r\n")
    });
    format!(
        "HTTP/1.1 {status} -\r\ncontent-type: application/x-amz-json-1.0\r\n{code}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
