//! HTTP requests and responses, in the formats of API Gateway's HTTP APIs and REST APIs.

pub mod form;
pub mod problem;
pub mod request;
pub mod response;
