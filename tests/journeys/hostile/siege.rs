//! An app under attack, which checks the effects of each attempt.

use std::cell::RefCell;

use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use rekey::http::response::Response;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::payload::Payload;
use support::app::TestApp;
use support::deployment::WIDE_LIMITS;
use support::email::{Link, SentEmail};
use support::hostile::attempts::{Attempt, plain};
use support::hostile::{CANARY, PAGES, TOKEN, USERS};

/// The number of attempts per app. Each attempt makes the table larger, and the checks slower.
pub(super) const SIEGE: usize = 100;

/// An app under attack.
pub(super) struct Siege {
    runtime: Runtime,
    pub(super) app: TestApp,
    /// A live link.
    link: RefCell<Option<Link>>,
    /// The number of emails that the checks have seen.
    emails: RefCell<usize>,
}

impl Siege {
    pub(super) fn with_users(users: &[&str]) -> Self {
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
    pub(super) fn each<S: Strategy>(
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
    pub(super) fn withstand(&self, attempts: &impl Strategy<Value = (Payload, Attempt)>) {
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
    pub(super) async fn new_emails(&self) -> Vec<SentEmail> {
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
