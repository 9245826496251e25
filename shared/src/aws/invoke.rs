//! Invokes the team's Lambda functions.
//!
//! Rekey makes this one call without Lambda's SDK: see `docs/decisions/0052-lambda-client.md`.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_sdk_dynamodb::error::{ErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId as _;
use aws_sdk_sesv2::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_smithy_runtime::client::orchestrator::operation::{Operation, OperationBuilder};
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use bytes::Bytes;
use futures_util::FutureExt as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::function_arn::FunctionArn;
use super::{DYNAMODB_TIMEOUT, RetryFrozen, retries};
use crate::fault::Fault;

/// The timeout of one invocation.
pub const INVOKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of a read, with all its attempts and the pauses between them. Each attempt has [`INVOKE_TIMEOUT`].
pub const READ_TIMEOUT: Duration = INVOKE_TIMEOUT.saturating_mul(2);

/// The longest response that Rekey accepts, in bytes.
const MAX_RESPONSE: usize = 64 * 1024;

/// The reason that an invocation has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvokeError {
    /// Lambda rejected the call, so the function did not run.
    NotRun(Fault),
    /// The function failed or timed out, or its response was lost or unreadable. It may have run.
    Unknown(Fault),
}

/// Invokes functions and waits for their responses. Payloads and responses are never logged.
#[derive(Clone, Debug)]
pub struct Invoker {
    once: Operation<Invocation, Outcome, ErrorMetadata>,
    read: Operation<Invocation, Outcome, ErrorMetadata>,
}

impl Invoker {
    /// Creates a client in the SDK's region, with its credentials, HTTP client, endpoint, and retries.
    pub fn new(sdk: &SdkConfig) -> Self {
        let timeouts = sdk
            .timeout_config()
            .cloned()
            .unwrap_or_else(super::timeouts);
        let once = scaled(&timeouts, INVOKE_TIMEOUT);
        let once_timeouts = timeouts
            .to_builder()
            .disable_operation_attempt_timeout()
            .operation_timeout(once);
        let read_timeouts = timeouts
            .to_builder()
            .operation_attempt_timeout(once)
            .operation_timeout(scaled(&timeouts, READ_TIMEOUT));
        Self {
            once: operation(sdk)
                .no_retry()
                .timeout_config(once_timeouts.build())
                .build(),
            read: operation(sdk)
                .standard_retry(&sdk.retry_config().cloned().unwrap_or_else(retries))
                .retry_classifier(HttpStatusCodeClassifier::default())
                .retry_classifier(TransientErrorClassifier::<ErrorMetadata>::new())
                .retry_classifier(AwsErrorCodeClassifier::<ErrorMetadata>::new())
                .retry_classifier(RetryFrozen)
                .timeout_config(read_timeouts.build())
                .build(),
        }
    }

    /// Invokes a function at most once, and returns its response. `operation` names the call in a [`Fault`].
    ///
    /// Nothing sends the request twice. The SDK does not retry it. The HTTP client repeats a request only before it wrote
    /// a byte of it: on a pooled connection that turned out to be closed, or after a handshake failed (`tls`).
    ///
    /// # Errors
    /// Returns an [`InvokeError`], which separates a rejected call from one with an unknown outcome.
    pub async fn invoke_once(
        &self,
        operation: &'static str,
        function: &FunctionArn,
        payload: SecretString,
    ) -> Result<Vec<u8>, InvokeError> {
        let invocation = Invocation::new(function, payload);
        match self.once.invoke(invocation).await {
            Ok(outcome) => outcome.response(operation).map_err(InvokeError::Unknown),
            Err(error) => {
                let fault = Fault::from_sdk(operation, &error);
                Err(if has_not_run(&error) {
                    InvokeError::NotRun(fault)
                } else {
                    InvokeError::Unknown(fault)
                })
            }
        }
    }

    /// Invokes a function that only reads, and returns its response. Retries what a retry may fix, as for any other call
    /// to AWS. A function that failed is not invoked again.
    ///
    /// # Errors
    /// Returns a [`Fault`] if the last attempt got no response from the function.
    pub async fn read(
        &self,
        operation: &'static str,
        function: &FunctionArn,
        payload: SecretString,
    ) -> Result<Vec<u8>, Fault> {
        let invocation = Invocation::new(function, payload);
        match self.read.invoke(invocation).await {
            Ok(outcome) => outcome.response(operation),
            Err(error) => Err(Fault::from_sdk(operation, &error)),
        }
    }
}

/// Scales a timeout as the SDK's configuration scales `DynamoDB`'s, which tests do.
fn scaled(timeouts: &TimeoutConfig, timeout: Duration) -> Duration {
    let operation = timeouts.operation_timeout().unwrap_or(DYNAMODB_TIMEOUT);
    timeout.mul_f64(operation.div_duration_f64(DYNAMODB_TIMEOUT))
}

/// Returns whether Lambda rejected a call before the function ran.
///
/// "Error codes are reserved for errors that prevent your function from executing" (Lambda API Reference, `Invoke`). A
/// 4xx without a code may be a proxy's, so it proves nothing. `EFSIOException` has the status 410, but a file system can
/// also fail while the function runs.
fn has_not_run(error: &SdkError<ErrorMetadata, HttpResponse>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::ServiceError(error) => {
            let code = error.err().code();
            error.raw().status().is_client_error()
                && code.is_some_and(|code| code != "EFSIOException")
        }
        SdkError::TimeoutError(_)
        | SdkError::DispatchFailure(_)
        | SdkError::ResponseError(_)
        | _ => false,
    }
}

/// Returns what both operations share.
fn operation(sdk: &SdkConfig) -> OperationBuilder<Invocation, Outcome, ErrorMetadata> {
    let region = sdk.region().cloned();
    // The SDK keeps one retry budget for each name, and its own clients add the region.
    let service = region
        .as_ref()
        .map_or("lambda".to_owned(), |region| format!("lambda-{region}"));
    let mut signing = Layer::new("signing");
    signing.store_put(AuthSchemeOptionResolverParams::new(()));
    signing.store_put(SigV4OperationSigningConfig {
        region: region.map(Into::into),
        region_set: None,
        name: Some("lambda".into()),
        signing_options: SigningOptions::default(),
    });
    let mut components = RuntimeComponentsBuilder::new("lambda")
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![
            SCHEME_ID,
        ])))
        .with_http_client(sdk.http_client())
        .with_sleep_impl(sdk.sleep_impl())
        .with_time_source(sdk.time_source());
    if let Some(credentials) = sdk.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, credentials);
    }
    Operation::builder()
        .service_name(service)
        .operation_name("Invoke")
        // Without an endpoint, every call fails before it is sent. Lambda sets the region, so there always is one.
        .endpoint_url(&endpoint(sdk).unwrap_or_default())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .with_connection_poisoning()
        .runtime_plugin(
            StaticRuntimePlugin::new()
                .with_config(signing.freeze())
                .with_runtime_components(components),
        )
        .serializer(Invocation::request)
        .deserializer(Outcome::parse)
}

/// Returns the URL of Lambda's API.
///
/// Its host differs from SES's in the first label only, in all partitions, with FIPS, and with dual stack. So the
/// resolver of SES's SDK knows it, and Rekey needs no table of partitions.
fn endpoint(sdk: &SdkConfig) -> Option<String> {
    if let Some(url) = sdk.endpoint_url() {
        return Some(url.to_owned());
    }
    let params = Params::builder()
        .region(sdk.region()?.as_ref())
        .use_fips(sdk.use_fips().unwrap_or_default())
        .use_dual_stack(sdk.use_dual_stack().unwrap_or_default())
        .build()
        .ok()?;
    let endpoint = DefaultResolver::new()
        .resolve_endpoint(&params)
        .now_or_never()?;
    Some(endpoint.ok()?.url().replacen("://email", "://lambda", 1))
}

/// A call. Its `Debug` output does not print the payload.
#[derive(Debug)]
struct Invocation {
    path: String,
    payload: SecretString,
}

impl Invocation {
    fn new(function: &FunctionArn, payload: SecretString) -> Self {
        Self {
            path: format!("/2015-03-31/functions/{}/invocations", function.encoded()),
            payload,
        }
    }

    fn request(self) -> Result<HttpRequest, BoxError> {
        // The SDK and the HTTP client share this one buffer. The last of them to drop it wipes it.
        let body = Bytes::from_owner(Payload(self.payload));
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST")?;
        request.set_uri(self.path)?;
        let headers = request.headers_mut();
        headers.insert("content-type", "application/json");
        headers.insert("x-amz-invocation-type", "RequestResponse");
        Ok(request)
    }
}

/// The bytes of a payload.
struct Payload(SecretString);

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// The result of a call that Lambda accepted.
#[derive(Debug)]
struct Outcome {
    response: Result<Vec<u8>, &'static str>,
    aws_request_id: Option<String>,
}

impl Outcome {
    fn parse(response: &HttpResponse) -> Result<Self, OrchestratorError<ErrorMetadata>> {
        let body = response.body().bytes().unwrap_or_default();
        if !response.status().is_success() {
            return Err(OrchestratorError::operation(rejection(response, body)));
        }
        let response_or_code = if response.headers().contains_key("x-amz-function-error") {
            Err("FunctionError")
        } else if body.len() > MAX_RESPONSE {
            Err("ResponseTooLarge")
        } else {
            Ok(body.to_vec())
        };
        Ok(Self {
            response: response_or_code,
            aws_request_id: response.request_id().map(str::to_owned),
        })
    }

    /// Returns the function's response. A retry may fix a failed function, and no response that is too large.
    fn response(self, operation: &'static str) -> Result<Vec<u8>, Fault> {
        self.response.map_err(|code| {
            let fault = Fault::from_function(operation, code, self.aws_request_id);
            match code {
                "FunctionError" => fault.transient(),
                _ => fault,
            }
        })
    }
}

/// Returns the code of an error response. The whole body counts as its message: Rekey only searches it for an expired
/// signature, and then drops it.
fn rejection(response: &HttpResponse, body: &[u8]) -> ErrorMetadata {
    let mut metadata = ErrorMetadata::builder().message(String::from_utf8_lossy(body));
    if let Some(code) = response.headers().get("x-amzn-errortype") {
        // Some services put a URL after the code.
        metadata = metadata.code(code.split(':').next().unwrap_or(code));
    }
    metadata.build()
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};

    use super::*;

    fn endpoint_of(region: &'static str, flags: [bool; 2], url: Option<&str>) -> Option<String> {
        let [fips, dual_stack] = flags;
        let mut sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .use_fips(fips)
            .use_dual_stack(dual_stack);
        sdk.set_endpoint_url(url.map(str::to_owned));
        endpoint(&sdk.build())
    }

    /// The resolver of `aws-sdk-lambda` 1.156 returns these.
    #[test]
    fn the_endpoint_follows_partition_fips_and_dual_stack() {
        let (neither, fips, dual_stack, both) =
            ([false; 2], [true, false], [false, true], [true; 2]);
        for (region, flags, host) in [
            ("us-east-1", neither, "lambda.us-east-1.amazonaws.com"),
            ("us-east-1", fips, "lambda-fips.us-east-1.amazonaws.com"),
            ("us-east-1", dual_stack, "lambda.us-east-1.api.aws"),
            ("us-east-1", both, "lambda-fips.us-east-1.api.aws"),
            (
                "us-gov-west-1",
                fips,
                "lambda-fips.us-gov-west-1.amazonaws.com",
            ),
            ("cn-north-1", neither, "lambda.cn-north-1.amazonaws.com.cn"),
            (
                "cn-north-1",
                dual_stack,
                "lambda.cn-north-1.api.amazonwebservices.com.cn",
            ),
            ("us-iso-east-1", neither, "lambda.us-iso-east-1.c2s.ic.gov"),
            (
                "eusc-de-east-1",
                neither,
                "lambda.eusc-de-east-1.amazonaws.eu",
            ),
        ] {
            assert_eq!(
                endpoint_of(region, flags, None),
                Some(format!("https://{host}"))
            );
        }
    }

    #[test]
    fn a_configured_endpoint_takes_precedence() {
        let url = "http://127.0.0.1:4566";
        assert_eq!(
            endpoint_of("us-east-1", [false; 2], Some(url)).as_deref(),
            Some(url)
        );
    }

    #[test]
    fn a_payload_is_not_printed() {
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:find";
        let function = FunctionArn::parse(arn).unwrap();
        let invocation = Invocation::new(&function, "hunter2".to_owned().into());
        assert!(!format!("{invocation:?}").contains("hunter2"));
    }
}
