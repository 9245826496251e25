//! The length of the tests: short in `make test`, and long in `make torture`, which prints their reports as a table.

use std::path::PathBuf;

use serde_json::json;

/// Returns the number of tries: the first in `make test`, the second in `make torture`.
pub fn times(short: usize, long: usize) -> usize {
    if folder().is_some() { long } else { short }
}

/// Writes a line of the table in `make torture`: the subject, the number of tries, and the result.
pub fn report(what: &str, tried: usize, shown: &str) {
    let Some(folder) = folder() else { return };
    let name: String = what
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .collect();
    let line = json!({ "what": what, "tried": tried, "shown": shown });
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name + ".json"), line.to_string()).unwrap();
}

fn folder() -> Option<PathBuf> {
    rekey::config::process("REKEY_TORTURE").map(PathBuf::from)
}
