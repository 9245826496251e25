//! `reset`: sets a new password.
//!
//! - [`change`]: the public half replaces the password of a user with a valid token.
//! - [`redemption`]: uses the token and replaces the password, in one step for each kind of directory.
//! - [`notify`]: the private half notifies the user by email.
//! - [`notice_email`]: that email.
//! - [`policy`]: the passwords that Rekey accepts.
//! - [`breaches`]: an optional check against known breaches.
//! - [`format`](mod@format): the formats of password hashes.
//! - [`hasher`]: hashes passwords in one of them.

pub mod breaches;
pub mod change;
mod common_passwords;
mod context_words;
pub mod format;
pub mod hasher;
pub mod notice_email;
pub mod notify;
pub mod policy;
pub mod redemption;

use std::io;

use aws_config::SdkConfig;
use jiff::Timestamp;
use rekey::config::{self, ConfigError, Env};
use rekey::http::problem::Problem;
use rekey::http::request::Request;
use rekey::http::response::Response;
use rekey::lambda::function::{Clock, Function, Record, RecordError};
use rekey::services::Services;
use rekey::table::rows::{CHANGE_PREFIX, PasswordChanged};
use rekey::telemetry::Telemetry;

use crate::breaches::Breaches;
use crate::format::Format;
use crate::hasher::Hasher;
use crate::policy::Policy;

/// The function: its settings and its services.
#[derive(Debug)]
pub struct Reset {
    policy: Policy,
    breaches: Option<Breaches>,
    hasher: Hasher,
    services: Services,
}

impl Reset {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Returns every invalid setting.
    pub fn from_env(sdk: &SdkConfig) -> Result<Self, ConfigError> {
        Self::new(sdk, &config::process, Box::new(io::stdout()))
    }

    /// Reads an environment. Logs to `log`.
    ///
    /// # Errors
    /// Returns every invalid setting.
    pub fn new(
        sdk: &SdkConfig,
        variable: &dyn Fn(&str) -> Option<String>,
        log: Box<dyn io::Write + Send>,
    ) -> Result<Self, ConfigError> {
        let mut env = Env::new(variable);
        let services = Services::read(&mut env, sdk, log);
        // A password that the directory hashes by itself has no limits of a format.
        let is_plain = services
            .as_ref()
            .is_some_and(|services| services.directory.hashes_by_itself());
        let format = if is_plain {
            Format::Argon2id
        } else {
            Format::read(&mut env)
        };
        let policy = Policy::read(&mut env, format);
        let breaches = Breaches::read(&mut env);
        let hasher = Hasher::read(&mut env, format);
        let reset = services.zip(policy).zip(breaches).zip(hasher);
        env.finish(reset.map(|(((services, policy), breaches), hasher)| Self {
            policy,
            breaches,
            hasher,
            services,
        }))
    }
}

impl Function for Reset {
    const KEY_PREFIX: &'static str = CHANGE_PREFIX;
    type Row = PasswordChanged;

    async fn handle_request(
        &self,
        request: &Request,
        clock: Clock<'_>,
    ) -> Result<Response, Problem> {
        match request.route() {
            ("POST", "/password/reset") => self.change(request, clock).await,
            (_, "/password/reset") => Err(Problem::MethodNotAllowed),
            _ => Err(Problem::NotFound),
        }
    }

    /// Notices leave as soon as possible: only existing users receive one, so its time reveals nothing.
    async fn handle_record(
        &self,
        record: Record<PasswordChanged>,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        self.notify(&record.key, record.row, now).await
    }

    fn telemetry(&self) -> &Telemetry {
        &self.services.telemetry
    }
}
