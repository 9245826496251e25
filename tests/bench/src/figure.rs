//! A figure of the report: a measure, its value, and its target.

use serde::Serialize;

use crate::stats::Summary;

/// One measure and its target.
#[derive(Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) measure: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    /// The spread, if there were several measurements.
    pub(crate) spread: Option<Summary>,
    pub(crate) target: Option<f64>,
    pub(crate) reached: bool,
}

impl Figure {
    /// Returns a figure that must not exceed its target.
    pub(crate) fn at_most(
        target: f64,
        measure: &'static str,
        unit: &'static str,
        value: f64,
    ) -> Self {
        let reached = value <= target;
        Self {
            measure,
            unit,
            value,
            spread: None,
            target: Some(target),
            reached,
        }
    }

    /// Returns a figure that must reach its target.
    pub(crate) fn at_least(
        target: f64,
        measure: &'static str,
        unit: &'static str,
        value: f64,
    ) -> Self {
        let reached = value >= target;
        Self {
            reached,
            ..Self::at_most(target, measure, unit, value)
        }
    }

    /// Returns the median of several measurements, which must not exceed its target.
    pub(crate) fn median(
        target: f64,
        measure: &'static str,
        unit: &'static str,
        all: Summary,
    ) -> Self {
        Self {
            spread: Some(all),
            ..Self::at_most(target, measure, unit, all.median)
        }
    }

    /// Returns the median of several measurements, without a target.
    pub(crate) fn untargeted(measure: &'static str, unit: &'static str, all: Summary) -> Self {
        Self {
            target: None,
            ..Self::median(f64::INFINITY, measure, unit, all)
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
