//! The same tests, short in `make test` and long in `make torture`, which prints what they report as a table.

use std::path::PathBuf;

use serde_json::json;

/// How often to try: the first in `make test`, the second in `make torture`.
pub(crate) fn times(short: usize, long: usize) -> usize {
    if folder().is_some() { long } else { short }
}

/// Writes down a line of the table, where there is going to be one: what was tried, how often, and what it showed.
pub(crate) fn report(what: &str, tried: usize, shown: &str) {
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
