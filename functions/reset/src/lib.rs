//! The password is replaced, and its owner is told.
//!
//! - [`change`]: the public half replaces the password of whoever has a good token.
//! - [`notify`]: the private half tells the owner by mail.
//! - [`password`]: what a password must be, and how it is hashed.

pub mod change;
pub mod notify;
pub mod password;

use std::io;

use aws_config::SdkConfig;
use jiff::Timestamp;
use rekey::config::{self, ConfigError, Env};
use rekey::http::{Request, Response};
use rekey::lambda::{Failure, Function};
use rekey::mail::{self, Mailer, Sender};
use rekey::problem::Problem;
use rekey::table::{self, Changed, Limits, Table};
use rekey::telemetry::Telemetry;
use rekey::users::{Schema, Users};

use crate::password::{Hasher, Policy};

/// The function: its settings, and what it acts upon.
#[derive(Debug)]
pub struct Reset {
    policy: Policy,
    hasher: Hasher,
    product: String,
    table: Table,
    users: Users,
    mailer: Mailer,
    telemetry: Telemetry,
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
        let stack = env.text("STACK_NAME");
        let table = env.text("REKEY_TABLE");
        let limits = Limits::read(&mut env);
        let users = Schema::read(&mut env);
        let sender = Sender::read(&mut env);
        let product = env.required("PRODUCT_NAME", mail::line);
        let policy = Policy::read(&mut env);
        let hasher = Hasher::read(&mut env);
        let reset = (|| {
            Some(Self {
                policy: policy?,
                hasher: hasher?,
                product: product?,
                table: Table::new(sdk, table?, limits?),
                users: Users::new(sdk, users?),
                mailer: Mailer::new(sdk, sender?),
                telemetry: Telemetry::to(stack?, log),
            })
        })();
        env.finish(reset)
    }
}

impl Function for Reset {
    const PATH: &'static str = "/password/reset";
    const ROWS: &'static str = table::CHANGED;
    type Row = Changed;

    async fn answer(&self, request: &Request, now: Timestamp) -> Result<Response, Problem> {
        self.change(request, now).await
    }

    async fn act(&self, changed: Changed, now: Timestamp) -> Result<(), Failure> {
        self.notify(changed, now).await
    }

    fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}
