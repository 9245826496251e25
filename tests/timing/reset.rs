//! Compares tokens that are invalid for different reasons, at the public half of `reset`.

use jiff::SignedDuration;
use rekey::email::Email;
use rekey::locale::Locale;
use rekey::table::rows::TokenIssued;
use rekey::token::Token;
use rekey::user::UserKey;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::bench::{Bench, addresses, alone, runtime, shuffle};
use crate::dudect::{Samples, Verdict};
use crate::plant::{Plant, Planted};
use crate::record;
use support::deployment::PASSWORD;
use support::torture::times;

/// The number of addresses of each kind. The tests try all tokens equally often.
const POOL: usize = 48;
/// The number of addresses for each token of the rarer kinds. Those reveal no account, and time is limited.
const RARELY: usize = 4;

/// The kinds that are compared with a token that was never issued.
const KINDS: [&str; 4] = [
    "an unknown address",
    "a used token",
    "an expired token",
    "another user's token",
];

/// The index of the first kind whose row exists and is filtered out by `DynamoDB`.
///
/// The filter takes time that Rekey cannot hide (65 µs here). So for these kinds, the test compares the time without
/// `DynamoDB`. Only a recipient of a token for that address can send such a request.
const FILTERED: usize = 2;

#[test]
fn every_invalid_token_is_rejected_in_the_same_time() {
    let _alone = alone();
    let pairs = times(10_000, 100_000);
    let verdicts = Verdict::of_each(|| measure(pairs, Plant::Nothing).map(|kind| kind.compare()));
    for (kind, verdict) in KINDS.iter().zip(&verdicts) {
        let what = format!("time of reset, {kind} and a wrong token");
        let pairs = if *kind == KINDS[0] {
            pairs
        } else {
            pairs / RARELY
        };
        record(&what, pairs, verdict);
    }
    let lines: Vec<String> = KINDS
        .iter()
        .zip(&verdicts)
        .map(|(kind, verdict)| format!("{kind}: {verdict}"))
        .collect();
    let is_difference = verdicts.iter().any(Verdict::is_difference);
    assert!(!is_difference, "{}", lines.join("\n"));
}

#[test]
fn a_planted_look_up_is_found() {
    let _alone = alone();
    let pairs = times(300, 10_000);
    let [verdict, ..] =
        Verdict::of_each(|| measure(pairs, Plant::LookUpAndWrite).map(|kind| kind.compare()));
    record(
        "time of reset with a look-up and a write planted",
        pairs,
        &verdict,
    );
    assert!(verdict.is_difference(), "{verdict}");
}

/// Measures the times of rejections: the kinds left, a wrong token right.
///
/// Each round tries every token once, in a new order. So all kinds have the same history.
fn measure(pairs: usize, plant: Plant) -> [Samples; KINDS.len()] {
    runtime().block_on(async {
        let bench = Bench::watched().await;
        let mut all: Vec<(Option<usize>, Value)> = Vec::new();
        let known = addresses(POOL);
        for (n, email) in known.iter().enumerate() {
            bench.user(email).await;
            let bodies = bodies(&bench, email).await;
            all.push((None, attempt(email, &Token::generate().unwrap())));
            let kinds = if n % RARELY == 0 { KINDS.len() } else { 1 };
            all.extend(
                bodies
                    .into_iter()
                    .enumerate()
                    .take(kinds)
                    .map(|(kind, body)| (Some(kind), body)),
            );
        }
        let function = Planted {
            function: &bench.reset,
            bench: &bench,
            plant,
            known: known.into_iter().collect(),
        };
        let mut samples: [Samples; KINDS.len()] = Default::default();
        // The first two rounds have cold connections.
        for round in 0..pairs.div_ceil(POOL) + 2 {
            bench.later(SignedDuration::from_secs(15));
            shuffle(&mut all);
            for (kind, body) in &all {
                let time = bench.time_apart(&function, body, 422).await;
                if round >= 2 {
                    note(&mut samples, *kind, time);
                }
            }
        }
        samples
    })
}

fn note(samples: &mut [Samples], kind: Option<usize>, (all, own): (f64, f64)) {
    let time = |kind| if kind < FILTERED { all } else { own };
    match kind {
        Some(kind) => samples[kind].left.push(time(kind)),
        None => samples
            .iter_mut()
            .enumerate()
            .for_each(|(kind, samples)| samples.right.push(time(kind))),
    }
}

/// Returns an attempt of each kind.
async fn bodies(bench: &Bench, email: &str) -> [Value; KINDS.len()] {
    let unknown = addresses(1).remove(0);
    let token = || Token::generate().unwrap();
    let (used, expired, others) = (token(), token(), token());
    for (token, lifetime) in [(&used, 1), (&expired, -1), (&others, 1000)] {
        let issued = TokenIssued {
            user: UserKey::text(email.to_owned()),
            email: Email::parse(email).unwrap(),
            issued_at: bench.now(),
            expires_at: bench.now() + SignedDuration::from_hours(lifetime),
            locale: Locale::En,
        };
        bench
            .table
            .store_token(&token.hash(), &issued)
            .await
            .unwrap();
    }
    let used = attempt(email, &used);
    bench.time(&bench.reset, &used, 204).await;
    [
        attempt(&unknown, &token()),
        used,
        attempt(email, &expired),
        attempt(&unknown, &others),
    ]
}

fn attempt(email: &str, token: &Token) -> Value {
    json!({ "email": email, "token": token.hex().expose_secret(), "password": PASSWORD })
}
