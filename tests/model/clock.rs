//! The model's clock, which counts ticks.

use jiff::{SignedDuration, Timestamp};

/// A tick of the clock: the longest of which the cooldown and the lifetime are multiples.
pub(crate) const TICK: SignedDuration = SignedDuration::from_mins(30);
/// The cooldown, in ticks.
pub(crate) const COOLDOWN: u8 = 1;
/// The lifetime of a link, in ticks: an hour, the default. At the same age, a record moves to the failure queue.
pub(crate) const LIFETIME: u8 = 2;

pub(crate) fn time(tick: u8) -> Timestamp {
    let noon: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    noon + TICK * tick.into()
}
