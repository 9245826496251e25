//! The fuzz targets: each function panics if an input breaks a property of Rekey.
//!
//! Each function returns whether it accepted the input. The fuzzer ignores that. The test that replays the corpus
//! checks it, so that the code after parsing is covered.

#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a check reports a finding by panicking"
)]

mod properties;

use std::io;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use forgot::allow_list::AllowList;
use forgot::reset_url::Placement;
use jiff::{SignedDuration, Timestamp};
use rekey::config::Env;
use rekey::email::Email;
use rekey::fault::Fault;
use rekey::http::problem::Problem;
use rekey::http::request::Request;
use rekey::http::response::Response;
use rekey::lambda;
use rekey::lambda::event::Event;
use rekey::lambda::function::{Clock, Function, Record, RecordError};
use rekey::locale::Locale;
use rekey::pace::Pace;
use rekey::request_id::RequestId;
use rekey::source::Source;
use rekey::table::rows::{
    CHANGE_PREFIX, PasswordChanged, REQUEST_PREFIX, ResetRequested, TokenIssued,
};
use rekey::telemetry::Telemetry;
use rekey::token::Token;
use reset::format::Format;
use reset::policy::Policy;
use secrecy::ExposeSecret as _;
use serde_dynamo::Item;
use serde_json::Value;
use url::{Url, form_urlencoded};

use self::properties::{
    check_changed, check_email, check_in_path, check_is_typed, check_output, check_page,
    check_requested, check_row, check_time,
};

const ALLOWED: [&str; 4] = [
    "https://app.example.com/password/reset",
    "https://app.example.com/account?view=reset",
    "https://xn--exmple-cua.com:8443/zur%C3%BCck/",
    "http://localhost:4601/",
];

/// The allow list with all URLs.
static ALL: LazyLock<AllowList> = LazyLock::new(|| listed(&ALLOWED.join(",")));
/// The allow lists with one URL each.
static ALONE: LazyLock<[AllowList; 4]> = LazyLock::new(|| ALLOWED.map(listed));

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// Posts any body to `/password/forgot`.
pub fn forgot_body(body: &[u8]) -> bool {
    let Ok(requested) = parse_forgot(&posted(body)) else {
        return false;
    };
    if let Some(typed) = member(body, "email") {
        check_is_typed(&requested.email, &typed);
    }
    true
}

/// Posts any body to `/password/reset`.
pub fn reset_body(body: &[u8]) -> bool {
    let Ok(submission) = parse_reset(&posted(body)) else {
        return false;
    };
    if let Some(typed) = member(body, "token") {
        let digits: String = typed.chars().filter(char::is_ascii_graphic).collect();
        assert_eq!(
            submission.token.hex().expose_secret(),
            digits.to_ascii_lowercase()
        );
    }
    if let Some(typed) = member(body, "password") {
        assert!(submission.password.is(&typed));
        assert!((8..=256).contains(&typed.chars().count()));
    }
    if let Some(typed) = member(body, "password_confirmation") {
        assert!(submission.password.is(&typed));
    }
    true
}

/// Sends any event of API Gateway to both functions.
pub fn gateway_event(event: &[u8]) -> bool {
    handle::<ResetRequested>(event) | handle::<PasswordChanged>(event)
}

/// Sends any event of the table's stream to both functions.
pub fn stream_record(event: &[u8]) -> bool {
    handle::<ResetRequested>(event) | handle::<PasswordChanged>(event)
}

/// Reads any item of the table, in `DynamoDB`'s JSON.
pub fn stored_row(item: &[u8]) -> bool {
    let Ok(item) = serde_json::from_slice::<Item>(item) else {
        return false;
    };
    let requested = serde_dynamo::from_item::<_, ResetRequested>(item.clone());
    let issued = serde_dynamo::from_item::<_, TokenIssued>(item.clone());
    let changed = serde_dynamo::from_item::<_, PasswordChanged>(item.clone());
    if let Ok(row) = &requested {
        check_requested(row);
        check_time(row.requested_at, &item, "requested_at");
    }
    if let Ok(row) = &issued {
        check_email(&row.email);
        check_row(row);
        check_time(row.issued_at, &item, "issued_at");
        check_time(row.expires_at, &item, "expires_at");
    }
    if let Ok(row) = &changed {
        check_changed(row);
        check_time(row.changed_at, &item, "changed_at");
        if let Some(settles_at) = row.settles_at {
            check_time(settles_at, &item, "settles_at");
        }
    }
    requested.is_ok() || issued.is_ok() || changed.is_ok()
}

/// Parses any text as the reset URL of a request, and as the allow list.
pub fn allow_list(text: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(text) else {
        return false;
    };
    let mut is_accepted = false;
    for (list, allowed) in ALONE.iter().zip(ALLOWED) {
        if let Ok(allowed_url) = list.allow(text) {
            assert_eq!(allowed_url.as_str(), allowed);
            assert_eq!(Url::parse(text).unwrap().as_str(), allowed);
            is_accepted = true;
        }
    }
    if let Ok(list) = AllowList::parse(text, Placement::Query) {
        for part in text.split(',') {
            let url = Url::parse(list.allow(part).unwrap().as_str()).unwrap();
            check_page(&url);
            assert_eq!(url, Url::parse(part).unwrap());
        }
        is_accepted = true;
    }
    is_accepted
}

/// Builds a link from an address and a page, separated by a space. The browser must read the same values from it.
pub fn link(text: &[u8]) -> bool {
    let text = str::from_utf8(text).unwrap_or_default();
    let Some((Ok(email), page)) = text
        .split_once(' ')
        .map(|(email, page)| (Email::parse(email), page))
    else {
        return false;
    };
    let token = Token::parse(TOKEN).unwrap();
    let link = |placement| {
        let reset_url = AllowList::parse(page, placement).ok()?.allow(page).ok()?;
        let link = reset_url.link(&email, &token);
        assert!(link.expose().bytes().all(|byte| byte.is_ascii_graphic()));
        Some(Url::parse(link.expose()).unwrap())
    };
    let (Some(in_query), Some(in_fragment)) = (link(Placement::Query), link(Placement::Fragment))
    else {
        return false;
    };
    let page = Url::parse(page).unwrap();
    let parameters = [("email", email.as_str()), ("token", TOKEN)].map(owned);
    if let Some(path) = page.fragment() {
        check_in_path(&in_query, path, &parameters);
        assert_eq!(in_query, in_fragment);
        assert_eq!(bare(&in_query), bare(&page));
        assert_eq!(in_query.query(), page.query());
        return true;
    }

    let pairs: Vec<_> = page
        .query_pairs()
        .into_owned()
        .chain(parameters.clone())
        .collect();
    assert!(in_query.query_pairs().into_owned().eq(pairs));
    assert_eq!(bare(&in_query), bare(&page));
    assert_eq!(in_query.fragment(), None);

    let fragment = in_fragment.fragment().unwrap();
    assert!(
        form_urlencoded::parse(fragment.as_bytes())
            .into_owned()
            .eq(parameters)
    );
    assert_eq!(bare(&in_fragment), bare(&page));
    assert_eq!(in_fragment.query(), page.query());
    true
}

// ---- Both functions, without AWS -----------------------------------------------------------------

struct Probe<R> {
    telemetry: Telemetry,
    has_accepted: AtomicBool,
    row: PhantomData<fn(R)>,
}

impl Function for Probe<ResetRequested> {
    const KEY_PREFIX: &'static str = REQUEST_PREFIX;
    type Row = ResetRequested;

    async fn handle_request(&self, request: &Request, _: Clock<'_>) -> Result<Response, Problem> {
        parse_forgot(request)?;
        self.accept();
        Ok(Response::accepted(SignedDuration::from_secs(60)))
    }

    async fn handle_record(
        &self,
        record: Record<ResetRequested>,
        _: Timestamp,
    ) -> Result<(), RecordError> {
        check_requested(&record.row);
        self.process(record.row.locale)
    }

    fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}

impl Function for Probe<PasswordChanged> {
    const KEY_PREFIX: &'static str = CHANGE_PREFIX;
    type Row = PasswordChanged;

    async fn handle_request(&self, request: &Request, _: Clock<'_>) -> Result<Response, Problem> {
        parse_reset(request)?;
        self.accept();
        Ok(Response::no_content())
    }

    async fn handle_record(
        &self,
        record: Record<PasswordChanged>,
        _: Timestamp,
    ) -> Result<(), RecordError> {
        check_changed(&record.row);
        self.process(record.row.locale)
    }

    fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}

impl<R> Probe<R> {
    fn accept(&self) {
        self.has_accepted.store(true, Ordering::Relaxed);
    }

    /// Fails for German, so that the stream redelivers some records.
    fn process(&self, locale: Locale) -> Result<(), RecordError> {
        self.accept();
        match locale {
            Locale::En => Ok(()),
            Locale::De => Err(Fault::internal("probe.process", "German").into()),
        }
    }
}

fn handle<R>(event: &[u8]) -> bool
where
    Probe<R>: Function,
{
    let Ok(event) = serde_json::from_slice::<Event>(event) else {
        return false;
    };
    let probe = Probe {
        telemetry: Telemetry::new("fuzz".to_owned(), Box::new(io::sink())),
        has_accepted: AtomicBool::new(false),
        row: PhantomData,
    };
    let future = pin!(lambda::handle(
        &probe,
        event,
        "an id!".to_owned(),
        || NOW,
        Pace::UNPACED
    ));
    let Poll::Ready(output) = future.poll(&mut Context::from_waker(Waker::noop())) else {
        unreachable!("the probe never waits");
    };
    if let Ok(output) = output {
        check_output(&output);
    }
    probe.has_accepted.load(Ordering::Relaxed)
}

fn parse_forgot(request: &Request) -> Result<ResetRequested, Problem> {
    let requested = forgot::request::parse(request, &ALL, NOW)?;
    check_requested(&requested);
    assert!(ALLOWED.contains(&requested.reset_url.as_str()));
    Ok(requested)
}

fn parse_reset(request: &Request) -> Result<reset::change::Submission, Problem> {
    let policy = Policy::read(&mut Env::new(&|_| None), Format::Argon2id).unwrap();
    let submission = reset::change::parse(request, &policy)?;
    check_email(&submission.email);
    Ok(submission)
}

fn listed(setting: &str) -> AllowList {
    AllowList::parse(setting, Placement::Query).unwrap()
}

fn posted(body: &[u8]) -> Request {
    Request {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        content_type: Some("application/json".to_owned()),
        body: body.to_vec().into(),
        source: Source::parse(None),
        id: RequestId::unknown(),
    }
}

/// Returns a string member of a body, as another parser reads it.
///
/// Returns `None` if the member is missing, or if that parser rejects the body. It keeps values that Rekey skips, and
/// rejects numbers that are out of range.
fn member(body: &[u8], name: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body.get(name)?.as_str()?.to_owned())
}

/// Returns the URL up to its path.
fn bare(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
