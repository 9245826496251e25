//! A reset URL, and the link that is made from it.

use rekey::email::Email;
use rekey::secret::SecretText;
use rekey::token::Token;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url, form_urlencoded};

/// The part of a link that contains the address and the token.
///
/// If the reset URL's fragment is a path, they follow that path inside the fragment, regardless of the setting. The
/// page's router reads its parameters there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// The query.
    #[default]
    Query,
    /// The fragment, which browsers do not send to servers.
    Fragment,
}

impl Placement {
    /// Parses the setting.
    ///
    /// # Errors
    /// Returns what is expected.
    pub fn parse(setting: &str) -> Result<Self, String> {
        match setting {
            "query" => Ok(Self::Query),
            "fragment" => Ok(Self::Fragment),
            _ => Err("query or fragment".to_owned()),
        }
    }
}

/// The URL of a page that sets a new password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetUrl {
    url: Url,
    placement: Placement,
}

impl ResetUrl {
    /// Parses a URL that may be a reset URL. Rejects characters that browsers silently drop from URLs.
    pub(crate) fn parse(typed: &str, placement: Placement) -> Option<Self> {
        // Reject asterisks: an operator would mean a wildcard, and Rekey supports none.
        let is_clean = !typed.contains(|character: char| {
            character.is_control() || character == ' ' || character == '*'
        });
        let url = Url::parse(typed).ok().filter(|_| is_clean)?;
        let is_safe = url.scheme() == "https"
            || (url.scheme() == "http" && url.host() == Some(Host::Domain("localhost")));
        let is_plain = url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none_or(is_path);
        let fragment_query = url.fragment().and_then(query_of).unwrap_or_default();
        let has_parameters = url
            .query_pairs()
            .chain(form_urlencoded::parse(fragment_query.as_bytes()))
            .any(|(name, _)| name == "email" || name == "token");
        (is_safe && is_plain && !has_parameters).then_some(Self { url, placement })
    }

    /// Returns the URL as text.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Returns the origin of the page, as a browser sends it.
    pub(crate) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Returns the link: this URL with the address and the token.
    ///
    /// The link is written piece by piece, because `Url` would leave copies of the token in memory when it grows.
    pub fn link(&self, email: &Email, token: &Token) -> Link {
        let parameters = match (self.url.fragment(), self.placement) {
            (Some(path), _) => Some(query_of(path)),
            (None, Placement::Query) => Some(self.url.query()),
            (None, Placement::Fragment) => None,
        };
        let before = match parameters {
            None => "#",
            Some(None) => "?",
            Some(Some("")) => "",
            Some(Some(_)) => "&",
        };
        let mut link = SecretText::default();
        let address = form_urlencoded::byte_serialize(email.as_str().as_bytes());
        let digits = token.hex();
        let parts = [self.url.as_str(), before, "email="].into_iter();
        let parts = parts.chain(address);
        for part in parts.chain(["&token=", digits.expose_secret()]) {
            link.push(part);
        }
        Link(link.finish())
    }
}

/// Returns whether a fragment is a path of a router in the page: `#/reset`, or `#!/reset`.
fn is_path(fragment: &str) -> bool {
    fragment.starts_with('/') || fragment.starts_with("!/")
}

/// Returns the query inside a fragment that is a path.
fn query_of(path: &str) -> Option<&str> {
    path.split_once('?').map(|(_, query)| query)
}

/// A link that sets a password. It is as secret as the token in it.
#[derive(Debug)]
pub struct Link(SecretString);

impl Link {
    /// Returns the link, for the email.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = "https://app.example.com/password/reset";

    fn reset_url(page: &str, placement: Placement) -> ResetUrl {
        ResetUrl::parse(page, placement).unwrap()
    }

    #[test]
    fn the_placement_is_query_or_fragment() {
        let linked = |setting: &str| {
            let page = reset_url(PAGE, Placement::parse(setting).unwrap());
            let email = Email::parse("ada@example.com").unwrap();
            let link = page.link(&email, &Token::generate().unwrap());
            link.expose().to_owned()
        };
        assert!(linked("query").starts_with(&format!("{PAGE}?email=")));
        assert!(linked("fragment").starts_with(&format!("{PAGE}#email=")));
        assert!(Placement::parse("path").is_err());
    }

    #[test]
    fn the_parameters_follow_a_path_inside_the_fragment() {
        for (page, before) in [
            ("https://a.example/#/reset", "?"),
            ("https://a.example/#!/reset", "?"),
            ("https://a.example/#/reset?view=reset", "&"),
            ("https://a.example/#/reset?", ""),
            ("https://a.example/?x=y#/reset", "?"),
        ] {
            for placement in [Placement::Query, Placement::Fragment] {
                let email = Email::parse("ada@example.com").unwrap();
                let token = Token::generate().unwrap();
                let link = reset_url(page, placement).link(&email, &token);
                let start = format!("{page}{before}email=ada%40example.com&token=");
                assert!(link.expose().starts_with(&start), "{page}");
            }
        }
    }

    fn emails() -> impl Strategy<Value = Email> {
        "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(\\.[a-z0-9&=+%]{1,8}){0,2}@([a-z0-9]{1,10}\\.){1,3}[a-z]{2,6}"
            .prop_map(|typed| Email::parse(&typed).unwrap())
    }

    fn urls() -> impl Strategy<Value = String> {
        "https://[a-z]{1,8}\\.example(:[1-9][0-9]{1,3})?(/[a-zA-Z0-9.%é;:@&=+$ü-]{0,8}){0,3}(\\?([a-z]{1,3}[0-9]=[a-z%&=+é]{0,8}){0,3})?"
            .prop_filter("an allowed URL", |url| ResetUrl::parse(url, Placement::Query).is_some())
    }

    proptest! {
        #[test]
        fn a_parsed_link_has_the_address_and_the_token(email in emails(), page in urls(), in_query: bool) {
            let placement = if in_query { Placement::Query } else { Placement::Fragment };
            let reset_url = reset_url(&page, placement);
            let token = Token::generate().unwrap();
            let link = Url::parse(reset_url.link(&email, &token).expose()).unwrap();

            let parameters = if in_query { link.query() } else { link.fragment() };
            let pairs: Vec<_> = form_urlencoded::parse(parameters.unwrap().as_bytes()).into_owned().collect();
            let value = |parameter: &str| {
                let mut values = pairs.iter().filter(|(name, _)| name == parameter).map(|(_, value)| value.as_str());
                (values.next(), values.next())
            };
            prop_assert_eq!(value("email"), (Some(email.as_str()), None));
            let digits = token.hex();
            prop_assert_eq!(value("token"), (Some(digits.expose_secret()), None));

            let bare = Url::parse(&page).unwrap();
            prop_assert_eq!(link.origin(), bare.origin());
            prop_assert_eq!(link.path(), bare.path());
            prop_assert!(link.query().unwrap_or_default().starts_with(bare.query().unwrap_or_default()));
        }
    }
}
