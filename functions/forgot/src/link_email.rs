//! The email with the link.

use askama::Template;
use jiff::SignedDuration;
use rekey::email::Email;
use rekey::fault::Fault;
use rekey::given_name::GivenName;
use rekey::locale::Locale;
use rekey::mailer::RenderedEmail;
use rekey::secret::SecretText;
use secrecy::SecretString;

use crate::Forgot;
use crate::reset_url::Link;

impl Forgot {
    /// Renders the email with the link.
    ///
    /// # Errors
    /// Returns a [`Fault`] if a template fails, which none of them can.
    pub fn render_email(
        &self,
        email: &Email,
        name: Option<&GivenName>,
        link: &Link,
        locale: Locale,
    ) -> Result<RenderedEmail, Fault> {
        let product = self.services.product.as_str();
        let name = name.map(GivenName::as_str);
        let lifetime = format_lifetime(self.services.token_lifetime, locale);
        let subject = match locale {
            Locale::En => format!("Set a new password for {product}"),
            Locale::De => format!("Neues Passwort für {product}"),
        };
        let text = Text {
            locale,
            name,
            product,
            email: email.as_str(),
            link: link.expose(),
            lifetime: &lifetime,
        };
        let html = Html {
            locale,
            name,
            product,
            email: email.as_str(),
            link: link.expose(),
            lifetime: &lifetime,
            subject: &subject,
        };
        Ok(RenderedEmail {
            text: render(&text)?,
            html: render(&html)?,
            subject,
        })
    }
}

/// Renders a template without leaving copies of the link in memory.
fn render(template: &impl Template) -> Result<SecretString, Fault> {
    let mut text = SecretText::default();
    let not_rendered = |_| Fault::internal("link_email.render", "NotRendered");
    template.render_into(&mut text).map_err(not_rendered)?;
    Ok(text.finish())
}

#[derive(Template)]
#[template(path = "link.txt")]
struct Text<'a> {
    locale: Locale,
    name: Option<&'a str>,
    product: &'a str,
    email: &'a str,
    link: &'a str,
    lifetime: &'a str,
}

#[derive(Template)]
#[template(path = "link.html")]
struct Html<'a> {
    locale: Locale,
    name: Option<&'a str>,
    product: &'a str,
    email: &'a str,
    link: &'a str,
    lifetime: &'a str,
    subject: &'a str,
}

/// Formats a lifetime for people: in hours if it is a whole number of hours.
fn format_lifetime(duration: SignedDuration, locale: Locale) -> String {
    let length = duration.as_mins();
    let (hour, hours, minute, minutes) = match locale {
        Locale::En => ("hour", "hours", "minute", "minutes"),
        Locale::De => ("Stunde", "Stunden", "Minute", "Minuten"),
    };
    let (number, one, many) = if length % 60 == 0 {
        (length / 60, hour, hours)
    } else {
        (length, minute, minutes)
    };
    format!("{number} {}", if number == 1 { one } else { many })
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
