//! Dispatches Lambda events to the public or the private half of a function.

pub mod batch;
pub mod event;
pub mod function;

use jiff::Timestamp;
use lambda_http::lambda_runtime::{self, LambdaEvent};
use lambda_http::{Error, service_fn};
use serde::Serialize;

use self::batch::{Checkpoint, process_batch};
use self::event::{Event, Payload};
use self::function::Function;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::mailer::feedback;
use crate::pace::Pace;

/// The result that Rekey returns to Lambda.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// A response to a gateway.
    Http(Response),
    /// The checkpoint of a stream.
    Stream(Checkpoint),
}

/// Serves events until Lambda ends the process. Only this function reads the clock.
///
/// # Errors
/// Returns an error if Lambda's Runtime API cannot be reached.
pub async fn run(function: impl Function) -> Result<(), Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "only this function reads the clock"
    )]
    let clock = Timestamp::now;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| {
        let invocation = event.context.request_id;
        handle(&function, event.payload, invocation, clock, Pace::STEADY)
    }))
    .await
}

/// Handles one event. `invocation` is Lambda's ID for it. Batches of a stream keep to `pace`.
///
/// # Errors
/// Returns an error if a gateway's event has no method or no path.
pub async fn handle<F: Function>(
    function: &F,
    event: Event,
    invocation: String,
    clock: impl Fn() -> Timestamp + Send + Sync,
    pace: Pace,
) -> Result<Output, Error> {
    match event {
        Event::Request(event) => {
            let payload = event.payload();
            let request = event
                .into_request(&invocation)
                .ok_or(event::UNKNOWN_EVENT)?;
            let response = respond(function, &request, &clock).await;
            Ok(Output::Http(match payload {
                Payload::V1 => response,
                Payload::V2 => response.with_no_cookies(),
            }))
        }
        Event::Stream(records) => {
            let checkpoint = process_batch(function, records, &clock, pace).await;
            Ok(Output::Stream(checkpoint))
        }
        Event::Feedback(messages) => {
            for message in messages {
                feedback::record(&message, function.telemetry(), clock());
            }
            Ok(Output::Stream(Checkpoint::default()))
        }
    }
}

async fn respond<F: Function>(
    function: &F,
    request: &Request,
    clock: &(impl Fn() -> Timestamp + Send + Sync),
) -> Response {
    // Boxed: the SDK's futures are large and deeply nested.
    let result = Box::pin(function.handle_request(request, clock)).await;
    let response = result.unwrap_or_else(|problem| {
        if let Problem::Fault(fault) = &problem {
            let log = function.telemetry().for_request(&request.id, clock());
            log.request_failed(fault);
        }
        problem.response()
    });
    response.with_header("X-Request-Id", request.id.as_str())
}
