//! The model's clock, which counts ticks.

use jiff::{SignedDuration, Timestamp};
use rekey::table::rows;

/// A tick of the clock: half of the lease.
pub(super) const TICK: SignedDuration = SignedDuration::from_secs(30);
/// The lease of a claim, in ticks. A directory's function ends before, counted from the claim.
pub(super) const LEASE: u8 = 2;
/// The time that a public half lives after its claim, in ticks: at most the 29 seconds of its timeout.
pub(super) const HALF: u8 = 1;

pub(super) fn time(tick: u8) -> Timestamp {
    let noon: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    noon + TICK * tick.into()
}

/// Returns the tick of a time that the product computed from one.
pub(super) fn tick(time: Timestamp) -> u8 {
    let since = time.duration_since(self::time(0));
    let ticks = since.as_millis() / TICK.as_millis();
    ticks.try_into().unwrap()
}

#[test]
fn a_lease_is_two_ticks() {
    assert_eq!(TICK * LEASE.into(), rows::LEASE);
    assert_eq!(tick(time(3) + rows::LEASE), 3 + LEASE);
}
