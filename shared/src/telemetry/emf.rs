//! `CloudWatch`'s embedded metric format.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::metric::Metric;
use crate::request_id::RequestId;

/// A log line with a metric (CloudWatch User Guide, "Specification: Embedded metric format").
#[derive(Serialize)]
pub(super) struct Measurement<'a> {
    timestamp: String,
    level: &'static str,
    event: Metric,
    detail: &'a str,
    request_id: &'a RequestId,
    #[serde(rename = "Stack")]
    stack: &'a str,
    /// The value, under the metric's name.
    #[serde(flatten)]
    value: BTreeMap<Metric, u32>,
    #[serde(rename = "_aws")]
    directive: Directive,
}

impl<'a> Measurement<'a> {
    pub(super) fn new(
        (metric, value): (Metric, u32),
        detail: &'a str,
        request_id: &'a RequestId,
        stack: &'a str,
        now: Timestamp,
    ) -> Self {
        Self {
            timestamp: now.to_string(),
            level: "INFO",
            event: metric,
            detail,
            request_id,
            stack,
            value: BTreeMap::from([(metric, value)]),
            directive: Directive::new(metric, now),
        }
    }
}

/// The metric that `CloudWatch` extracts from a line.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Directive {
    timestamp: i64,
    #[serde(rename = "CloudWatchMetrics")]
    metrics: [Metrics; 1],
}

impl Directive {
    pub(super) fn new(metric: Metric, now: Timestamp) -> Self {
        Self {
            timestamp: now.as_millisecond(),
            metrics: [Metrics {
                namespace: "Rekey",
                dimensions: [["Stack"]],
                definitions: [Definition {
                    name: metric,
                    unit: metric.unit(),
                }],
            }],
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    #[serde(rename = "Metrics")]
    definitions: [Definition; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: Metric,
    unit: &'static str,
}
