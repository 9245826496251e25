//! The notice that a password was changed.

use askama::Template;
use rekey::fault::Fault;
use rekey::locale::Locale;
use rekey::mailer::RenderedEmail;
use rekey::table::rows::PasswordChanged;

use crate::Reset;

impl Reset {
    /// Renders the notice as an email.
    ///
    /// # Errors
    /// Returns a [`Fault`] if a template fails, which none of them can.
    pub(crate) fn render_email(&self, changed: &PasswordChanged) -> Result<RenderedEmail, Fault> {
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
        let not_rendered = |_| Fault::internal("notice_email.render", "NotRendered");
        Ok(RenderedEmail {
            text: text.map_err(not_rendered)?.into(),
            html: html.map_err(not_rendered)?.into(),
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
