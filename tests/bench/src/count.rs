//! Compares instructions and sizes with the stored ones. Unlike times, they do not depend on the machine's load.
//!
//! Callgrind counts the instructions. It supports neither SHA extensions nor AVX-512, so a count is nearly the same on
//! every x86-64.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::json;

use crate::aws::Aws;
use crate::links;
use crate::measure::Ours;
use crate::runtime_api::{Answer, Instance};
use crate::subject::{Subject, forgot_event, requested_event, reset_event};

/// The increase of any count that the check accepts, in percent.
const TOLERANCE: u64 = 3;

type Counts = BTreeMap<String, u64>;

/// Writes the current counts to a file.
pub(crate) fn keep(ours: &Ours, binaries: &Path, kept: &Path) {
    let counts = counts(ours, binaries);
    for (name, now) in &counts {
        println!("{name:<44} {now:>12}");
    }
    fs::write(kept, serde_json::to_string_pretty(&counts).unwrap() + "\n").unwrap();
}

/// Compares the current counts with the stored ones, and fails if one has grown by more than the tolerance.
pub(crate) fn check(ours: &Ours, binaries: &Path, kept: &Path) -> ExitCode {
    let before: Counts = serde_json::from_str(&fs::read_to_string(kept).unwrap()).unwrap();
    let now = counts(ours, binaries);
    assert!(
        before.keys().eq(now.keys()),
        "the stored counts have other names: run `make bench-keep`"
    );
    let mut has_grown = false;
    println!("{:<44} {:>12} {:>12} {:>8}", "", "kept", "now", "");
    for (name, &now) in &now {
        let before = before[name];
        let is_more = now * 100 > before * (100 + TOLERANCE);
        has_grown |= is_more;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let change = (now as f64 / before as f64 - 1.0) * 100.0;
        let verdict = if is_more { "  MORE" } else { "" };
        println!("{name:<44} {before:>12} {now:>12} {change:>+7.2}%{verdict}");
    }
    if has_grown {
        println!(
            "A count grew by more than {TOLERANCE} percent. If intended, run `make bench-keep`; say why in the commit."
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn counts(ours: &Ours, binaries: &Path) -> Counts {
    let aws = Aws::start_plain();
    let mut counts = Counts::new();
    for function in ["forgot", "reset"] {
        let file = binaries.join(function).join("bootstrap");
        let size = fs::metadata(&file).unwrap().len();
        counts.insert(format!("{function}: binary, bytes"), size);
        counts.insert(format!("{function}: zip, bytes"), zipped(&file));
    }
    let request = |n: usize| forgot_event(&format!("asking{n}@example.com"));
    let [cold, warm] = instructions(&aws, &ours.forgot, request, &has_status(202));
    counts.insert("forgot: instructions to the first answer".to_owned(), cold);
    counts.insert("forgot: instructions of a request".to_owned(), warm);

    let emails = links::users(&aws, "counted", EVENTS);
    let deliver = |n: usize| requested_event(&emails[n..=n], links::now());
    let [_, warm] = instructions(&aws, &ours.forgot, deliver, &is_done);
    counts.insert("forgot: instructions of a delivery".to_owned(), warm);

    // Use an invalid token: with a valid one, argon2id would dominate the count.
    let reject = |n: usize| reset_event("nobody@example.com", &format!("{n:064x}"));
    let [cold, warm] = instructions(&aws, &ours.reset, reject, &has_status(422));
    counts.insert("reset: instructions to the first answer".to_owned(), cold);
    counts.insert("reset: instructions of a refusal".to_owned(), warm);
    counts
}

/// The number of events. The first one is the cold start.
const EVENTS: usize = 101;

/// Returns whether an answer may be counted. Under valgrind, calls to AWS can time out.
type Expected<'a> = &'a dyn Fn(&Answer) -> bool;

fn has_status(status: u64) -> impl Fn(&Answer) -> bool {
    move |answer| answer.status() == status
}

fn is_done(answer: &Answer) -> bool {
    answer.body == json!({ "batchItemFailures": [] })
}

/// Returns the instructions up to the first answer, and the mean of the later ones.
fn instructions(
    aws: &Aws,
    subject: &Subject,
    event: impl Fn(usize) -> String,
    is_expected: Expected<'_>,
) -> [u64; 2] {
    let check = |answer: &Answer| assert!(is_expected(answer), "{}: {}", subject.name, answer.body);
    let count = |events: usize| {
        let file = std::env::temp_dir().join(format!("callgrind.{}", std::process::id()));
        let out = format!("--callgrind-out-file={}", file.display());
        let subject = subject.under(&["valgrind", "--quiet", "--tool=callgrind", &out]);
        let instance = Instance::start(&subject, &aws.endpoint, &event(0));
        check(&instance.first().0);
        for n in 1..events {
            check(&instance.invoke(&event(n)));
        }
        instance.end();
        let profile = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let total = profile
            .lines()
            .find_map(|line| line.strip_prefix("totals: "));
        total.expect("a total").trim().parse::<u64>().unwrap()
    };
    let first = count(1);
    let rest = u64::try_from(EVENTS - 1).unwrap();
    [first, (count(EVENTS) - first) / rest]
}

/// Returns the size of a file in a zip: its content, deflated, as SAM does it.
pub(crate) fn zipped(file: &Path) -> u64 {
    let mut size = Size(0);
    let mut deflated = DeflateEncoder::new(&mut size, Compression::default());
    io::copy(&mut File::open(file).unwrap(), &mut deflated).unwrap();
    deflated.finish().unwrap();
    size.0
}

struct Size(u64);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += u64::try_from(bytes.len()).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
