//! Rate limits.
//!
//! Requests count the same whether or not an account exists for the address. The table counts for all instances of a
//! function together. Each instance also counts the sources that it has seen itself, so it rejects a flood without
//! calling `DynamoDB`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::config::Env;
use crate::source::Source;

/// The limits of a deployment.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time after a request during which further requests for the same address send nothing.
    pub cooldown: SignedDuration,
    /// The limit on requests from one source, for each route.
    pub source: Limit,
    /// The limits on links sent to one address.
    pub address: AddressLimits,
    /// The limit on requests for links that are processed in a day, from all sources together.
    pub daily_emails: Limit,
}

impl Limits {
    /// Reads `COOLDOWN_SECONDS`, `SOURCE_LIMIT`, `SOURCE_WINDOW_SECONDS`, `ADDRESS_LIMIT`, `ADDRESS_DAILY_LIMIT`, and
    /// `DAILY_MAIL_BUDGET`. Rejects limits that contradict each other.
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
            let expected = format!(
                "at most {} seconds, the lifetime of a link (TOKEN_LIFETIME_MINUTES)",
                lifetime.as_secs()
            );
            let actual = self.cooldown.as_secs().to_string();
            env.report("COOLDOWN_SECONDS", &actual, &expected);
        }
        if self.address.live > self.address.daily {
            let expected = format!("at most {} (ADDRESS_DAILY_LIMIT)", self.address.daily);
            env.report("ADDRESS_LIMIT", &self.address.live.to_string(), &expected);
        }
        // Otherwise a few sources could use up the day's budget, and no one else would get a link.
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
            let expected = format!(
                "a limit that allows each source at most {} requests a day, a quarter of DAILY_MAIL_BUDGET \
                 ({per_day}), instead of {of_one_source} (SOURCE_WINDOW_SECONDS is {window})",
                per_day / 4
            );
            env.report("SOURCE_LIMIT", &per_source.to_string(), &expected);
        }
    }
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The limits on links that are sent to one address.
#[derive(Clone, Copy, Debug)]
pub struct AddressLimits {
    /// The number of links that may be live at a time.
    pub live: u32,
    /// The number of links in 24 hours after which only one may be live at a time.
    pub daily: u32,
}

/// A maximum for each window. Windows all have the same length and follow one another from 1970 on.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The maximum in a window.
    pub max: u32,
    /// The length of a window, in whole seconds.
    pub window: SignedDuration,
}

impl Limit {
    /// Returns the start of the current window.
    pub fn window_start(&self, now: Timestamp) -> Timestamp {
        now - SignedDuration::new(
            now.as_second().rem_euclid(self.window.as_secs()),
            now.subsec_nanosecond(),
        )
    }

    /// Returns the end of the current window.
    pub fn window_end(&self, now: Timestamp) -> Timestamp {
        self.window_start(now) + self.window
    }
}

/// This instance's counts of the sources that it has seen in the current window.
///
/// They include requests that the table does not count: a request within the cooldown cancels the transaction that
/// would count it. They also reject a source at its limit without calling `DynamoDB`, since a flood would make its row
/// hot.
#[derive(Debug, Default)]
pub(crate) struct LocalLimiter(Mutex<HashMap<Source, (Timestamp, u32)>>);

impl LocalLimiter {
    /// The maximum number of sources. Memory is finite, and an attacker may use any number of sources.
    const CAPACITY: usize = 10_000;

    /// Counts one more request of a source, and returns whether it is within the limit.
    pub(crate) fn allows(&self, source: Source, limit: &Limit, now: Timestamp) -> bool {
        let window = limit.window_start(now);
        // The counts are valid even if another thread panicked.
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= Self::CAPACITY && !counts.contains_key(&source) {
            counts.retain(|_, (started, _)| *started == window);
            if counts.len() >= Self::CAPACITY {
                counts.clear();
            }
        }
        let (started, count) = counts.entry(source).or_insert((window, 0));
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
    fn each_window_starts_a_new_count() {
        let limiter = LocalLimiter::default();
        let source = Source::parse(Some("192.0.2.1"));
        let allowed = |now| {
            (0..5)
                .filter(|_| limiter.allows(source, &LIMIT, now))
                .count()
        };
        assert_eq!(allowed(noon()), 3);
        assert_eq!(allowed(noon() + SignedDuration::from_secs(300)), 3);
    }

    fn numbered(n: usize) -> Source {
        let address = format!("2001:db8:{:x}:{:x}::1", n >> 16, n & 0xffff);
        Source::parse(Some(&address))
    }

    #[test]
    fn a_full_limiter_still_rejects_a_flood() {
        let flood = Source::parse(Some("192.0.2.1"));
        for others_at in [noon(), noon() - LIMIT.window] {
            let limiter = LocalLimiter::default();
            for n in 1..LocalLimiter::CAPACITY {
                limiter.allows(numbered(n), &LIMIT, others_at);
            }
            assert!((0..3).all(|_| limiter.allows(flood, &LIMIT, noon())));
            assert!(!limiter.allows(flood, &LIMIT, noon()));
        }
    }

    #[test]
    fn a_full_limiter_drops_earlier_windows_first() {
        let (limiter, flood) = (LocalLimiter::default(), Source::parse(Some("192.0.2.1")));
        for n in 1..LocalLimiter::CAPACITY {
            limiter.allows(numbered(n), &LIMIT, noon() - LIMIT.window);
        }
        assert!((0..3).all(|_| limiter.allows(flood, &LIMIT, noon())));
        assert!(limiter.allows(numbered(0), &LIMIT, noon()));
        assert!(!limiter.allows(flood, &LIMIT, noon()));
    }

    #[test]
    fn many_sources_do_not_exceed_the_capacity() {
        let limiter = LocalLimiter::default();
        for n in 0..3 * LocalLimiter::CAPACITY {
            assert!(limiter.allows(numbered(n), &LIMIT, noon()));
        }
        assert!(limiter.0.lock().unwrap().len() <= LocalLimiter::CAPACITY);
    }
}
