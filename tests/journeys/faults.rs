//! Each call to AWS fails in each way. Every 2xx response is true, no operation is half done, nothing hangs, and a
//! retry succeeds.

mod rehearsal;
mod storm;

use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordVerifier as _};
use rekey::aws;
use rekey::http::response::Response;
use rekey::token::Token;
use tokio::task::JoinSet;

use rehearsal::{Case, Journey, prepare, run};
use support::app::TestApp;
use support::calls::TIMEOUT_DIVISOR;
use support::deployment::{ADA, PASSWORD};
use support::email::{Link, SentEmail};
use support::responses::is_rejected;
use support::torture::{report, times};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_fails_in_each_way() {
    let mut cases = Vec::new();
    for journey in Journey::ALL {
        cases.extend(journey.rehearse().await.cases());
    }
    let cases: Vec<Case> = cases.into_iter().step_by(times(5, 1)).collect();
    let tried = cases.len();
    let mut running = JoinSet::new();
    for case in cases {
        if running.len() == 16 {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(until_the_fault_fires(case));
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    report(
        "calls to AWS that fail, one by one",
        tried,
        "no 2xx without its effect, none half done, none past its deadline, all done in the end",
    );
}

/// Tries a case on one app after another. On a busy machine, an earlier call may reach its short timeout, and the
/// journey then ends before the fault.
async fn until_the_fault_fires(case: Case) {
    for _ in 0..10 {
        if try_case(&case).await {
            return;
        }
    }
    panic!("the fault did not fire: {case:?}");
}

/// Tries a case, and returns whether the fault fired.
async fn try_case(case: &Case) -> bool {
    let mut app = TestApp::with_ada().await;
    let link = prepare(&app, case.journey).await;
    app.shorten_timeouts(TIMEOUT_DIVISOR);
    app.aws.take_calls();
    app.aws.succeed(&case.call, case.preceding);
    app.aws.inject(&case.call, case.times, case.fault.clone());
    let sent = app.aws.emails().len();

    let started = Instant::now();
    let outcome = run(&app, case.journey, link.as_ref()).await;
    let took = started.elapsed();
    if !app.aws.unfired().is_empty() {
        app.aws.allow_unfired("the case is tried again");
        app.allow_unprocessed("the case is tried again");
        return false;
    }
    let is_done = outcome.unwrap_or_else(|response| {
        check_error(&app, case, &response);
        false
    });
    // Add a second, because the processor may be busy.
    let deadline = case.deadline / TIMEOUT_DIVISOR + Duration::from_secs(1);
    assert!(took < deadline, "{took:?}: {case:?}");
    let calls = app.aws.take_calls();
    let calls = calls.iter().filter(|call| **call == case.call).count();
    // A delivery reads two rows in parallel, and each read has its own attempts.
    let is_parallel = case.journey == Journey::Deliver && case.call == "GetItem";
    let parallel = if is_parallel { 2 } else { 1 };
    let max = case.calls - parallel + parallel * aws::ATTEMPTS as usize;
    assert!(calls <= max, "{calls} calls: {case:?}");
    let is_repeated = !is_done && app.aws.emails().len() > sent;

    app.aws.heal();
    app.restart();
    check(&app, case, link.as_ref(), is_done).await;
    complete(&app, case, link, is_done).await;
    check_emails(&app, case, is_repeated);
    true
}

/// Checks that an error is 503 with `Retry-After`, or 500 if a retry would not help.
fn check_error(app: &TestApp, case: &Case, response: &Response) {
    let expected = if case.fault.is_denied() {
        (500, None)
    } else {
        (503, Some("2"))
    };
    let actual = (response.status(), response.header("Retry-After"));
    assert_eq!(actual, expected, "{case:?}");
    assert!(!response.body().contains(ADA) && !app.log().contains(ADA));
}

/// Checks that a journey that was reported as done is done, and that nothing is half done.
async fn check(app: &TestApp, case: &Case, link: Option<&Link>, is_done: bool) {
    let emails = app.aws.emails();
    match case.journey {
        Journey::Request => {
            let (requests, counters) = (app.rows("request#").await, app.rows("rate#").await);
            assert!(requests.len() == 1 || !is_done, "{case:?}");
            assert_eq!(counters.len(), case.counters * requests.len(), "{case:?}");
        }
        Journey::Deliver => {
            assert!(!emails.is_empty() || !is_done, "{case:?}");
            assert!(app.rows("token#").await.len() >= emails.len().min(1));
        }
        Journey::Reset => {
            assert!(is_reset(app, link.unwrap()).await || !is_done, "{case:?}");
        }
        Journey::Notify => assert!(emails.len() >= 2 || !is_done, "{case:?}"),
    }
}

/// Returns whether the password was replaced. Checks that the token is deleted and the notice is stored if it was, and
/// that neither is so if it was not.
async fn is_reset(app: &TestApp, link: &Link) -> bool {
    let is_changed = app.stored("1", "password_hash").await != "old";
    let token = Token::parse(&link.token).unwrap().hash();
    let issued = app.rows("token#").await;
    let key = format!("token#{}", token.as_str());
    let has_token = issued.iter().any(|row| row["pk"]["S"] == *key);
    let changed = app.rows("change#").await.len();
    assert_eq!((has_token, changed), (!is_changed, is_changed.into()));
    is_changed
}

/// Completes the journey, now that every call succeeds again.
async fn complete(app: &TestApp, case: &Case, link: Option<Link>, is_done: bool) {
    if case.journey == Journey::Request && !is_done {
        assert_eq!(app.forgot(ADA).await.status(), 202, "{case:?}");
    }
    assert_eq!(app.try_process_stream().await, None, "{case:?}");
    let link = link.unwrap_or_else(|| app.aws.emails().last().unwrap().link());
    let was_done_unreported = case.journey == Journey::Reset && is_reset(app, &link).await;
    if case.journey != Journey::Notify && !(case.journey == Journey::Reset && is_done) {
        let response = app.reset(&link, PASSWORD).await;
        // If the reset was done without a report, the link is used up, and the notice informs the owner.
        assert!(
            response.status() == 204 || (was_done_unreported && is_rejected(&response)),
            "{}: {case:?}: {}",
            response.status(),
            app.log()
        );
    }
    assert_eq!(app.try_process_stream().await, None, "{case:?}");
    assert!(is_reset(app, &link).await);
    let hash = app.stored("1", "password_hash").await;
    let verified = Argon2::default().verify_password(PASSWORD.as_bytes(), hash.as_str());
    assert!(verified.is_ok(), "{case:?}");
    app.process_stream().await;
}

/// Checks that there is one email of each kind. There may be more if SES accepted one and the private half received no
/// response, or failed later.
fn check_emails(app: &TestApp, case: &Case, is_repeated: bool) {
    let max = if case.call == "SendEmail" && case.fault.is_done {
        // SES may accept every attempt, and the next delivery sends one more.
        aws::ATTEMPTS as usize + 1
    } else if is_repeated {
        2
    } else {
        1
    };
    for (part, sender) in [
        ("new password", Journey::Deliver),
        ("was changed", Journey::Notify),
    ] {
        let is_this_kind = |email: &&SentEmail| email.subject().contains(part);
        let emails = app.aws.emails().iter().filter(is_this_kind).count();
        let max = if case.journey == sender { max } else { 1 };
        assert!((1..=max).contains(&emails), "{emails}: {case:?}");
    }
}
