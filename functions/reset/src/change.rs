//! The public half: replaces a password. It cannot read users.

use rekey::email::Email;
use rekey::field_error::FieldError;
use rekey::http::problem::Problem;
use rekey::http::request::Request;
use rekey::http::response::Response;
use rekey::lambda::function::Clock;
use rekey::table::counters::Attempt;
use rekey::table::tokens::Redemption;
use rekey::telemetry::RequestLog;
use rekey::telemetry::metric::Metric;
use rekey::token::Token;
use tokio::join;

use crate::Reset;
use crate::breaches::FailureMode;
use crate::policy::{NewPassword, Policy};
use crate::redemption::PendingChange;

const SOURCE_LIMITED: &str = "the source reached its limit";
const INVALID: &str = "unknown, used, expired, or for another address";
const SUPERSEDED: &str = "used, or superseded by another change";

impl Reset {
    /// Answers a request to set a new password with the token of a link.
    ///
    /// # Errors
    /// Returns a problem for an invalid request, for a source that reached its limit, or if AWS fails.
    pub async fn change(&self, request: &Request, clock: Clock<'_>) -> Result<Response, Problem> {
        let now = clock();
        let log = self.services.telemetry.for_request(&request.id, now);
        // The policy is checked before the token, so a rejected password never uses up a link.
        let Submission {
            email,
            token,
            password,
        } = parse(request, &self.policy)?;

        // Before any call, so that a flood costs none.
        let table = &self.services.table;
        if let Attempt::Limited { retry_after } = table.count_locally(&request.source, now) {
            log.count(Metric::RequestsThrottled, SOURCE_LIMITED);
            return Err(Problem::TooManyRequests { retry_after });
        }
        // In parallel. The lookup's result is not used until the attempt has been counted.
        let (attempt, issued) = join!(
            table.count_attempt(&request.source, now),
            table.find_token(&token, &email, now),
        );
        if let Attempt::Limited { retry_after } = attempt? {
            log.count(Metric::RequestsThrottled, SOURCE_LIMITED);
            return Err(Problem::TooManyRequests { retry_after });
        }
        let Some(issued) = issued? else {
            log.count(Metric::TokensRejected, INVALID);
            return Err(Problem::invalid_token());
        };

        // Only for a valid token, so an attacker cannot make Rekey hash or call the breach API.
        self.reject_breached(&password, &log).await?;
        let change = PendingChange {
            token: token.hash(),
            issued,
            request_id: request.id.clone(),
            started_at: now,
            clock,
        };
        match self.redeem(&change, password).await? {
            Redemption::Done => log.count(Metric::PasswordsChanged, "replaced"),
            Redemption::Rejected => {
                log.count(Metric::TokensRejected, SUPERSEDED);
                return Err(Problem::invalid_token());
            }
        }
        Ok(Response::no_content())
    }

    /// Rejects a password that the breach API knows, if the deployment has one.
    async fn reject_breached(
        &self,
        password: &NewPassword,
        log: &RequestLog<'_>,
    ) -> Result<(), Problem> {
        let Some(breaches) = &self.breaches else {
            return Ok(());
        };
        match breaches.contains(password).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(Problem::invalid("password", FieldError::Leaked)),
            Err(fault) if breaches.failure_mode() == FailureMode::Closed => Err(fault.into()),
            Err(fault) => {
                log.fault(&fault);
                Ok(())
            }
        }
    }
}

/// The fields of a request to set a new password.
#[derive(Debug)]
pub struct Submission {
    /// The email address in the request.
    pub email: Email,
    /// The token of the link.
    pub token: Token,
    /// The new password.
    pub password: NewPassword,
}

/// Parses a request to set a new password.
///
/// # Errors
/// Returns a problem that lists every invalid field.
pub fn parse(request: &Request, policy: &Policy) -> Result<Submission, Problem> {
    let mut form = request.form()?;
    let email = form.required("email", Email::parse);
    let token = form.required("token", Token::parse);
    let password = form.required("password", |typed| {
        NewPassword::parse(typed, policy, email.as_ref())
    });
    form.optional("password_confirmation", |typed| match &password {
        Some(password) if !password.is(typed) => Err(FieldError::NotTheSame),
        _ => Ok(()),
    });
    let submission = email
        .zip(token)
        .zip(password)
        .map(|((email, token), password)| Submission {
            email,
            token,
            password,
        });
    form.finish(submission)
}
