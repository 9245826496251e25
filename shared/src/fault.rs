//! A call to AWS that did not work.

use std::fmt;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

/// What the log is told of a call that did not work.
///
/// It is *extracted* from the SDK's error, which is not kept: the exceptions of `DynamoDB` carry rows, and their `Debug`
/// output prints them, addresses and password hashes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    act: &'static str,
    code: String,
    aws_request_id: Option<String>,
    is_passing: bool,
}

impl Fault {
    /// Takes from the SDK's error what may be logged. `act` says what was tried, like `table.admit`.
    pub fn of_call<E>(act: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        // What was sent may be done all the same, or not: nobody said.
        let unanswered = match error {
            SdkError::TimeoutError(_) => Some("Timeout"),
            SdkError::DispatchFailure(_) => Some("DispatchFailure"),
            SdkError::ResponseError(_) => Some("ResponseError"),
            SdkError::ServiceError(_) if status.is_some_and(|status| status < 300) => {
                Some("ResponseError")
            }
            SdkError::ConstructionFailure(_) | SdkError::ServiceError(_) | _ => None,
        };
        let code = unanswered.or(error.code()).unwrap_or("Unknown");
        let is_passing = unanswered.is_some()
            || status.is_some_and(|status| status >= 500 || status == 429)
            || PASSING.contains(&code);
        Self {
            act,
            code: code.to_owned(),
            aws_request_id: error.request_id().map(str::to_owned),
            is_passing,
        }
    }

    /// A fault without a call to AWS.
    pub fn of_our_own(act: &'static str, code: &str) -> Self {
        Self {
            act,
            code: code.to_owned(),
            aws_request_id: None,
            is_passing: false,
        }
    }

    /// The same fault where trying again is known to help.
    #[must_use]
    pub fn passing(self) -> Self {
        Self {
            is_passing: true,
            ..self
        }
    }

    /// Whether the same call may work a little later: throttling, a time-out, an outage.
    pub fn is_passing(&self) -> bool {
        self.is_passing
    }

    /// The same fault if nothing but another transaction on the same rows caused it. Trying again is known to help.
    #[must_use]
    pub fn conflict(self) -> Self {
        Self {
            code: TRANSACTION_CONFLICT.to_owned(),
            is_passing: true,
            ..self
        }
    }

    /// Whether nothing but another transaction on the same rows caused it.
    pub fn is_conflict(&self) -> bool {
        self.code == TRANSACTION_CONFLICT || self.code == "TransactionConflictException"
    }

    /// What was tried.
    pub fn act(&self) -> &'static str {
        self.act
    }

    /// AWS's code for what went wrong, or ours.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// AWS's request id, to ask AWS about.
    pub fn aws_request_id(&self) -> Option<&str> {
        self.aws_request_id.as_deref()
    }
}

/// The reason that `DynamoDB` gives in a cancelled transaction. A write outside one gets an exception instead.
const TRANSACTION_CONFLICT: &str = "TransactionConflict";

/// Codes of client errors (4xx) that pass.
///
/// `DynamoDB` Developer Guide, "Error handling with DynamoDB"; SES API Reference v2, `SendEmail`; the errors that are
/// common to all services. Not `SendingPausedException`: somebody paused sending, and has to resume it.
const PASSING: [&str; 11] = [
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.act, self.code)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_what_failed_and_how() {
        let fault = Fault::of_our_own("token.generate", "NoRandomness");
        assert_eq!(fault.to_string(), "token.generate failed: NoRandomness");
        assert_eq!(fault.aws_request_id(), None);
        let answered = Fault {
            aws_request_id: Some("E1".to_owned()),
            ..fault
        };
        assert_eq!(answered.aws_request_id(), Some("E1"));
    }
}
