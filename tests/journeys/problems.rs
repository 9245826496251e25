//! The response of each problem, as front ends receive it.

use insta::assert_snapshot;
use rekey::http::response::Response;
use serde_json::{Value, json};
use support::app::TestApp;
use support::deployment::{ADA, PAGE, PASSWORD};
use support::email::Link;
use support::faults::EVERY;

/// Returns the status, the headers that vary, and the body.
fn shown(response: &Response) -> String {
    let headers = ["Content-Type", "Allow", "Retry-After"];
    let headers = headers
        .into_iter()
        .filter_map(|name| Some(format!("{name}: {}\n", response.header(name)?)));
    let body: Value = serde_json::from_str(response.body()).unwrap();
    format!(
        "{}\n{}\n{body:#}",
        response.status(),
        headers.collect::<String>()
    )
}

/// Sends a valid request for a link after a change.
async fn forgot_with(app: &TestApp, change: impl FnOnce(&mut Value)) -> String {
    let body = json!({ "email": ADA, "reset_url": PAGE }).to_string();
    let mut event = app.event("/password/forgot", &body);
    change(&mut event);
    shown(&app.send(event).await)
}

#[tokio::test]
async fn an_unknown_route_or_method_is_named() {
    let app = TestApp::open().await;
    assert_snapshot!(forgot_with(&app, |event| event["rawPath"] = "/elsewhere".into()).await, @r#"
    404
    Content-Type: application/problem+json

    {
      "type": "urn:rekey:problem:not-found",
      "title": "Not found.",
      "status": 404
    }
    "#);
    assert_snapshot!(
        forgot_with(&app, |event| {
            event["requestContext"]["http"]["method"] = "GET".into();
        })
        .await, @r#"
    405
    Content-Type: application/problem+json
    Allow: POST

    {
      "type": "urn:rekey:problem:method-not-allowed",
      "title": "Method not allowed. Use POST.",
      "status": 405
    }
    "#);
}

#[tokio::test]
async fn an_unreadable_body_names_the_reason() {
    let app = TestApp::open().await;
    assert_snapshot!(
        forgot_with(&app, |event| {
            event["headers"]["content-type"] = "text/plain".into();
        })
        .await, @r#"
    415
    Content-Type: application/problem+json

    {
      "type": "urn:rekey:problem:unsupported-media-type",
      "title": "Unsupported media type. Send application/json.",
      "status": 415
    }
    "#);
    assert_snapshot!(forgot_with(&app, |event| event["body"] = " ".repeat(9 * 1024).into()).await, @r#"
    413
    Content-Type: application/problem+json

    {
      "type": "urn:rekey:problem:body-too-large",
      "title": "The body is larger than 8 KiB.",
      "status": 413
    }
    "#);
    assert_snapshot!(forgot_with(&app, |event| event["body"] = "{".into()).await, @r#"
    400
    Content-Type: application/problem+json

    {
      "type": "urn:rekey:problem:malformed",
      "title": "The body is not one JSON object with unique fields.",
      "status": 400
    }
    "#);
}

#[tokio::test]
async fn an_invalid_request_names_every_invalid_field() {
    let app = TestApp::open().await;
    let body = json!({ "email": "ada", "reset_url": 1 });
    assert_snapshot!(shown(&app.post("/password/forgot", &body).await), @r#"
    422
    Content-Type: application/problem+json

    {
      "type": "urn:rekey:problem:invalid",
      "title": "Some fields are invalid.",
      "status": 422,
      "errors": {
        "email": [
          "must be one email address, like ada@example.com"
        ],
        "reset_url": [
          "must be a string"
        ]
      },
      "codes": {
        "email": [
          "not_an_address"
        ],
        "reset_url": [
          "not_text"
        ]
      }
    }
    "#);
}

#[tokio::test]
async fn an_invalid_password_names_the_limit() {
    let app = TestApp::open().await;
    let body = json!({ "email": ADA, "password": "short", "password_confirmation": "other" });
    assert_snapshot!(shown(&app.post("/password/reset", &body).await), @r#"
    422
    Content-Type: application/problem+json

    {
      "type": "urn:rekey:problem:invalid",
      "title": "Some fields are invalid.",
      "status": 422,
      "errors": {
        "password": [
          "must have at least 8 characters"
        ],
        "token": [
          "is required"
        ]
      },
      "codes": {
        "password": [
          "too_short"
        ],
        "token": [
          "required"
        ]
      },
      "parameters": {
        "password": {
          "min_length": 8
        }
      }
    }
    "#);
}

#[tokio::test]
async fn an_invalid_token_has_one_response() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    let unknown = Link {
        token: "0".repeat(64),
        ..link.clone()
    };
    let response = app.reset(&unknown, PASSWORD).await;
    assert_snapshot!(shown(&response), @r#"
    422
    Content-Type: application/problem+json

    {
      "type": "urn:rekey:problem:invalid",
      "title": "Some fields are invalid.",
      "status": 422,
      "errors": {
        "token": [
          "This link is invalid or has expired. Request a new one."
        ]
      },
      "codes": {
        "token": [
          "bad_token"
        ]
      }
    }
    "#);
    app.reset(&link, PASSWORD).await;
    assert_eq!(shown(&app.reset(&link, PASSWORD).await), shown(&response));
    app.process_stream().await;
}

#[tokio::test]
async fn a_limited_source_learns_when_to_retry() {
    let app = TestApp::with(&[("SOURCE_LIMIT", "1")]).await;
    app.forgot(ADA).await;
    assert_snapshot!(shown(&app.forgot(ADA).await), @r#"
    429
    Content-Type: application/problem+json
    Retry-After: 1800

    {
      "type": "urn:rekey:problem:too-many-requests",
      "title": "Too many requests. Try again later.",
      "status": 429
    }
    "#);
    app.process_stream().await;
}

#[tokio::test]
async fn a_fault_says_whether_a_retry_may_help_and_nothing_else() {
    let app = TestApp::open().await;
    let code = "ThrottlingException";
    app.aws
        .fail("TransactWriteItems", EVERY, (400, code, "try again"));
    assert_snapshot!(shown(&app.forgot(ADA).await), @r#"
    503
    Content-Type: application/problem+json
    Retry-After: 2

    {
      "type": "urn:rekey:problem:unavailable",
      "title": "Temporarily unavailable. Try again.",
      "status": 503
    }
    "#);
    let app = TestApp::open().await;
    let code = "AccessDeniedException";
    app.aws
        .fail("TransactWriteItems", EVERY, (400, code, "not authorized"));
    assert_snapshot!(shown(&app.forgot(ADA).await), @r#"
    500
    Content-Type: application/problem+json

    {
      "type": "urn:rekey:problem:internal",
      "title": "Something went wrong on our side.",
      "status": 500
    }
    "#);
}
