//! The binary behind both halves of `reset`.

use lambda_http::Error;
use rekey::{aws, config, lambda, telemetry};
use reset::Reset;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    lambda::run(Reset::from_env(&aws::sdk_config(&config::process))?).await
}
