//! The setup of the AWS SDK: timeouts and retries.

pub mod function_arn;
pub mod invoke;
pub mod tls;
pub(crate) mod transactions;

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Builder, SharedCredentialsProvider};
use aws_sdk_dynamodb::error::{ErrorMetadata, ProvideErrorMetadata};
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::QueryError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_smithy_runtime_api::client::interceptors::context::{Error, InterceptorContext};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

use self::transactions::RetryCanceled;
use crate::fault;

/// The timeout of a call to `DynamoDB`, with all its attempts and the pauses between them.
pub const DYNAMODB_TIMEOUT: Duration = Duration::from_secs(4);

/// The timeout of a call to SES, likewise. Only the stream waits for it.
pub const SES_TIMEOUT: Duration = DYNAMODB_TIMEOUT.saturating_mul(SES_TIMEOUT_FACTOR);
const SES_TIMEOUT_FACTOR: u32 = 4;

/// The maximum number of attempts of a call.
pub const ATTEMPTS: u32 = 3;

/// Returns the SDK's configuration, from the environment variables that Lambda sets. The SDK's own loader would also
/// create clients for half a dozen other sources of credentials.
///
/// The timeouts add up to less than the functions', and those to less than API Gateway's 30 seconds. So a caller always
/// gets a response from Rekey.
pub fn sdk_config(variable: &dyn Fn(&str) -> Option<String>) -> SdkConfig {
    let is_on = |name: &str| variable(name).map(|value| value.eq_ignore_ascii_case("true"));
    let credentials = EnvironmentVariableCredentialsProvider::new();
    let mut sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(tls::client())
        .retry_config(retries())
        .timeout_config(timeouts())
        // The protection would abort and retry stalled calls. It waits longer than an attempt at DynamoDB may take, so
        // it is useless there. SES may accept an email and answer slowly, so a retry would send a second email.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    sdk.set_region(variable("AWS_REGION").map(Region::new));
    sdk.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    sdk.set_use_fips(is_on("AWS_USE_FIPS_ENDPOINT"));
    sdk.set_use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"));
    sdk.build()
}

/// Returns the client of `DynamoDB`, which both tables share.
pub fn dynamodb(sdk: &SdkConfig) -> Client {
    let settings = Builder::from(sdk)
        .retry_classifier(RetryCanceled)
        .retry_classifier(RetryFrozen);
    Client::from_conf(settings.build())
}

/// Returns the attempts of a call and the pauses between them. The first pause is random up to one second, and the
/// second up to two. If many calls fail, the SDK stops retrying for a while, because the process has a retry budget.
pub fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(Duration::from_secs(1))
        .with_max_backoff(Duration::from_secs(2))
}

/// Returns the timeouts of a call and of each attempt. The first attempt leaves time for another one.
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(DYNAMODB_TIMEOUT / 2)
        .operation_timeout(DYNAMODB_TIMEOUT)
        .build()
}

/// Returns the timeouts of a call to SES. Its attempts have no timeout, because SES may accept an email and answer slowly.
/// A retry would then send a second email, and waiting does not.
pub(crate) fn ses_timeouts(sdk: &SdkConfig) -> TimeoutConfig {
    let timeouts = sdk.timeout_config().cloned().unwrap_or_else(timeouts);
    let operation = timeouts.operation_timeout().unwrap_or(DYNAMODB_TIMEOUT) * SES_TIMEOUT_FACTOR;
    let timeouts = timeouts.to_builder().disable_operation_attempt_timeout();
    timeouts.operation_timeout(operation).build()
}

/// Retries a call that arrived too long after it was signed. The SDK only corrects a wrong clock, but here the clock is
/// right.
#[derive(Debug)]
pub(crate) struct RetryFrozen;

impl ClassifyRetry for RetryFrozen {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context
            .output_or_error()
            .and_then(Result::err)
            .and_then(|error| error.as_operation_error());
        match error.and_then(metadata) {
            Some(error) if fault::is_signed_too_early(error) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "frozen calls"
    }
}

/// Returns the code and the message of an error of any call that Rekey makes. An invocation's error has no other type.
fn metadata(error: &Error) -> Option<&ErrorMetadata> {
    fn of<E>(error: &Error) -> Option<&ErrorMetadata>
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        error.downcast_ref::<E>().map(E::meta)
    }
    of::<TransactWriteItemsError>(error)
        .or_else(|| of::<QueryError>(error))
        .or_else(|| of::<GetItemError>(error))
        .or_else(|| of::<PutItemError>(error))
        .or_else(|| of::<UpdateItemError>(error))
        .or_else(|| of::<SendEmailError>(error))
        .or_else(|| of::<ErrorMetadata>(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(variables: &[(&str, &str)]) -> SdkConfig {
        sdk_config(&|name| {
            let entry = variables.iter().find(|(known, _)| *known == name);
            entry.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_chooses_the_region_and_the_endpoints() {
        let sdk = configured(&[
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
            ("AWS_USE_FIPS_ENDPOINT", "true"),
            ("AWS_USE_DUALSTACK_ENDPOINT", "False"),
        ]);
        assert_eq!(sdk.region().map(Region::as_ref), Some("eu-central-1"));
        assert_eq!(sdk.endpoint_url(), Some("http://127.0.0.1:4566"));
        assert_eq!(
            (sdk.use_fips(), sdk.use_dual_stack()),
            (Some(true), Some(false))
        );
        let sdk = configured(&[]);
        assert_eq!((sdk.use_fips(), sdk.use_dual_stack()), (None, None));
    }

    #[test]
    fn a_call_has_time_for_a_second_attempt() {
        let timeouts = timeouts();
        let attempt = timeouts.operation_attempt_timeout().unwrap();
        assert!(timeouts.connect_timeout().unwrap() < attempt);
        assert_eq!(timeouts.operation_timeout(), Some(2 * attempt));
    }
}
