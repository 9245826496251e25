//! HTTP, as both kinds of API Gateway speak it.

pub mod form;
pub mod problem;
pub mod request;
pub mod response;
