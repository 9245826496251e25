//! The reasons for which `DynamoDB` cancels a transaction.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

use crate::fault::Fault;

/// Retries a transaction that conflicted with another one, or was throttled. The SDK itself does not.
///
/// If a condition failed as well, the outcome is known, and a retry would not change it.
#[derive(Debug)]
pub(crate) struct RetryCanceled;

impl ClassifyRetry for RetryCanceled {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context
            .output_or_error()
            .and_then(Result::err)
            .and_then(|error| error.as_operation_error());
        match error.and_then(|error| error.downcast_ref::<TransactWriteItemsError>()) {
            Some(error) if is_transient_cancellation(error) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "canceled transactions"
    }
}

/// Returns the fault of a transaction in which no condition failed. A conflict with another transaction, or throttling,
/// is transient.
pub(crate) fn fault(
    operation: &'static str,
    error: &SdkError<TransactWriteItemsError, HttpResponse>,
) -> Fault {
    let fault = Fault::from_sdk(operation, error);
    match error.as_service_error() {
        Some(error) if is_conflict(error) => fault.conflict(),
        Some(error) if is_transient_cancellation(error) => fault.transient(),
        _ => fault,
    }
}

/// The condition of one statement of a canceled transaction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) has_failed: bool,
    /// The row, if the condition failed and the statement asked for the row in that case.
    pub(crate) row: Option<HashMap<String, AttributeValue>>,
}

/// Returns the condition of each statement, or `None` if the transaction failed for another reason.
pub(crate) fn failed_conditions<R>(
    error: &SdkError<TransactWriteItemsError, R>,
) -> Option<Vec<Condition>> {
    let TransactWriteItemsError::TransactionCanceledException(canceled) =
        error.as_service_error()?
    else {
        return None;
    };
    let reasons = canceled.cancellation_reasons().iter();
    let conditions: Vec<Condition> = reasons
        .map(|reason| Condition {
            has_failed: reason.code() == Some("ConditionalCheckFailed"),
            row: reason.item.clone(),
        })
        .collect();
    let any_failed = conditions.iter().any(|condition| condition.has_failed);
    any_failed.then_some(conditions)
}

/// Returns whether only another transaction on the same rows, or throttling, canceled a transaction.
fn is_transient_cancellation(error: &TransactWriteItemsError) -> bool {
    let codes = reasons(error);
    let is_transient = |code: &String| TRANSIENT_REASONS.contains(&code.as_str());
    codes.iter().any(is_transient)
        && codes
            .iter()
            .all(|code| code == "None" || is_transient(code))
}

/// Returns whether only another transaction on the same rows canceled a transaction.
fn is_conflict(error: &TransactWriteItemsError) -> bool {
    let codes = reasons(error);
    let is_conflict = |code: &String| code == "TransactionConflict";
    codes.iter().any(is_conflict) && codes.iter().all(|code| code == "None" || is_conflict(code))
}

/// The transient reasons (`DynamoDB` API Reference, `TransactWriteItems`, "Cancellation reason codes").
const TRANSIENT_REASONS: [&str; 3] = [
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
];

fn reasons(error: &TransactWriteItemsError) -> Vec<String> {
    let TransactWriteItemsError::TransactionCanceledException(canceled) = error else {
        return Vec::new();
    };
    canceled
        .cancellation_reasons()
        .iter()
        .map(|reason| reason.code().unwrap_or("None").to_owned())
        .collect()
}
