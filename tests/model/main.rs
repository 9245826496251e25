//! A model check of the protocol: every order of events from users, the stream, the application, time, and crashes.
//!
//! The model makes no decisions. It executes the statements that the product builds, and calls the product's functions.
//! So a broken condition in the product fails a test here.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test reports a failure by panicking"
)]

mod action;
mod application;
mod bounds;
mod clock;
mod dynamodb;
mod exploration;
mod forgot;
mod functions;
mod machine;
mod mutation;
mod names;
mod properties;
mod protocol;
mod reset;
mod sensitivity;
mod state;
mod trial;
