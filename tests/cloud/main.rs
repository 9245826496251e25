//! Tests of the deployed stack: the template's routes, functions, roles, stream, and tables.
//!
//! `make test` deploys the stack to a local AWS, and passes its names and URLs in the environment.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test reports a failure by panicking"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the deployed functions use this machine's clock"
)]

mod browser;
mod build;
mod cognito;
mod desk;
mod directory;
mod directory_check;
mod directory_users;
mod feedback;
mod flood;
mod forgot;
mod hostile;
mod http;
mod logs;
mod page;
mod policies;
mod postgresql;
mod redrive;
mod reset;
mod roles;
mod silence;
mod snippet;
mod stack;
mod stack_name;
mod tables;
mod template;
mod update;
mod users;
mod web_pages;
