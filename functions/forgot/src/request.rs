//! The public half: stores a request for a link. It cannot read users.

use jiff::Timestamp;
use rekey::email::Email;
use rekey::http::problem::Problem;
use rekey::http::request::Request;
use rekey::http::response::Response;
use rekey::locale::Locale;
use rekey::table::requests::Admission;
use rekey::table::rows::ResetRequested;
use rekey::telemetry::metric::Metric;

use crate::Forgot;
use crate::allow_list::AllowList;

impl Forgot {
    /// Answers a request for a link. The response is the same for every address.
    ///
    /// # Errors
    /// Returns a problem for an invalid request, for a source that reached its limit, or if AWS fails.
    pub async fn request(&self, request: &Request, now: Timestamp) -> Result<Response, Problem> {
        let log = self.services.telemetry.for_request(&request.id, now);
        let requested = parse(request, &self.allow_list, now)?;
        let table = &self.services.table;
        match table
            .record_request(&requested, &request.source, now)
            .await?
        {
            Admission::Accepted => log.count(Metric::RequestsAccepted, "stored"),
            // The response of a stored request: any other would reveal that someone has just requested a link for this
            // address.
            Admission::AddressLimited => {
                log.count(
                    Metric::RequestsThrottled,
                    "the address is within its cooldown",
                );
            }
            Admission::SourceLimited { retry_after } => {
                log.count(Metric::RequestsThrottled, "the source reached its limit");
                return Err(Problem::TooManyRequests { retry_after });
            }
        }
        Ok(Response::accepted(table.limits().cooldown))
    }
}

/// Parses a request for a link.
///
/// # Errors
/// Returns a problem that lists every invalid field.
pub fn parse(
    request: &Request,
    allow_list: &AllowList,
    now: Timestamp,
) -> Result<ResetRequested, Problem> {
    let mut form = request.form()?;
    form.alias("reseturl", "reset_url")?;
    let email = form.required("email", Email::parse);
    let reset_url = form.required("reset_url", |typed| allow_list.allow(typed));
    let locale = form
        .text("locale")
        .map_or_else(Locale::default, Locale::choose);
    let requested = email
        .zip(reset_url)
        .map(|(email, reset_url)| ResetRequested {
            email,
            reset_url: reset_url.as_str().to_owned(),
            locale,
            request_id: request.id.clone(),
            requested_at: now,
        });
    form.finish(requested)
}
