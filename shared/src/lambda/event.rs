//! The events with which Lambda invokes a function.
//!
//! Rekey reads a gateway's event itself. `lambda_http` 1.3.2 builds an `http::Request` from the whole URI, and panics
//! if the query makes that URI invalid (`?<`). Any client can send such a query.

use std::collections::HashMap;

use secrecy::SecretString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_dynamo::Item;

use crate::http::request::{Request, decode_body};
use crate::request_id::RequestId;
use crate::source::Source;

/// An event of API Gateway (payload 1.0 or 2.0), of a `DynamoDB` stream, or of the SNS topic with SES's feedback.
#[derive(Debug)]
pub enum Event {
    /// A request, for the public half.
    Request(Box<GatewayEvent>),
    /// Records of the table's stream, for the private half.
    Stream(Vec<StreamRecord>),
    /// SES's reports on emails that it accepted.
    Feedback(Vec<String>),
}

/// The error for an event of any other kind. It repeats nothing of the event.
pub(super) const UNKNOWN_EVENT: &str =
    "not an event of API Gateway, a DynamoDB stream, or the SNS topic";

impl<'de> Deserialize<'de> for Event {
    /// Reads an event. serde's messages are dropped: they repeat the input, and Lambda's runtime logs them.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = GatewayEvent::deserialize(deserializer);
        let mut event = event.map_err(|_| D::Error::custom(UNKNOWN_EVENT))?;
        Ok(match event.records.take() {
            Some(Records::Stream(records)) => {
                Self::Stream(records.into_iter().map(|record| record.dynamodb).collect())
            }
            Some(Records::Feedback(records)) => {
                let messages = records.into_iter().map(|record| record.sns.message);
                Self::Feedback(messages.collect())
            }
            None => Self::Request(Box::new(event)),
        })
    }
}

/// The parts of a gateway's event that Rekey reads.
///
/// Other events have `Records` instead, so one struct reads them all. An untagged enum would buffer the body, and leave
/// a copy of a password in memory.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayEvent {
    #[serde(rename = "Records")]
    records: Option<Records>,
    request_context: Option<GatewayContext>,
    raw_path: Option<String>,
    path: Option<String>,
    http_method: Option<String>,
    headers: Option<HashMap<String, Option<String>>>,
    body: Option<SecretString>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// The version of a gateway's payload format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    V1,
    V2,
}

impl GatewayEvent {
    pub(super) fn payload(&self) -> Payload {
        match &self.request_context {
            Some(context) if context.http.is_some() => Payload::V2,
            _ => Payload::V1,
        }
    }

    /// Returns the request, or `None` if the event has no method or no path. `invocation` is Lambda's ID, which stands
    /// in for an unusable one of the gateway.
    pub(super) fn into_request(self, invocation: &str) -> Option<Request> {
        let context = self.request_context?;
        let (method, source) = match context.http {
            Some(http) => (http.method, http.source_ip),
            None => (
                self.http_method?,
                context.identity.and_then(|identity| identity.source_ip),
            ),
        };
        let mut headers = self.headers.unwrap_or_default().into_iter();
        let content_type = headers
            .find_map(|(name, value)| value.filter(|_| name.eq_ignore_ascii_case("content-type")));
        let id = context.request_id.and_then(|id| RequestId::parse(&id).ok());
        let id = id.or_else(|| RequestId::parse(invocation).ok());
        Some(Request {
            method,
            path: self.raw_path.or(self.path)?,
            content_type,
            body: decode_body(self.body.as_ref(), self.is_base64_encoded),
            source: Source::parse(source.as_deref()),
            id: id.unwrap_or_else(RequestId::unknown),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GatewayContext {
    request_id: Option<String>,
    /// Only in payload 2.0.
    http: Option<HttpContext>,
    /// Only in payload 1.0.
    identity: Option<Identity>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext {
    method: String,
    source_ip: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    source_ip: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Records {
    Stream(Vec<StreamEnvelope>),
    Feedback(Vec<SnsEnvelope>),
}

#[derive(Debug, Deserialize)]
struct StreamEnvelope {
    dynamodb: StreamRecord,
}

/// A change of a row.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamRecord {
    pub(super) sequence_number: String,
    /// The row after the change. Absent if the row was deleted.
    pub(super) new_image: Option<Item>,
}

#[derive(Debug, Deserialize)]
struct SnsEnvelope {
    #[serde(rename = "Sns")]
    sns: Notification,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    message: String,
}
