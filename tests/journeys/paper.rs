//! What is written is what is so.

use std::process::Command;

#[test]
fn the_backlog_in_cost_md_is_what_the_simulation_prints() {
    let simulation = Command::new("python3")
        .arg("infra/bench/backlog.py")
        .output()
        .unwrap();
    assert!(simulation.status.success(), "{simulation:?}");
    let printed = String::from_utf8(simulation.stdout).unwrap();
    let cost = std::fs::read_to_string("infra/COST.md").unwrap();
    let rows: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() > 5, "{printed}");
    // All of it, and nothing besides.
    let table = rows.join("\n") + "\n\n";
    assert!(cost.contains(&table), "{table}");
}
