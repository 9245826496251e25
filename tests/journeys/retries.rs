//! Calls to AWS have bounded timeouts and bounded, jittered retries.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rekey::aws;

use support::app::TestApp;
use support::deployment::{ADA, PAGE, PASSWORD, retries};
use support::email::Link;
use support::faults::{EVERY, Fault, Reply};
use support::torture::{report, times};

/// Every call hangs, and the timeouts are the product's.
#[tokio::test]
async fn a_caller_gets_503_in_time_while_the_table_hangs() {
    let mut app = TestApp::with_ada().await;
    app.shorten_timeouts(1);
    app.aws.inject_chaos(Box::new(|_| {
        let (is_done, reply) = (false, Reply::Nothing);
        Some(Fault { is_done, reply })
    }));
    let link = Link {
        url: PAGE.parse().unwrap(),
        email: ADA.to_owned(),
        token: "0".repeat(64),
    };
    let started = Instant::now();
    let (request, reset) = tokio::join!(app.forgot(ADA), app.reset(&link, PASSWORD));
    assert_eq!((request.status(), reset.status()), (503, 503));
    let took = started.elapsed();
    assert!(
        took >= aws::DYNAMODB_TIMEOUT && took < aws::DYNAMODB_TIMEOUT + Duration::from_secs(2),
        "{took:?}"
    );
}

/// Each call has three attempts. The pauses between them are random, so that callers do not retry together.
#[tokio::test]
async fn retries_are_bounded_and_jittered() {
    let mut pauses = Vec::new();
    for _ in 0..times(10, 100) {
        let app = TestApp::with_ada().await;
        app.aws.take_calls();
        app.aws.fail(
            "TransactWriteItems",
            EVERY,
            (500, "InternalServerError", ""),
        );
        assert_eq!(app.forgot(ADA).await.status(), 503);
        let attempts: Vec<Instant> = app
            .aws
            .take_timed_calls()
            .iter()
            .map(|(_, at)| *at)
            .collect();
        assert_eq!(attempts.len(), aws::ATTEMPTS as usize);
        pauses.push(attempts[1] - attempts[0]);
    }
    let (shortest, longest) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    // Without jitter, each pause would have the maximum length.
    let max = retries().initial_backoff();
    assert!(*shortest < max, "{shortest:?} to {longest:?}");
    report(
        "pauses before another attempt",
        pauses.len(),
        &format!("{shortest:?} to {longest:?}, at a twentieth of the product's"),
    );
}

/// Lambda can freeze an instance between signing and sending a call. AWS then rejects the call as expired, and the SDK
/// signs the next attempt again.
#[tokio::test]
async fn a_call_that_expires_while_frozen_is_signed_and_sent_again() {
    for (status, code, message) in [
        (400, "RequestExpired", "Request has expired."),
        (
            403,
            "InvalidSignatureException",
            "Signature expired: 20261125T100000Z is now earlier than 20261125T100500Z",
        ),
    ] {
        let app = TestApp::with_ada().await;
        for call in ["TransactWriteItems", "Query", "SendEmail", "UpdateItem"] {
            app.aws.fail(call, 1, (status, code, message));
        }
        let link = app.link(ADA).await;
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 204, "{code}");
        assert_eq!(app.try_process_stream().await, None, "{code}");
    }
}

/// All calls of a process share one retry budget.
#[tokio::test]
async fn an_outage_causes_no_retry_storm() {
    let app = TestApp::with_ada().await;
    app.aws.fail(
        "TransactWriteItems",
        EVERY,
        (500, "InternalServerError", ""),
    );
    app.aws.take_calls();
    let callers = 100;
    for n in 0..callers {
        app.clock.advance(SignedDuration::from_secs(4));
        assert_eq!(
            app.forgot(&format!("user{n}@example.com")).await.status(),
            503
        );
    }
    let calls = app.aws.take_calls().len();
    assert!((callers..callers * 2).contains(&calls), "{calls} calls");
    report(
        "calls to AWS of 100 callers in an outage",
        calls,
        "the retry budget held",
    );
}
