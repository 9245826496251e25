//! The report of a run, as tables and as JSON.

use serde::Serialize;

use crate::figure::{Figure, megabytes};
use crate::growth::Growth;
use crate::hashes::Implementation;
use crate::peers::Function;
use crate::stats::Summary;

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
