//! The README's table of responses, row by row, at the deployed routes.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::stack::{Stack, problem, variable};
use support::deployment::{PAGE, PASSWORD};

#[tokio::test]
async fn every_response_has_a_request_id_and_forbids_caching() {
    let stack = Stack::new();
    for body in [
        "{}",
        "{",
        r#"{"email":"http-headers@example.com","reset_url":"https://app.example.com/password/reset"}"#,
    ] {
        for path in ["/password/forgot", "/password/reset"] {
            let response = stack
                .call(path)
                .header("content-type", "application/json")
                .body(body)
                .send()
                .await
                .unwrap();
            let headers = response.headers();
            assert!(!headers["x-request-id"].is_empty());
            assert_eq!(headers["cache-control"], "no-store");
            assert_eq!(headers["x-content-type-options"], "nosniff");
        }
    }
}

#[tokio::test]
async fn both_routes_reject_malformed_bodies_with_400_413_or_415() {
    let stack = Stack::new();
    let valid = json!({ "email": "http-fine@example.com", "reset_url": PAGE }).to_string();
    let big = json!({ "email": "http-fine@example.com", "reset_url": PAGE, "x": "a".repeat(8192) })
        .to_string();
    let cases: [(&str, Vec<u8>, u16); 9] = [
        ("application/json", b"".to_vec(), 400),
        ("application/json", b"{".to_vec(), 400),
        ("application/json", b"[]".to_vec(), 400),
        (
            "application/json",
            br#"{"email":"a@b.co","email":"c@d.co"}"#.to_vec(),
            400,
        ),
        (
            "application/json",
            b"{\"email\":\"\xff@example.com\"}".to_vec(),
            400,
        ),
        ("application/json", big.into_bytes(), 413),
        ("text/plain", valid.clone().into_bytes(), 415),
        (
            "application/x-www-form-urlencoded",
            b"email=a%40b.co".to_vec(),
            415,
        ),
        ("application/octet-stream", valid.into_bytes(), 415),
    ];
    for (content_type, body, status) in cases {
        for path in ["/password/forgot", "/password/reset"] {
            let call = stack
                .call(path)
                .header("content-type", content_type)
                .body(body.clone());
            assert_eq!(
                problem(call.send().await.unwrap()).await.0,
                status,
                "{path} {content_type} {body:?}"
            );
        }
    }
}

/// Returns bodies with invalid fields: the path, the body, and the fields that the response names.
fn invalid_bodies() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    vec![
        ("/password/forgot", json!({}), vec!["email", "reset_url"]),
        (
            "/password/forgot",
            json!({ "email": "ada", "reset_url": PAGE }),
            vec!["email"],
        ),
        (
            "/password/forgot",
            json!({ "email": ["a@b.co"], "reset_url": PAGE }),
            vec!["email"],
        ),
        (
            "/password/forgot",
            json!({ "email": "a@b.co", "reset_url": "https://evil.test/" }),
            vec!["reset_url"],
        ),
        (
            "/password/forgot",
            json!({ "email": "a@b.co", "reseturl": "https://evil.test/" }),
            vec!["reset_url"],
        ),
        (
            "/password/reset",
            json!({}),
            vec!["email", "password", "token"],
        ),
        (
            "/password/reset",
            json!({ "email": "a@b.co", "token": "0", "password": PASSWORD }),
            vec!["token"],
        ),
        (
            "/password/reset",
            json!({
                "email": "a@b.co", "token": "0".repeat(64), "password": PASSWORD, "password_confirmation": "other",
            }),
            vec!["password_confirmation"],
        ),
    ]
}

#[tokio::test]
async fn a_422_response_names_every_invalid_field() {
    let stack = Stack::new();
    for (path, body, fields) in invalid_bodies() {
        let (status, errors) = problem(stack.call(path).json(&body).send().await.unwrap()).await;
        let named: Vec<&String> = errors.as_object().unwrap().keys().collect();
        assert_eq!(status, 422, "{body}");
        assert_eq!(named, fields, "{body}");
    }
}

#[tokio::test]
async fn only_post_to_the_two_routes_is_served() {
    let stack = Stack::new();
    for (method, path) in [
        (Method::GET, "/password/forgot"),
        (Method::PUT, "/password/reset"),
        (Method::DELETE, "/password/forgot"),
        (Method::POST, "/password/forgot/"),
        (Method::POST, "/password"),
        (Method::POST, "/"),
    ] {
        let url = format!("{}{path}", variable("API_URL"));
        let response = stack
            .client
            .request(method.clone(), url)
            .json(&json!({}))
            .send()
            .await
            .unwrap();
        assert!(
            [403, 404, 405].contains(&response.status().as_u16()),
            "{method} {path}: {}",
            response.status()
        );
    }
}

/// Asserts that the response to a preflight allows requests from this origin.
fn check_permission(response: &Response, origin: &str) {
    assert!(response.status().is_success());
    let headers = response.headers();
    assert_eq!(headers["access-control-allow-origin"], origin);
    assert!(
        headers["access-control-allow-methods"]
            .to_str()
            .unwrap()
            .contains("POST")
    );
    // Without credentials, `*` allows every header except `Authorization` (Fetch Standard, "CORS-preflight fetch").
    assert_eq!(headers["access-control-allow-headers"], "*");
    assert!(!headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn only_pages_of_the_allowed_origins_may_call() {
    let stack = Stack::new();
    let page = variable("PAGE_URL");
    let preflight = |origin: &str| {
        let request = stack.client.request(
            Method::OPTIONS,
            format!("{}/password/forgot", variable("API_URL")),
        );
        let request = request
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        request
            .header(
                "access-control-request-headers",
                "baggage,content-type,sentry-trace,traceparent,x-requested-with",
            )
            .send()
    };
    for origin in ["https://app.example.com", page.trim_end_matches('/')] {
        let response = preflight(origin).await.unwrap();
        check_permission(&response, origin);

        let call = stack
            .call("/password/forgot")
            .header("origin", origin)
            .json(&json!({}));
        let headers = call.send().await.unwrap().headers().clone();
        assert_eq!(headers["access-control-allow-origin"], origin);
        let exposed = headers["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .to_lowercase();
        assert!(exposed.contains("retry-after") && exposed.contains("x-request-id"));
    }
    for origin in [
        "https://evil.test",
        "null",
        "https://app.example.com.evil.test",
        "http://app.example.com",
    ] {
        let response = preflight(origin).await.unwrap();
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-origin"),
            "{origin}"
        );
    }
}
