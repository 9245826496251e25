//! The report as a picture.

use std::fmt::Write as _;

use crate::cold::AtShare;
use crate::peers::Function;
use crate::report::{Report, short};
use crate::share::Share;

const WIDTH: f64 = 880.0;
const LABELS: f64 = 330.0;
const ROW: f64 = 24.0;
const OURS: &str = "#1a7f5a";
const THEIRS: &str = "#9aa5b1";

/// A title for each of [`Share::ALL`].
const COLD: [&str; 3] = [
    "Cold start over TLS: from the start of the process to the first answer of “forgot”, on a whole core, ms",
    "The same, with the CPU share of 1024 MB from the event on, ms",
    "The same, with the CPU share of 256 MB, ms",
];

/// Returns the medians as bars on logarithmic scales, in SVG.
pub(crate) fn svg(report: &Report) -> String {
    let mut panels = Panels::default();
    let functions = |of: &dyn Fn(&Function) -> Option<f64>| -> Vec<(String, f64)> {
        let bars = report.functions.iter();
        bars.filter_map(|function| Some((function.name.clone(), of(function)?)))
            .collect()
    };
    for (share, title) in Share::ALL.into_iter().zip(COLD) {
        let first_answer = |function: &Function| {
            let at_share = |each: &&AtShare| each.share == share;
            let cold = function.cold_forgot.iter().find(at_share)?;
            Some(cold.first_answer.median)
        };
        panels.add(title, &functions(&first_answer));
    }
    panels.add(
        "Warm: one “forgot”, ms",
        &functions(&|function| Some(function.warm_forgot.median)),
    );
    let hashes: Vec<(String, f64)> = report
        .argon2id
        .iter()
        .map(|each| (each.name.to_owned(), each.took.median))
        .collect();
    panels.add("argon2id, 19 MiB, two passes, one lane, ms", &hashes);
    panels.finish(&format!(
        "{}, {}. Medians; scales are logarithmic.",
        report.machine, report.date
    ))
}

#[derive(Default)]
struct Panels {
    body: String,
    bottom: f64,
}

impl Panels {
    fn add(&mut self, title: &str, bars: &[(String, f64)]) {
        self.bottom += 40.0;
        text(
            &mut self.body,
            (16.0, self.bottom),
            "font-weight='600'",
            title,
        );
        self.bottom += 10.0;
        let values = || bars.iter().map(|(_, value)| *value);
        let least = values().fold(f64::INFINITY, f64::min) / 1.6;
        let most = values().fold(0.0, f64::max);
        for (name, value) in bars {
            let part = (value / least).ln() / (most / least).ln();
            let length = part * (WIDTH - LABELS - 90.0);
            let is_ours = name.starts_with("Rekey") || name.contains("ours");
            let color = if is_ours { OURS } else { THEIRS };
            let middle = self.bottom + ROW / 2.0;
            text(
                &mut self.body,
                (LABELS - 8.0, middle + 4.0),
                "text-anchor='end'",
                name,
            );
            let _ = write!(
                self.body,
                "<rect x='{LABELS}' y='{:.1}' width='{length:.1}' height='{:.1}' rx='2' fill='{color}'/>",
                self.bottom + 3.0,
                ROW - 6.0,
            );
            text(
                &mut self.body,
                (LABELS + length + 6.0, middle + 4.0),
                "",
                &short(*value),
            );
            self.bottom += ROW;
        }
    }

    fn finish(mut self, note: &str) -> String {
        self.bottom += 34.0;
        text(&mut self.body, (16.0, self.bottom), "fill='#666'", note);
        let height = self.bottom + 16.0;
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}' \
             font-family='system-ui, sans-serif' font-size='13'><rect width='100%' height='100%' fill='#fff'/>{}</svg>\n",
            self.body
        )
    }
}

fn text(body: &mut String, (x, y): (f64, f64), style: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = write!(body, "<text x='{x:.1}' y='{y:.1}' {style}>{words}</text>");
}
