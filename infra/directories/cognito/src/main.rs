//! The binary behind both functions.

use lambda_http::Error;
use rekey::{config, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    cognito::run(&config::process).await
}
