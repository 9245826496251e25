//! Timing tests: response and departure times must not reveal an address or a token.
//!
//! The tests send two kinds of requests in a random order through `lambda::handle`, as Lambda does, to a `DynamoDB` on
//! loopback. They time each request, and compare the two kinds as `dudect` does ([`dudect`]). A harness that finds no
//! difference proves nothing by itself, so it must also find planted differences.
//!
//! `cargo test` builds without optimization, which makes differences in Rekey's own code larger.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test reports a failure by panicking"
)]

mod batch;
mod bench;
mod dudect;
mod forgot;
mod plant;
mod reset;

/// Prints and reports a verdict: `cargo test --test timing -- --nocapture` shows it.
fn record(what: &str, pairs: usize, verdict: &dudect::Verdict) {
    eprintln!("{what}, {pairs} pairs: {verdict}");
    support::torture::report(what, pairs, &verdict.to_string());
}
