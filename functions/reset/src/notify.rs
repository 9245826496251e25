//! The private half: emails the notice that a password was changed (OWASP ASVS 5.0, 6.3.7).

use jiff::Timestamp;
use rekey::lambda::function::RecordError;
use rekey::mailer::SendOutcome;
use rekey::table::rows::PasswordChanged;
use rekey::telemetry::metric::Metric;

use crate::Reset;

impl Reset {
    /// Notifies the user of a changed password, at least once. A second notice is harmless.
    ///
    /// # Errors
    /// Returns [`RecordError::Retry`] if SES fails.
    pub async fn notify(
        &self,
        changed: PasswordChanged,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let id = &changed.request_id;
        let log = self.services.telemetry.for_request(id, now);
        let email = self.render_email(&changed)?;
        match self
            .services
            .mailer
            .send(&changed.email, &email, id)
            .await?
        {
            SendOutcome::Accepted => log.count(Metric::NoticesSent, "accepted by SES"),
            SendOutcome::Rejected(fault) => log.count(Metric::EmailsRejected, fault.code()),
        }
        Ok(())
    }
}
