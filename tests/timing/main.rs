//! What the clock tells of an address or a token: nothing that statistics could find.
//!
//! Requests of two kinds are sent in a random order through `lambda::handle`, as Lambda hands them over, to a `DynamoDB`
//! on loopback; the time of each is taken, and the two kinds are compared as `dudect` does ([`dudect`]). A harness that
//! finds nothing proves nothing by that: so it also has to find what is planted.
//!
//! It is built as `cargo test` builds: without optimisation, which makes what our own code does differently last longer.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::print_stderr,
    reason = "a test that panics has said what is wrong"
)]

#[path = "../journeys/app.rs"]
#[expect(dead_code, reason = "the journeys use the rest of it")]
mod app;
#[path = "../journeys/aws.rs"]
#[expect(dead_code, reason = "the journeys use the rest of it")]
mod aws;
mod batch;
mod bench;
mod dudect;
mod forgot;
mod plant;
mod reset;
#[path = "../journeys/torture.rs"]
mod torture;

/// Writes down what was found: `cargo test --test timing -- --nocapture` shows it.
fn tell(what: &str, pairs: usize, verdict: &dudect::Verdict) {
    eprintln!("{what}, {pairs} pairs: {verdict}");
    torture::report(what, pairs, &verdict.to_string());
}
