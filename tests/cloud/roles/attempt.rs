//! An attempt: a call that an attacker would want to make.

use std::time::SystemTime;

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use reqwest::header::HeaderName;
use reqwest::{Body, Method, Request, RequestBuilder};
use serde_json::Value;

use crate::stack::{Stack, variable};

/// A call that an attacker would want to make.
pub(crate) struct Attempt {
    pub(crate) name: String,
    service: &'static str,
    pub(crate) call: RequestBuilder,
    pub(crate) is_destructive: bool,
}

impl Attempt {
    pub(crate) async fn is_allowed(&self, credentials: &Credentials) -> bool {
        let mut request = self.call.try_clone().unwrap().build().unwrap();
        sign(&mut request, credentials, self.service);
        let response = Stack::new().client.execute(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.text().await.unwrap();
        assert!(!body.contains("ignature"), "{}: {body}", self.name);
        // A successful response may contain such words: a log does.
        status < 300
            || status != 403 && !body.contains("AccessDenied") && !body.contains("not authorized")
    }

    /// Marks an attempt that the operator does not try, because it would succeed and do harm.
    pub(crate) fn destructive(self) -> Self {
        Self {
            is_destructive: true,
            ..self
        }
    }
}

pub(crate) fn dynamodb(name: &str, operation: &str, body: &Value) -> Attempt {
    json_call(
        name,
        "dynamodb",
        &format!("DynamoDB_20120810.{operation}"),
        body,
    )
}

/// Creates a call of a JSON service. One call for each service does not justify an SDK crate.
pub(crate) fn json_call(name: &str, service: &'static str, target: &str, body: &Value) -> Attempt {
    let attempt = rest(name, service, Method::POST, "/", body);
    Attempt {
        call: attempt.call.header("x-amz-target", target),
        ..attempt
    }
}

pub(crate) fn rest(
    name: &str,
    service: &'static str,
    method: Method,
    path: &str,
    body: &Value,
) -> Attempt {
    let url = format!("{}{path}", variable("AWS_ENDPOINT_URL"));
    let call = Stack::new().client.request(method, url);
    let call = call.header("content-type", "application/x-amz-json-1.0");
    Attempt {
        name: name.to_owned(),
        service,
        call: call.body(body.to_string()),
        is_destructive: false,
    }
}

pub(crate) fn form(name: &str, service: &'static str, body: &str) -> Attempt {
    let call = Stack::new().client.post(variable("AWS_ENDPOINT_URL"));
    let call = call.header("content-type", "application/x-www-form-urlencoded");
    Attempt {
        name: name.to_owned(),
        service,
        call: call.body(body.to_owned()),
        is_destructive: false,
    }
}

pub(crate) fn sign(request: &mut Request, credentials: &Credentials, service: &str) {
    let identity = credentials.clone().into();
    let region = variable("AWS_REGION");
    let settings = SigningSettings::default();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .settings(settings);
    let parameters = parameters
        .region(&region)
        .name(service)
        .time(SystemTime::now());
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let body = request.body().and_then(Body::as_bytes).unwrap_or_default();
    let (method, url) = (request.method().as_str(), request.url().as_str());
    let signable = SignableRequest::new(method, url, headers, SignableBody::Bytes(body)).unwrap();
    let signed = http_request::sign(signable, &parameters.build().unwrap().into()).unwrap();
    let (instructions, _) = signed.into_parts();
    for (name, value) in instructions.headers() {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
}
