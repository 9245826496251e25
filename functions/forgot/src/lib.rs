//! Somebody forgot a password.
//!
//! - [`request`]: the public half writes down that somebody asked.
//! - [`deliver`]: the private half makes a token and mails the link.
//! - [`reset_url`]: where links may lead, and how they are made.

pub mod deliver;
pub mod request;
pub mod reset_url;

use std::io;

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use rekey::config::{self, ConfigError, Env};
use rekey::http::{Request, Response};
use rekey::lambda::{Failure, Function};
use rekey::mail::{self, Mailer, Sender};
use rekey::problem::Problem;
use rekey::table::{self, Limits, Requested, Table};
use rekey::telemetry::Telemetry;
use rekey::users::{Schema, Users};

use crate::reset_url::{AllowList, Placement};

/// The function: its settings, and what it acts upon.
#[derive(Debug)]
pub struct Forgot {
    settings: Settings,
    table: Table,
    users: Users,
    mailer: Mailer,
    telemetry: Telemetry,
}

#[derive(Debug)]
struct Settings {
    allow_list: AllowList,
    lifetime: SignedDuration,
    product: String,
}

impl Forgot {
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
        let settings = Settings::read(&mut env);
        let forgot = (|| {
            Some(Self {
                settings: settings?,
                table: Table::new(sdk, table?, limits?),
                users: Users::new(sdk, users?),
                mailer: Mailer::new(sdk, sender?),
                telemetry: Telemetry::to(stack?, log),
            })
        })();
        env.finish(forgot)
    }
}

impl Settings {
    fn read(env: &mut Env<'_>) -> Option<Self> {
        let placement = env.optional("LINK_PLACEMENT", Placement::Query, Placement::parse);
        let reset_urls = env.required("RESET_URLS", |found| {
            AllowList::parse(found, placement.unwrap_or_default())
        });
        let lifetime = env.number("TOKEN_LIFETIME_MINUTES", 60, 5..=1440);
        let product = env.required("PRODUCT_NAME", mail::line);
        let allow_list = reset_urls?;
        // CORS is API Gateway's, from a setting of its own: a template cannot cut URLs up.
        env.optional("RESET_URL_ORIGINS", (), |found| {
            allow_list.check_origins(found)
        })?;
        Some(Self {
            allow_list,
            lifetime: SignedDuration::from_mins(lifetime?.into()),
            product: product?,
        })
    }
}

impl Function for Forgot {
    const PATH: &'static str = "/password/forgot";
    const ROWS: &'static str = table::REQUESTED;
    type Row = Requested;

    async fn answer(&self, request: &Request, now: Timestamp) -> Result<Response, Problem> {
        self.request(request, now).await
    }

    async fn act(&self, requested: Requested, now: Timestamp) -> Result<(), Failure> {
        self.deliver(requested, now).await
    }

    fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}
