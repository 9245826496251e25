//! Welch's t-test for the times of two kinds of requests, as `dudect` uses it.
//!
//! The method is from O. Reparaz, J. Balasch, I. Verbauwhede, "Dude, is my code constant time?", DATE 2017. Both kinds
//! are measured in a random order, and compared by Welch's t in three ways:
//!
//! - on all samples;
//! - on the samples below each of 100 percentiles, because the machine causes most slow samples, and a difference is
//!   clearer without them;
//! - on the squared distances from the mean, which shows a difference in spread.
//!
//! The largest |t| counts, and 4.5 is the threshold for a real difference. By chance, one test reaches it once in
//! 150,000 times.
//!
//! These are 102 tests, on mostly the same samples. By chance, one of them reaches the threshold at most once in 1,400
//! times. Such a failure of the build must be rarer, without missing a leak. So a difference counts only if it is found
//! twice, the second time with new addresses, a new order, and another table. A real leak is found again.

use std::fmt;

/// The |t| from which a difference is real.
pub(crate) const THRESHOLD: f64 = 4.5;

/// The times of two kinds of requests, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) left: Vec<f64>,
    pub(crate) right: Vec<f64>,
}

/// The t with the largest absolute value, and its test. It is positive if the left kind takes longer.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) t: f64,
    test: String,
    /// The median of both kinds together, in microseconds.
    pub(crate) median: f64,
    /// The difference of the medians, left minus right.
    difference: f64,
}

impl Samples {
    pub(crate) fn add(&mut self, is_left: bool, microseconds: f64) {
        let kind = if is_left {
            &mut self.left
        } else {
            &mut self.right
        };
        kind.push(microseconds);
    }

    /// Runs all tests.
    pub(crate) fn compare(&self) -> Finding {
        self.compare_beyond(0.0)
    }

    /// Runs all tests, but ignores a difference of up to `margin` microseconds between the means.
    pub(crate) fn compare_beyond(&self, margin: f64) -> Finding {
        let mut all: Vec<f64> = self.left.iter().chain(&self.right).copied().collect();
        all.sort_by(f64::total_cmp);
        let raw = welch_beyond(margin, &self.left, &self.right);
        let mut largest = (raw, "raw".to_owned());
        let mut note = |t: f64, test: &dyn Fn() -> String| {
            if t.abs() > largest.0.abs() {
                largest = (t, test());
            }
        };
        for crop in 1..=100 {
            let share = 1.0 - 0.5_f64.powf(10.0 * f64::from(crop) / 100.0);
            let limit = percentile(&all, share);
            let below = |samples: &[f64]| -> Vec<f64> {
                let below = samples.iter().copied().filter(|sample| *sample < limit);
                below.collect()
            };
            let t = welch_beyond(margin, &below(&self.left), &below(&self.right));
            note(t, &|| format!("below the percentile {:.1}", share * 100.0));
        }
        let t = welch(&spread(&self.left), &spread(&self.right));
        note(t, &|| "spread".to_owned());
        let (t, test) = largest;
        Finding {
            t,
            test,
            median: percentile(&all, 0.5),
            difference: median(&self.left) - median(&self.right),
        }
    }
}

impl Finding {
    pub(crate) fn is_difference(&self) -> bool {
        self.t.abs() >= THRESHOLD
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            t,
            test,
            median,
            difference,
        } = self;
        write!(
            f,
            "t = {t:.2} ({test}), medians {difference:+.1} µs apart at {median:.0} µs"
        )
    }
}

/// The findings of a run and its repetition.
#[derive(Debug, Default)]
pub(crate) struct Verdict(pub(crate) Vec<Finding>);

impl Verdict {
    /// Measures once, and again if the first run finds a difference.
    pub(crate) fn of(mut measure: impl FnMut() -> Finding) -> Self {
        let [verdict] = Self::of_each(|| [measure()]);
        verdict
    }

    /// Does the same for several comparisons that are measured together.
    pub(crate) fn of_each<const N: usize>(mut measure: impl FnMut() -> [Finding; N]) -> [Self; N] {
        let mut verdicts = measure().map(|first| Self(vec![first]));
        if verdicts.iter().any(|verdict| verdict.0[0].is_difference()) {
            for (verdict, again) in verdicts.iter_mut().zip(measure()) {
                verdict.0.push(again);
            }
        }
        verdicts
    }

    /// Returns whether both runs found a difference in the same direction.
    pub(crate) fn is_difference(&self) -> bool {
        let all_differ = self.0.iter().all(Finding::is_difference);
        let direction = |finding: &Finding| finding.t.is_sign_positive();
        self.0.len() == 2 && all_differ && direction(&self.0[0]) == direction(&self.0[1])
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, finding) in self.0.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { "; repeated: " })?;
            finding.fmt(f)?;
        }
        Ok(())
    }
}

/// Returns Welch's t: the difference of two means, in units of its standard error.
fn welch(left: &[f64], right: &[f64]) -> f64 {
    welch_beyond(0.0, left, right)
}

/// Returns Welch's t of the part of the difference that exceeds `margin`.
fn welch_beyond(margin: f64, left: &[f64], right: &[f64]) -> f64 {
    let ((mean, error), (other_mean, other_error)) = (moments(left), moments(right));
    let error = (error + other_error).sqrt();
    let difference = mean - other_mean;
    let excess = (difference.abs() - margin).max(0.0).copysign(difference);
    // With too few samples, there is no spread.
    if error > 0.0 && error.is_finite() {
        excess / error
    } else {
        0.0
    }
}

/// Returns the mean and the square of its standard error.
fn moments(samples: &[f64]) -> (f64, f64) {
    let count = number(samples.len());
    let mean = samples.iter().sum::<f64>() / count;
    let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    (mean, squares / (count - 1.0) / count)
}

fn spread(samples: &[f64]) -> Vec<f64> {
    let (mean, _) = moments(samples);
    samples
        .iter()
        .map(|sample| (sample - mean).powi(2))
        .collect()
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    percentile(&sorted, 0.5)
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into the list"
    )]
    let place = (share * number(sorted.len())) as usize;
    sorted[place.min(sorted.len() - 1)]
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

#[test]
fn welch_matches_a_known_value() {
    let t = welch(&[1.0, 2.0, 3.0, 4.0], &[2.0, 4.0, 6.0, 8.0]);
    assert!((t + 3.0_f64.sqrt()).abs() < 1e-9, "{t}");
    assert!(welch(&[1.0], &[2.0]).abs() < 1e-9, "too few samples");
}

/// The machine causes a few slow requests. They hide a difference only from the test on all samples.
#[test]
fn slow_outliers_do_not_hide_a_difference() {
    let samples = |offset: f64| -> Vec<f64> {
        let outlier = |n: u32| {
            if n.is_multiple_of(100) {
                1e6 * f64::from(n)
            } else {
                0.0
            }
        };
        (0..2_000)
            .map(|n| f64::from(n * 7 % 100) + outlier(n) + offset)
            .collect()
    };
    let differing = Samples {
        left: samples(10.0),
        right: samples(0.0),
    };
    assert!(welch(&differing.left, &differing.right).abs() < 1.0);
    assert!(differing.compare().t > THRESHOLD);
    let alike = Samples {
        left: samples(0.0),
        right: samples(0.0),
    };
    assert!(!alike.compare().is_difference());
}

#[test]
fn differences_within_the_margin_are_ignored() {
    let samples = |offset: f64| -> Vec<f64> {
        let noise = |n: u32| f64::from(n * 7 % 100);
        (0..2_000).map(|n| noise(n) + offset).collect()
    };
    for (offset, expected) in [
        (540.0, true),
        (-540.0, true),
        (460.0, false),
        (-460.0, false),
    ] {
        let shifted = Samples {
            left: samples(offset),
            right: samples(0.0),
        };
        let finding = shifted.compare_beyond(500.0);
        assert_eq!(finding.is_difference(), expected, "{offset}: {finding}");
        assert!(shifted.compare().is_difference(), "{offset}, no margin");
    }
}
