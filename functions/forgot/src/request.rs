//! The public half: somebody asks. It writes a row, and knows nothing of users.

use jiff::Timestamp;
use rekey::email::Email;
use rekey::http::{Field, Request, Response};
use rekey::locale::Locale;
use rekey::problem::Problem;
use rekey::table::{Admission, ResetRequested};
use rekey::telemetry::Metric;
use serde::Deserialize;

use crate::Forgot;
use crate::reset_url::AllowList;

impl Forgot {
    /// Answers a request for a link: the same for every address.
    ///
    /// # Errors
    /// What the HTTP table in the README lists.
    pub async fn request(&self, request: &Request, now: Timestamp) -> Result<Response, Problem> {
        let requested = parse(request, &self.allow_list, now)?;
        let count = |metric, detail| {
            self.services
                .telemetry
                .count(metric, detail, &request.id, now)
        };
        match self
            .services
            .table
            .record_request(&requested, &request.source, now)
            .await?
        {
            Admission::Accepted => count(Metric::RequestsAccepted, "written down"),
            // The very answer of a request that was written down: another would tell a stranger that somebody has
            // just asked for this address.
            Admission::AddressLimited => count(Metric::RequestsThrottled, "the address is cooling"),
            Admission::SourceLimited { retry_after } => {
                count(Metric::RequestsThrottled, "the source asks too often");
                return Err(Problem::TooManyRequests { retry_after });
            }
        }
        Ok(Response::accepted(self.services.table.limits().cooldown))
    }
}

/// What a request asks for.
///
/// # Errors
/// What is wrong with it: all that is, where it is in the fields.
pub fn parse(
    request: &Request,
    allow_list: &AllowList,
    now: Timestamp,
) -> Result<ResetRequested, Problem> {
    let form: Form = request.json()?;
    let email = form.email.required(Email::parse);
    let reset_url = form.reset_url.required(|typed| allow_list.allow(typed));
    match (email, reset_url) {
        (Ok(email), Ok(reset_url)) => Ok(ResetRequested {
            email,
            reset_url: reset_url.as_str().to_owned(),
            locale: form
                .locale
                .text()
                .map_or_else(Locale::default, Locale::choose),
            request_id: request.id.clone(),
            requested_at: now,
        }),
        (email, reset_url) => Err(Problem::invalid([
            ("email", email.err()),
            ("reset_url", reset_url.err()),
        ])),
    }
}

/// The body, before it is parsed.
#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    email: Field,
    #[serde(default, alias = "reseturl")]
    reset_url: Field,
    #[serde(default)]
    locale: Field,
}
