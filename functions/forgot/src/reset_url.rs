//! Where links may lead, and how they are made.

use rekey::email::Email;
use rekey::problem::FieldError;
use rekey::secret::SecretText;
use rekey::token::Token;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url, form_urlencoded};

/// Where in the link the address and the token stand. If the reset URL has a fragment that is a path, they follow that
/// path inside the fragment, whatever the setting: there, the page's router reads its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// In the query.
    #[default]
    Query,
    /// In the fragment, which browsers send to no server.
    Fragment,
}

impl Placement {
    /// Reads the setting.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn parse(setting: &str) -> Result<Self, String> {
        match setting {
            "query" => Ok(Self::Query),
            "fragment" => Ok(Self::Fragment),
            _ => Err("query or fragment".to_owned()),
        }
    }
}

/// The reset URLs of the deployment. A link leads to one of these, whatever a request says (OWASP Forgot Password
/// Cheat Sheet, "URL Tokens").
#[derive(Clone, Debug)]
pub struct AllowList {
    urls: Vec<Url>,
    placement: Placement,
}

impl AllowList {
    /// Reads the setting: URLs separated by commas.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn parse(setting: &str, placement: Placement) -> Result<Self, String> {
        let urls: Option<Vec<Url>> = setting.split(',').map(parse).collect();
        urls.map(|urls| Self { urls, placement }).ok_or_else(|| {
            "absolute https URLs (http for localhost), separated by commas, without wildcards, user info, \
             a fragment that is not a path, or a query that has email or token already"
                .to_owned()
        })
    }

    /// Admits a URL that is in the list: compared whole, after parsing both as browsers do (WHATWG URL).
    ///
    /// # Errors
    /// A error where it is not.
    pub fn allow(&self, typed: &str) -> Result<ResetUrl, FieldError> {
        let admitted = parse(typed).filter(|url| self.urls.contains(url));
        let url = admitted.ok_or(FieldError::NotAllowed)?;
        Ok(ResetUrl {
            url,
            placement: self.placement,
        })
    }

    /// Checks the origins whose pages may ask for links: at least those of the list. Others may ask too, such as an app's
    /// `capacitor://localhost`, but no link leads to them.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn check_origins(&self, setting: &str) -> Result<(), String> {
        let origins: Vec<&str> = setting.split(',').collect();
        if !origins.iter().all(|origin| is_origin(origin)) {
            return Err(
                "origins in lower case: scheme, host, and a port that is not the scheme's own, \
                        without path or wildcard (http for localhost), separated by commas"
                    .to_owned(),
            );
        }
        let mut missing: Vec<String> = self
            .urls
            .iter()
            .map(|url| url.origin().ascii_serialization())
            .filter(|origin| !origins.contains(&origin.as_str()))
            .collect();
        missing.sort();
        missing.dedup();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "also the origins of RESET_URLS: {}",
                missing.join(",")
            ))
        }
    }
}

/// Returns whether a browser may send a text as an `Origin` (RFC 6454, Section 6.2), and no stranger over plain HTTP can.
fn is_origin(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let is_safe = url.scheme() != "http" || url.host() == Some(Host::Domain("localhost"));
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}"));
    let serialized = format!("{}://{host}{}", url.scheme(), port.unwrap_or_default());
    is_safe && !host.is_empty() && text == serialized && !text.contains('*')
}

/// Parses what may be a reset URL at all. Browsers drop some characters from URLs; here they are refused.
fn parse(typed: &str) -> Option<Url> {
    // An asterisk in an allow list is meant as a wildcard, and there are none.
    let is_clean = !typed
        .contains(|character: char| character.is_control() || character == ' ' || character == '*');
    let url = Url::parse(typed).ok().filter(|_| is_clean)?;
    let is_safe = url.scheme() == "https"
        || (url.scheme() == "http" && url.host() == Some(Host::Domain("localhost")));
    let is_plain = url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none_or(is_path);
    let fragment_query = url.fragment().and_then(query_of).unwrap_or_default();
    let is_free = !url
        .query_pairs()
        .chain(form_urlencoded::parse(fragment_query.as_bytes()))
        .any(|(name, _)| name == "email" || name == "token");
    (is_safe && is_plain && is_free).then_some(url)
}

/// Returns whether a fragment is a path of a router in the page: `#/reset`, or `#!/reset`.
fn is_path(fragment: &str) -> bool {
    fragment.starts_with('/') || fragment.starts_with("!/")
}

/// Returns the query inside a fragment that is a path.
fn query_of(path: &str) -> Option<&str> {
    path.split_once('?').map(|(_, query)| query)
}

/// A reset URL that is in the allow list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetUrl {
    url: Url,
    placement: Placement,
}

impl ResetUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The link: this URL with the address and the token.
    ///
    /// It is written piece by piece: `Url` would leave copies of the token where it grew.
    pub fn link(&self, email: &Email, token: &Token) -> Link {
        let carrier = match (self.url.fragment(), self.placement) {
            (Some(path), _) => Some(query_of(path)),
            (None, Placement::Query) => Some(self.url.query()),
            (None, Placement::Fragment) => None,
        };
        let before = match carrier {
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

/// A link that sets a password: as secret as the token in it.
#[derive(Debug)]
pub struct Link(SecretString);

impl Link {
    /// The link, for the mail.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = "https://app.example.com/password/reset";

    fn allow_list(setting: &str) -> AllowList {
        AllowList::parse(setting, Placement::Query).unwrap()
    }

    #[test]
    fn the_placement_is_query_or_fragment() {
        let linked = |setting: &str| {
            let list = AllowList::parse(PAGE, Placement::parse(setting).unwrap()).unwrap();
            let email = Email::parse("ada@example.com").unwrap();
            let link = list
                .allow(PAGE)
                .unwrap()
                .link(&email, &Token::generate().unwrap());
            link.expose().to_owned()
        };
        assert!(linked("query").starts_with(&format!("{PAGE}?email=")));
        assert!(linked("fragment").starts_with(&format!("{PAGE}#email=")));
        assert!(Placement::parse("path").is_err());
    }

    #[test]
    fn a_url_is_admitted_when_it_is_equal_after_parsing() {
        for same in [
            PAGE,
            "HTTPS://APP.EXAMPLE.COM/password/reset",
            "https://app.example.com:443/password/reset",
        ] {
            assert_eq!(
                allow_list(PAGE).allow(same).unwrap().as_str(),
                PAGE,
                "{same}"
            );
        }
    }

    #[test]
    fn any_other_url_is_refused() {
        let others = [
            "",
            "/password/reset",
            "//app.example.com/password/reset",
            "http://app.example.com/password/reset",
            "https://app.example.com/password/reset/",
            "https://app.example.com/password/reset?x=1",
            "https://app.example.com/password/reset#x",
            "https://app.example.com/password/reset#",
            "https://app.example.com.evil.test/password/reset",
            "https://app.example.com@evil.test/password/reset",
            "https://ada:pw@app.example.com/password/reset",
            "https://app.example.com:444/password/reset",
            "https://app.example.com/password/reset\0",
            " https://app.example.com/password/reset",
            "https://app.example.com/password/re\tset",
            "https://app.example.com/password/reset\r\nX: y",
            "https://evil.test\\@app.example.com/password/reset",
            "javascript:alert(1)//https://app.example.com",
            "https://app.example.com./password/reset",
            "https://аpp.example.com/password/reset",
            "data:text/html,x",
            "https://app.example.com/password/reset#/",
            "https://app.example.com/password/*",
            "https://*.example.com/password/reset",
        ];
        for other in others {
            assert!(allow_list(PAGE).allow(other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn a_setting_with_a_url_that_is_not_safe_is_refused() {
        let bad = [
            "",
            "http://app.example.com/",
            "http://127.0.0.1/",
            "https://ada@app.example.com/",
            "https://a.example/#x",
            "https://a.example/?token=x",
            "https://a.example/?%65mail=x",
            "https://a.example/,",
            "mailto:a@b.co",
            "https://a.example/, https://b.example/",
            "https://a.example/*",
            "https://*.a.example/",
            "https://a.example/#",
            "https://a.example/#/reset?token=x",
            "https://a.example/#/reset?x=y&%65mail=x",
        ];
        for bad in bad {
            assert!(AllowList::parse(bad, Placement::Query).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn localhost_may_be_http() {
        assert!(
            allow_list("http://localhost:4601/")
                .allow("http://localhost:4601/")
                .is_ok()
        );
    }

    #[test]
    fn the_origins_include_those_of_the_urls() {
        let list =
            allow_list("https://a.example/x,https://a.example/y?view=reset,http://localhost:4601/");
        for allowed in [
            "http://localhost:4601,https://a.example",
            "https://login.a.example,https://a.example,http://localhost:4601,capacitor://localhost",
        ] {
            assert_eq!(list.check_origins(allowed), Ok(()), "{allowed}");
        }
        assert_eq!(
            list.check_origins("https://b.example").unwrap_err(),
            "also the origins of RESET_URLS: http://localhost:4601,https://a.example"
        );
    }

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        let list = allow_list(PAGE);
        for bad in [
            "",
            "*",
            "null",
            "https://*.example.com",
            "https://login.example.com/",
            "https://login.example.com/path",
            "https://login.example.com:443",
            "https://Login.example.com",
            "http://login.example.com",
            "https://ada@login.example.com",
            "https://login.example.com?x",
            "capacitor:localhost",
            "capacitor://",
            "file:///",
            " https://login.example.com",
        ] {
            let setting = format!("https://app.example.com,{bad}");
            let wanted = list.check_origins(&setting).unwrap_err();
            assert!(wanted.starts_with("origins in lower case"), "{bad:?}");
        }
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
                let list = AllowList::parse(page, placement).unwrap();
                let email = Email::parse("ada@example.com").unwrap();
                let token = Token::generate().unwrap();
                let link = list.allow(page).unwrap().link(&email, &token);
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
            .prop_filter("an allowed URL", |url| parse(url).is_some())
    }

    proptest! {
        #[test]
        fn parsing_a_link_gives_the_address_and_the_token_back(email in emails(), page in urls(), in_query: bool) {
            let placement = if in_query { Placement::Query } else { Placement::Fragment };
            let reset_url = AllowList::parse(&page, placement).unwrap().allow(&page).unwrap();
            let token = Token::generate().unwrap();
            let link = Url::parse(reset_url.link(&email, &token).expose()).unwrap();

            let carrier = if in_query { link.query() } else { link.fragment() };
            let pairs: Vec<_> = form_urlencoded::parse(carrier.unwrap().as_bytes()).into_owned().collect();
            let value = |wanted: &str| {
                let mut values = pairs.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
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
