//! The password is replaced, and its owner is told.
//!
//! - [`change`]: the public half replaces the password of whoever has a good token.
//! - [`notify`]: the private half tells the owner by mail.
//! - [`password`]: what a password must be.
//! - [`hasher`]: how it is hashed.
//! - [`breaches`]: whether a password is known from data leaks, as others know.

pub mod breaches;
pub mod change;
mod common_passwords;
mod context_words;
pub mod hasher;
pub mod notify;
pub mod password;

use std::io;

use aws_config::SdkConfig;
use jiff::Timestamp;
use rekey::config::{self, ConfigError, Env};
use rekey::http::{Request, Response};
use rekey::lambda::{Clock, Function, RecordError};
use rekey::pace::Departure;
use rekey::problem::Problem;
use rekey::services::Services;
use rekey::table::{self, PasswordChanged};
use rekey::telemetry::Telemetry;

use crate::breaches::Breaches;
use crate::hasher::Hasher;
use crate::password::Policy;

/// The function: its settings, and what it acts upon.
#[derive(Debug)]
pub struct Reset {
    policy: Policy,
    breaches: Option<Breaches>,
    hasher: Hasher,
    services: Services,
}

impl Reset {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_env(sdk: &SdkConfig) -> Result<Self, ConfigError> {
        Self::new(sdk, &config::process, Box::new(io::stdout()))
    }

    /// Reads an environment; logs to `log`.
    ///
    /// # Errors
    /// Everything that is wrong with the environment.
    pub fn new(
        sdk: &SdkConfig,
        variable: &dyn Fn(&str) -> Option<String>,
        log: Box<dyn io::Write + Send>,
    ) -> Result<Self, ConfigError> {
        let mut env = Env::new(variable);
        let services = Services::read(&mut env, sdk, log);
        let policy = Policy::read(&mut env);
        let breaches = Breaches::read(&mut env);
        let hasher = Hasher::read(&mut env);
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
    const PATH: &'static str = "/password/reset";
    const KEY_PREFIX: &'static str = table::CHANGE_PREFIX;
    type Row = PasswordChanged;

    async fn handle_request(
        &self,
        request: &Request,
        clock: Clock<'_>,
    ) -> Result<Response, Problem> {
        self.change(request, clock).await
    }

    /// A notice leaves as soon as it can: only users who exist have one, so its time reveals nothing.
    async fn handle_record(
        &self,
        changed: PasswordChanged,
        _: Departure,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        self.notify(changed, now).await
    }

    fn telemetry(&self) -> &Telemetry {
        &self.services.telemetry
    }
}
