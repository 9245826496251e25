//! Every invalid field is reported at once, with the documented codes.

use std::collections::BTreeSet;

use rekey::field_error::FieldError;
use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::responses::problem;

#[tokio::test]
async fn every_invalid_field_is_reported_at_once() {
    let app = TestApp::open().await;
    let (status, kind, errors) = problem(&app.post("/password/forgot", &json!({})).await);
    assert_eq!((status, kind.as_str()), (422, "urn:rekey:problem:invalid"));
    assert_eq!(
        errors,
        json!({ "email": ["is required"], "reset_url": ["is required"] })
    );

    let wrong = json!({ "email": ["a@b.co"], "reset_url": "https://evil.test/", "locale": "x" });
    let (_, _, errors) = problem(&app.post("/password/forgot", &wrong).await);
    assert_eq!(
        errors,
        json!({
            "email": ["must be a string"],
            "reset_url": ["must be one of the allowed reset URLs"],
        })
    );

    let wrong = json!({ "email": "ada", "password": "short", "token": null });
    let (_, _, errors) = problem(&app.post("/password/reset", &wrong).await);
    assert_eq!(
        errors,
        json!({
            "email": ["must be one email address, like ada@example.com"],
            "token": ["is required"],
            "password": ["must have at least 8 characters"],
        })
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn each_field_error_has_a_documented_code() {
    let app = TestApp::with_ada().await;
    let token = "0".repeat(64);
    let reset = |password: &str| json!({ "email": ADA, "token": token, "password": password });
    let mut seen = BTreeSet::new();
    for (path, body, codes, parameters) in [
        (
            "/password/forgot",
            json!({ "email": 1 }),
            json!({ "email": ["not_text"], "reset_url": ["required"] }),
            Value::Null,
        ),
        (
            "/password/forgot",
            json!({ "email": "ada", "reset_url": "https://evil.test/" }),
            json!({ "email": ["not_an_address"], "reset_url": ["not_allowed"] }),
            Value::Null,
        ),
        (
            "/password/reset",
            json!({ "email": ADA, "token": "x", "password": "short" }),
            json!({ "password": ["too_short"], "token": ["bad_token"] }),
            json!({ "password": { "min_length": 8 } }),
        ),
        (
            "/password/reset",
            reset(&"long enough ".repeat(22)),
            json!({ "password": ["too_long"] }),
            json!({ "password": { "max_length": 256 } }),
        ),
        (
            "/password/reset",
            reset("        "),
            json!({ "password": ["too_weak"] }),
            Value::Null,
        ),
        (
            "/password/reset",
            reset("aaaaaaaa"),
            json!({ "password": ["too_weak"] }),
            Value::Null,
        ),
        (
            "/password/reset",
            reset(ADA),
            json!({ "password": ["made_of_context"] }),
            Value::Null,
        ),
        (
            "/password/reset",
            reset("password"),
            json!({ "password": ["leaked"] }),
            Value::Null,
        ),
        (
            "/password/reset",
            json!({ "email": ADA, "token": token, "password": PASSWORD, "password_confirmation": "" }),
            json!({ "password_confirmation": ["not_the_same"] }),
            Value::Null,
        ),
        (
            "/password/reset",
            reset(PASSWORD),
            json!({ "token": ["bad_token"] }),
            Value::Null,
        ),
    ] {
        let response = app.post(path, &body).await;
        let problem: Value = serde_json::from_str(response.body()).unwrap();
        assert_eq!(problem["codes"], codes, "{body}");
        assert_eq!(problem["parameters"], parameters, "{body}");
        let codes = problem["codes"].as_object().unwrap();
        assert!(
            codes
                .keys()
                .eq(problem["errors"].as_object().unwrap().keys())
        );
        seen.extend(
            codes
                .values()
                .map(|codes| codes[0].as_str().unwrap().to_owned()),
        );
    }
    seen.extend(code_of_a_directory().await);
    assert_eq!(seen, codes());
}

/// Returns the code for a password that only a directory can know.
async fn code_of_a_directory() -> Option<String> {
    let app = TestApp::with_functions(&[]).await;
    let link = app.link(ADA).await;
    let response = json!({ "outcome": "unacceptable", "reason": "used_before" });
    app.aws.directory.respond_with(&response.to_string());
    let rejected = app.reset(&link, PASSWORD).await;
    let problem: Value = serde_json::from_str(rejected.body()).unwrap();
    app.allow_unprocessed("the change was undone");
    Some(problem["codes"]["password"][0].as_str()?.to_owned())
}

/// Returns the product's error codes.
fn codes() -> BTreeSet<String> {
    FieldError::ALL.map(|error| error.code().to_owned()).into()
}

#[test]
fn the_documentation_lists_each_code_and_no_other() {
    let documentation = include_str!("../../docs/front-end.md");
    let (_, section) = documentation.split_once("### Error codes\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let listed = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    assert_eq!(
        listed
            .map(|(code, _)| code.to_owned())
            .collect::<BTreeSet<_>>(),
        codes()
    );
}
