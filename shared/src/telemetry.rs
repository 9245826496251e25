//! The log: one JSON line for each event, with its metric beside it.
//!
//! No line holds an address, a token, a password, or the hash of one. The request ID follows one request from the
//! gateway's log through the public half to the private half, and identifies no person.

pub mod emf;
pub mod metric;

use std::fmt;
use std::io::Write;
use std::sync::Mutex;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;

use self::emf::{Directive, Measurement};
use self::metric::Metric;
use crate::config;
use crate::fault::Fault;
use crate::request_id::RequestId;

/// The log of a deployment.
pub struct Telemetry {
    stack: String,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Telemetry {
    /// Creates a log that writes to `out`. In Lambda that is standard output, which `CloudWatch` keeps.
    pub fn new(stack: String, out: Box<dyn Write + Send>) -> Self {
        Self {
            stack,
            out: Mutex::new(out),
        }
    }

    /// Returns the log of one request, whose lines have this ID and this time.
    pub fn for_request<'a>(&'a self, id: &'a RequestId, now: Timestamp) -> RequestLog<'a> {
        RequestLog {
            telemetry: self,
            id,
            now,
        }
    }

    fn write(&self, line: &impl Serialize) {
        let Ok(mut line) = serde_json::to_vec(line) else {
            return;
        };
        line.push(b'\n');
        // One write for each line, so that lines do not mix. If writing the log fails, nothing can report it.
        if let Ok(mut out) = self.out.lock() {
            let _ = out.write_all(&line);
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("stack", &self.stack)
            .finish_non_exhaustive()
    }
}

/// The log of one request.
#[derive(Clone, Copy, Debug)]
pub struct RequestLog<'a> {
    telemetry: &'a Telemetry,
    id: &'a RequestId,
    now: Timestamp,
}

impl RequestLog<'_> {
    /// Logs an event, and counts it.
    pub fn count(&self, metric: Metric, detail: &str) {
        self.measure(metric, 1, detail);
    }

    /// Logs how much of the day's email budget is used, in percent.
    pub fn email_budget(&self, percent: u32) {
        let detail = "percent of the day's email budget is used";
        self.measure(Metric::EmailBudgetUtilization, percent, detail);
    }

    /// Logs a failed AWS call.
    pub fn fault(&self, fault: &Fault) {
        self.telemetry.write(&self.fault_line(fault));
    }

    /// Logs the fault that made a request fail, and counts the request.
    ///
    /// Transaction conflicts do not count: parallel requests cause them, and anyone can send those. An alarm on them
    /// would page an operator who can change nothing.
    pub fn request_failed(&self, fault: &Fault) {
        let mut line = self.fault_line(fault);
        if !fault.is_conflict() {
            line["Stack"] = json!(self.telemetry.stack);
            line["RequestsFailed"] = json!(1);
            line["_aws"] = json!(Directive::new(Metric::RequestsFailed, self.now));
        }
        self.telemetry.write(&line);
    }

    fn measure(&self, metric: Metric, value: u32, detail: &str) {
        let stack = &self.telemetry.stack;
        self.telemetry.write(&Measurement::new(
            (metric, value),
            detail,
            self.id,
            stack,
            self.now,
        ));
    }

    fn fault_line(&self, fault: &Fault) -> Value {
        json!({
            "timestamp": self.now.to_string(),
            "level": if fault.is_transient() { "WARN" } else { "ERROR" },
            "event": "Fault",
            "detail": fault.operation(),
            "code": fault.code(),
            "aws_request_id": fault.aws_request_id(),
            "request_id": self.id.as_str(),
        })
    }
}

/// Sends the log lines of libraries to standard output, as JSON, at `LOG_LEVEL` or above.
///
/// No build logs below INFO, because libraries then print their input, passwords included.
pub fn init() {
    let level = match config::process("LOG_LEVEL").as_deref() {
        Some("ERROR") => LevelFilter::ERROR,
        Some("WARN") => LevelFilter::WARN,
        _ => LevelFilter::INFO,
    };
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(level)
        .init();
    // A panic's message could hold a secret. Its location cannot.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(place = panic.location().map(ToString::to_string), "panic");
    }));
}
