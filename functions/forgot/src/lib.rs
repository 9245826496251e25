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
use jiff::Timestamp;
use rekey::config::{self, ConfigError, Env};
use rekey::deployment::Deployment;
use rekey::http::{Request, Response};
use rekey::lambda::{Clock, Failure, Function};
use rekey::pace::Departure;
use rekey::problem::Problem;
use rekey::table::{self, Requested};
use rekey::telemetry::Telemetry;

use crate::reset_url::{AllowList, Placement};

/// The function: its settings, and what it acts upon.
#[derive(Debug)]
pub struct Forgot {
    allow_list: AllowList,
    on: Deployment,
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
        let on = Deployment::read(&mut env, sdk, log);
        let allow_list = read_allow_list(&mut env);
        let forgot = on.zip(allow_list);
        env.finish(forgot.map(|(on, allow_list)| Self { allow_list, on }))
    }
}

fn read_allow_list(env: &mut Env<'_>) -> Option<AllowList> {
    let placement = env.optional("LINK_PLACEMENT", Placement::Query, Placement::parse)?;
    let allow_list = env.required("RESET_URLS", |found| AllowList::parse(found, placement))?;
    // CORS is API Gateway's, from a setting of its own: a template cannot cut URLs up.
    env.optional("RESET_URL_ORIGINS", (), |found| {
        allow_list.check_origins(found)
    })?;
    Some(allow_list)
}

impl Function for Forgot {
    const PATH: &'static str = "/password/forgot";
    const ROWS: &'static str = table::REQUESTED;
    type Row = Requested;

    async fn answer(&self, request: &Request, clock: Clock<'_>) -> Result<Response, Problem> {
        self.request(request, clock()).await
    }

    async fn act(
        &self,
        requested: Requested,
        departure: Departure,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.deliver(requested, departure, now).await
    }

    fn telemetry(&self) -> &Telemetry {
        &self.on.telemetry
    }
}
