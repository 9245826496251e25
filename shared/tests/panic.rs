//! A panic is logged with its place and without its words, which could hold what the code had in hand.

use std::process::Command;

const WORDS: &str = "correct horse battery staple";

/// In a process of its own, since the log and what is done at a panic are the process's.
#[test]
fn a_panics_words_do_not_reach_the_log() {
    if rekey::config::process("PANIC").is_some() {
        rekey::telemetry::init();
        panic!("{WORDS}");
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .arg("--nocapture")
        .env("PANIC", "now")
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    assert!(!child.status.success());
    let written = String::from_utf8([child.stdout, child.stderr].concat()).unwrap();
    assert!(!written.contains(WORDS), "{written}");
    let line = written
        .lines()
        .find(|line| line.starts_with('{'))
        .expect("a line of the log");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["message"], "panic");
    assert!(line["place"].as_str().unwrap().contains("panic.rs:"));
}
