//! The properties themselves.

use std::fmt::Debug;

use jiff::Timestamp;
use rekey::email::Email;
use rekey::lambda::Output;
use rekey::request_id::RequestId;
use rekey::table::rows::{PasswordChanged, ResetRequested};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_dynamo::{AttributeValue, Item};
use url::{Url, form_urlencoded};

pub(crate) fn check_output(output: &Output) {
    let json = serde_json::to_value(output).unwrap();
    match output {
        Output::Http(response) => {
            let status = response.status();
            assert!([202, 204, 400, 404, 405, 413, 415, 422].contains(&status));
            assert!(RequestId::parse(response.header("X-Request-Id").unwrap()).is_ok());
            assert_eq!(json["statusCode"], status);
        }
        Output::Stream(_) => assert!(json["batchItemFailures"].as_array().unwrap().len() <= 1),
    }
}

pub(crate) fn check_requested(row: &ResetRequested) {
    check_email(&row.email);
    check_row(row);
}

pub(crate) fn check_changed(row: &PasswordChanged) {
    check_email(&row.email);
    check_row(row);
}

/// Asserts that the typed text is this address, and has no other visible characters.
pub(crate) fn check_is_typed(email: &Email, typed: &str) {
    let (local, domain) = email.as_str().split_once('@').unwrap();
    let visible: String = typed.chars().filter(char::is_ascii_graphic).collect();
    let visible = visible.to_ascii_lowercase();
    if domain.split('.').any(|label| label.starts_with("xn--")) {
        assert!(visible.starts_with(&format!("{local}@")));
    } else {
        assert_eq!(visible, email.as_str());
    }
}

pub(crate) fn check_email(email: &Email) {
    let address = email.as_str();
    assert!(address.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(!address.bytes().any(|byte| byte.is_ascii_uppercase()));
    assert_eq!(Email::parse(address).as_ref(), Ok(email));
}

/// Asserts that a written row is read back unchanged.
pub(crate) fn check_row<R>(row: &R)
where
    R: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let item: Item = serde_dynamo::to_item(row).unwrap();
    assert_eq!(serde_dynamo::from_item::<_, R>(item).as_ref(), Ok(row));
}

/// Asserts that a time is the stored number, to the millisecond.
pub(crate) fn check_time(time: Timestamp, item: &Item, attribute: &str) {
    let Some(AttributeValue::N(stored)) = item.get(attribute) else {
        unreachable!("a time is a number");
    };
    let difference = time.as_duration().as_secs_f64() - stored.parse::<f64>().unwrap();
    assert!(difference.abs() < 0.001, "{time} from {stored}");
}

pub(crate) fn check_page(url: &Url) {
    let is_localhost = url.scheme() == "http" && url.host_str() == Some("localhost");
    assert!(url.scheme() == "https" || is_localhost);
    assert!(url.has_host() && url.username().is_empty() && url.password().is_none());
    let fragment = url.fragment();
    assert!(fragment.is_none_or(|path| path.starts_with('/') || path.starts_with("!/")));
    let (_, inner) = fragment
        .unwrap_or_default()
        .split_once('?')
        .unwrap_or_default();
    let mut names = url
        .query_pairs()
        .chain(form_urlencoded::parse(inner.as_bytes()))
        .map(|(name, _)| name);
    assert!(!names.any(|name| name == "email" || name == "token"));
}

/// Asserts that a link's parameters follow the query of the path in its page's fragment.
pub(crate) fn check_in_path(link: &Url, path: &str, parameters: &[(String, String)]) {
    let (path, before) = path.split_once('?').unwrap_or((path, ""));
    let (link_path, query) = link.fragment().unwrap().split_once('?').unwrap();
    assert_eq!(link_path, path);
    let pairs = |query: &str| {
        form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect()
    };
    let mut expected: Vec<_> = pairs(before);
    expected.extend_from_slice(parameters);
    assert_eq!(pairs(query), expected);
}
