//! The smallest function on `lambda_http`: the baseline of the benchmark.

use lambda_http::{Error, Request, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(
        async |_: Request| -> Result<&'static str, Error> { Ok("Hello, world") },
    ))
    .await
}
