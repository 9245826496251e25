//! The allow list: the pages that links may lead to, and the origins that may request links.

use rekey::field_error::FieldError;
use url::{Host, Url};

use crate::reset_url::{Placement, ResetUrl};

/// The reset URLs of the deployment. A link leads to one of these, whatever a request says (OWASP Forgot Password Cheat
/// Sheet, "URL Tokens").
///
/// ```
/// # use forgot::allow_list::AllowList;
/// # use forgot::reset_url::Placement;
/// let list = AllowList::parse("https://app.example.com/reset", Placement::Query)?;
/// assert!(list.allow("https://app.example.com/reset").is_ok());
/// assert!(list.allow("https://app.example.com.evil.test/reset").is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug)]
pub struct AllowList {
    urls: Vec<ResetUrl>,
    placement: Placement,
}

impl AllowList {
    /// Parses the setting: URLs separated by commas.
    ///
    /// # Errors
    /// Returns what is expected.
    pub fn parse(setting: &str, placement: Placement) -> Result<Self, String> {
        let urls = setting
            .split(',')
            .map(|url| ResetUrl::parse(url, placement));
        let urls: Option<Vec<ResetUrl>> = urls.collect();
        urls.map(|urls| Self { urls, placement }).ok_or_else(|| {
            "absolute https URLs (http for localhost), separated by commas, without wildcards, user info, \
             a fragment that is not a path, or an email or token parameter"
                .to_owned()
        })
    }

    /// Returns the reset URL if it is in the list. Both are parsed as browsers do (WHATWG URL), then compared whole.
    ///
    /// # Errors
    /// Returns [`FieldError::NotAllowed`] if it is not in the list.
    pub fn allow(&self, typed: &str) -> Result<ResetUrl, FieldError> {
        ResetUrl::parse(typed, self.placement)
            .filter(|url| self.urls.contains(url))
            .ok_or(FieldError::NotAllowed)
    }

    /// Checks the origins whose pages may request links. They must include those of the list. Others may request links
    /// too, such as an app's `capacitor://localhost`, but no link leads to them.
    ///
    /// # Errors
    /// Returns what is expected.
    pub fn check_origins(&self, setting: &str) -> Result<(), String> {
        let origins: Vec<&str> = setting.split(',').collect();
        if !origins.iter().all(|origin| is_origin(origin)) {
            return Err(
                "origins in lower case (scheme, host, and a port other than the scheme's default), \
                 separated by commas, without paths or wildcards, and with http only for localhost"
                    .to_owned(),
            );
        }
        let mut missing: Vec<String> = self
            .urls
            .iter()
            .map(ResetUrl::origin)
            .filter(|origin| !origins.contains(&origin.as_str()))
            .collect();
        missing.sort();
        missing.dedup();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "a list that includes every origin of RESET_URLS (missing: {})",
                missing.join(",")
            ))
        }
    }
}

/// Returns whether a browser may send a text as an `Origin` (RFC 6454, Section 6.2). Plain HTTP is safe only for
/// localhost: on other hosts, an attacker in the network could serve the page.
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

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "https://app.example.com/password/reset";

    fn allow_list(setting: &str) -> AllowList {
        AllowList::parse(setting, Placement::Query).unwrap()
    }

    #[test]
    fn a_url_is_allowed_if_it_is_equal_after_parsing() {
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
    fn any_other_url_is_rejected() {
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
    fn a_setting_with_an_unsafe_url_is_rejected() {
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
    fn the_origins_must_include_those_of_the_urls() {
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
            "a list that includes every origin of RESET_URLS (missing: http://localhost:4601,https://a.example)"
        );
    }

    #[test]
    fn an_origin_must_equal_what_a_browser_sends() {
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
            let expected = list.check_origins(&setting).unwrap_err();
            assert!(expected.starts_with("origins in lower case"), "{bad:?}");
        }
    }
}
