//! Failed calls to AWS.

use std::fmt;

use aws_sdk_dynamodb::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

/// A failed call, reduced to what may be logged.
///
/// A fault copies a few fields of the SDK's error and drops the rest. `DynamoDB`'s exceptions contain rows, and their
/// `Debug` output prints them with addresses and password hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    operation: &'static str,
    code: String,
    aws_request_id: Option<String>,
    is_transient: bool,
}

impl Fault {
    /// Creates a fault from the SDK's error. `operation` names the attempted call, such as `table.record_request`.
    pub fn from_sdk<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        // No answer: the operation may or may not have been applied.
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
        let is_transient = unanswered.is_some()
            || status.is_some_and(|status| status >= 500 || status == 429)
            || cause(code) == Some(Cause::Transient)
            || is_signed_too_early(error.meta());
        Self {
            operation,
            code: code.to_owned(),
            aws_request_id: error.request_id().map(str::to_owned),
            is_transient,
        }
    }

    /// Creates a fault that no call to AWS caused.
    pub fn internal(operation: &'static str, code: &str) -> Self {
        Self {
            operation,
            code: code.to_owned(),
            aws_request_id: None,
            is_transient: false,
        }
    }

    /// Creates the fault of a function that was invoked and returned no valid response.
    pub(crate) fn from_function(
        operation: &'static str,
        code: &str,
        aws_request_id: Option<String>,
    ) -> Self {
        Self {
            aws_request_id,
            ..Self::internal(operation, code)
        }
    }

    /// Returns the same fault, marked as transient.
    #[must_use]
    pub fn transient(self) -> Self {
        Self {
            is_transient: true,
            ..self
        }
    }

    /// Returns whether a retry may succeed, as after throttling, a timeout, or an outage.
    pub fn is_transient(&self) -> bool {
        self.is_transient
    }

    /// Returns the same fault, marked as transient and caused only by another transaction on the same rows.
    #[must_use]
    pub fn conflict(self) -> Self {
        Self {
            code: TRANSACTION_CONFLICT.to_owned(),
            is_transient: true,
            ..self
        }
    }

    /// Returns whether only another transaction on the same rows caused the fault.
    pub fn is_conflict(&self) -> bool {
        self.code == TRANSACTION_CONFLICT || self.code == "TransactionConflictException"
    }

    /// Returns the name of the attempted call.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Returns AWS's error code, or Rekey's if AWS gave none.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns AWS's request ID, which AWS Support can trace.
    pub fn aws_request_id(&self) -> Option<&str> {
        self.aws_request_id.as_deref()
    }
}

/// The reason that `DynamoDB` gives in a canceled transaction. A write outside a transaction gets an exception instead.
const TRANSACTION_CONFLICT: &str = "TransactionConflict";

/// The cause for which AWS rejects a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// Load or time: a retry may succeed. Callers get a 503.
    Transient,
    /// The call, its permissions, or the account: an operator must fix it. Callers get a 500.
    Ours,
}

/// The error codes of the calls that Rekey makes, in alphabetical order. For any other code, the HTTP status decides:
/// 429 and 5xx are transient.
///
/// They are from the `DynamoDB` Developer Guide ("Error handling with DynamoDB"), the SES API Reference v2 (`SendEmail`),
/// and the Lambda API Reference (`Invoke`: those with a 4xx). The errors common to all AWS services, and the codes that
/// the SDK retries, are included.
const CAUSES: [(&str, Cause); 66] = [
    ("AccessDeniedException", Cause::Ours),
    ("AccountSuspendedException", Cause::Ours),
    ("BadRequestException", Cause::Ours),
    ("BandwidthLimitExceeded", Cause::Transient),
    ("CodeArtifactUserDeletedException", Cause::Transient),
    ("CodeArtifactUserFailedException", Cause::Ours),
    ("CodeArtifactUserPendingException", Cause::Transient),
    ("ConditionalCheckFailedException", Cause::Ours),
    ("EFSIOException", Cause::Transient),
    ("EFSMountConnectivityException", Cause::Transient),
    ("EFSMountFailureException", Cause::Ours),
    ("EFSMountTimeoutException", Cause::Transient),
    // The process cannot renew its own credentials.
    ("ExpiredTokenException", Cause::Ours),
    ("IdempotentParameterMismatchException", Cause::Ours),
    ("IncompleteSignature", Cause::Ours),
    ("InternalFailure", Cause::Transient),
    ("InternalServerError", Cause::Transient),
    ("InvalidEndpointException", Cause::Ours),
    ("InvalidParameterValueException", Cause::Ours),
    ("InvalidRequestContentException", Cause::Ours),
    // Transient if the signature has expired: `is_signed_too_early`.
    ("InvalidSignatureException", Cause::Ours),
    ("ItemCollectionSizeLimitExceededException", Cause::Ours),
    ("LimitExceededException", Cause::Transient),
    ("MailFromDomainNotVerifiedException", Cause::Ours),
    ("MessageRejected", Cause::Ours),
    ("MissingAuthenticationToken", Cause::Ours),
    ("ModeNotSupportedException", Cause::Ours),
    ("NoPublishedVersionException", Cause::Ours),
    ("NotAuthorized", Cause::Ours),
    ("NotFoundException", Cause::Ours),
    ("OptInRequired", Cause::Ours),
    ("PriorRequestNotComplete", Cause::Transient),
    ("ProvisionedThroughputExceededException", Cause::Transient),
    ("RecursiveInvocationException", Cause::Ours),
    ("ReplicatedWriteConflictException", Cause::Transient),
    ("RequestExpired", Cause::Transient),
    ("RequestLimitExceeded", Cause::Transient),
    ("RequestThrottled", Cause::Transient),
    ("RequestThrottledException", Cause::Transient),
    ("RequestTimeout", Cause::Transient),
    ("RequestTimeoutException", Cause::Transient),
    ("RequestTooLargeException", Cause::Ours),
    ("ResourceConflictException", Cause::Transient),
    ("ResourceNotFoundException", Cause::Ours),
    ("S3FilesMountConnectivityException", Cause::Transient),
    ("S3FilesMountFailureException", Cause::Ours),
    ("S3FilesMountTimeoutException", Cause::Transient),
    // An operator or AWS paused sending, and must resume it.
    ("SendingPausedException", Cause::Ours),
    ("SerializedRequestEntityTooLargeException", Cause::Ours),
    ("ServiceQuotaExceededException", Cause::Ours),
    ("ServiceUnavailable", Cause::Transient),
    ("SlowDown", Cause::Transient),
    ("SnapStartException", Cause::Ours),
    ("SnapStartNotReadyException", Cause::Transient),
    ("SnapStartRegenerationFailureException", Cause::Ours),
    ("SnapStartTimeoutException", Cause::Transient),
    ("ThrottledException", Cause::Transient),
    ("Throttling", Cause::Transient),
    ("ThrottlingException", Cause::Transient),
    ("TooManyRequestsException", Cause::Transient),
    // Transient if each of its reasons is: `aws::transactions::is_transient_cancellation`.
    ("TransactionCanceledException", Cause::Ours),
    ("TransactionConflictException", Cause::Transient),
    ("TransactionInProgressException", Cause::Transient),
    ("UnrecognizedClientException", Cause::Ours),
    ("UnsupportedMediaTypeException", Cause::Ours),
    ("ValidationException", Cause::Ours),
];

fn cause(code: &str) -> Option<Cause> {
    let entry = CAUSES.iter().find(|(known, _)| *known == code);
    entry.map(|(_, cause)| *cause)
}

/// Returns whether AWS rejected a call because it arrived too long after it was signed.
///
/// This happens if Lambda freezes the process during a call and thaws it minutes later. A retry has a new signature.
pub(crate) fn is_signed_too_early(error: &ErrorMetadata) -> bool {
    match error.code() {
        Some("RequestExpired") => true,
        Some("InvalidSignatureException") => error
            .message()
            .is_some_and(|message| message.contains("Signature expired")),
        _ => false,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.operation, self.code)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;

    use super::*;

    fn rejected(status: u16, code: &str, message: &str) -> Fault {
        let status = StatusCode::try_from(status).unwrap();
        let error = ErrorMetadata::builder().code(code).message(message).build();
        let response = HttpResponse::new(status, "".into());
        Fault::from_sdk(
            "table.record_request",
            &SdkError::service_error(error, response),
        )
    }

    #[test]
    fn the_code_decides_whether_a_client_error_is_transient() {
        for (code, cause) in CAUSES {
            let is_transient = rejected(400, code, "").is_transient();
            assert_eq!(is_transient, cause == Cause::Transient, "{code}");
        }
        assert!(CAUSES.is_sorted_by(|(one, _), (next, _)| one < next));
    }

    #[test]
    fn the_status_decides_whether_an_unknown_code_is_transient() {
        for (status, is_transient) in [(400, false), (429, true), (499, false), (500, true)] {
            let fault = rejected(status, "Novelty", "");
            assert_eq!(fault.is_transient(), is_transient, "{status}");
            assert_eq!(fault.code(), "Novelty");
        }
    }

    #[test]
    fn an_expired_signature_is_transient_and_a_wrong_one_is_not() {
        let expired = "Signature expired: 20261125T100000Z is now earlier than 20261125T100500Z";
        let wrong =
            "The request signature we calculated does not match the signature you provided.";
        assert!(rejected(403, "InvalidSignatureException", expired).is_transient());
        assert!(!rejected(403, "InvalidSignatureException", wrong).is_transient());
    }

    /// The SDK could not read the response, so the operation may have been applied.
    #[test]
    fn an_unreadable_success_response_counts_as_no_answer() {
        for (status, code) in [(200, "ResponseError"), (299, "ResponseError"), (300, "Odd")] {
            assert_eq!(rejected(status, "Odd", "").code(), code, "{status}");
        }
    }

    #[test]
    fn a_fault_names_the_operation_and_the_code() {
        let fault = Fault::internal("token.generate", "NoRandomness");
        assert_eq!(fault.to_string(), "token.generate failed: NoRandomness");
        assert_eq!(fault.aws_request_id(), None);
        let answered = Fault {
            aws_request_id: Some("E1".to_owned()),
            ..fault
        };
        assert_eq!(answered.aws_request_id(), Some("E1"));
    }
}
