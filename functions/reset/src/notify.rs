//! The private half: emails the notice that a password was changed (OWASP ASVS 5.0, 6.3.7).

use std::time::Duration;

use jiff::Timestamp;
use rekey::fault::Fault;
use rekey::lambda::function::RecordError;
use rekey::mailer::SendOutcome;
use rekey::table::rows::PasswordChanged;
use rekey::telemetry::metric::Metric;
use tokio::time::{Instant, sleep_until};

use crate::Reset;
use crate::notice_email::Certainty;

/// The pause before an open change is read again. Each later pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

impl Reset {
    /// Notifies the user of a changed password, at least once. A second notice is harmless.
    ///
    /// A change with an open outcome gets a notice only if the outcome stays open. Otherwise the row is settled or
    /// deleted, and the stream delivers the settled row.
    ///
    /// # Errors
    /// Returns [`RecordError::Retry`] if AWS fails.
    pub async fn notify(
        &self,
        key: &str,
        changed: PasswordChanged,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let certainty = match changed.settles_at {
            None => Certainty::Certain,
            Some(settles_at) if self.stays_open(key, settles_at, now).await? => {
                Certainty::Uncertain
            }
            Some(_) => return Ok(()),
        };
        let id = &changed.request_id;
        let log = self.services.telemetry.for_request(id, now);
        let email = self.render_email(&changed, certainty)?;
        let mailer = &self.services.mailer;
        match mailer.send(&changed.email, &email, id).await? {
            SendOutcome::Accepted => log.count(Metric::NoticesSent, "accepted by SES"),
            SendOutcome::Rejected(fault) => log.count(Metric::EmailsRejected, fault.code()),
        }
        Ok(())
    }

    /// Returns whether a change is still open at the time at which it cannot be in progress. Waits until then, or until
    /// the change is settled.
    ///
    /// It waits here, because a stream has no delay, and a failed record would block its shard.
    async fn stays_open(
        &self,
        key: &str,
        settles_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        let left = settles_at.duration_since(now).try_into();
        let end = Instant::now() + left.unwrap_or(Duration::ZERO);
        let mut pause = FIRST_PAUSE;
        loop {
            let read_at = Instant::now();
            let change = self.services.table.change(key).await?;
            // If the link was given back and used again, the row is another change, with its own record.
            if change.is_none_or(|change| change.settles_at != Some(settles_at)) {
                return Ok(false);
            }
            if read_at >= end {
                return Ok(true);
            }
            sleep_until(end.min(read_at + pause)).await;
            pause *= 2;
        }
    }
}
