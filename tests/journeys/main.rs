//! Journeys of users and operators. Both functions and `DynamoDB` run in this process, and SES runs on a socket.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

mod abuse;
mod batch;
mod breaches;
mod configuration;
mod corpus;
mod deadlines;
mod dynamodb;
mod emails;
mod faults;
mod feedback;
mod field_errors;
mod forgot;
mod functions;
mod harness;
mod hashes;
mod hostile;
mod http;
mod invoke;
mod layouts;
mod links;
mod log;
mod lookup;
mod makefile;
mod metrics;
mod pace;
mod paper;
mod passwords;
mod pasted;
mod problems;
mod process;
mod races;
mod reset;
mod retries;
mod secrets;
mod ses;
mod tables;
mod tls;
mod verbosity;
