//! Tests each line of the HTTP table in docs/front-end.md that does not depend on stored rows.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::{ADA, PAGE};
use support::responses::problem;

fn forgot_body() -> String {
    json!({ "email": ADA, "reset_url": PAGE }).to_string()
}

#[tokio::test]
async fn every_response_has_the_gateways_request_id_and_forbids_caching() {
    let app = TestApp::open().await;
    for body in [forgot_body().as_str(), "{", "{}"] {
        let mut event = app.event("/password/forgot", body);
        event["requestContext"]["requestId"] = json!("JKJaXmPLvHcESHA=");
        let response = app.send(event).await;
        assert_eq!(response.header("X-Request-Id"), Some("JKJaXmPLvHcESHA="));
        assert_eq!(response.header("Cache-Control"), Some("no-store"));
        assert_eq!(response.header("X-Content-Type-Options"), Some("nosniff"));
    }
    assert!(app.log().contains(r#""request_id":"JKJaXmPLvHcESHA=""#));
    app.process_stream().await;
}

#[tokio::test]
async fn an_unknown_path_gets_404_and_a_wrong_method_405() {
    let app = TestApp::open().await;
    for path in [
        "/",
        "/password/forgot/",
        "/password/forgot/../reset",
        "/password/forgotten",
        "/password",
    ] {
        let response = app.send(app.event(path, &forgot_body())).await;
        assert_eq!(problem(&response).0, 404, "{path}");
    }
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"] {
        let mut event = app.event("/password/forgot", &forgot_body());
        event["requestContext"]["http"]["method"] = json!(method);
        let response = app.send(event).await;
        assert_eq!(problem(&response).0, 405, "{method}");
        assert_eq!(response.header("Allow"), Some("POST"));
    }
}

#[tokio::test]
async fn a_stage_or_a_base_path_may_precede_the_route() {
    let app = TestApp::open().await;
    assert_eq!(
        app.send(app.event("/prod/auth/password/forgot", &forgot_body()))
            .await
            .status(),
        202
    );
    app.process_stream().await;
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_json_gets_415() {
    let app = TestApp::open().await;
    for content_type in [
        json!("text/plain"),
        json!("application/x-www-form-urlencoded"),
        json!(""),
        json!(null),
    ] {
        let mut event = app.event("/password/forgot", &forgot_body());
        event["headers"]["content-type"] = content_type;
        assert_eq!(problem(&app.send(event).await).0, 415);
    }
    let mut event = app.event("/password/forgot", &forgot_body());
    event["headers"] = json!({ "Content-Type": "application/json; charset=utf-8" });
    assert_eq!(app.send(event).await.status(), 202);
    app.process_stream().await;
}

#[tokio::test]
async fn a_body_over_8_kib_gets_413() {
    let app = TestApp::open().await;
    let body = json!({ "email": ADA, "reset_url": PAGE, "x": "a".repeat(8192) }).to_string();
    assert_eq!(
        problem(&app.send(app.event("/password/forgot", &body)).await).0,
        413
    );
}

#[tokio::test]
async fn a_body_that_is_not_one_json_object_gets_400() {
    let app = TestApp::open().await;
    let bodies = [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{}x",
        "{\"email\":NaN}",
        "\u{feff}{}",
        "{\"email\":\"\\ud800\"}",
    ];
    for body in bodies
        .into_iter()
        .chain([r#"{"email":"a@b.co","email":"c@d.co"}"#])
    {
        for path in ["/password/forgot", "/password/reset"] {
            let response = app.send(app.event(path, body)).await;
            assert_eq!(problem(&response).0, 400, "{path} {body}");
        }
    }
    let both = json!({ "email": ADA, "reset_url": PAGE, "reseturl": PAGE });
    assert_eq!(app.post("/password/forgot", &both).await.status(), 400);
}

/// Responses do not depend on the address or on rate limits.
#[tokio::test]
async fn every_202_is_the_same_and_names_the_cooldown() {
    let app = TestApp::with(&[("COOLDOWN_SECONDS", "90")]).await;
    app.user("1", ADA).await;
    let mut bodies = BTreeSet::new();
    for email in [ADA, ADA, "nobody@example.com"] {
        let response = app.forgot(email).await;
        assert_eq!(response.status(), 202);
        bodies.insert(response.body().to_owned());
    }
    let [body] = Vec::from_iter(bodies).try_into().unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        json!({
            "message": "If an account exists for this address, you will receive an email with a reset link.",
            "cooldown_seconds": 90,
        })
    );
    app.process_stream().await;
}

#[tokio::test]
async fn deep_nesting_is_rejected_without_a_crash() {
    let app = TestApp::open().await;
    let deep = format!("{{\"email\":{}{}}}", "[".repeat(4000), "]".repeat(4000));
    let (status, _, errors) = problem(&app.send(app.event("/password/reset", &deep)).await);
    assert_eq!(
        (status, &errors["email"]),
        (422, &json!(["must be a string"]))
    );
}

#[tokio::test]
async fn a_base64_body_is_decoded() {
    let app = TestApp::open().await;
    let mut event = app.event("/password/forgot", &BASE64.encode(forgot_body()));
    event["isBase64Encoded"] = json!(true);
    assert_eq!(app.send(event.clone()).await.status(), 202);
    for body in ["not base64", "/////w==", ""] {
        event["body"] = json!(body);
        assert_eq!(app.send(event.clone()).await.status(), 400, "{body}");
    }
    app.process_stream().await;
}

#[tokio::test]
async fn a_rest_apis_payload_is_parsed() {
    let app = TestApp::with(&[("SOURCE_LIMIT", "1")]).await;
    let event = |source: &str, email: &str| {
        json!({
            "resource": "/password/forgot",
            "path": "/password/forgot",
            "httpMethod": "POST",
            "headers": { "Content-Type": "application/json", "X-Forwarded-For": "198.51.100.7" },
            "multiValueHeaders": { "Content-Type": ["application/json"] },
            "queryStringParameters": null,
            "requestContext": {
                "resourcePath": "/password/forgot",
                "httpMethod": "POST",
                "path": "/prod/password/forgot",
                "stage": "prod",
                "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
                "identity": { "sourceIp": source },
            },
            "body": json!({ "email": email, "reset_url": PAGE }).to_string(),
            "isBase64Encoded": false,
        })
    };
    let response = app.send(event("192.0.2.1", "a@example.com")).await;
    assert_eq!(response.status(), 202);
    // A REST API returns 502 if a function's response has fields that it does not know.
    assert_eq!(
        serde_json::to_value(&response)
            .unwrap()
            .as_object()
            .unwrap()
            .len(),
        4
    );
    assert_eq!(
        response.header("X-Request-Id"),
        Some("c6af9ac6-7b61-11e6-9a41-93e8deadbeef")
    );
    assert_eq!(
        app.send(event("192.0.2.1", "b@example.com")).await.status(),
        429
    );
    assert_eq!(
        app.send(event("192.0.2.2", "b@example.com")).await.status(),
        202
    );
    app.process_stream().await;
}

/// `lambda_http` panics on the first two, and a panic would end the process.
#[tokio::test]
async fn invalid_queries_and_headers_are_ignored() {
    let app = TestApp::open().await;
    for (query, header) in [("<>", "x"), ("a b", "x"), ("", "é\u{1}"), ("\u{ff}", "\n")] {
        let mut event = app.event("/password/forgot", &forgot_body());
        event["rawQueryString"] = json!(query);
        event["headers"]["x-odd"] = json!(header);
        event["headers"]["host"] = json!(header);
        assert_eq!(app.send(event).await.status(), 202, "{query}");
    }
    app.process_stream().await;
}

#[tokio::test]
async fn a_response_has_the_form_that_the_gateway_expects() {
    let app = TestApp::open().await;
    let response =
        serde_json::to_value(app.send(app.event("/password/forgot", "{")).await).unwrap();
    assert_eq!(response["statusCode"], 400);
    assert_eq!(
        response["headers"]["Content-Type"],
        "application/problem+json"
    );
    assert_eq!(response["isBase64Encoded"], false);
    assert!(response["body"].is_string());
    assert_eq!(response["cookies"], json!([]));
}
