//! `forgot`: requests for links.
//!
//! - [`request`]: the public half stores the request.
//! - [`deliver`]: the private half issues a token and sends the link by email.
//! - [`link_email`]: the email with the link.
//! - [`allow_list`]: the pages that links may lead to.
//! - [`reset_url`]: one of these pages, and the link that is made from it.

pub mod allow_list;
pub mod deliver;
pub mod link_email;
pub mod request;
pub mod reset_url;

use std::io;

use aws_config::SdkConfig;
use jiff::Timestamp;
use rekey::config::{self, ConfigError, Env};
use rekey::http::problem::Problem;
use rekey::http::request::Request;
use rekey::http::response::Response;
use rekey::lambda::function::{Clock, Function, Record, RecordError};
use rekey::services::Services;
use rekey::table::rows::{REQUEST_PREFIX, ResetRequested};
use rekey::telemetry::metric::Metric;
use rekey::telemetry::{RequestLog, Telemetry};

use crate::allow_list::AllowList;
use crate::reset_url::Placement;

/// The function: its settings and its services.
#[derive(Debug)]
pub struct Forgot {
    allow_list: AllowList,
    services: Services,
}

impl Forgot {
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
    let allow_list = env.required("RESET_URLS", |value| AllowList::parse(value, placement))?;
    // CloudFormation cannot parse URLs, so CORS has a separate setting.
    env.optional("RESET_URL_ORIGINS", (), |value| {
        allow_list.check_origins(value)
    })?;
    Some(allow_list)
}

impl Function for Forgot {
    const KEY_PREFIX: &'static str = REQUEST_PREFIX;
    type Row = ResetRequested;

    async fn handle_request(
        &self,
        request: &Request,
        clock: Clock<'_>,
    ) -> Result<Response, Problem> {
        match request.route() {
            ("POST", "/password/forgot") => self.request(request, clock()).await,
            (_, "/password/forgot") => Err(Problem::MethodNotAllowed),
            _ => Err(Problem::NotFound),
        }
    }

    async fn handle_record(
        &self,
        record: Record<ResetRequested>,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        self.deliver(record.row, record.departure, now).await
    }

    fn log_replaced(&self, log: &RequestLog<'_>) {
        let detail = "replaced by a newer request for the address";
        log.count(Metric::RequestsThrottled, detail);
    }

    fn telemetry(&self) -> &Telemetry {
        &self.services.telemetry
    }
}
