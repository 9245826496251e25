//! The report of a run, as tables and as JSON.

use serde::Serialize;

use crate::cold::{AtShare, Cold};
use crate::growth::Growth;
use crate::hashes::Implementation;
use crate::measure::{Delivery, Warm};
use crate::peers::Function;
use crate::stats::{Sample, Summary};

/// The results of one run.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) date: String,
    /// The mechanism that held processes to their share of a core.
    pub(crate) throttled_by: &'static str,
    pub(crate) figures: Vec<Figure>,
    pub(crate) functions: Vec<Function>,
    pub(crate) argon2id: Vec<Implementation>,
    pub(crate) growth: Vec<Growth>,
}

/// The measurements of one run.
pub(crate) struct Measured {
    /// The cold starts at each of [`crate::share::Share::ALL`].
    pub(crate) cold: Vec<Cold>,
    pub(crate) throttled_by: &'static str,
    pub(crate) hello: Warm,
    pub(crate) forgot: Warm,
    pub(crate) reset: Warm,
    /// The time of a reset beyond argon2id and its round trips.
    pub(crate) beyond: Sample,
    pub(crate) turns: [usize; 2],
    pub(crate) delivery: Delivery,
    pub(crate) sizes: [u64; 2],
    pub(crate) argon2id: Vec<Implementation>,
    pub(crate) peers: Vec<Function>,
    pub(crate) growth: Vec<Growth>,
    /// The growth of the half whose calls grow the most.
    pub(crate) largest_growth: Summary,
}

impl Measured {
    pub(crate) fn report(self, machine: String, date: String) -> Report {
        let figures = [self.cold_starts(), self.warm_calls(), self.size_figures()].concat();
        let Self {
            cold,
            throttled_by,
            hello,
            forgot,
            reset,
            argon2id,
            peers,
            growth,
            ..
        } = self;
        let mut functions = vec![
            Function {
                name: "hello world (the floor)".to_owned(),
                cold_forgot: cold.iter().map(|cold| cold.hello.at(cold.share)).collect(),
                warm_forgot: hello.whole.summary(),
                warm_reset: None,
                peak_memory: hello.peak_memory,
            },
            Function {
                name: "Rekey".to_owned(),
                cold_forgot: cold.iter().map(|cold| cold.forgot.at(cold.share)).collect(),
                warm_forgot: forgot.whole.summary(),
                warm_reset: Some(reset.whole.summary()),
                peak_memory: forgot.peak_memory.max(reset.peak_memory),
            },
        ];
        functions.extend(peers);
        Report {
            machine,
            date,
            throttled_by,
            figures,
            functions,
            argon2id,
            growth,
        }
    }

    fn cold_starts(&self) -> Vec<Figure> {
        let [whole, mb1024, mb256] = self.cold.as_slice() else {
            unreachable!("each share is measured");
        };
        let over_hello = |sample: &Sample, cold: &Cold| sample.over(&cold.hello.cpu).summary();
        let times = "times hello world";
        vec![
            Figure::median(
                3.5,
                "cold start of forgot over TLS, CPU time",
                times,
                over_hello(&whole.forgot.cpu, whole),
            ),
            Figure::untargeted(
                "cold start of forgot over TLS, a whole core",
                "ms",
                whole.forgot.whole.summary(),
            ),
            Figure::untargeted(
                "the same at the CPU share of 1024 MB",
                "ms",
                mb1024.forgot.whole.summary(),
            ),
            Figure::untargeted(
                "the same at the CPU share of 256 MB",
                "ms",
                mb256.forgot.whole.summary(),
            ),
            Figure::untargeted(
                "cold start of reset over TLS, 1024 MB, no argon2id",
                "ms",
                mb1024.reset.whole.summary(),
            ),
            Figure::at_least(
                40.0,
                "cold start of the fastest peer, at the worst share",
                "times Rekey's",
                self.fastest_peer(|cold| cold.itself.median),
            ),
            Figure::at_least(
                40.0,
                "the same of its CPU time",
                "times Rekey's",
                self.fastest_peer(|cold| cold.cpu.median),
            ),
        ]
    }

    /// Returns the ratio of the fastest peer to `forgot`, at the share with the smallest ratio.
    fn fastest_peer(&self, of: impl Fn(&AtShare) -> f64) -> f64 {
        let ratios = self.cold.iter().map(|cold| {
            let peers = self.peers.iter().flat_map(|peer| &peer.cold_forgot);
            let peers = peers.filter(|peer| peer.share == cold.share).map(&of);
            peers.fold(f64::INFINITY, f64::min) / of(&cold.forgot.at(cold.share))
        });
        ratios.fold(f64::INFINITY, f64::min)
    }

    fn warm_calls(&self) -> Vec<Figure> {
        let beyond_hello = self.forgot.itself.less(&self.hello.itself).summary();
        let [forgot, reset] = self.turns.map(to_float);
        let (delivery, fastest) = (&self.delivery, self.argon2id[0].ratio);
        vec![
            Figure::median(
                0.25,
                "forgot, warm, AWS at once, beyond hello world",
                "ms",
                beyond_hello,
            ),
            Figure::at_most(1.0, "forgot: round trips to AWS in turn", "number", forgot),
            Figure::at_most(2.0, "reset: round trips to AWS in turn", "number", reset),
            Figure::median(
                0.5,
                "reset, warm, beyond argon2id and round trips",
                "ms",
                self.beyond.summary(),
            ),
            Figure::median(
                1.15,
                "argon2id, over the fastest audited or widely used",
                "times",
                fastest,
            ),
            Figure::at_least(
                60.0,
                "links of one instance, SES at 20 ms",
                "a second",
                delivery.links_per_second,
            ),
            Figure::at_most(
                16.0,
                "emails sent to SES at one time",
                "number",
                to_float(delivery.at_once),
            ),
            Figure::untargeted("a link's CPU time", "ms", delivery.own),
            Figure::median(
                1.25,
                "slowest half at a million rows, over a thousand",
                "times",
                self.largest_growth,
            ),
        ]
    }

    fn size_figures(&self) -> Vec<Figure> {
        const ARGON2: u64 = 19_456 * 1024;
        let forgot = self.forgot.peak_memory.max(self.delivery.peak_memory);
        let reset = self.reset.peak_memory.saturating_sub(ARGON2);
        let [forgot_zip, reset_zip] = self.sizes.map(megabytes);
        vec![
            Figure::at_most(12.0, "peak memory of forgot", "MB", megabytes(forgot)),
            Figure::at_most(
                12.0,
                "peak memory of reset beyond argon2id's",
                "MB",
                megabytes(reset),
            ),
            Figure::at_most(3.0, "zip of forgot", "MB", forgot_zip),
            Figure::at_most(3.0, "zip of reset", "MB", reset_zip),
        ]
    }
}

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
    fn at_most(target: f64, measure: &'static str, unit: &'static str, value: f64) -> Self {
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
    fn at_least(target: f64, measure: &'static str, unit: &'static str, value: f64) -> Self {
        let reached = value >= target;
        Self {
            reached,
            ..Self::at_most(target, measure, unit, value)
        }
    }

    /// Returns the median of several measurements, which must not exceed its target.
    fn median(target: f64, measure: &'static str, unit: &'static str, all: Summary) -> Self {
        Self {
            spread: Some(all),
            ..Self::at_most(target, measure, unit, all.median)
        }
    }

    /// Returns the median of several measurements, without a target.
    fn untargeted(measure: &'static str, unit: &'static str, all: Summary) -> Self {
        Self {
            target: None,
            ..Self::median(f64::INFINITY, measure, unit, all)
        }
    }
}

impl Report {
    pub(crate) fn print(&self) {
        println!("\n{}, {}", self.machine, self.date);
        println!("CPU shares are enforced by {}.", self.throttled_by);
        for table in [self.reached(), self.beside(), self.hashes(), self.growth()] {
            println!();
            print(&table);
        }
    }

    fn reached(&self) -> Table {
        let head = ["measure", "measured", "p10 … p90", "p99", "target", ""];
        let rows = self.figures.iter().map(|figure| {
            let (spread, p99) = figure.spread.map_or_else(Default::default, |all| {
                (
                    format!("{:.2} … {:.2}", all.p10, all.p90),
                    format!("{:.2}", all.p99),
                )
            });
            let verdict = match (figure.target, figure.reached) {
                (None, _) => "",
                (Some(_), true) => "reached",
                (Some(_), false) => "MISSED",
            };
            [
                format!("{}, {}", figure.measure, figure.unit),
                short(figure.value),
                spread,
                p99,
                figure.target.map_or_else(String::new, short),
                verdict.to_owned(),
            ]
        });
        table(head, rows)
    }

    fn beside(&self) -> Table {
        let head = [
            "median (p99), milliseconds",
            "cold, forgot",
            "at 1024 MB",
            "at 256 MB",
            "CPU time, cold",
            "warm, forgot",
            "warm, reset",
            "peak memory",
        ];
        let rows = self.functions.iter().map(|function| {
            let [whole, mb1024, mb256] = function.cold_forgot.as_slice() else {
                unreachable!("each share is measured");
            };
            [
                function.name.clone(),
                whole.first_answer.median_and_p99(),
                mb1024.first_answer.median_and_p99(),
                mb256.first_answer.median_and_p99(),
                whole.cpu.median_and_p99(),
                function.warm_forgot.median_and_p99(),
                function
                    .warm_reset
                    .map_or_else(String::new, |all| all.median_and_p99()),
                format!("{:.1} MB", megabytes(function.peak_memory)),
            ]
        });
        table(head, rows)
    }

    fn hashes(&self) -> Table {
        let head = [
            "argon2id, 19 MiB, t=2, p=1",
            "milliseconds",
            "over libsodium",
            "p10 … p90",
        ];
        let rows = self.argon2id.iter().map(|each| {
            [
                each.name.to_owned(),
                each.took.median_and_p99(),
                format!("{:.2}", each.ratio.median),
                format!("{:.2} … {:.2}", each.ratio.p10, each.ratio.p90),
            ]
        });
        table(head, rows)
    }

    fn growth(&self) -> Table {
        let head = ["milliseconds with DynamoDB", "request", "deliver", "change"];
        let rows = self.growth.iter().map(|each| {
            [
                format!("{} users, {} tokens", each.rows, each.rows),
                each.request.median_and_p99(),
                each.deliver.median_and_p99(),
                each.change.median_and_p99(),
            ]
        });
        table(head, rows)
    }
}

/// The rows of a table, the head first.
type Table = Vec<Vec<String>>;

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Table {
    let head = head.map(str::to_owned);
    std::iter::once(head).chain(rows).map(Vec::from).collect()
}

/// Prints a table with names aligned to the left, and figures to the right.
fn print(table: &Table) {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max();
    for row in table {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column).unwrap_or_default();
            if column == 0 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

impl Summary {
    /// Returns the median and p99 as text.
    fn median_and_p99(&self) -> String {
        format!("{} ({})", short(self.median), short(self.p99))
    }
}

/// Formats a value with three significant digits, or with all digits before the point.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn to_float(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
