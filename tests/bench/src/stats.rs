//! What many measurements of one thing come to.

use std::time::Duration;

use serde::Serialize;

/// Measurements, in milliseconds or as ratios.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

/// What is told of them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) n: usize,
    pub(crate) median: f64,
    /// A tenth are below.
    pub(crate) p10: f64,
    /// A tenth are above.
    pub(crate) p90: f64,
    pub(crate) p99: f64,
}

impl Sample {
    pub(crate) fn push(&mut self, took: Duration) {
        self.push_milliseconds(took.as_secs_f64() * 1000.0);
    }

    /// A difference may be less than nothing.
    pub(crate) fn push_milliseconds(&mut self, milliseconds: f64) {
        self.0.push(milliseconds);
    }

    /// The ratios of measurements that were taken one after the other: what disturbs the machine disturbs both.
    pub(crate) fn over(&self, other: &Self) -> Self {
        self.paired(other, |a, b| a / b)
    }

    /// The differences, likewise.
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

    /// The smallest.
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

/// The nearest rank; the mean of two for an even median would make no difference that anybody could see.
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
