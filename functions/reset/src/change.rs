//! The public half: the password is replaced. It may write a password, and can read no user.

use rekey::email::Email;
use rekey::http::{Field, Request, RequestId, Response};
use rekey::lambda::Clock;
use rekey::problem::{FieldError, Problem};
use rekey::table::{Admission, PasswordChanged, Redemption};
use rekey::telemetry::Metric;
use rekey::token::Token;
use serde::Deserialize;
use tokio::join;
use tokio::task::yield_now;

use crate::Reset;
use crate::breaches::FailureMode;
use crate::password::{NewPassword, Policy};

impl Reset {
    /// Answers a request to set a new password with the token of a link.
    ///
    /// The policy is checked before the token is looked at: a refused password burns no link. Hashing comes after:
    /// only a good token is worth it, and whether the *address* has an account is not looked at before.
    ///
    /// # Errors
    /// What the HTTP table in the README lists.
    pub async fn change(&self, request: &Request, clock: Clock<'_>) -> Result<Response, Problem> {
        let now = clock();
        let Submission {
            email,
            token,
            password,
        } = parse(request, &self.policy)?;
        let count = |metric, detail| {
            self.services
                .telemetry
                .count(metric, detail, &request.id, now)
        };
        let refused = |detail| {
            count(Metric::TokensRejected, detail);
            Err(Problem::invalid_token())
        };

        // At the same time, for speed: nothing of the token is told, or done, before the count is known. The write leaves
        // while the read is made ready, since it takes DynamoDB longer.
        let (admission, issued) = join!(
            self.services.table.count_attempt(&request.source, now),
            async {
                yield_now().await;
                self.services.table.find_token(&token, &email, now).await
            }
        );
        if let Admission::SourceLimited { retry_after } = admission? {
            count(Metric::RequestsThrottled, "the source asks too often");
            return Err(Problem::TooManyRequests { retry_after });
        }
        let Some(issued) = issued? else {
            return refused("unknown, used, expired, or somebody else's");
        };

        self.reject_breached(&password, &request.id, clock).await?;
        let (hash, memory) = self.hasher.hash(password)?;
        // Not the time of the request: a link or a session that began while we hashed is older than this change.
        let changed = PasswordChanged::new(&issued, request.id.clone(), clock());
        let replacement =
            self.services
                .users
                .password_statement(&issued, &hash, changed.changed_at)?;
        let token = token.hash();
        let redemption = self
            .services
            .table
            .redeem(&token, &issued, replacement, &changed);
        // Wiped while DynamoDB is at it.
        let (redemption, ()) = join!(redemption, memory.wipe());
        match redemption? {
            Redemption::Done => count(Metric::PasswordsChanged, "the password is replaced"),
            Redemption::Rejected => return refused("used or overtaken meanwhile"),
        }
        Ok(Response::no_content())
    }

    /// Asks whether a password was leaked, where the deployment wants that. Only now: strangers cannot make us ask, bad
    /// tokens are refused in the same time as ever, and what is refused here burns no link either.
    async fn reject_breached(
        &self,
        password: &NewPassword,
        id: &RequestId,
        clock: Clock<'_>,
    ) -> Result<(), Problem> {
        let Some(breaches) = &self.breaches else {
            return Ok(());
        };
        match breaches.contains(password).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(Problem::invalid([("password", Some(FieldError::Leaked))])),
            Err(fault) if breaches.failure_mode() == FailureMode::Closed => Err(fault.into()),
            Err(fault) => {
                self.services.telemetry.fault(&fault, id, clock());
                Ok(())
            }
        }
    }
}

/// What a request to set a new password holds.
#[derive(Debug)]
pub struct Submission {
    /// Whom it says it is from.
    pub email: Email,
    /// The token of the link.
    pub token: Token,
    /// The new password.
    pub password: NewPassword,
}

/// What a request submits.
///
/// # Errors
/// What is wrong with it: all that is, where it is in the fields.
pub fn parse(request: &Request, policy: &Policy) -> Result<Submission, Problem> {
    let form: Form = request.json()?;
    let email = form.email.required(Email::parse);
    let token = form.token.required(Token::parse);
    let password = form
        .password
        .required(|typed| NewPassword::parse(typed, policy, email.as_ref().ok()));
    let confirmation = form
        .password_confirmation
        .optional(|typed| match &password {
            Ok(password) if !password.is(typed) => Err(FieldError::NotTheSame),
            _ => Ok(()),
        });
    match (email, token, password, confirmation) {
        (Ok(email), Ok(token), Ok(password), Ok(_)) => Ok(Submission {
            email,
            token,
            password,
        }),
        (email, token, password, confirmation) => Err(Problem::invalid([
            ("email", email.err()),
            ("token", token.err()),
            ("password", password.err()),
            ("password_confirmation", confirmation.err()),
        ])),
    }
}

/// The body, before it is parsed.
#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    email: Field,
    #[serde(default)]
    token: Field,
    #[serde(default)]
    password: Field,
    #[serde(default)]
    password_confirmation: Field,
}
