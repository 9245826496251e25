//! All states of the protocol: every order in which people, the stream, the application, time and crashes can come.
//!
//! The model decides nothing by itself. It executes the statements that the product builds, and asks the product's own
//! functions. So a condition that is broken there makes a test fail here.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that panics has said what is wrong"
)]

mod dynamodb;
mod properties;
mod protocol;
mod sensitivity;
#[path = "../journeys/torture.rs"]
mod torture;
mod trial;
