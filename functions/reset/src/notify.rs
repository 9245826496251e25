//! The private half: the owner is told (OWASP ASVS 5.0, 6.3.7).

use askama::Template;
use jiff::Timestamp;
use rekey::fault::Fault;
use rekey::lambda::RecordError;
use rekey::locale::Locale;
use rekey::mail::{Mail, SendOutcome};
use rekey::table::PasswordChanged;
use rekey::telemetry::Metric;

use crate::Reset;

impl Reset {
    /// Tells the owner that the password was changed. At least once: a second notice is harmless.
    ///
    /// # Errors
    /// A fault that passes, for the stream to bring the record again.
    pub async fn notify(
        &self,
        changed: PasswordChanged,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let mail = self.render_email(&changed)?;
        let count = |metric, detail: &str| {
            self.services
                .telemetry
                .count(metric, detail, &changed.request_id, now);
        };
        let id = &changed.request_id;
        match self.services.mailer.send(&changed.email, &mail, id).await? {
            SendOutcome::Accepted => count(Metric::NoticesSent, "the notice is with SES"),
            SendOutcome::Rejected(fault) => count(Metric::EmailsRejected, fault.code()),
        }
        Ok(())
    }

    fn render_email(&self, changed: &PasswordChanged) -> Result<Mail, Fault> {
        let (locale, product) = (changed.locale, self.services.product.as_str());
        let (subject, format) = match locale {
            Locale::En => (
                format!("Your password for {product} was changed"),
                "%-d %B %Y at %H:%M UTC",
            ),
            Locale::De => (
                format!("Ihr Passwort für {product} wurde geändert"),
                "%d.%m.%Y um %H:%M Uhr UTC",
            ),
        };
        let time = changed.changed_at.strftime(format).to_string();
        let text = Text {
            locale,
            product,
            email: changed.email.as_str(),
            time: &time,
        }
        .render();
        let html = Html {
            locale,
            product,
            email: changed.email.as_str(),
            time: &time,
            subject: &subject,
        }
        .render();
        let unrendered = |_| Fault::internal("notice_email.render", "NotRendered");
        Ok(Mail {
            text: text.map_err(unrendered)?.into(),
            html: html.map_err(unrendered)?.into(),
            subject,
        })
    }
}

#[derive(Template)]
#[template(path = "notice.txt")]
struct Text<'a> {
    locale: Locale,
    product: &'a str,
    email: &'a str,
    time: &'a str,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Html<'a> {
    locale: Locale,
    product: &'a str,
    email: &'a str,
    time: &'a str,
    subject: &'a str,
}
