//! The binary behind both halves of `reset`.

use lambda_http::Error;
use rekey::{aws, lambda, telemetry};
use reset::Reset;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    lambda::run(Reset::from_env(&aws::sdk_config())?).await
}
