//! The credentials of the operator, and of each function's role.

use aws_config::BehaviorVersion;
use aws_config::sts::AssumeRoleProvider;
use aws_sdk_dynamodb::config::{Credentials, ProvideCredentials as _};
use reqwest::Method;
use serde_json::Value;

use super::attempt::{rest, sign};
use crate::stack::{Stack, variable, variable_of};

pub(crate) fn operator() -> Credentials {
    let (key, secret) = (
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY"),
    );
    Credentials::new(key, secret, None, None, "desk")
}

/// Returns credentials for a function's role.
pub(crate) async fn credentials_of(function: &str) -> Credentials {
    credentials_of_role(&role_of(function).await).await
}

/// Returns credentials for the role with this ARN.
pub(crate) async fn credentials_of_role(role: &str) -> Credentials {
    let operator = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let provider = AssumeRoleProvider::builder(role).session_name("roles");
    let provider = provider.configure(&operator).build().await;
    provider.provide_credentials().await.unwrap()
}

/// Returns the ID of the account that the stack is in.
pub(crate) async fn account() -> String {
    let role = role_of("reset-change").await;
    role.split(':').nth(4).unwrap().to_owned()
}

async fn role_of(function: &str) -> String {
    let path = format!(
        "/2015-03-31/functions/{}",
        variable_of(function, "FUNCTION")
    );
    let attempt = rest("read the role", "lambda", Method::GET, &path, &Value::Null);
    let mut request = attempt.call.build().unwrap();
    sign(&mut request, &operator(), "lambda");
    let response = Stack::new().client.execute(request).await.unwrap();
    let function: Value = response.json().await.unwrap();
    function["Configuration"]["Role"]
        .as_str()
        .unwrap()
        .to_owned()
}
