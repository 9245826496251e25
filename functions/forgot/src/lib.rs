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
use rekey::http::{Request, Response};
use rekey::lambda::{Clock, Function, RecordError};
use rekey::pace::Departure;
use rekey::problem::Problem;
use rekey::services::Services;
use rekey::table::{self, ResetRequested};
use rekey::telemetry::Telemetry;

use crate::reset_url::{AllowList, Placement};

/// The function: its settings, and what it acts upon.
#[derive(Debug)]
pub struct Forgot {
    allow_list: AllowList,
    services: Services,
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
        let services = Services::read(&mut env, sdk, log);
        let allow_list = read_allow_list(&mut env);
        let forgot = services.zip(allow_list);
        env.finish(forgot.map(|(services, allow_list)| Self {
            allow_list,
            services,
        }))
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
    const KEY_PREFIX: &'static str = table::REQUEST_PREFIX;
    type Row = ResetRequested;

    async fn handle_request(
        &self,
        request: &Request,
        clock: Clock<'_>,
    ) -> Result<Response, Problem> {
        self.request(request, clock()).await
    }

    async fn handle_record(
        &self,
        requested: ResetRequested,
        departure: Departure,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        self.deliver(requested, departure, now).await
    }

    fn telemetry(&self) -> &Telemetry {
        &self.services.telemetry
    }
}
