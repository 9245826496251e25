//! The log: one JSON line for each thing that happened, with its counter beside it.
//!
//! No line holds an address, a token, a password or the hash of one. The request id is enough to follow one request
//! from the gateway's log through the public half to the private half, and says nothing of anybody.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::Mutex;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;

use crate::config;
use crate::fault::Fault;
use crate::http::RequestId;

/// What is counted, in `CloudWatch`, in the namespace `Rekey`, by stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Metric {
    /// Somebody asked for a link, and that was written down.
    RequestsAccepted,
    /// A request was one too many: for its address (answered 202) or from its source (429).
    RequestsThrottled,
    /// A request for a user who has enough live links was not served.
    RequestsHeldBack,
    /// SES took a mail with a link.
    LinksSent,
    /// A request was for an address that no user has, or that several have.
    UnknownAddresses,
    /// SES refused a mail for good.
    EmailsRejected,
    /// A password was replaced.
    PasswordsChanged,
    /// A token was unknown, used, expired or somebody else's.
    TokensRejected,
    /// SES took a notice.
    NoticesSent,
    /// A row could never be acted upon.
    RecordsDiscarded,
    /// A mail that SES had taken came back.
    EmailsBounced,
    /// SES took a mail and did not send it: the address is on a suppression list.
    EmailsSuppressed,
    /// A recipient called a mail spam.
    SpamComplaints,
    /// A request got a 5xx response, other than for a transaction conflict.
    RequestsFailed,
    /// How much of the day's budget of mails is used, in percent. Not a count, and told only once it is a lot.
    EmailBudgetUtilization,
}

impl Metric {
    fn unit(self) -> &'static str {
        if self == Self::EmailBudgetUtilization {
            "Percent"
        } else {
            "Count"
        }
    }
}

/// Where the log goes.
pub struct Telemetry {
    stack: String,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Telemetry {
    /// Writes to `out`: in Lambda standard output, which is what it keeps.
    pub fn new(stack: String, out: Box<dyn Write + Send>) -> Self {
        Self {
            stack,
            out: Mutex::new(out),
        }
    }

    /// Says that something happened, and counts it.
    pub fn count(&self, metric: Metric, detail: &str, id: &RequestId, now: Timestamp) {
        self.measure((metric, 1), detail, id, now);
    }

    /// Says how much of the day's budget of mails is used, in percent.
    pub fn budget_used(&self, percent: u32, id: &RequestId, now: Timestamp) {
        let detail = "of the day's budget of mails is used";
        self.measure((Metric::EmailBudgetUtilization, percent), detail, id, now);
    }

    /// Reports a failed AWS call.
    pub fn fault(&self, fault: &Fault, id: &RequestId, now: Timestamp) {
        self.write(&fault_line(fault, id, now));
    }

    /// Reports the fault that made a request fail, and counts the request.
    ///
    /// Transaction conflicts do not count: parallel requests cause them, and anyone can send those. An alarm on them
    /// would page an operator who can change nothing.
    pub fn request_failed(&self, fault: &Fault, id: &RequestId, now: Timestamp) {
        let mut line = fault_line(fault, id, now);
        if !fault.is_conflict() {
            let metric = Metric::RequestsFailed;
            line["Stack"] = json!(self.stack);
            line["RequestsFailed"] = json!(1);
            line["_aws"] = json!(Directive::new(metric, now));
        }
        self.write(&line);
    }

    /// Says that a row was dropped, and why.
    pub fn discarded(&self, reason: &'static str, id: &RequestId, now: Timestamp) {
        self.count(Metric::RecordsDiscarded, reason, id, now);
    }

    fn measure(
        &self,
        (metric, value): (Metric, u32),
        detail: &str,
        id: &RequestId,
        now: Timestamp,
    ) {
        self.write(&Measurement {
            timestamp: now.to_string(),
            level: "INFO",
            event: metric,
            detail,
            request_id: id,
            stack: &self.stack,
            value: BTreeMap::from([(metric, value)]),
            directive: Directive::new(metric, now),
        });
    }

    fn write(&self, line: &impl Serialize) {
        let Ok(mut line) = serde_json::to_vec(line) else {
            return;
        };
        line.push(b'\n');
        // One write a line, so that lines do not mix. Where the log cannot be written there is nowhere to say so.
        if let Ok(mut out) = self.out.lock() {
            let _ = out.write_all(&line);
        }
    }
}

fn fault_line(fault: &Fault, id: &RequestId, now: Timestamp) -> Value {
    json!({
        "timestamp": now.to_string(),
        "level": if fault.is_transient() { "WARN" } else { "ERROR" },
        "event": "Fault",
        "detail": fault.operation(),
        "code": fault.code(),
        "aws_request_id": fault.aws_request_id(),
        "request_id": id.as_str(),
    })
}

/// A line in `CloudWatch`'s embedded metric format.
#[derive(Serialize)]
struct Measurement<'a> {
    timestamp: String,
    level: &'static str,
    event: Metric,
    detail: &'a str,
    request_id: &'a RequestId,
    #[serde(rename = "Stack")]
    stack: &'a str,
    /// Under the metric's own name.
    #[serde(flatten)]
    value: BTreeMap<Metric, u32>,
    #[serde(rename = "_aws")]
    directive: Directive,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    timestamp: i64,
    #[serde(rename = "CloudWatchMetrics")]
    metrics: [Metrics; 1],
}

impl Directive {
    fn new(metric: Metric, now: Timestamp) -> Self {
        Self {
            timestamp: now.as_millisecond(),
            metrics: [Metrics {
                namespace: "Rekey",
                dimensions: [["Stack"]],
                definitions: [Definition {
                    name: metric,
                    unit: metric.unit(),
                }],
            }],
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    #[serde(rename = "Metrics")]
    definitions: [Definition; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: Metric,
    unit: &'static str,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("stack", &self.stack)
            .finish_non_exhaustive()
    }
}

/// Lets the libraries beneath us log too, as JSON, from `LOG_LEVEL` up.
///
/// A build without optimisation is held to INFO as well: below it, the libraries print what they are handed.
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
    // A panic's message could hold what the code had in hand; the place where it happened cannot.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(place = panic.location().map(ToString::to_string), "panic");
    }));
}
