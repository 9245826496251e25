//! Hostile requests. None causes a fault, an email to an address that is not stored, or a link to a page that is not
//! allowed.

mod attempts;
mod payload;
mod siege;

use argon2::{Argon2, PasswordVerifier as _};
use jiff::SignedDuration;

use payload::Payload;
use support::app::TestApp;
use support::deployment::{ADA, PASSWORD, WIDE_LIMITS};
use support::hostile::inputs::inputs;

#[tokio::test]
async fn every_hostile_input_gets_the_expected_response_in_both_payload_formats() {
    for payload in [
        Payload::Two,
        Payload::TwoBase64,
        Payload::One,
        Payload::OneBase64,
    ] {
        let app = TestApp::with(&WIDE_LIMITS).await;
        app.user("1", ADA).await;
        for input in inputs() {
            let headers = [("content-type".to_owned(), input.content_type.clone())];
            let route = (input.method.as_str(), input.path.as_str());
            let Some(event) = payload.event(route, "", &headers, &input.body) else {
                continue;
            };
            let before = app.aws.emails().len();
            let response = app.send(event).await;
            input.check_response(response.status(), response.body());
            app.try_process_stream().await;
            let emails = app.aws.emails().split_off(before);
            let emails: Vec<_> = emails
                .iter()
                .map(|email| (email.to().to_owned(), email.link().url.into()))
                .collect();
            input.check_emails(&emails);
            // Pass the cooldown, so that the next input is not limited.
            app.clock.advance(SignedDuration::from_mins(2));
        }
        // Three inputs have the same address, and two have the same URL.
        assert_eq!(app.aws.emails().len(), 5);
    }
}

/// Uses live links, because the rejection of an invalid token would hide the verdict on the password.
#[tokio::test]
async fn every_hostile_password_gets_its_verdict_and_the_link_still_works() {
    let app = TestApp::with(&WIDE_LIMITS).await;
    app.user("1", ADA).await;
    for input in inputs() {
        assert!(
            input.has_live_expectation() || !input.id.starts_with("password-"),
            "{} has an expected response for a live link",
            input.id
        );
        if !input.has_live_expectation() {
            continue;
        }
        let link = app.link(ADA).await;
        let before = app.stored("1", "password_hash").await;
        let (body, password) = input.with_live_token(&link.token);
        let response = app.post(&input.path, &body).await;
        input.check_live_response(response.status(), response.body());
        let mut password = password.unwrap_or_default();
        if response.status() != 204 {
            assert_eq!(app.stored("1", "password_hash").await, before);
            PASSWORD.clone_into(&mut password);
            let second = app.reset(&link, &password).await;
            assert_eq!(second.status(), 204, "the link of {} still works", input.id);
        }
        let hash = app.stored("1", "password_hash").await;
        let is_set = Argon2::default().verify_password(password.as_bytes(), hash.as_str());
        assert!(is_set.is_ok(), "{}", input.id);
        app.process_stream().await;
        // Pass the cooldown, so that the next input is not limited.
        app.clock.advance(SignedDuration::from_mins(2));
    }
}

#[tokio::test]
async fn a_body_of_any_length_gets_a_response() {
    let app = TestApp::with_ada().await;
    for length in [8191, 8192, 8193, 1 << 20, 6 << 20, 10 << 20, (10 << 20) + 1] {
        for path in ["/password/forgot", "/password/reset"] {
            for filling in ["x", "[", "\\", "é"] {
                let body = format!("{{\"email\":\"{}", filling.repeat(length / filling.len()));
                let status = app.send(app.event(path, &body)).await.status();
                assert_eq!(status, if body.len() > 8192 { 413 } else { 400 });
            }
        }
    }
}
