//! Tests of the directory functions for Cognito, deployed and with their roles enforced.
//!
//! They need a stack whose users are in a pool: `make test` starts one with `USERS=cognito`.

use jiff::Timestamp;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::logs::wait_for_line;
use crate::roles::attempt::{Attempt, json_call, rest, sign};
use crate::roles::credentials::{credentials_of, operator};
use crate::stack::{Stack, variable};

const OLD: &str = "the first password of Ada";
const NEW: &str = "the second password of Ada";

#[tokio::test]
async fn find_returns_the_users_who_can_reset_now() {
    let pool = Pool::new();
    for (email, stored, is_found) in [
        ("cognito-find@example.com", "cognito-find@example.com", true),
        ("cognito-case@example.com", "Cognito-Case@Example.com", true),
        (
            "cognito-one@example.com",
            "cognito-one@example.com.au",
            false,
        ),
    ] {
        let id = pool.user(stored).await;
        let expected = json!([{ "id": id, "email": stored, "locale": null, "name": null }]);
        let expected = if is_found { expected } else { json!([]) };
        assert_eq!(pool.find(email).await, expected, "{email}");
    }
    assert_eq!(pool.find("cognito-unknown@example.com").await, json!([]));
    assert_eq!(pool.find("\" or email ^= \"").await, json!([]));
}

#[tokio::test]
async fn find_returns_the_language_and_the_name() {
    let pool = Pool::new();
    let email = "cognito-name@example.com";
    let id = pool.user(email).await;
    pool.set(&id, "locale", "de-AT").await;
    pool.set(&id, "given_name", "Ada").await;
    let expected = json!([{ "id": id, "email": email, "locale": "de-AT", "name": "Ada" }]);
    assert_eq!(pool.find(email).await, expected);
}

#[tokio::test]
async fn find_skips_unverified_disabled_and_unconfirmed_users() {
    let pool = Pool::new();
    let (unverified, disabled) = ("cognito-unverified@example.com", "cognito-off@example.com");
    let id = pool.user(unverified).await;
    pool.set(&id, "email_verified", "false").await;
    let id = pool.user(disabled).await;
    pool.call("AdminDisableUser", &json!({ "Username": id }))
        .await;
    let unconfirmed = "cognito-unconfirmed@example.com";
    let sign_up = json!({
        "ClientId": variable("USER_POOL_CLIENT_ID"), "Username": unconfirmed, "Password": OLD,
        "UserAttributes": [{ "Name": "email", "Value": unconfirmed }],
    });
    pool.call("SignUp", &sign_up).await;
    for email in [unverified, disabled, unconfirmed] {
        assert_eq!(pool.find(email).await, json!([]), "{email}");
    }
}

#[tokio::test]
async fn find_returns_both_users_who_share_an_address() {
    let pool = Pool::new();
    let email = "cognito-shared@example.com";
    let one = pool.user(email).await;
    let two = pool.user("cognito-shared-2@example.com").await;
    pool.set(&two, "email", "Cognito-Shared@example.com").await;
    let found = pool.find(email).await;
    let found = found.as_array().unwrap().iter();
    let mut ids: Vec<_> = found.map(|user| user["id"].as_str().unwrap()).collect();
    let mut expected = [one.as_str(), &two];
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn replace_sets_the_password_of_the_user() {
    let pool = Pool::new();
    let email = "cognito-replace@example.com";
    let id = pool.user(email).await;
    let replaced = pool.replace(&request(&id, email)).await;
    assert_eq!(replaced, json!({ "outcome": "replaced" }));
    assert!(pool.accepts(email, NEW).await);
    assert!(!pool.accepts(email, OLD).await);
}

/// An invited user who lost the invitation.
#[tokio::test]
async fn replace_sets_the_first_password_of_an_invited_user() {
    let pool = Pool::new();
    let email = "cognito-invited@example.com";
    let id = pool.invite(email).await;
    assert_eq!(pool.find(email).await[0]["id"], id);
    let replaced = pool.replace(&request(&id, email)).await;
    assert_eq!(replaced, json!({ "outcome": "replaced" }));
    assert!(pool.accepts(email, NEW).await);
}

#[tokio::test]
async fn replace_sets_nothing_if_the_user_or_the_password_does_not_fit() {
    let pool = Pool::new();
    let email = "cognito-rejected@example.com";
    let id = pool.user(email).await;
    let other = pool.user("cognito-other@example.com").await;
    let with = |member: &str, value: Value| {
        let mut request = request(&id, email);
        request[member] = value;
        request
    };
    let gone = json!({ "outcome": "gone" });
    for (request, expected) in [
        (
            with("email", json!("cognito-new@example.com")),
            gone.clone(),
        ),
        (with("user", json!(other)), gone.clone()),
        (with("user", json!("nobody")), gone),
        (
            with("password", json!({ "plain": "short" })),
            json!({ "outcome": "unacceptable", "reason": "too_weak" }),
        ),
        (with("deadline", json!(1)), json!({ "outcome": "later" })),
    ] {
        assert_eq!(pool.replace(&request).await, expected, "{request}");
    }
    pool.call("AdminDisableUser", &json!({ "Username": id }))
        .await;
    let disabled = pool.replace(&request(&id, email)).await;
    assert_eq!(disabled, json!({ "outcome": "gone" }));
    pool.call("AdminEnableUser", &json!({ "Username": id }))
        .await;
    assert!(pool.accepts(email, OLD).await);
}

#[tokio::test]
async fn a_request_outside_the_protocol_fails_and_its_password_is_not_logged() {
    let pool = Pool::new();
    let (since, email) = (Timestamp::now(), "cognito-silence@example.com");
    let id = pool.user(email).await;
    let mut hash = request(&id, email);
    hash["password"] = json!({ "hash": NEW });
    let mut version = request(&id, email);
    version["rekey"] = json!(2);
    for (request, message) in [(version, "version 1"), (hash, "UsersPasswordSentAs")] {
        let error = pool.failure("REPLACE_FUNCTION", &request).await;
        assert!(error.contains(message), "{error}");
        assert!(!error.contains(NEW), "{error}");
    }
    let error = pool.failure("FIND_FUNCTION", &request(&id, email)).await;
    assert!(error.contains("for this function"), "{error}");
    assert!(pool.accepts(email, OLD).await);
    pool.replace(&request(&id, email)).await;

    for (function, message) in [
        ("replace", "UsersPasswordSentAs"),
        ("find", "for this function"),
    ] {
        let log = wait_for_line(&pool.stack, function, since, |line| {
            line.to_string().contains(message)
        });
        let log = log.await;
        for secret in [NEW, OLD, email, "second password"] {
            assert!(!log.contains(secret), "{function}: {log}");
        }
    }
}

#[tokio::test]
async fn each_role_may_make_its_own_calls_to_this_pool_alone() {
    assert_eq!(allowed("find").await, ["ListUsers"]);
    assert_eq!(
        allowed("replace").await,
        ["AdminGetUser", "AdminSetUserPassword"]
    );
    let operator = operator();
    for attempt in attempts() {
        assert!(attempt.is_allowed(&operator).await, "{}", attempt.name);
    }
}

async fn allowed(function: &str) -> Vec<String> {
    let credentials = credentials_of(function).await;
    let mut allowed = Vec::new();
    for attempt in attempts() {
        if attempt.is_allowed(&credentials).await {
            allowed.push(attempt.name);
        }
    }
    allowed
}

/// Each call names a user that does not exist, so none of them does harm.
fn attempts() -> Vec<Attempt> {
    let pool = variable("USER_POOL_ID");
    let attempt = |name: &str, operation: &str, pool: &str| {
        let body = json!({
            "UserPoolId": pool, "Username": "nobody", "Password": NEW, "Permanent": true,
            "UserAttributes": [{ "Name": "email", "Value": "nobody@example.com" }],
        });
        json_call(name, "cognito-idp", &target(operation), &body)
    };
    let mut attempts: Vec<_> = [
        "ListUsers",
        "AdminGetUser",
        "AdminSetUserPassword",
        "AdminUpdateUserAttributes",
        "AdminDeleteUser",
        "AdminEnableUser",
        "AdminUserGlobalSignOut",
        "DescribeUserPool",
    ]
    .into_iter()
    .map(|operation| attempt(operation, operation, &pool))
    .collect();
    for operation in ["ListUsers", "AdminGetUser", "AdminSetUserPassword"] {
        let name = format!("{operation} of another pool");
        attempts.push(attempt(&name, operation, "us-east-1_Another00"));
    }
    attempts
}

fn target(operation: &str) -> String {
    format!("AWSCognitoIdentityProviderService.{operation}")
}

fn request(id: &str, email: &str) -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "rekey": 1, "action": "replace", "request_id": "JKJaXmPLvHcESHA=", "user": id, "email": email,
        "issued_at": now - 60, "changed_at": now, "deadline": now + 60, "password": { "plain": NEW },
    })
}

/// The pool, and the functions of its directory.
struct Pool {
    stack: Stack,
}

impl Pool {
    fn new() -> Self {
        Self {
            stack: Stack::new(),
        }
    }

    /// Creates a user with a verified address, who can sign in. Returns the ID.
    async fn user(&self, email: &str) -> String {
        let id = self.invite(email).await;
        let body = json!({ "Username": id, "Password": OLD, "Permanent": true });
        self.call("AdminSetUserPassword", &body).await;
        id
    }

    /// Creates a user with a verified address and a temporary password. Returns the ID.
    async fn invite(&self, email: &str) -> String {
        let attributes = [("email", email), ("email_verified", "true")];
        let attributes = attributes.map(|(name, value)| json!({ "Name": name, "Value": value }));
        let body = json!({
            "Username": email, "MessageAction": "SUPPRESS", "UserAttributes": attributes,
        });
        let created = self.call("AdminCreateUser", &body).await;
        created["User"]["Username"].as_str().unwrap().to_owned()
    }

    async fn set(&self, id: &str, attribute: &str, value: &str) {
        let attributes = [json!({ "Name": attribute, "Value": value })];
        let body = json!({ "Username": id, "UserAttributes": attributes });
        self.call("AdminUpdateUserAttributes", &body).await;
    }

    /// Returns whether a user can sign in with a password.
    async fn accepts(&self, email: &str, password: &str) -> bool {
        let body = json!({
            "ClientId": variable("USER_POOL_CLIENT_ID"), "AuthFlow": "USER_PASSWORD_AUTH",
            "AuthParameters": { "USERNAME": email, "PASSWORD": password },
        });
        let response = self.send("InitiateAuth", &body).await;
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        let is_rejected = body.to_string().contains("NotAuthorizedException");
        assert!(status == 200 || is_rejected, "{body}");
        body["AuthenticationResult"]["AccessToken"].is_string()
    }

    /// Makes a call as the operator, which must succeed.
    async fn call(&self, operation: &str, body: &Value) -> Value {
        let mut body = body.clone();
        body["UserPoolId"] = json!(variable("USER_POOL_ID"));
        let response = self.send(operation, &body).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{operation}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn send(&self, operation: &str, body: &Value) -> Response {
        let call = json_call(operation, "cognito-idp", &target(operation), body).call;
        self.signed(call, "cognito-idp").await
    }

    async fn find(&self, email: &str) -> Value {
        let request = json!({ "rekey": 1, "action": "find", "request_id": "r", "email": email });
        let (error, mut found) = self.invoke("FIND_FUNCTION", &request).await;
        assert_eq!(error, None, "{found}");
        found["users"].take()
    }

    async fn replace(&self, request: &Value) -> Value {
        let (error, replaced) = self.invoke("REPLACE_FUNCTION", request).await;
        assert_eq!(error, None, "{replaced}");
        replaced
    }

    /// Returns the error of an invocation that must fail.
    async fn failure(&self, function: &str, request: &Value) -> String {
        let (error, body) = self.invoke(function, request).await;
        assert!(error.is_some(), "{body}");
        body.to_string()
    }

    /// Invokes a function. Returns the kind of its error, if any, and its response.
    async fn invoke(&self, function: &str, request: &Value) -> (Option<String>, Value) {
        let path = format!("/2015-03-31/functions/{}/invocations", variable(function));
        let call = rest("invoke", "lambda", Method::POST, &path, request).call;
        let response = self.signed(call, "lambda").await;
        assert_eq!(response.status(), 200);
        let error = response.headers().get("x-amz-function-error");
        let error = error.map(|kind| kind.to_str().unwrap().to_owned());
        (error, response.json().await.unwrap())
    }

    async fn signed(&self, call: RequestBuilder, service: &str) -> Response {
        let mut request = call.build().unwrap();
        sign(&mut request, &operator(), service);
        self.stack.client.execute(request).await.unwrap()
    }
}
