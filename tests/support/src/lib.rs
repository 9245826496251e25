//! What the test binaries share.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::missing_panics_doc,
    clippy::implicit_hasher,
    clippy::return_self_not_must_use,
    missing_docs,
    missing_debug_implementations,
    reason = "a test fails by panicking, and its helpers are named after what they do"
)]

pub mod app;
pub mod aws;
pub mod calls;
pub mod clock;
pub mod deployment;
pub mod directory;
pub mod email;
pub mod faults;
pub mod futures;
pub mod hashes;
pub mod hostile;
pub mod random;
pub mod responses;
pub mod template;
pub mod torture;
pub mod wire;
