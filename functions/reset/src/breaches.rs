//! A check against known data breaches, by Have I Been Pwned's range API or a compatible one.
//!
//! Rekey sends five of the forty digits of the password's SHA-1. About a thousand breached passwords share them, and
//! the response lists all of these. It is padded, so its length reveals nothing either (Have I Been Pwned, API v3,
//! "Searching by range" and "Padding").

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use http_body_util::{BodyExt as _, Limited};
use rekey::aws::tls;
use rekey::config::Env;
use rekey::digest::hex;
use rekey::fault::Fault;
use secrecy::{ExposeSecret as _, SecretString};
use sha1::{Digest as _, Sha1};
use tokio::time::timeout;
use url::{Host, Url};

use crate::policy::NewPassword;

/// The timeout of the whole check. The API answers in a tenth of this, and an outage delays the caller by all of it.
pub const TIMEOUT: Duration = Duration::from_millis(1500);
/// The maximum length of a response, in bytes. Padded responses have 35 KiB.
const MAX_ANSWER: usize = 256 * 1024;
const _: () = assert!(MAX_ANSWER > 35 * 1024);
const OPERATION: &str = "breaches.contains";

/// A client for a breached-password range API.
#[derive(Debug)]
pub struct Breaches {
    range: Url,
    failure_mode: FailureMode,
    http: SharedHttpConnector,
}

/// The treatment of a password if the API does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureMode {
    /// Accepts the password. The list of common passwords applies all the same.
    #[default]
    Open,
    /// Rejects the request with a 503, so the caller retries later.
    Closed,
}

impl Breaches {
    /// Reads `BREACH_CHECK_URL` and `BREACH_CHECK_UNANSWERED`. Without the URL, Rekey checks no password.
    pub fn read(env: &mut Env<'_>) -> Option<Option<Self>> {
        let range = env.optional("BREACH_CHECK_URL", None, |value| range(value).map(Some));
        let failure_mode = env.optional(
            "BREACH_CHECK_UNANSWERED",
            FailureMode::default(),
            |value| match value {
                "accept" => Ok(FailureMode::Open),
                "refuse" => Ok(FailureMode::Closed),
                _ => Err("accept or refuse".to_owned()),
            },
        );
        let failure_mode = failure_mode?;
        let Some(range) = range? else {
            return Some(None);
        };
        Some(Some(Self {
            range,
            failure_mode,
            http: tls::platform(&HttpConnectorSettings::default()),
        }))
    }

    /// Returns the treatment of a password if the API does not answer.
    pub fn failure_mode(&self) -> FailureMode {
        self.failure_mode
    }

    /// Returns whether a password has appeared in a breach.
    ///
    /// # Errors
    /// Returns a transient [`Fault`] if the API does not answer in time, or with an unreadable response.
    pub async fn contains(&self, password: &NewPassword) -> Result<bool, Fault> {
        let digits = SecretString::from(hex(&Sha1::digest(password.as_bytes())));
        let (prefix, suffix) = digits.expose_secret().split_at(5);
        let lines = timeout(TIMEOUT, self.query(prefix)).await;
        let lines = lines.unwrap_or_else(|_| Err(fault("Timeout")))?;
        Ok(lines.lines().any(|line| is_breached(line, suffix)))
    }

    /// Returns the lines for all hashes that start with these digits.
    async fn query(&self, prefix: &str) -> Result<String, Fault> {
        let url = self.range.join(prefix).map_err(|_| fault("NoUrl"))?;
        let mut request = HttpRequest::get(url).map_err(|_| fault("NoRequest"))?;
        request.headers_mut().insert("add-padding", "true");
        request.headers_mut().insert("user-agent", "rekey");
        let response = self.http.call(request).await;
        let response = response.map_err(|_| fault("DispatchFailure"))?;
        if response.status().as_u16() != 200 {
            return Err(fault(&format!("Status{}", response.status().as_u16())));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        let body = body.map_err(|_| fault("NoBody"))?.to_bytes();
        String::from_utf8(body.into()).map_err(|_| fault("NoText"))
    }
}

/// Returns whether a line lists these digits. A line is 35 digits and a count, which is 0 for padding.
fn is_breached(line: &str, suffix: &str) -> bool {
    line.trim_end()
        .split_once(':')
        .is_some_and(|(digits, count)| digits.eq_ignore_ascii_case(suffix) && count != "0")
}

fn fault(code: &str) -> Fault {
    Fault::internal(OPERATION, code).transient()
}

fn range(value: &str) -> Result<Url, String> {
    let url = Url::parse(value).ok().filter(|url| {
        let is_local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        (url.scheme() == "https" || (url.scheme() == "http" && is_local))
            && url.path().ends_with('/')
    });
    url.ok_or_else(|| {
        "an https URL that ends with /, like https://api.pwnedpasswords.com/range/".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_url_is_https_or_local_and_ends_with_a_slash() {
        for good in [
            "https://api.pwnedpasswords.com/range/",
            "https://192.0.2.1/",
            "http://localhost:4600/range/",
            "http://127.0.0.1/",
            "http://[::1]:1/",
        ] {
            assert!(range(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://api.pwnedpasswords.com/range/",
            "http://192.0.2.1/",
            "http://[2001:db8::1]/",
            "https://api.pwnedpasswords.com/range",
            "http://localhost/range",
            "ftp://localhost/",
            "file:///",
        ] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
