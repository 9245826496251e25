//! Compares known and unknown addresses at the public half of `forgot`.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;

use crate::bench::{self, Bench, alone, runtime, shuffle};
use crate::dudect::{Samples, Verdict};
use crate::plant::{Plant, Planted};
use crate::record;
use support::deployment::PAGE;
use support::torture::times;

/// The number of addresses of each kind. The tests request links for all of them equally often.
const POOL: usize = 100;

#[test]
fn known_and_unknown_addresses_take_the_same_time() {
    let _alone = alone();
    let pairs = times(10_000, 100_000);
    let verdict =
        Verdict::of(|| measure(pairs, Plant::Nothing, Interval::AfterTheCooldown).compare());
    let what = "time of forgot, known and unknown addresses";
    record(what, pairs, &verdict);
    assert!(!verdict.is_difference(), "{verdict}");
}

#[test]
fn known_and_unknown_addresses_look_alike_within_the_cooldown() {
    let _alone = alone();
    // The clock stands still, so more requests would reach the limit of their source.
    let pairs = times(2_000, 40_000);
    let verdict =
        Verdict::of(|| measure(pairs, Plant::Nothing, Interval::WithinTheCooldown).compare());
    let what = "time of forgot within the cooldown, known and unknown addresses";
    record(what, pairs, &verdict);
    assert!(!verdict.is_difference(), "{verdict}");
}

/// A harness that finds these would find similar leaks in the product. The smaller ones need an idle machine, so only
/// `make torture` plants them.
#[test]
fn planted_differences_are_found() {
    let _alone = alone();
    let usual = measure(200, Plant::Nothing, Interval::AfterTheCooldown).compare();
    let delay = |percent: f64| Plant::Delay(Duration::from_secs_f64(usual.median * percent / 1e8));
    for (what, plant, pairs) in [
        (
            "a look-up and a write",
            Plant::LookUpAndWrite,
            times(300, 10_000),
        ),
        ("a look-up", Plant::LookUp, times(0, 10_000)),
        ("a delay of 20 percent", delay(20.0), times(1_000, 10_000)),
        ("a delay of 2 percent", delay(2.0), times(0, 10_000)),
    ] {
        if pairs > 0 {
            let verdict =
                Verdict::of(|| measure(pairs, plant, Interval::AfterTheCooldown).compare());
            record(
                &format!("time of forgot with {what} planted"),
                pairs,
                &verdict,
            );
            assert!(verdict.is_difference(), "{what}: {verdict}");
        }
    }
}

/// The time between two requests for an address.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Interval {
    AfterTheCooldown,
    WithinTheCooldown,
}

/// Measures the times of requests: known addresses left, unknown ones right.
///
/// Each round requests a link for every address once, in a new order. So both kinds have the same history.
fn measure(pairs: usize, plant: Plant, interval: Interval) -> Samples {
    runtime().block_on(async {
        let bench = Bench::open().await;
        let mut known = bench::addresses(2 * POOL);
        let unknown = known.split_off(POOL);
        for email in &known {
            bench.user(email).await;
        }
        let mut all: Vec<String> = known.iter().chain(&unknown).cloned().collect();
        let function = Planted {
            function: &bench.forgot,
            bench: &bench,
            plant,
            known: known.into_iter().collect(),
        };
        let mut samples = Samples::default();
        // The first two rounds have cold connections and new addresses.
        for round in 0..pairs.div_ceil(POOL) + 2 {
            if interval == Interval::AfterTheCooldown || round < 2 {
                bench.later(SignedDuration::from_secs(61));
            }
            shuffle(&mut all);
            for email in &all {
                let body = json!({ "email": email, "reset_url": PAGE });
                let time = bench.time(&function, &body, 202).await;
                if round >= 2 {
                    let is_known = function.known.contains(email);
                    samples.add(is_known, time);
                }
            }
        }
        samples
    })
}
