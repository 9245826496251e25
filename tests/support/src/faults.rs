//! Faults that tests inject into calls to AWS.

use std::time::Duration;

use serde_json::json;

/// A fault of a call.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Whether AWS performs the operation, whatever it replies.
    pub is_done: bool,
    pub reply: Reply,
}

/// The reply to a failed call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The true response, after a delay.
    Late(Duration),
    /// This status and this body.
    Error(u16, String),
    /// No response, on a connection that stays open.
    Nothing,
    /// No response, on a connection that closes.
    Closed,
    /// A success whose body is not JSON.
    Garbage,
    /// A success whose body is cut off.
    Truncated,
}

impl Fault {
    /// An error response to an operation that AWS does not perform.
    pub fn rejected(status: u16, code: &str, message: &str) -> Self {
        let body = json!({ "__type": code, "message": message }).to_string();
        Self {
            is_done: false,
            reply: Reply::Error(status, body),
        }
    }

    /// A transaction that conflicts with another one on its rows.
    pub fn conflict() -> Self {
        Self::canceled("TransactionConflict")
    }

    /// A transaction that is canceled for this reason.
    pub fn canceled(reason: &str) -> Self {
        let reasons = json!([{ "Code": "None" }, { "Code": reason }]);
        let body =
            json!({ "__type": "TransactionCanceledException", "CancellationReasons": reasons });
        Self {
            is_done: false,
            reply: Reply::Error(400, body.to_string()),
        }
    }

    /// Returns whether AWS denies the call, so that a retry does not help.
    pub fn is_denied(&self) -> bool {
        matches!(&self.reply, Reply::Error(_, body) if body.contains("AccessDenied"))
    }
}

/// Fails every later matching call. At least one such call must follow.
pub const EVERY: usize = usize::MAX;

/// A fault that is planned for later calls.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) call: String,
    /// The number of calls that it affects, all of which must follow, or [`EVERY`].
    pub(crate) times: usize,
    /// The number of calls that have not been made yet.
    pub(crate) left: usize,
    /// The fault, or `None` if these calls succeed.
    pub(crate) fault: Option<Fault>,
}

impl Planned {
    pub(crate) fn new(call: &str, times: usize, fault: Option<Fault>) -> Self {
        Self {
            call: call.to_owned(),
            times,
            left: times,
            fault,
        }
    }

    pub(crate) fn has_fired(&self) -> bool {
        if self.times == EVERY {
            self.left < EVERY
        } else {
            self.left == 0
        }
    }
}

/// Chooses a fault for each call, or none.
pub type Chaos = Box<dyn FnMut(&str) -> Option<Fault> + Send>;
