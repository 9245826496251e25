//! Summaries of repeated measurements.

use std::time::Duration;

use serde::Serialize;

/// Measurements, in milliseconds or as ratios.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

/// The summary of a sample.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) n: usize,
    pub(crate) median: f64,
    /// The value that a tenth are below.
    pub(crate) p10: f64,
    /// The value that a tenth are above.
    pub(crate) p90: f64,
    pub(crate) p99: f64,
}

impl Sample {
    pub(crate) fn push(&mut self, took: Duration) {
        self.push_milliseconds(took.as_secs_f64() * 1000.0);
    }

    /// Adds a value in milliseconds. A difference may be negative.
    pub(crate) fn push_milliseconds(&mut self, milliseconds: f64) {
        self.0.push(milliseconds);
    }

    /// Returns the ratios of measurements that were taken in turn, so that a disturbance of the machine affects both.
    pub(crate) fn over(&self, other: &Self) -> Self {
        self.paired(other, |a, b| a / b)
    }

    /// Returns the differences of such measurements.
    pub(crate) fn less(&self, other: &Self) -> Self {
        self.paired(other, |a, b| a - b)
    }

    fn paired(&self, other: &Self, pair: impl Fn(f64, f64) -> f64) -> Self {
        Self(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(a, b)| pair(*a, *b))
                .collect(),
        )
    }

    /// Returns the smallest value.
    pub(crate) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        Summary {
            n: sorted.len(),
            median: at(&sorted, 0.5),
            p10: at(&sorted, 0.1),
            p90: at(&sorted, 0.9),
            p99: at(&sorted, 0.99),
        }
    }
}

/// Returns the value at the nearest rank. The mean of two values for an even median would differ too little to matter.
fn at(sorted: &[f64], part: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into a few thousand"
    )]
    let index = ((sorted.len().saturating_sub(1)) as f64 * part).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
