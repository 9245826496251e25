//! The pace of the private halves, which must not depend on whether an account exists for an address.

use std::time::Duration;

use tokio::time::Instant;

/// The times at which the emails of a batch leave and the batch ends.
///
/// A record that sends an email takes longer than one for an unknown address. If that delay reached other records, an
/// attacker could put a suspect's address among their own. Their own emails would then show whether the suspect has an
/// account.
///
/// So timers set the pace, not the work. All records start at once, and each email leaves at an offset that depends
/// only on its record's index. The batch ends at a multiple of a fixed quantum.
///
/// This holds only if the work before an email fits into `preparation`, and SES's response into the quantum.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time from the start of the batch until its first email leaves.
    pub preparation: Duration,
    /// The time between the emails of neighboring records.
    pub spacing: Duration,
    /// The unit of a batch's duration: every batch lasts a multiple of it.
    pub quantum: Duration,
}

impl Pace {
    /// The pace in production: 64 links a second for each shard.
    pub const STEADY: Self = Self {
        preparation: Duration::from_millis(80),
        spacing: Duration::from_millis(3),
        quantum: Duration::from_millis(250),
    };
    /// A pace without waits, for tests of everything else.
    pub const UNPACED: Self = Self {
        preparation: Duration::ZERO,
        spacing: Duration::ZERO,
        quantum: Duration::ZERO,
    };

    /// Waits until a batch that began at `start` may end.
    pub(crate) async fn end(self, start: Instant) {
        if !self.quantum.is_zero() {
            let quanta = start.elapsed().div_duration_f64(self.quantum).ceil();
            tokio::time::sleep_until(start + self.quantum.mul_f64(quanta)).await;
        }
    }
}

/// The time at which a record's email may leave.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    start: Instant,
    index: u32,
    pace: Pace,
}

impl Departure {
    /// Returns the departure of the record at this index of a batch that began at `start`.
    pub(crate) fn at(start: Instant, index: u32, pace: Pace) -> Self {
        Self { start, index, pace }
    }

    /// Waits for the next quantum of the batch, and returns the departure in it.
    ///
    /// A directory's function may take longer than `preparation` to find users. If the email left as soon as possible,
    /// the work for a known user could reach into one more quantum, and the duration of the batch would show it. So each
    /// record, whether a user was found or not, waits for another quantum.
    #[must_use]
    pub async fn in_the_next_quantum(self) -> Self {
        self.pace.end(self.start).await;
        Self {
            start: Instant::now(),
            ..self
        }
    }

    /// Waits until the email may leave. Call this just before sending the email.
    pub async fn wait(self) {
        let offset = self.pace.preparation + self.pace.spacing * self.index;
        if !offset.is_zero() {
            tokio::time::sleep_until(self.start + offset).await;
        }
    }
}
