//! Emails and their links.

use std::collections::HashMap;

use serde_json::Value;
use url::{Url, form_urlencoded};

/// A link in an email, and its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub url: Url,
    pub email: String,
    pub token: String,
}

impl Link {
    /// Returns the link in an email's text.
    pub fn in_text(text: &str) -> Self {
        let line = text.lines().find(|line| line.starts_with("http"));
        let url = Url::parse(line.expect("a link")).unwrap();
        let parameters = url.fragment().or(url.query()).unwrap().to_owned();
        let pairs: HashMap<_, _> = form_urlencoded::parse(parameters.as_bytes())
            .into_owned()
            .collect();
        Self {
            url,
            email: pairs["email"].clone(),
            token: pairs["token"].clone(),
        }
    }
}

/// An email, as SES received it.
#[derive(Clone, Debug)]
pub struct SentEmail(pub Value);

impl SentEmail {
    pub fn to(&self) -> &str {
        self.0["Destination"]["ToAddresses"][0].as_str().unwrap()
    }

    pub fn subject(&self) -> &str {
        self.0["Content"]["Simple"]["Subject"]["Data"]
            .as_str()
            .unwrap()
    }

    /// Returns the tag that SES feedback about the email contains.
    pub fn tag(&self) -> &Value {
        &self.0["EmailTags"][0]
    }

    pub fn text(&self) -> &str {
        self.0["Content"]["Simple"]["Body"]["Text"]["Data"]
            .as_str()
            .unwrap()
    }

    pub fn html(&self) -> &str {
        self.0["Content"]["Simple"]["Body"]["Html"]["Data"]
            .as_str()
            .unwrap()
    }

    pub fn link(&self) -> Link {
        Link::in_text(self.text())
    }
}
