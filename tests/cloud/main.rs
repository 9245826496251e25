//! Journeys through the deployed stack: the template's routes, functions, roles, stream and tables.
//!
//! `make test` deploys it to a local AWS and says in the environment where everything is.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that panics has said what is wrong"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the deployed functions have the time of this machine"
)]

mod browser;
mod desk;
mod feedback;
mod flood;
mod forgot;
mod hostile;
mod http;
mod policies;
mod redrive;
mod reset;
mod roles;
mod stack;
mod template;
#[path = "../journeys/torture.rs"]
mod torture;
mod users;
mod web_pages;
