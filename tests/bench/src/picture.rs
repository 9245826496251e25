//! The picture of a report, as SVG.

use std::fmt::Write as _;

use serde_json::Value;

use crate::report::short;
use crate::share::Share;

const WIDTH: f64 = 880.0;
const LABELS: f64 = 330.0;
const BARS: f64 = WIDTH - LABELS - 90.0;
const ROW: f64 = 24.0;

/// A picture in a README cannot follow the page's colors, so it follows the reader's color scheme.
const STYLE: &str = "\
    text { fill: #1f2328 } .note { fill: #59636e } .ours { fill: #1a7f5a } .theirs { fill: #9aa5b1 } \
    .background { fill: #ffffff } \
    @media (prefers-color-scheme: dark) { text { fill: #f0f6fc } .note { fill: #9198a1 } .ours { fill: #3fb68b } \
    .theirs { fill: #656d76 } .background { fill: #0d1117 } }";

/// A title for each of [`Share::ALL`].
const COLD: [&str; 3] = [
    "Cold start over TLS, until “forgot” has responded, on a whole core, ms",
    "The same, with the CPU share of 1024 MB from the event on, ms",
    "The same, with the CPU share of 256 MB, ms",
];

/// A scale of bars.
#[derive(Clone, Copy)]
enum Scale {
    Linear,
    Logarithmic,
}

impl Scale {
    /// Returns the length of a bar, as a part of the longest one.
    fn part(self, value: f64, least: f64, most: f64) -> f64 {
        match self {
            Self::Linear => value / most,
            Self::Logarithmic => {
                let origin = least / 1.6;
                (value / origin).ln() / (most / origin).ln()
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Logarithmic => "logarithmic",
        }
    }
}

/// Draws a report, read from its JSON. So a picture can be drawn again without another run.
pub(crate) fn svg(report: &Value) -> String {
    let mut panels = Panels::default();
    let functions = report["functions"].as_array().expect("functions");
    let bars = |value: &dyn Fn(&Value) -> Option<f64>| -> Vec<(String, f64)> {
        let bars = functions.iter();
        bars.filter_map(|function| Some((name(function), value(function)?)))
            .collect()
    };
    for (index, title) in (0..Share::ALL.len()).zip(COLD) {
        let first_answer =
            |function: &Value| function["cold_forgot"][index]["first_answer"]["median"].as_f64();
        panels.add(title, Scale::Logarithmic, &bars(&first_answer));
    }
    let warm = bars(&|function| function["warm_forgot"]["median"].as_f64());
    panels.add("Warm: one “forgot”, ms", Scale::Logarithmic, &warm);
    let hashes = report["argon2id"].as_array().expect("argon2id").iter();
    let hashes: Vec<(String, f64)> = hashes
        .filter_map(|each| Some((name(each), each["took"]["median"].as_f64()?)))
        .collect();
    panels.add(
        "argon2id, 19 MiB, two passes, one lane, ms",
        Scale::Linear,
        &hashes,
    );
    let text = |key: &str| report[key].as_str().unwrap_or_default();
    panels.finish(&format!(
        "{}, {}. Medians. Lower is better.",
        text("machine"),
        text("date")
    ))
}

fn name(entry: &Value) -> String {
    entry["name"].as_str().unwrap_or_default().to_owned()
}

#[derive(Default)]
struct Panels {
    body: String,
    bottom: f64,
}

impl Panels {
    fn add(&mut self, title: &str, scale: Scale, bars: &[(String, f64)]) {
        self.bottom += 40.0;
        let title = format!("{title} ({} scale)", scale.name());
        text(
            &mut self.body,
            (16.0, self.bottom),
            "font-weight='600'",
            &title,
        );
        self.bottom += 10.0;
        let values = || bars.iter().map(|(_, value)| *value);
        let (least, most) = (
            values().fold(f64::INFINITY, f64::min),
            values().fold(0.0, f64::max),
        );
        for (name, value) in bars {
            let length = scale.part(*value, least, most) * BARS;
            let is_ours = name.starts_with("Rekey") || name.contains("ours");
            let class = if is_ours { "ours" } else { "theirs" };
            let middle = self.bottom + ROW / 2.0;
            text(
                &mut self.body,
                (LABELS - 8.0, middle + 4.0),
                "text-anchor='end'",
                name,
            );
            let _ = write!(
                self.body,
                "<rect class='{class}' x='{LABELS}' y='{:.1}' width='{length:.1}' height='{:.1}' rx='2'/>",
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
        text(&mut self.body, (16.0, self.bottom), "class='note'", note);
        let height = self.bottom + 16.0;
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}' \
             font-family='system-ui, sans-serif' font-size='13' role='img' aria-labelledby='title'>\
             <title id='title'>Times of Rekey and of its alternatives: lower is better</title>\
             <style>{STYLE}</style><rect class='background' width='100%' height='100%'/>{}</svg>\n",
            self.body
        )
    }
}

fn text(body: &mut String, (x, y): (f64, f64), style: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = write!(body, "<text x='{x:.1}' y='{y:.1}' {style}>{words}</text>");
}
