//! Replays the fuzzing corpus, which has a folder for each target and a file for each input.

use std::fs;
use std::path::{Path, PathBuf};

type Target = fn(&[u8]) -> bool;

const TARGETS: [(&str, Target); 7] = [
    ("allow_list", fuzz_checks::allow_list),
    ("forgot_body", fuzz_checks::forgot_body),
    ("gateway_event", fuzz_checks::gateway_event),
    ("link", fuzz_checks::link),
    ("reset_body", fuzz_checks::reset_body),
    ("stored_row", fuzz_checks::stored_row),
    ("stream_record", fuzz_checks::stream_record),
];

#[test]
fn no_corpus_input_is_a_finding_and_some_are_accepted() {
    for (name, target) in TARGETS {
        let inputs = files(&corpus().join(name));
        let accepted = inputs.iter().filter(|input| {
            println!("{}", input.display());
            target(&fs::read(input).unwrap())
        });
        assert_ne!(accepted.count(), 0, "{name}");
    }
}

#[test]
fn every_corpus_folder_has_a_target() {
    let folders = files(&corpus());
    let names = TARGETS.map(|(name, _)| corpus().join(name));
    assert_eq!(folders, names);
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
