//! Lambda's Runtime API, and a process behind it (AWS Lambda Developer Guide, "Using the Lambda runtime API for custom
//! runtimes"). The clock runs on the thread that writes an event and reads its answer, so that no other thread's waking
//! up is measured.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{Server, response};
use crate::subject::Subject;

/// How long anything may take. The slowest peer starts in a second or two.
const PATIENCE: Duration = Duration::from_mins(2);

/// A function's process.
pub(crate) struct Instance {
    child: Child,
    started: Instant,
    events: Sender<String>,
    answers: Receiver<Answer>,
    _api: Server,
}

/// What a function answered.
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// When the event was given.
    pub(crate) given: Instant,
    /// When the answer was there.
    pub(crate) taken: Instant,
}

impl Answer {
    pub(crate) fn took(&self) -> Duration {
        self.taken - self.given
    }

    pub(crate) fn status(&self) -> u64 {
        self.body["statusCode"].as_u64().unwrap_or(0)
    }
}

impl Instance {
    /// Starts a process, which finds its first event waiting.
    pub(crate) fn start(subject: &Subject, aws: &str, first: &str) -> Self {
        let (events, to_come) = channel::<String>();
        let (given, answers) = channel();
        let (to_come, given) = (Mutex::new(to_come), Mutex::new(given));
        let last_given = Arc::new(Mutex::new(Instant::now()));
        events.send(first.to_owned()).unwrap();
        let api = Server::start(4, move |request| {
            if request.path.ends_with("/invocation/next") {
                let event = to_come.lock().unwrap().recv().ok()?;
                let next = response(200, &INVOCATION, &event);
                *last_given.lock().unwrap() = Instant::now();
                return Some(next);
            }
            let body = serde_json::from_slice(&request.body).unwrap_or_default();
            let given_at = *last_given.lock().unwrap();
            let answer = Answer {
                body,
                given: given_at,
                taken: request.came,
            };
            assert!(
                request.path.ends_with("/response"),
                "{} {}",
                request.path,
                answer.body
            );
            given.lock().unwrap().send(answer).ok()?;
            Some(response(202, &[], ""))
        });
        let mut command = Command::new(&subject.command[0]);
        command
            .args(&subject.command[1..])
            .current_dir(&subject.folder)
            .env_clear()
            .envs(lambda(&api.address.to_string(), aws))
            .envs(subject.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", subject.name));
        Self {
            child,
            started,
            events,
            answers,
            _api: api,
        }
    }

    /// The first answer, and how long it took from the start of the process.
    pub(crate) fn first(&self) -> (Answer, Duration) {
        let answer = self.answer();
        let took = answer.taken - self.started;
        (answer, took)
    }

    /// Hands an event over, and waits for its answer.
    pub(crate) fn invoke(&self, event: &str) -> Answer {
        self.events.send(event.to_owned()).unwrap();
        self.answer()
    }

    fn answer(&self) -> Answer {
        self.answers
            .recv_timeout(PATIENCE)
            .expect("an answer in time")
    }

    /// Ends the process as Lambda would not: its Runtime API goes away. So it ends by itself.
    pub(crate) fn end(mut self) {
        let (nobody, _) = channel();
        self.events = nobody;
        self.child.wait().unwrap();
    }

    /// The most memory that the process has had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kilobytes: u64 = line
            .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .expect("a peak");
        kilobytes * 1024
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const INVOCATION: [(&str, &str); 5] = [
    ("content-type", "application/json"),
    (
        "lambda-runtime-aws-request-id",
        "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
    ),
    ("lambda-runtime-deadline-ms", "4102444800000"),
    (
        "lambda-runtime-invoked-function-arn",
        "arn:aws:lambda:us-east-1:000000000000:function:measured",
    ),
    (
        "lambda-runtime-trace-id",
        "Root=1-5759e988-bd862e3fe1be46a994272793",
    ),
];

/// The environment of every function.
fn lambda(api: &str, aws: &str) -> Vec<(String, String)> {
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", api),
        ("AWS_LAMBDA_FUNCTION_NAME", "measured"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "measured"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "measured"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
        ("AWS_ENDPOINT_URL", aws),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
    ];
    // Node is wherever it is.
    #[expect(clippy::disallowed_methods, reason = "the benchmark's own path")]
    let path = std::env::var("PATH").unwrap();
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .chain([("PATH".to_owned(), path)])
        .collect()
}
