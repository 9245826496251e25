//! The binary behind both halves of `forgot`.

use forgot::Forgot;
use lambda_http::Error;
use rekey::{aws, config, lambda, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    lambda::run(Forgot::from_env(&aws::sdk_config(&config::process))?).await
}
