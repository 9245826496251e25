//! The private half: emails the notice that a password was changed (OWASP ASVS 5.0, 6.3.7).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rekey::fault::Fault;
use rekey::lambda::function::RecordError;
use rekey::mailer::SendOutcome;
use rekey::table::rows::{LEASE, PasswordChanged};
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
        let end = Instant::now() + rest(settles_at, now);
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

/// Returns the time until a change cannot be in progress: at most [`LEASE`], because the change began before its record
/// arrived. A row with another time would block the shard.
fn rest(settles_at: Timestamp, now: Timestamp) -> Duration {
    let rest = settles_at.duration_since(now);
    rest.clamp(SignedDuration::ZERO, LEASE).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_cannot_make_the_private_half_wait_longer_than_a_lease() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        let lease = LEASE.unsigned_abs();
        for (settles_at, expected) in [
            (now + LEASE, lease),
            (now + SignedDuration::from_secs(5), Duration::from_secs(5)),
            (now - SignedDuration::from_secs(5), Duration::ZERO),
            (Timestamp::MAX, lease),
            (Timestamp::MIN, Duration::ZERO),
        ] {
            assert_eq!(rest(settles_at, now), expected, "{settles_at}");
        }
    }
}
