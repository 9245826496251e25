//! Every caller gets a response in time. The tests compare each function's longest run with its timeout.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use rekey::aws::invoke::{INVOKE_TIMEOUT, READ_TIMEOUT};
use rekey::aws::{DYNAMODB_TIMEOUT, SES_TIMEOUT};
use rekey::lambda::batch::MAX_CONCURRENCY;
use rekey::pace::Pace;
use rekey::table::rows::LEASE;
use reset::breaches::TIMEOUT;
use reset::redemption::CLAIM_LIMIT;

use crate::process::Process;
use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::template;
use support::torture::{report, times};

/// The timeout of an HTTP API (Amazon API Gateway Developer Guide, "Quotas for HTTP APIs").
const GATEWAY: Duration = Duration::from_secs(30);

/// The memory at which a function has a whole core (AWS Lambda Developer Guide, "Configure Lambda function memory").
const CORE_MB: u32 = 1769;

/// The MiB that argon2id fills in a second on a whole core of Lambda. Every machine measured so far is faster.
const MIB_PER_SECOND: u32 = 500;

/// The time to start the process, open connections, and write the response.
const SPARE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn functions_respond_before_lambda_and_the_gateway_time_out() {
    let app = app_with_the_longest_lookup().await;
    let longest_calls = async |step: &str| {
        app.aws.take_calls();
        match step {
            "request" => assert_eq!(app.forgot(ADA).await.status(), 202),
            "stream" => assert_eq!(app.try_process_stream().await, None),
            _ => {
                let link = app.aws.emails()[0].link();
                assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
            }
        }
        let calls = app.aws.take_calls();
        let time = |call: &String| {
            if call == "SendEmail" {
                SES_TIMEOUT
            } else {
                DYNAMODB_TIMEOUT
            }
        };
        // A reset makes its first two calls in parallel.
        let sequential = calls.iter().skip(usize::from(step == "reset"));
        sequential.map(time).sum::<Duration>()
    };
    let request = longest_calls("request").await;
    let deliver = longest_calls("stream").await;
    let change = longest_calls("reset").await;
    let notify = longest_calls("stream").await;

    let pauses = longest_pauses();
    // `redrive.py` sends up to a hundred notices at once, which take several rounds.
    let rounds = u32::try_from(100_usize.div_ceil(MAX_CONCURRENCY)).unwrap();
    for (function, longest, is_public) in [
        ("ForgotRequest", request, true),
        ("ResetChange", change + TIMEOUT + longest_hashing(), true),
        ("ResetChange", longest_claim(), true),
        ("ForgotDeliver", pauses + deliver, false),
        ("ForgotDeliver", pauses + READ_TIMEOUT + deliver, false),
        ("ResetNotify", rounds * (pauses + notify), false),
        ("ResetNotify", pauses + longest_wait() + notify, false),
    ] {
        let timeout = Duration::from_secs(template::resource(function).number("Timeout"));
        assert!(
            longest + SPARE <= timeout,
            "{function}: {longest:?} of {timeout:?}"
        );
        assert!(
            !is_public || timeout + SPARE <= GATEWAY,
            "{function}: {timeout:?}"
        );
        let shown = format!("{longest:?} of {timeout:?}");
        report(&format!("the longest run of {function}"), 1, &shown);
    }
}

/// Starts an app whose settings add a call to the lookup.
async fn app_with_the_longest_lookup() -> TestApp {
    let app = TestApp::with(&[("USERS_NAME_ATTRIBUTE", "name")]).await;
    app.user("1", ADA).await;
    app
}

/// Returns the pauses of a batch.
fn longest_pauses() -> Duration {
    let slots = Pace::STEADY.spacing * u32::try_from(MAX_CONCURRENCY).unwrap();
    Pace::STEADY.preparation + slots + Pace::STEADY.quantum
}

/// Returns the longest change with directory functions, whose claim begins as late as possible.
fn longest_claim() -> Duration {
    let until_the_claim: Duration = CLAIM_LIMIT.try_into().unwrap();
    until_the_claim + DYNAMODB_TIMEOUT + INVOKE_TIMEOUT + DYNAMODB_TIMEOUT
}

/// Returns the longest time for which an open change is read again.
fn longest_wait() -> Duration {
    let lease: Duration = LEASE.try_into().unwrap();
    lease + 2 * DYNAMODB_TIMEOUT
}

/// The lease of a claim excludes other changes for as long as the directory's function may run.
#[test]
fn the_lease_is_longer_than_a_claim_and_a_function() {
    let longest_function = Duration::from_secs(30);
    let lease: Duration = LEASE.try_into().unwrap();
    let longest_start = Duration::from_secs(10);
    let clocks_differ_by = Duration::from_secs(10);
    assert!(DYNAMODB_TIMEOUT + longest_start + longest_function + clocks_differ_by <= lease);
}

/// Returns the time of the largest memory and the most iterations, on the smallest function.
fn longest_hashing() -> Duration {
    let mebibytes =
        bound("Argon2MemoryKiB", "MaxValue") / 1024 * bound("Argon2Iterations", "MaxValue");
    Duration::from_secs(mebibytes.into()) * CORE_MB
        / bound("HashingMemoryMB", "MinValue")
        / MIB_PER_SECOND
}

#[test]
fn the_largest_hashing_memory_fits_into_the_smallest_function() {
    let for_the_rest = 128;
    let hashing = bound("Argon2MemoryKiB", "MaxValue") / 1024;
    assert!(hashing + for_the_rest <= bound("HashingMemoryMB", "MinValue"));
}

/// Takes the best of several tries, because the machine may be busy.
#[test]
fn hashing_is_as_fast_as_the_deadlines_assume() {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
    let mebibytes = f64::from(Params::DEFAULT_M_COST / 1024 * Params::DEFAULT_T_COST);
    let rate = || {
        let started = Instant::now();
        argon2
            .hash_password_into(b"password", b"salt and pepper", &mut [0; 32])
            .unwrap();
        mebibytes / started.elapsed().as_secs_f64()
    };
    let tries = times(20, 200);
    let best = (0..tries).map(|_| rate()).fold(0.0, f64::max);
    assert!(best > MIB_PER_SECOND.into(), "{best:.0} MiB a second");
    report(
        "argon2id, the best try",
        tries,
        &format!("{best:.0} MiB a second"),
    );
}

fn bound(parameter: &str, name: &str) -> u32 {
    template::parameter(parameter).number(name)
}

/// Lambda gives a process ten seconds to start, and the first caller waits for that.
#[tokio::test]
async fn a_cold_start_makes_no_aws_call() {
    let app = TestApp::with_ada().await;
    for function in ["forgot", "reset"] {
        let process = Process::start(function, &app, &[]).await;
        assert!(
            process
                .invoke("{}")
                .await
                .contains("not an event of API Gateway")
        );
        assert_eq!(app.aws.take_calls(), [""; 0], "{function}");
    }
}
