//! Journeys of users and operators, with both functions in this process, `DynamoDB` too, and SES on a socket.

mod configuration;
mod desk;
mod forgot;
mod http;
mod outage;
mod reset;
mod silence;
