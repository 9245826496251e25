//! Everybody is answered in time: what each function may take at the most, against what it is given.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use rekey::aws::{DYNAMODB_TIMEOUT, SES_TIMEOUT};
use rekey::lambda::batch::MAX_CONCURRENCY;
use rekey::pace::Pace;
use reset::breaches::TIMEOUT;

use crate::app::{ADA, PASSWORD, TestApp};
use crate::process::Process;
use crate::torture::{report, times};

/// How long an HTTP API waits for a function (Amazon API Gateway Developer Guide, "Quotas for HTTP APIs").
const GATEWAY: Duration = Duration::from_secs(30);

/// The memory that goes with a whole core (AWS Lambda Developer Guide, "Configure Lambda function memory").
const CORE_MB: u32 = 1769;

/// How many MiB argon2id fills in a second on a whole core of Lambda: less than on any app so far.
const MIB_PER_SECOND: u32 = 500;

/// For the process to start, the connections to be made, and the answer to be written.
const SPARE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_function_answers_before_lambda_ends_it_and_lambda_before_the_gateway_gives_up() {
    let app = TestApp::with_ada().await;
    let calls = async |act: &str| {
        app.aws.take_calls();
        match act {
            "ask" => assert_eq!(app.forgot(ADA).await.status(), 202),
            "carry" => assert_eq!(app.stream().await, None),
            _ => {
                let link = app.aws.mails()[0].link();
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
        // The first two of a reset go out at the same time.
        let in_turn = calls.iter().skip(usize::from(act == "reset"));
        in_turn.map(time).sum::<Duration>()
    };
    let request = calls("ask").await;
    let deliver = calls("carry").await;
    let change = calls("reset").await;
    let notify = calls("carry").await;

    let slots = Pace::STEADY.spacing * u32::try_from(MAX_CONCURRENCY).unwrap();
    let pauses = Pace::STEADY.preparation + slots + Pace::STEADY.quantum;
    // `redrive.py` hands over up to a hundred notices, in rounds.
    let rounds = u32::try_from(100_usize.div_ceil(MAX_CONCURRENCY)).unwrap();
    for (function, longest, is_public) in [
        ("ForgotRequest", request, true),
        ("ResetChange", change + TIMEOUT + longest_hashing(), true),
        ("ForgotDeliver", pauses + deliver, false),
        ("ResetNotify", rounds * (pauses + notify), false),
    ] {
        let given = Duration::from_secs(property(function, "Timeout"));
        assert!(
            longest + SPARE <= given,
            "{function}: {longest:?} of {given:?}"
        );
        assert!(
            !is_public || given + SPARE <= GATEWAY,
            "{function}: {given:?}"
        );
        report(
            &format!("the longest that {function} takes"),
            1,
            &format!("{longest:?} of {given:?}"),
        );
    }
}

/// The most memory and passes, on the smallest function.
fn longest_hashing() -> Duration {
    let mebibytes =
        bound("Argon2MemoryKiB", "MaxValue") / 1024 * bound("Argon2Iterations", "MaxValue");
    Duration::from_secs(mebibytes.into()) * CORE_MB
        / bound("HashingMemoryMB", "MinValue")
        / MIB_PER_SECOND
}

#[test]
fn the_most_memory_that_hashing_may_take_fits_into_the_smallest_function() {
    let for_the_rest = 128;
    let hashing = bound("Argon2MemoryKiB", "MaxValue") / 1024;
    assert!(hashing + for_the_rest <= bound("HashingMemoryMB", "MinValue"));
}

/// The app may be busy with something else: the best of some tries counts.
#[test]
fn hashing_is_as_fast_as_the_deadlines_take_it_to_be() {
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
        "argon2id, the best of these",
        tries,
        &format!("{best:.0} MiB a second"),
    );
}

/// What the template says of a function, or of the events that it is for.
fn property<T: std::str::FromStr>(function: &str, name: &str) -> T {
    find(function, name)
}

fn bound(parameter: &str, name: &str) -> u32 {
    find(parameter, name)
}

fn find<T: std::str::FromStr>(section: &str, name: &str) -> T {
    let template = std::fs::read_to_string("template.yaml").unwrap();
    let (_, section) = template.split_once(&format!("\n  {section}:\n")).unwrap();
    let (_, value) = section.split_once(&format!(" {name}: ")).unwrap();
    value.lines().next().unwrap().parse().ok().unwrap()
}

/// Lambda gives a process ten seconds to start, and counts them to the first caller's time.
#[tokio::test]
async fn a_cold_start_calls_nobody() {
    let app = TestApp::with_ada().await;
    for function in ["forgot", "reset"] {
        let process = Process::start(function, &app, &[]).await;
        assert!(process.invoke("{}").await.contains("neither a gateway's"));
        assert_eq!(app.aws.take_calls(), [""; 0], "{function}");
    }
}
