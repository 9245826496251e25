//! How often is too often.
//!
//! What is asked for counts alike whether or not an address has an account. The table counts for all instances of a
//! function together; beside it each instance remembers the sources that it has seen itself, so that a flood ends there.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::config::Env;
use crate::source::Source;

/// The limits of a deployment.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long after a request further ones for the same address send nothing.
    pub cooldown: SignedDuration,
    /// Of one source, at each door.
    pub source: Limit,
    /// The limits on links sent to one address.
    pub address: AddressLimits,
    /// Of requests for links, of everybody together.
    pub daily_emails: Limit,
}

impl Limits {
    /// Reads `COOLDOWN_SECONDS`, `SOURCE_LIMIT`, `SOURCE_WINDOW_SECONDS`, `ADDRESS_LIMIT`, `ADDRESS_DAILY_LIMIT` and
    /// `DAILY_MAIL_BUDGET`, and rejects limits that contradict each other.
    pub fn read(env: &mut Env<'_>, lifetime: Option<SignedDuration>) -> Option<Self> {
        let cooldown = env.number("COOLDOWN_SECONDS", 60, 1..=3600);
        let per_source = env.number("SOURCE_LIMIT", 100, 1..=100_000);
        let window = env.number("SOURCE_WINDOW_SECONDS", 1800, 10..=3600);
        let live = env.number("ADDRESS_LIMIT", 5, 1..=1000);
        let daily = env.number("ADDRESS_DAILY_LIMIT", 20, 1..=1000);
        let per_day = env.number("DAILY_MAIL_BUDGET", 25_000, 96..=100_000_000);
        let limits = Self {
            cooldown: SignedDuration::from_secs(cooldown?.into()),
            source: Limit {
                max: per_source?,
                window: SignedDuration::from_secs(window?.into()),
            },
            address: AddressLimits {
                live: live?,
                daily: daily?,
            },
            daily_emails: Limit {
                max: per_day?,
                window: DAY,
            },
        };
        limits.reject_contradictions(env, lifetime?);
        Some(limits)
    }

    /// Reports each pair of settings that contradict each other.
    fn reject_contradictions(&self, env: &mut Env<'_>, lifetime: SignedDuration) {
        if self.cooldown > lifetime {
            let wanted = format!(
                "at most {} seconds, as long as a link lives (TOKEN_LIFETIME_MINUTES)",
                lifetime.as_secs()
            );
            let found = self.cooldown.as_secs().to_string();
            env.report("COOLDOWN_SECONDS", &found, &wanted);
        }
        if self.address.live > self.address.daily {
            let wanted = format!("at most {} (ADDRESS_DAILY_LIMIT)", self.address.daily);
            env.report("ADDRESS_LIMIT", &self.address.live.to_string(), &wanted);
        }
        // Otherwise a few sources could use up the day's emails, and everybody else would wait.
        let (day, window) = (DAY.as_secs(), self.source.window.as_secs());
        // A window that does not divide the day can begin on one day and end on the next.
        let windows = if day % window == 0 {
            day / window
        } else {
            day / window + 2
        };
        let (per_source, per_day) = (self.source.max, self.daily_emails.max);
        let of_one_source = i64::from(per_source) * windows;
        if of_one_source * 4 > i64::from(per_day) {
            let wanted = format!(
                "a limit for which one source has at most {} requests a day, a quarter of DAILY_MAIL_BUDGET \
                 ({per_day}); with SOURCE_WINDOW_SECONDS ({window}) it has {of_one_source}",
                per_day / 4
            );
            env.report("SOURCE_LIMIT", &per_source.to_string(), &wanted);
        }
    }
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How many links one address may be sent.
#[derive(Clone, Copy, Debug)]
pub struct AddressLimits {
    /// The number of links that may be alive at a time.
    pub live: u32,
    /// The number of links in 24 hours after which one may be alive at a time.
    pub daily: u32,
}

/// So many in a window. Windows follow one another, all of the same length, from 1970 on.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// How many.
    pub max: u32,
    /// The length of a window, in whole seconds.
    pub window: SignedDuration,
}

impl Limit {
    /// When the window of now began.
    pub fn window_start(&self, now: Timestamp) -> Timestamp {
        now - SignedDuration::new(
            now.as_second().rem_euclid(self.window.as_secs()),
            now.subsec_nanosecond(),
        )
    }

    /// When the window of now ends.
    pub fn window_end(&self, now: Timestamp) -> Timestamp {
        self.window_start(now) + self.window
    }
}

/// The sources that this process has seen in their windows of now.
///
/// It counts what the table may not have: a transaction that meets the cooldown takes its counter back. And it answers
/// a source that has had enough without asking the table, whose row a flood would otherwise make hot.
#[derive(Debug, Default)]
pub(crate) struct LocalLimiter(Mutex<HashMap<Source, (Timestamp, u32)>>);

impl LocalLimiter {
    /// The most sources that are remembered. A stranger can make up sources; memory is finite.
    const CAPACITY: usize = 10_000;

    /// Counts one more of a source, and says whether that is still within the limit.
    pub(crate) fn allows(&self, source: Source, limit: &Limit, now: Timestamp) -> bool {
        let window = limit.window_start(now);
        // A count is right whatever happened to another one.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= Self::CAPACITY && !seen.contains_key(&source) {
            seen.retain(|_, (started, _)| *started == window);
            if seen.len() >= Self::CAPACITY {
                seen.clear();
            }
        }
        let (started, count) = seen.entry(source).or_insert((window, 0));
        if *started != window {
            (*started, *count) = (window, 0);
        }
        *count = count.saturating_add(1);
        *count <= limit.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit {
        max: 3,
        window: SignedDuration::from_secs(300),
    };

    fn noon() -> Timestamp {
        "2026-11-23T12:00:00.250Z".parse().unwrap()
    }

    #[test]
    fn windows_follow_one_another_in_whole_seconds() {
        let start: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        assert_eq!(LIMIT.window_start(noon()), start);
        assert_eq!(LIMIT.window_end(noon()), start + LIMIT.window);
        assert_eq!(
            LIMIT.window_start(start + LIMIT.window),
            start + LIMIT.window
        );
    }

    #[test]
    fn a_source_is_counted_anew_in_each_window() {
        let seen = LocalLimiter::default();
        let source = Source::parse(Some("192.0.2.1"));
        let allowed = |now| (0..5).filter(|_| seen.allows(source, &LIMIT, now)).count();
        assert_eq!(allowed(noon()), 3);
        assert_eq!(allowed(noon() + SignedDuration::from_secs(300)), 3);
    }

    fn made_up(n: usize) -> Source {
        let address = format!("2001:db8:{:x}:{:x}::1", n >> 16, n & 0xffff);
        Source::parse(Some(&address))
    }

    #[test]
    fn a_full_memory_still_knows_a_flood() {
        let flood = Source::parse(Some("192.0.2.1"));
        for others_asked_at in [noon(), noon() - LIMIT.window] {
            let seen = LocalLimiter::default();
            for n in 1..LocalLimiter::CAPACITY {
                seen.allows(made_up(n), &LIMIT, others_asked_at);
            }
            assert!((0..3).all(|_| seen.allows(flood, &LIMIT, noon())));
            assert!(!seen.allows(flood, &LIMIT, noon()));
        }
    }

    #[test]
    fn a_full_memory_forgets_earlier_windows_first() {
        let (seen, flood) = (LocalLimiter::default(), Source::parse(Some("192.0.2.1")));
        for n in 1..LocalLimiter::CAPACITY {
            seen.allows(made_up(n), &LIMIT, noon() - LIMIT.window);
        }
        assert!((0..3).all(|_| seen.allows(flood, &LIMIT, noon())));
        assert!(seen.allows(made_up(0), &LIMIT, noon()));
        assert!(!seen.allows(flood, &LIMIT, noon()));
    }

    #[test]
    fn made_up_sources_do_not_fill_the_memory() {
        let seen = LocalLimiter::default();
        for n in 0..3 * LocalLimiter::CAPACITY {
            assert!(seen.allows(made_up(n), &LIMIT, noon()));
        }
        assert!(seen.0.lock().unwrap().len() <= LocalLimiter::CAPACITY);
    }
}
