//! The notice that a password was changed.

use askama::Template;
use rekey::fault::Fault;
use rekey::locale::Locale;
use rekey::mailer::RenderedEmail;
use rekey::table::rows::PasswordChanged;

use crate::Reset;

/// Whether Rekey knows that the password was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The password was changed.
    Certain,
    /// A link was used, but the directory did not confirm the change.
    Uncertain,
}

impl Reset {
    /// Renders the notice as an email.
    ///
    /// # Errors
    /// Returns a [`Fault`] if a template fails, which none of them can.
    pub(crate) fn render_email(
        &self,
        changed: &PasswordChanged,
        certainty: Certainty,
    ) -> Result<RenderedEmail, Fault> {
        let (locale, product) = (changed.locale, self.services.product.as_str());
        let subject = match (locale, certainty) {
            (Locale::En, Certainty::Certain) => format!("Your password for {product} was changed"),
            (Locale::En, Certainty::Uncertain) => {
                format!("Your password for {product} may have been changed")
            }
            (Locale::De, Certainty::Certain) => {
                format!("Ihr Passwort für {product} wurde geändert")
            }
            (Locale::De, Certainty::Uncertain) => {
                format!("Ihr Passwort für {product} wurde möglicherweise geändert")
            }
        };
        let format = match locale {
            Locale::En => "%-d %B %Y at %H:%M UTC",
            Locale::De => "%d.%m.%Y um %H:%M Uhr UTC",
        };
        let time = changed.changed_at.strftime(format).to_string();
        let text = Text {
            locale,
            certainty,
            product,
            email: changed.email.as_str(),
            time: &time,
        }
        .render();
        let html = Html {
            locale,
            certainty,
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
    certainty: Certainty,
    product: &'a str,
    email: &'a str,
    time: &'a str,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Html<'a> {
    locale: Locale,
    certainty: Certainty,
    product: &'a str,
    email: &'a str,
    time: &'a str,
    subject: &'a str,
}
