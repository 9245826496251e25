//! The calls that an attacker who controls one of the four functions may make, with the template's roles enforced.
//!
//! Each test tries every attempt under one role, and lists those that are not denied. The local AWS does not check who
//! reads a stream, so `policies.rs` reads the roles for that.

pub(crate) mod attempt;
pub(crate) mod credentials;
mod services;
mod single_table;
mod tables;

use reqwest::Method;
use serde_json::json;

use attempt::{Attempt, rest};
use credentials::{credentials_of, operator};

#[tokio::test]
async fn forgots_public_half_may_only_store_requests_and_count() {
    assert_eq!(
        allowed("forgot-request").await,
        ["put request#", "update rate#forgot#"]
    );
}

#[tokio::test]
async fn forgots_private_half_may_find_keys_store_tokens_and_send() {
    assert_eq!(
        allowed("forgot-deliver").await,
        [
            "put token#",
            "put links#",
            "get links#",
            "get epoch#",
            "update rate#mail#",
            "update rate#mail# and see the new count",
            "put token# in a transaction",
            "find a user's key",
            "send",
            "put into the failure queue",
        ]
    );
}

/// The role may also set a user's address. IAM does not distinguish attributes of a condition from those of an update.
#[tokio::test]
async fn resets_public_half_may_use_tokens_and_set_passwords() {
    assert_eq!(
        allowed("reset-change").await,
        [
            "find token#",
            "delete token#",
            "put change#",
            "update epoch#",
            "update rate#reset#",
            "set a password",
            "set an address",
        ]
    );
}

#[tokio::test]
async fn resets_private_half_may_only_send_from_one_address() {
    assert_eq!(
        allowed("reset-notify").await,
        ["get change#", "send", "put into the failure queue"]
    );
}

/// Only the domain is verified until this test verifies the address. After that, SES checks the address instead.
#[tokio::test]
async fn private_halves_may_send_under_either_verified_identity() {
    for identity in ["example.com", "no-reply@example.com"] {
        let verified = json!({ "EmailIdentity": identity });
        let path = "/v2/email/identities";
        let verify = rest("verify", "ses", Method::POST, path, &verified);
        assert!(verify.is_allowed(&operator()).await);
        for half in ["forgot-deliver", "reset-notify"] {
            let allowed = allowed(half).await;
            assert!(allowed.contains(&"send".to_owned()), "{half}: {identity}");
        }
    }
}

/// The operator may make every harmless call. So denials come from the roles, not from mistakes in the test.
#[tokio::test]
async fn the_operator_may_make_every_harmless_attempt() {
    let operator = operator();
    let mut denied = Vec::new();
    for attempt in attempts()
        .into_iter()
        .filter(|attempt| !attempt.is_destructive)
    {
        if !attempt.is_allowed(&operator).await {
            denied.push(attempt.name);
        }
    }
    assert_eq!(denied, [""; 0]);
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

fn attempts() -> Vec<Attempt> {
    let mut attempts = tables::rows();
    attempts.extend(tables::tables());
    attempts.extend(tables::users());
    attempts.extend(services::emails());
    attempts.extend(services::elsewhere());
    attempts
}
