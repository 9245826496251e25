//! The private half: emails the link, if a user has the address.

use jiff::Timestamp;
use rekey::directory::Directory;
use rekey::directory::lookup::Lookup;
use rekey::fault::Fault;
use rekey::lambda::function::RecordError;
use rekey::mailer::SendOutcome;
use rekey::pace::Departure;
use rekey::services::Services;
use rekey::table::rows::{ResetRequested, TokenIssued};
use rekey::telemetry::RequestLog;
use rekey::telemetry::metric::Metric;
use rekey::token::Token;
use rekey::user::User;

use crate::Forgot;

/// The used part of the day's budget, in percent, from which each request logs it.
const BUDGET_WARNING: u32 = 80;

const NOT_ALLOWED: &str = "the reset URL is not in the allow list";
const EXPIRED: &str = "the request is older than a link lives";

impl Forgot {
    /// Delivers a link for a request.
    ///
    /// Delivery is at least once. If Lambda ends between SES's response and the next write, the stream delivers the
    /// record again, and a second email has a second link. Both work until one is used, which ends the other.
    ///
    /// # Errors
    /// Returns [`RecordError::Retry`] if AWS fails or the day's budget is used up, and [`RecordError::Discard`] for a
    /// request that can never be delivered.
    pub async fn deliver(
        &self,
        requested: ResetRequested,
        departure: Departure,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let Services {
            table,
            mailer,
            telemetry,
            token_lifetime: lifetime,
            ..
        } = &self.services;
        let log = telemetry.for_request(&requested.request_id, now);
        // Re-validate: anyone who can write a row must not choose where the token goes, or revive an old request.
        let Ok(reset_url) = self.allow_list.allow(&requested.reset_url) else {
            return Err(RecordError::Discard(NOT_ALLOWED));
        };
        if requested.has_expired(*lifetime, now) {
            return Err(RecordError::Discard(EXPIRED));
        }
        // Before the lookup, so that an exhausted budget does not reveal who has an account.
        self.spend_email_budget(&log, now).await?;

        let Some((mut user, departure)) = self.find_user(&requested, departure, &log, now).await?
        else {
            return Ok(());
        };
        let sent_links = table.sent_links(&user).await?;
        if sent_links.has_link_for(requested.requested_at) {
            // The stream delivers this record again because an earlier one in its batch failed.
            return Ok(());
        }
        if !sent_links.allow_another(&table.limits().address, now) {
            log.count(Metric::RequestsHeldBack, "the user has enough live links");
            return Ok(());
        }
        let token = Token::generate()?;
        let name = user.name.take();
        let locale = user.locale.unwrap_or(requested.locale);
        let issued = TokenIssued::new(user, locale, now, *lifetime);
        table.store_token(&token.hash(), &issued).await?;

        // Send last, because it cannot be undone.
        let link = reset_url.link(&issued.email, &token);
        let email = self.render_email(&issued.email, name.as_ref(), &link, issued.locale)?;
        departure.wait().await;
        let sent = mailer.send(&issued.email, &email, &requested.request_id);
        if let SendOutcome::Rejected(fault) = sent.await? {
            log.count(Metric::EmailsRejected, fault.code());
            return Ok(());
        }
        log.count(Metric::LinksSent, "accepted by SES");
        // The email has been sent, so an error here would send another. Without this write, the limit allows one more
        // link.
        let sent_links = sent_links.with(&issued, requested.requested_at);
        if let Err(fault) = table.store_links(&issued, &sent_links).await {
            log.fault(&fault);
        }
        Ok(())
    }

    /// Finds the user with the address, and returns the time at which an email may leave after that.
    async fn find_user(
        &self,
        requested: &ResetRequested,
        departure: Departure,
        log: &RequestLog<'_>,
        now: Timestamp,
    ) -> Result<Option<(User, Departure)>, Fault> {
        let directory = &self.services.directory;
        let (email, id) = (&requested.email, &requested.request_id);
        let lookup = directory.find_by_email(email, id, now).await?;
        let departure = match directory {
            Directory::Table(_) => departure,
            Directory::Functions(_) => departure.in_the_next_quantum().await,
        };
        let reason = match lookup {
            Lookup::Found(user) => {
                if user.has_unreadable_change_time {
                    let detail = "changes by the application do not end this user's links";
                    log.count(Metric::UnreadableChangeTimes, detail);
                }
                return Ok(Some((user, departure)));
            }
            Lookup::NotFound => "no user with this address can reset a password",
            Lookup::Ambiguous => "several users share this address",
        };
        log.count(Metric::UnknownAddresses, reason);
        // As long as an email would take, so that the batch lasts as long, too.
        departure.wait().await;
        Ok(None)
    }

    /// Takes one email from the day's budget, whether or not a user has the address.
    ///
    /// # Errors
    /// Returns a transient fault if the budget is used up. The request then waits for as long as its link would live.
    async fn spend_email_budget(
        &self,
        log: &RequestLog<'_>,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let used = self.services.table.spend_email_budget(now).await?;
        let percent = used.unwrap_or(100);
        if percent >= BUDGET_WARNING {
            log.email_budget(percent);
        }
        if used.is_none() {
            let fault = Fault::internal("deliver.spend_email_budget", "EmailBudgetExhausted");
            return Err(fault.transient().into());
        }
        Ok(())
    }
}
