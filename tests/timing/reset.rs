//! Tokens that are not good, each for its own reason, at the public half of `reset`.

use jiff::SignedDuration;
use rekey::email::Email;
use rekey::locale::Locale;
use rekey::table::rows::TokenIssued;
use rekey::token::Token;
use rekey::user::UserKey;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::app::PASSWORD;
use crate::bench::{Bench, addresses, alone, runtime, shuffle};
use crate::dudect::{Samples, Verdict};
use crate::plant::{Plant, Planted};
use crate::tell;
use crate::torture::times;

/// How many addresses there are of a kind, known and unknown. All tokens are tried equally often.
const POOL: usize = 48;
/// Of the rarer kinds there is one token for so many addresses: they tell nothing of an account, and time is short.
const RARELY: usize = 4;

/// What is compared with a token that never was.
const KINDS: [&str; 4] = [
    "an unknown address",
    "a used token",
    "an expired token",
    "somebody else's token",
];

/// From which kind on the row is there, and `DynamoDB` passes over it. What that takes is its own affair (65 µs here): of
/// these, what we take besides is compared. Who can ask so has been mailed a token for that address.
const PASSED_OVER: usize = 2;

#[test]
fn a_token_is_refused_in_the_same_time_for_every_reason() {
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
        tell(&what, pairs, verdict);
    }
    let told: Vec<String> = KINDS
        .iter()
        .zip(&verdicts)
        .map(|(kind, verdict)| format!("{kind}: {verdict}"))
        .collect();
    let is_difference = verdicts.iter().any(Verdict::is_difference);
    assert!(!is_difference, "{}", told.join("\n"));
}

#[test]
fn a_planted_look_up_is_found() {
    let _alone = alone();
    let pairs = times(300, 10_000);
    let [verdict, ..] =
        Verdict::of_each(|| measure(pairs, Plant::LookUpAndWrite).map(|kind| kind.compare()));
    tell(
        "time of reset with a look-up and a write planted",
        pairs,
        &verdict,
    );
    assert!(verdict.is_difference(), "{verdict}");
}

/// The times of refusals: the kinds left, a wrong token right.
///
/// All tokens are tried once in every round, in a new order. So all kinds have the same history.
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
        // The first two rounds meet cold connections.
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

fn note(samples: &mut [Samples], kind: Option<usize>, (all, ours): (f64, f64)) {
    let time = |kind| if kind < PASSED_OVER { all } else { ours };
    match kind {
        Some(kind) => samples[kind].left.push(time(kind)),
        None => samples
            .iter_mut()
            .enumerate()
            .for_each(|(kind, samples)| samples.right.push(time(kind))),
    }
}

/// An attempt of each kind.
async fn bodies(bench: &Bench, email: &str) -> [Value; KINDS.len()] {
    let nobody = addresses(1).remove(0);
    let token = || Token::generate().unwrap();
    let (used, expired, others) = (token(), token(), token());
    for (token, lifetime) in [(&used, 1), (&expired, -1), (&others, 1000)] {
        let issued = TokenIssued {
            user: UserKey::Text(email.to_owned()),
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
        attempt(&nobody, &token()),
        used,
        attempt(email, &expired),
        attempt(&nobody, &others),
    ]
}

fn attempt(email: &str, token: &Token) -> Value {
    json!({ "email": email, "token": token.hex().expose_secret(), "password": PASSWORD })
}
