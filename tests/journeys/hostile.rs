//! Hostile requests. None causes a fault, an email to an address that is not stored, or a link to a page that is not
//! allowed.

use std::cell::RefCell;

use argon2::{Argon2, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use rekey::http::response::Response;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use support::app::TestApp;
use support::deployment::{ADA, PAGE, PASSWORD, WIDE_LIMITS};
use support::email::{Link, SentEmail};
use support::hostile::addresses::{addresses, lookalikes};
use support::hostile::attempts::{Attempt, attempts, plain};
use support::hostile::inputs::inputs;
use support::hostile::json::{Spelling, json_texts, object, spellings};
use support::hostile::{CANARY, PAGES, TOKEN, USERS};
use support::torture::{report, times};

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

#[test]
fn no_attempt_causes_a_fault_or_a_wrong_email() {
    let cases = times(400, 50_000);
    for _ in 0..cases.div_ceil(SIEGE) {
        Siege::with_users(&USERS).withstand(&payloads(attempts()));
    }
    let shown =
        "no fault, emails only to stored users, links only to allowed pages, nothing echoed";
    report("attempts at both routes", cases, shown);
}

#[test]
fn a_repeated_field_is_rejected_in_every_spelling() {
    Siege::with_users(&USERS).each(
        times(200, 10_000),
        &bodies_with_twins(),
        &async |siege, body| {
            let event = siege.app.event("/password/forgot", &body);
            prop_assert_eq!(siege.app.send(event).await.status(), 400);
            prop_assert_eq!(siege.new_emails().await.len(), 0);
            Ok(())
        },
    );
}

/// Returns valid requests with one field repeated, under the same name or its alias.
fn bodies_with_twins() -> impl Strategy<Value = String> {
    let names = select(vec![
        "email",
        "reset_url",
        "locale",
        "x",
        "",
        "é",
        "__proto__",
    ]);
    let values = prop_oneof![
        addresses().prop_map(|text| json!(text).to_string()),
        Just(json!(PAGE).to_string()),
        Just("null".to_owned())
    ];
    let bodies = (
        names,
        values,
        vec(spellings(), 5),
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    bodies.prop_map(|(name, value, spellings, at, is_alias)| {
        let twin = if name == "reset_url" && is_alias {
            "reseturl"
        } else {
            name
        };
        let valid = [
            ("email", json!(ADA)),
            ("reset_url", json!(PAGE)),
            (name, json!(PAGE)),
        ];
        let count = if ["email", "reset_url"].contains(&name) {
            2
        } else {
            3
        };
        let fields = valid
            .into_iter()
            .take(count)
            .map(|(name, value)| (name, value.to_string()));
        let mut fields: Vec<_> = fields.collect();
        fields.insert(at.index(count + 1), (twin, value));
        let fields = fields.iter().zip(spellings);
        let fields: Vec<String> = fields
            .map(|((name, value), spelling)| format!("{}:{value}", spelling.of(name)))
            .collect();
        format!("{{{}}}", fields.join(" , "))
    })
}

#[test]
fn an_address_that_is_not_a_string_is_rejected() {
    let bodies =
        json_texts().prop_filter("not a string", |json| !json.trim_start().starts_with('"'));
    Siege::with_users(&USERS).each(times(200, 10_000), &bodies, &async |siege, json| {
        let page = json!(PAGE).to_string();
        let fields = [("email".to_owned(), json), ("reset_url".to_owned(), page)];
        let body = object(&fields, Spelling::Plain);
        let status = siege
            .app
            .send(siege.app.event("/password/forgot", &body))
            .await
            .status();
        // The status may also be 413, because deep nesting may exceed 8 KiB.
        prop_assert!([400, 413, 422].contains(&status), "{}", status);
        prop_assert_eq!(siege.new_emails().await.len(), 0);
        Ok(())
    });
}

/// CVE-2019-19844: a lookup that folds case, and an email to the typed address.
#[test]
fn addresses_that_unicode_would_fold_together_are_never_the_same_user() {
    let cases = times(200, 10_000);
    Siege::with_users(&USERS).each(cases, &lookalikes(USERS.to_vec()), &async |siege, typed| {
        if !USERS.contains(&plain(&typed).as_str()) {
            siege.app.forgot(&typed).await;
            prop_assert_eq!(siege.new_emails().await.len(), 0);
        }
        Ok(())
    });
    // Also store the lookalikes, and request links for the originals.
    let stored = [
        "m\u{131}ke@example.org",
        "mike@example.or\u{ff47}",
        "\u{212a}iss.it@sub.example.com",
        "MIKE@EXAMPLE.ORG",
        "ann\u{e1}@example.com",
        "anna@ex\u{430}mple.com",
    ];
    let originals = [
        "mike@example.org",
        "kiss.it@sub.example.com",
        "anna@example.com",
        "Kiss.It@Sub.Example.Com",
    ];
    let requested = prop_oneof![
        select(originals.to_vec()).prop_map(str::to_owned),
        select(stored.to_vec()).prop_map(str::to_owned),
        lookalikes(USERS.to_vec())
    ];
    Siege::with_users(&stored).each(cases, &requested, &async |siege, typed| {
        siege.app.forgot(&typed).await;
        prop_assert_eq!(siege.new_emails().await.len(), 0);
        Ok(())
    });
    report(
        "addresses that Unicode would fold together",
        2 * cases,
        "no email",
    );
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

/// The number of attempts per app. Each attempt makes the table larger, and the checks slower.
const SIEGE: usize = 100;

/// An app under attack.
struct Siege {
    runtime: Runtime,
    app: TestApp,
    /// A live link.
    link: RefCell<Option<Link>>,
    /// The number of emails that the checks have seen.
    emails: RefCell<usize>,
}

impl Siege {
    fn with_users(users: &[&str]) -> Self {
        let runtime = Runtime::new().unwrap();
        let app = runtime.block_on(async {
            let lifetime = [("TOKEN_LIFETIME_MINUTES", "1440")];
            let app = TestApp::with(&[&WIDE_LIMITS[..], &lifetime].concat()).await;
            for email in users {
                app.user(email, email).await;
            }
            app
        });
        Self {
            runtime,
            app,
            link: RefCell::default(),
            emails: RefCell::default(),
        }
    }

    /// Tries this many values of a strategy.
    fn each<S: Strategy>(
        &self,
        cases: usize,
        strategy: &S,
        attempt: &impl AsyncFn(&Self, S::Value) -> Result<(), TestCaseError>,
    ) {
        let config = Config {
            cases: u32::try_from(cases).unwrap(),
            failure_persistence: None,
            ..Config::default()
        };
        let one = |value| self.runtime.block_on(attempt(self, value));
        TestRunner::new(config).run(strategy, one).unwrap();
    }

    /// Tries [`SIEGE`] attempts, and checks the effects of each.
    fn withstand(&self, attempts: &impl Strategy<Value = (Payload, Attempt)>) {
        self.each(SIEGE, attempts, &async |siege, (payload, attempt)| {
            let token = siege.live_link().await.token;
            let attempt = attempt.with_token(&token);
            let headers = &attempt.headers;
            let event = payload.event(
                ("POST", attempt.path),
                &attempt.query,
                headers,
                &attempt.body,
            );
            let Some(event) = event else { return Ok(()) };
            let response = siege.app.send(event).await;
            well_formed(&response)?;
            let output = format!("{response:?}{}", siege.app.log());
            for secret in [CANARY, token.as_str(), TOKEN, "evil.test"] {
                prop_assert!(!output.contains(secret), "{} in {}", secret, output);
            }
            match response.status() {
                202 => siege.only_the_owner_has_email(&attempt).await,
                204 => siege.only_the_owner_changed(&attempt, &token).await,
                _ => {
                    prop_assert_eq!(siege.new_emails().await.len(), 0);
                    Ok(())
                }
            }
        });
    }

    async fn live_link(&self) -> Link {
        if self.link.borrow().is_none() {
            let link = self.app.link(USERS[0]).await;
            *self.link.borrow_mut() = Some(link);
            self.new_emails().await;
        }
        self.link.borrow().clone().unwrap()
    }

    async fn only_the_owner_has_email(&self, attempt: &Attempt) -> Result<(), TestCaseError> {
        let requested = plain(&attempt.email());
        let owner = USERS.iter().filter(|user| **user == requested);
        let emails = self.new_emails().await;
        let to: Vec<&str> = emails.iter().map(SentEmail::to).collect();
        prop_assert_eq!(to, owner.copied().collect::<Vec<_>>());
        for email in &emails {
            let link = email.link().url.to_string();
            let (bare, _) = link.split_once("email=").unwrap();
            prop_assert!(
                PAGES.iter().any(|page| bare[..bare.len() - 1] == **page),
                "{}",
                link
            );
            prop_assert_eq!(&email.link().email, &requested);
        }
        Ok(())
    }

    async fn only_the_owner_changed(
        &self,
        attempt: &Attempt,
        token: &str,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(plain(&attempt.email()), USERS[0]);
        prop_assert_eq!(plain(&attempt.token()), token);
        let emails = self.new_emails().await;
        let to: Vec<&str> = emails.iter().map(SentEmail::to).collect();
        prop_assert_eq!(to, [USERS[0]]);
        *self.link.borrow_mut() = None;
        Ok(())
    }

    /// Processes the stream, passes the cooldown, and returns the emails since the last call.
    async fn new_emails(&self) -> Vec<SentEmail> {
        assert_eq!(self.app.try_process_stream().await, None);
        self.app.clock.advance(SignedDuration::from_secs(61));
        let seen = self.emails.replace(self.app.aws.emails().len());
        self.app.aws.emails().split_off(seen)
    }
}

/// Checks that a response is a problem (RFC 9457) or a success of the HTTP table.
fn well_formed(response: &Response) -> Result<(), TestCaseError> {
    let status = response.status();
    if status == 204 {
        prop_assert_eq!(response.body(), "");
        return Ok(());
    }
    let body: Value = serde_json::from_str(response.body()).unwrap();
    if status == 202 {
        prop_assert!(body["message"].is_string());
        return Ok(());
    }
    prop_assert!([400, 413, 415, 422].contains(&status), "{}", status);
    prop_assert_eq!(
        response.header("Content-Type"),
        Some("application/problem+json")
    );
    prop_assert_eq!(&body["status"], status);
    prop_assert!(
        body["type"]
            .as_str()
            .unwrap()
            .starts_with("urn:rekey:problem:")
    );
    Ok(())
}

/// The payload format of a gateway's event.
#[derive(Clone, Copy, Debug)]
enum Payload {
    One,
    OneBase64,
    Two,
    TwoBase64,
}

fn payloads(attempts: impl Strategy<Value = Attempt>) -> impl Strategy<Value = (Payload, Attempt)> {
    let payloads = [
        Payload::One,
        Payload::OneBase64,
        Payload::Two,
        Payload::TwoBase64,
    ];
    (select(payloads.to_vec()), attempts)
}

impl Payload {
    /// Returns the event, or `None` if the format needs text and the body is not UTF-8.
    fn event(
        self,
        (method, path): (&str, &str),
        query: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Option<Value> {
        let is_base64 = matches!(self, Self::OneBase64 | Self::TwoBase64);
        let body = if is_base64 {
            BASE64.encode(body)
        } else {
            str::from_utf8(body).ok()?.to_owned()
        };
        // A gateway sends an absent body as null.
        let body = Some(body).filter(|body| !body.is_empty());
        let headers: Value = headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let address = "192.0.2.1";
        Some(if matches!(self, Self::Two | Self::TwoBase64) {
            json!({
                "version": "2.0",
                "rawPath": path,
                "rawQueryString": query,
                "headers": headers,
                "requestContext": { "http": { "method": method, "path": path, "sourceIp": address } },
                "body": body,
                "isBase64Encoded": is_base64,
            })
        } else {
            json!({
                "path": path,
                "httpMethod": method,
                "headers": headers,
                "queryStringParameters": { query: query },
                "requestContext": { "identity": { "sourceIp": address } },
                "body": body,
                "isBase64Encoded": is_base64,
            })
        })
    }
}
