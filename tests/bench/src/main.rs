//! Benchmarks of Rekey and of the alternatives that a team might use.
//!
//! ```text
//! bench measure BINARIES OUT         measures everything, and writes OUT.json and OUT.svg
//! bench client-hello BINARIES KEPT   compares the CPU time before the first ClientHello with its limit
//! bench check BINARIES KEPT          compares instructions and sizes with those in KEPT
//! bench keep BINARIES KEPT           writes the current instructions and sizes to KEPT
//! bench formats                      prints the time of a hash in each format
//! ```
//!
//! `BINARIES` holds `forgot/bootstrap`, `reset/bootstrap`, and `hello/bootstrap`. `make bench` and `make bench-check`
//! build them as they are deployed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement reports a failure by panicking"
)]

mod aws;
mod client_hello;
mod cold;
mod count;
mod figure;
mod formats;
mod growth;
mod hashes;
mod http;
mod links;
mod measure;
mod measured;
mod peers;
mod picture;
mod report;
mod repository;
mod runtime_api;
mod share;
mod stats;
mod subject;
mod tls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use aws::Aws;
use measure::Ours;
use measured::Measured;
use subject::Subject;
use tls::Authority;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["formats"] {
        formats::compare(20);
        return ExitCode::SUCCESS;
    }
    let [command, binaries, file] = arguments.as_slice() else {
        panic!("usage: bench measure|draw|client-hello|check|keep BINARIES FILE");
    };
    let (binaries, file) = (Path::new(binaries), Path::new(file));
    if command == "draw" {
        draw(file);
        return ExitCode::SUCCESS;
    }
    let ours = Ours {
        hello: Subject::ours(binaries, "hello"),
        forgot: Subject::ours(binaries, "forgot"),
        reset: Subject::ours(binaries, "reset"),
    };
    match command.as_str() {
        "measure" => measure(&ours, binaries, file),
        "keep" => count::keep(&ours, binaries, file),
        "client-hello" => return client_hello::check(&ours),
        "check" => return count::check(&ours, binaries, file),
        other => panic!("expected measure, draw, client-hello, check, or keep, got {other}"),
    }
    ExitCode::SUCCESS
}

/// Measures everything, and writes the report.
fn measure(ours: &Ours, binaries: &Path, out: &Path) {
    let trusting = subject::trusting(binaries, Authority::of_this_run());
    let ours = &Ours {
        hello: ours.hello.clone(),
        forgot: Subject::ours(&trusting, "forgot"),
        reset: Subject::ours(&trusting, "reset"),
    };
    let aws = Aws::start();
    println!("cold starts: hello, forgot, reset");
    let (cold, throttled_by) = cold::ours(&aws, ours, 100);
    println!("warm: hello, forgot");
    let (hello, forgot) = measure::warm_forgot(&aws, ours, 2000);
    println!("warm: reset");
    let (reset, beyond) = measure::warm_reset(&aws, ours, 48);
    let turns = measure::turns(&aws, ours);
    println!("deliver: SES at 20 ms");
    let delivery = measure::deliver(&aws, &ours.forgot, Duration::from_millis(20), 20);
    println!("argon2id, by five implementations");
    let argon2id = hashes::compare(60);
    println!("peers");
    let peers = peers::measure(&aws, &TemporaryFolder::new().0, 7, 30);
    println!("growth, to a million users and tokens");
    let (growth, largest_growth) = growth::growth(ours, &[1_000, 100_000, 1_000_000], 300);
    let measured = Measured {
        sizes: ["forgot", "reset"]
            .map(|name| count::zipped(&binaries.join(name).join("bootstrap"))),
        cold,
        throttled_by,
        hello,
        forgot,
        reset,
        beyond,
        turns,
        delivery,
        argon2id,
        peers,
        growth,
        largest_growth,
    };
    let report = measured.report(machine(), links::now().strftime("%Y-%m-%d").to_string());
    report.print();
    let json = serde_json::to_string_pretty(&report).unwrap();
    fs::write(out.with_extension("json"), json + "\n").unwrap();
    draw(out);
    println!("\nwrote {0}.json and {0}.svg", out.display());
}

/// Draws a report that was written before.
fn draw(report: &Path) {
    let json = fs::read_to_string(report.with_extension("json")).unwrap();
    let picture = picture::svg(&serde_json::from_str(&json).unwrap());
    fs::write(report.with_extension("svg"), picture).unwrap();
}

/// Returns the number and the model of the processors.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names = || {
        cpus.lines()
            .filter_map(|line| line.strip_prefix("model name"))
    };
    let name = names().next().unwrap_or_default();
    let name = name.trim_start_matches(['\t', ' ', ':']);
    format!("{} × {name}", names().count())
}

/// A folder for the peers' data. Dropping it deletes the folder.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> Self {
        let output = Command::new("mktemp").arg("-d").output().unwrap();
        Self(PathBuf::from(
            String::from_utf8(output.stdout).unwrap().trim(),
        ))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
