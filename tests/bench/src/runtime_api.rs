//! Lambda's Runtime API, and a process that uses it.
//!
//! The protocol is in the AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes". The thread
//! that writes an event and reads its answer also takes the times, so that they include no wake-up of another thread.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::Pid;
use serde_json::Value;

use crate::http::{Request, Server, response};
use crate::share::{Share, Throttle};
use crate::subject::Subject;
use crate::tls::Endpoint;

/// The timeout of every step. The slowest peer starts in a second or two.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(2);

/// A function's process.
pub(crate) struct Instance {
    child: Child,
    started: Instant,
    events: Sender<String>,
    answers: Receiver<Answer>,
    throttle: Arc<Mutex<Option<Throttle>>>,
    _api: Server,
}

/// A function's response to an event.
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// The time at which the process requested its first event.
    pub(crate) ready: Instant,
    /// The time at which the process received the event.
    pub(crate) given: Moment,
    /// The time at which the answer arrived.
    pub(crate) taken: Moment,
}

/// A time, and the CPU time of the function's process.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    /// The CPU time of all threads since the process was started.
    pub(crate) cpu: Duration,
}

impl Answer {
    pub(crate) fn took(&self) -> Duration {
        self.taken.at - self.given.at
    }

    /// Returns the CPU time between the event and the answer.
    pub(crate) fn cpu(&self) -> Duration {
        self.taken.cpu.saturating_sub(self.given.cpu)
    }

    pub(crate) fn status(&self) -> u64 {
        self.body["statusCode"].as_u64().unwrap_or(0)
    }
}

impl Instance {
    /// Starts a process whose first event is already waiting.
    pub(crate) fn start(subject: &Subject, aws: &Endpoint, first: &str) -> Self {
        Self::start_with(subject, aws, Share::WholeCore, first)
    }

    /// Starts a process that has a whole core for init, and `share` from its first event on.
    pub(crate) fn start_with(subject: &Subject, aws: &Endpoint, share: Share, first: &str) -> Self {
        let (events, pending) = channel::<String>();
        let (given, answers) = channel();
        let (process, throttle) = (Arc::new(OnceLock::new()), Arc::default());
        events.send(first.to_owned()).unwrap();
        let function = Function {
            process: Arc::clone(&process),
            share,
            throttle: Arc::clone(&throttle),
            pending: Mutex::new(pending),
            ready: OnceLock::new(),
            given: Mutex::new(None),
            answers: Mutex::new(given),
        };
        let api = Server::start(4, None, move |request| function.serve(&request));
        let mut command = Command::new(&subject.command[0]);
        command
            .args(&subject.command[1..])
            .current_dir(&subject.folder)
            .env_clear()
            .envs(lambda(&api.address.to_string()))
            .envs(aws.variables())
            .envs(subject.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", subject.name));
        process.get_or_init(|| pid(&child));
        Self {
            child,
            started,
            events,
            answers,
            throttle,
            _api: api,
        }
    }

    /// Returns the first answer, and its time from the start of the process. The time excludes the throttling of the
    /// process to its share.
    pub(crate) fn first(&self) -> (Answer, Duration) {
        let answer = self.answer();
        let init = answer.ready - self.started;
        let took = init + answer.took();
        (answer, took)
    }

    /// Returns the mechanism that holds the process to its share, or `None` for a whole core.
    pub(crate) fn throttled_by(&self) -> Option<&'static str> {
        self.throttle.lock().unwrap().as_ref().map(Throttle::means)
    }

    /// Returns the process ID.
    pub(crate) fn process(&self) -> Pid {
        pid(&self.child)
    }

    /// Sends an event and waits for its answer.
    pub(crate) fn invoke(&self, event: &str) -> Answer {
        self.events.send(event.to_owned()).unwrap();
        self.answer()
    }

    fn answer(&self) -> Answer {
        self.answers
            .recv_timeout(TIMEOUT)
            .expect("an answer in time")
    }

    /// Ends the process by closing its Runtime API, unlike Lambda, so that it exits by itself.
    pub(crate) fn end(mut self) {
        let (closed, _) = channel();
        self.events = closed;
        self.child.wait().unwrap();
    }

    /// Returns the peak memory of the process, in bytes.
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
        match self.throttle.lock().unwrap().take() {
            Some(throttle) => throttle.end(&mut self.child),
            None => drop(self.child.wait()),
        }
    }
}

/// The Runtime API's state of a process.
struct Function {
    process: Arc<OnceLock<Pid>>,
    share: Share,
    throttle: Arc<Mutex<Option<Throttle>>>,
    pending: Mutex<Receiver<String>>,
    ready: OnceLock<Instant>,
    given: Mutex<Option<Moment>>,
    answers: Mutex<Sender<Answer>>,
}

impl Function {
    fn serve(&self, request: &Request) -> Option<Vec<u8>> {
        if request.path.ends_with("/invocation/next") {
            let _ = self.ready.set(request.received);
            return self.next();
        }
        let taken = Moment {
            at: request.received,
            cpu: cpu_time(*self.process.wait())?,
        };
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        assert!(
            request.path.ends_with("/response"),
            "{} {body}",
            request.path
        );
        let answer = Answer {
            body,
            ready: *self.ready.wait(),
            given: self.given.lock().unwrap().expect("an event before"),
            taken,
        };
        self.answers.lock().unwrap().send(answer).ok()?;
        Some(response(202, &[], ""))
    }

    fn next(&self) -> Option<Vec<u8>> {
        let event = self.pending.lock().unwrap().recv().ok()?;
        let next = response(200, &INVOCATION, &event);
        let process = *self.process.wait();
        let mut given = self.given.lock().unwrap();
        if given.is_none() {
            // The process has finished its init.
            *self.throttle.lock().unwrap() = Throttle::begin(self.share, process);
        }
        let cpu = cpu_time(process)?;
        let at = Instant::now();
        *given = Some(Moment { at, cpu });
        Some(next)
    }
}

pub(crate) fn pid(process: &Child) -> Pid {
    Pid::from_raw(i32::try_from(process.id()).expect("a process ID"))
}

/// Returns the CPU time of a process, or `None` if it has ended.
pub(crate) fn cpu_time(process: Pid) -> Option<Duration> {
    let clock = ClockId::pid_cpu_clock_id(process).ok()?;
    clock.now().ok().map(Duration::from)
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

/// Returns the environment of every function.
fn lambda(api: &str) -> Vec<(String, String)> {
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
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
    ];
    // Peers find Node through `PATH`.
    #[expect(clippy::disallowed_methods, reason = "the benchmark's own path")]
    let path = std::env::var("PATH").unwrap();
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .chain([("PATH".to_owned(), path)])
        .collect()
}
