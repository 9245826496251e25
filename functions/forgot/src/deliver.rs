//! The private half: the link goes out, if the address is somebody's.

use askama::Template;
use jiff::{SignedDuration, Timestamp};
use rekey::email::Email;
use rekey::fault::Fault;
use rekey::http::RequestId;
use rekey::lambda::RecordError;
use rekey::locale::Locale;
use rekey::mail::{Mail, SendOutcome};
use rekey::pace::Departure;
use rekey::secret::SecretText;
use rekey::table::{ResetRequested, TokenIssued};
use rekey::telemetry::Metric;
use rekey::token::Token;
use rekey::users::Lookup;
use secrecy::SecretString;

use crate::Forgot;
use crate::reset_url::Link;

/// From how much of the day's budget on it is told, in percent.
const BUDGET_WARNING: u32 = 80;

impl Forgot {
    /// Delivers a link for a request.
    ///
    /// At least once: if Lambda ends between SES's answer and the next write, the stream delivers the record again, and a
    /// second email has a second link. Both work until one is used, and that ends the other.
    ///
    /// # Errors
    /// A fault that passes, for the stream to bring the record again; or the reason why it never can work.
    pub async fn deliver(
        &self,
        requested: ResetRequested,
        departure: Departure,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let (telemetry, id) = (&self.services.telemetry, &requested.request_id);
        let count = |metric, detail: &str| telemetry.count(metric, detail, id, now);
        // A row is an edge too: what could write one shall not choose where a token goes, or revive an old request.
        let Ok(reset_url) = self.allow_list.allow(&requested.reset_url) else {
            return Err(RecordError::Discard(
                "the reset URL is not in the allow list",
            ));
        };
        if requested.has_expired(self.services.token_lifetime, now) {
            return Err(RecordError::Discard("the request is too old"));
        }
        self.spend_email_budget(id, now).await?;
        let nobodys = |detail| {
            count(Metric::UnknownAddresses, detail);
            Ok(())
        };
        let user = match self.services.users.find_by_email(&requested.email).await? {
            Lookup::Found(user) => user,
            Lookup::NotFound => return nobodys("no user has the address"),
            Lookup::Ambiguous => return nobodys("several users have the address"),
        };
        let sent_links = self.services.table.sent_links(&user).await?;
        if sent_links.has_link_for(requested.requested_at) {
            // The stream delivers the record again, since one before it failed.
            return Ok(());
        }
        if !sent_links.allow_another(&self.services.table.limits().address, now) {
            count(
                Metric::RequestsHeldBack,
                "enough links to the address are alive",
            );
            return Ok(());
        }
        let token = Token::generate()?;
        let issued = TokenIssued::new(user, requested.locale, now, self.services.token_lifetime);
        self.services
            .table
            .store_token(&token.hash(), &issued)
            .await?;
        let link = reset_url.link(&issued.email, &token);
        let mail = self.render_email(&issued.email, &link, requested.locale)?;
        departure.wait().await;
        match self.services.mailer.send(&issued.email, &mail, id).await? {
            SendOutcome::Accepted => count(Metric::LinksSent, "the link is with SES"),
            SendOutcome::Rejected(fault) => {
                count(Metric::EmailsRejected, fault.code());
                return Ok(());
            }
        }
        // The email has left: to fail now would send another one. The limit then lets one link more pass.
        let sent_links = sent_links.with(&issued, requested.requested_at);
        if let Err(fault) = self.services.table.store_links(&issued, &sent_links).await {
            telemetry.fault(&fault, id, now);
        }
        Ok(())
    }

    /// Takes a mail from the day's budget, whether or not the address turns out to be anybody's: else, that the budget
    /// is used up would tell who has an account.
    ///
    /// # Errors
    /// Where nothing is left of it: the request waits for another day, for as long as its link would be good.
    async fn spend_email_budget(&self, id: &RequestId, now: Timestamp) -> Result<(), RecordError> {
        let used = self.services.table.spend_email_budget(now).await?;
        let percent = used.unwrap_or(100);
        if percent >= BUDGET_WARNING {
            self.services.telemetry.budget_used(percent, id, now);
        }
        match used {
            Some(_) => Ok(()),
            None => Err(
                Fault::internal("deliver.spend_email_budget", "EmailBudgetExhausted")
                    .transient()
                    .into(),
            ),
        }
    }

    /// Renders the email with the link.
    ///
    /// # Errors
    /// Returns a [`Fault`] if a template fails, which none of them can.
    pub fn render_email(&self, email: &Email, link: &Link, locale: Locale) -> Result<Mail, Fault> {
        let product = self.services.product.as_str();
        let lifetime = format_lifetime(self.services.token_lifetime, locale);
        let subject = match locale {
            Locale::En => format!("Set a new password for {product}"),
            Locale::De => format!("Neues Passwort für {product}"),
        };
        let text = Text {
            locale,
            product,
            email: email.as_str(),
            link: link.expose(),
            lifetime: &lifetime,
        };
        let html = Html {
            locale,
            product,
            email: email.as_str(),
            link: link.expose(),
            lifetime: &lifetime,
            subject: &subject,
        };
        Ok(Mail {
            text: rendered(&text)?,
            html: rendered(&html)?,
            subject,
        })
    }
}

/// A template's text, of which no copy is left behind: there is a link in it.
fn rendered(template: &impl Template) -> Result<SecretString, Fault> {
    let mut text = SecretText::default();
    let unrendered = |_| Fault::internal("link_email.render", "NotRendered");
    template.render_into(&mut text).map_err(unrendered)?;
    Ok(text.finish())
}

#[derive(Template)]
#[template(path = "link.txt")]
struct Text<'a> {
    locale: Locale,
    product: &'a str,
    email: &'a str,
    link: &'a str,
    lifetime: &'a str,
}

#[derive(Template)]
#[template(path = "link.html")]
struct Html<'a> {
    locale: Locale,
    product: &'a str,
    email: &'a str,
    link: &'a str,
    lifetime: &'a str,
    subject: &'a str,
}

/// A duration as people say it: in hours where it is whole hours.
fn format_lifetime(duration: SignedDuration, locale: Locale) -> String {
    let minutes = duration.as_mins();
    let (number, is_hours) = if minutes % 60 == 0 {
        (minutes / 60, true)
    } else {
        (minutes, false)
    };
    let unit = match (locale, is_hours, number) {
        (Locale::En, true, 1) => "hour",
        (Locale::En, true, _) => "hours",
        (Locale::En, false, 1) => "minute",
        (Locale::En, false, _) => "minutes",
        (Locale::De, true, 1) => "Stunde",
        (Locale::De, true, _) => "Stunden",
        (Locale::De, false, 1) => "Minute",
        (Locale::De, false, _) => "Minuten",
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_hours_are_formatted_as_hours() {
        let format = |minutes, locale| format_lifetime(SignedDuration::from_mins(minutes), locale);
        assert_eq!(format(60, Locale::En), "1 hour");
        assert_eq!(format(90, Locale::En), "90 minutes");
        assert_eq!(format(1440, Locale::De), "24 Stunden");
    }
}
