//! A Cognito for tests, which answers from a list and remembers its calls.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_sdk_cognitoidentityprovider::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use rekey::aws;
use serde_json::{Value, json};

use crate::pool::Pool;

/// The ID of the fake's pool.
pub(crate) const POOL: &str = "us-east-1_Abc123";

/// An answer to one call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A response with this status.
    Response(u16, Value),
    /// No response, ever.
    Silence,
    /// A connection that fails.
    NoConnection,
}

/// The fake. Its clones share one list of answers.
#[derive(Clone, Debug)]
pub(crate) struct Cognito {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Cognito {
    pub(crate) fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            calls: Arc::default(),
        }
    }

    pub(crate) fn pool(&self) -> Pool {
        let variable = |name: &str| (name == "AWS_REGION").then(|| "us-east-1".to_owned());
        let credentials = Credentials::new("key", "secret", None, None, "tests");
        let connector = SharedHttpConnector::new(self.clone());
        let sdk = aws::sdk_config(&variable)
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        Pool::new(&sdk, POOL.to_owned())
    }

    /// Returns the calls, each with the name of its operation.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.calls.lock().unwrap().clone()
    }

    /// Returns the names of the operations that were called.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.calls().into_iter().map(|(name, _)| name).collect()
    }
}

impl HttpConnector for Cognito {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap();
        let operation = target.rsplit('.').next().unwrap().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        self.calls.lock().unwrap().push((operation, body));
        let answer = self.answers.lock().unwrap().pop_front();
        match answer.expect("an answer for each call") {
            Answer::Response(status, body) => {
                let status = StatusCode::try_from(status).unwrap();
                let response = HttpResponse::new(status, body.to_string().into());
                HttpConnectorFuture::ready(Ok(response))
            }
            Answer::Silence => HttpConnectorFuture::new(std::future::pending()),
            Answer::NoConnection => {
                HttpConnectorFuture::ready(Err(ConnectorError::io("no connection".into())))
            }
        }
    }
}

pub(crate) fn ok(body: Value) -> Answer {
    Answer::Response(200, body)
}

/// Returns a response that rejects a call. Its message repeats the password, as messages of AWS sometimes do.
pub(crate) fn rejected(status: u16, code: &str) -> Answer {
    let body = json!({ "__type": code, "message": "Value 'correct horse' at 'password' is wrong" });
    Answer::Response(status, body)
}

/// Returns a user of a list.
pub(crate) fn user(id: &str, attributes: &[(&str, &str)]) -> Value {
    let attributes = attributes
        .iter()
        .map(|(name, value)| json!({ "Name": name, "Value": value }));
    json!({
        "Username": id, "Enabled": true, "UserStatus": "CONFIRMED",
        "Attributes": attributes.collect::<Vec<_>>(),
    })
}

/// Returns a user of a list, with a verified address.
pub(crate) fn verified(id: &str, email: &str) -> Value {
    user(id, &[("email", email), ("email_verified", "true")])
}

/// Returns a user of a list as the response to a read of that user.
pub(crate) fn alone(mut user: Value) -> Value {
    user["UserAttributes"] = user["Attributes"].take();
    user
}
