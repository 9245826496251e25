//! Whether a password is known from data leaks, as others know: a range endpoint of Have I Been Pwned, or one like it.
//!
//! Five of the forty digits of its SHA-1 are told, which it shares with about a thousand other leaked ones; the answer
//! has all of these, and padding, so that its length says nothing either (Have I Been Pwned, API v3, "Searching by
//! range" and "Padding").

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

/// For all of it. The endpoint answers in a tenth of this; the caller waits meanwhile, and pays for an outage with it.
pub const TIMEOUT: Duration = Duration::from_millis(1500);
/// The longest answer that is read, in bytes. Padded ones have 35 KiB.
const MAX_ANSWER: usize = 256 * 1024;
const _: () = assert!(MAX_ANSWER > 35 * 1024);
const OPERATION: &str = "breaches.contains";

/// Somebody who knows which passwords were leaked.
#[derive(Debug)]
pub struct Breaches {
    range: Url,
    failure_mode: FailureMode,
    http: SharedHttpConnector,
}

/// What happens to a password when nobody says whether it was leaked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureMode {
    /// It is taken: the passwords that are used most are refused all the same.
    #[default]
    Open,
    /// It is not: the caller is told to come back.
    Closed,
}

impl Breaches {
    /// Reads `BREACH_CHECK_URL`, without which nobody is asked, and `BREACH_CHECK_UNANSWERED`.
    pub fn read(env: &mut Env<'_>) -> Option<Option<Self>> {
        let range = env.optional("BREACH_CHECK_URL", None, |found| range(found).map(Some));
        let failure_mode = env.optional(
            "BREACH_CHECK_UNANSWERED",
            FailureMode::default(),
            |found| match found {
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

    /// What happens to a password when there is no answer.
    pub fn failure_mode(&self) -> FailureMode {
        self.failure_mode
    }

    /// Whether a password is known from a leak.
    ///
    /// # Errors
    /// A fault where there is no answer in time, or none that can be read.
    pub async fn contains(&self, password: &NewPassword) -> Result<bool, Fault> {
        let digits = SecretString::from(hex(&Sha1::digest(password.as_bytes())));
        let (prefix, suffix) = digits.expose_secret().split_at(5);
        let answer = timeout(TIMEOUT, self.ask(prefix)).await;
        let answer = answer.unwrap_or_else(|_| Err(fault("Timeout")))?;
        Ok(answer.lines().any(|line| is_leaked(line, suffix)))
    }

    async fn ask(&self, prefix: &str) -> Result<String, Fault> {
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

/// A line is 35 digits and a count. Padding has the count 0.
fn is_leaked(line: &str, suffix: &str) -> bool {
    line.trim_end()
        .split_once(':')
        .is_some_and(|(digits, count)| digits.eq_ignore_ascii_case(suffix) && count != "0")
}

fn fault(code: &str) -> Fault {
    Fault::internal(OPERATION, code).transient()
}

fn range(found: &str) -> Result<Url, String> {
    let url = Url::parse(found).ok().filter(|url| {
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
    fn an_endpoint_is_https_or_on_this_machine_and_ends_with_a_slash() {
        for fine in [
            "https://api.pwnedpasswords.com/range/",
            "https://192.0.2.1/",
            "http://localhost:4600/range/",
            "http://127.0.0.1/",
            "http://[::1]:1/",
        ] {
            assert!(range(fine).is_ok(), "{fine}");
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
