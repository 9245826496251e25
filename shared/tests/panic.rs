//! A panic is logged with its location and without its message, which could contain a secret.

use std::process::Command;

const MESSAGE: &str = "correct horse battery staple";

/// Runs in a child process, because the log and the panic hook are global to a process.
#[test]
fn the_message_of_a_panic_is_not_logged() {
    if rekey::config::process("PANIC").is_some() {
        rekey::telemetry::init();
        panic!("{MESSAGE}");
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .arg("--nocapture")
        .env("PANIC", "now")
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    assert!(!child.status.success());
    let written = String::from_utf8([child.stdout, child.stderr].concat()).unwrap();
    assert!(!written.contains(MESSAGE), "{written}");
    let line = written
        .lines()
        .find(|line| line.starts_with('{'))
        .expect("a line of the log");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["message"], "panic");
    assert!(line["place"].as_str().unwrap().contains("panic.rs:"));
}
