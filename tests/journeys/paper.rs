//! Checks claims of the documentation against the files that they are about.

use std::process::Command;

use rekey::directory::protocol::{Find, Found, Reason, Replace, Replaced};
use serde_json::Value;

#[test]
fn the_documented_backlog_is_what_the_simulation_prints() {
    let simulation = Command::new("python3")
        .arg("infra/bench/backlog.py")
        .output()
        .unwrap();
    assert!(simulation.status.success(), "{simulation:?}");
    let printed = String::from_utf8(simulation.stdout).unwrap();
    let cost = std::fs::read_to_string("docs/cost.md").unwrap();
    let rows: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() > 5, "{printed}");
    // The blank line ends the table, so the document has no further rows.
    let table = rows.join("\n") + "\n\n";
    assert!(cost.contains(&table), "{table}");
}

/// The documentation names the dependencies that are pinned by hash. These files pin them.
#[test]
fn every_locked_dependency_has_a_hash() {
    let read = |name: &str| std::fs::read_to_string(name).unwrap();
    for lock in ["Cargo.lock", "tests/fuzz/Cargo.lock"] {
        let text = read(lock);
        let external = text
            .split("[[package]]")
            .filter(|package| package.contains("\nsource = "));
        let mut packages = 0;
        for package in external {
            assert!(package.contains("\nchecksum = "), "{lock}: {package}");
            packages += 1;
        }
        assert!(packages > 10, "{lock}");
    }
    for requirements in [
        "infra/desk/requirements-desk.txt",
        "infra/desk/requirements-sam.txt",
        "infra/bench/peers/requirements.txt",
        "infra/directories/postgresql/src/requirements.txt",
    ] {
        let text = read(requirements).replace("\\\n", " ");
        let mut packages = 0;
        for line in text.lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                let is_pinned = line.contains("==") && line.contains("--hash=sha256:");
                assert!(is_pinned, "{requirements}: {line}");
                packages += 1;
            }
        }
        assert!(packages >= 5, "{requirements}");
    }
    for lock in [
        "infra/bench/peers/better_auth/package-lock.json",
        "infra/iam/package-lock.json",
        "tests/page/package-lock.json",
    ] {
        let packages: Value = serde_json::from_str(&read(lock)).unwrap();
        for (name, package) in packages["packages"].as_object().unwrap() {
            let integrity = package["integrity"].as_str().unwrap_or_default();
            let is_pinned = name.is_empty() || integrity.starts_with("sha512-");
            assert!(is_pinned, "{lock}: {name}");
        }
    }
}

/// Cargo cannot check the hash of a tool, so the tests require an exact version and the tool's own lock file.
#[test]
fn tools_that_cargo_installs_have_exact_versions() {
    let mut tools = 0;
    for file in ["Makefile", "infra/desk/fuzz.sh"] {
        let text = std::fs::read_to_string(file).unwrap().replace("\\\n", " ");
        let installs = text.lines().filter(|line| {
            let line = line.trim_start().trim_start_matches('@');
            !line.starts_with("echo") && line.contains("cargo install ")
        });
        for line in installs {
            assert!(line.contains("--locked"), "{file}: {line}");
            let is_exact = line.contains("--version \"$version\"")
                || line
                    .split_whitespace()
                    .filter(|word| word.starts_with("cargo-"))
                    .all(|tool| {
                        tool.split_once('@')
                            .is_some_and(|(_, version)| version.split('.').count() == 3)
                    });
            assert!(is_exact, "{file}: {line}");
            tools += 1;
        }
    }
    assert_eq!(tools, 3);
}

/// The examples of requests and responses of directory functions are in the form that the code writes and reads.
/// `infra/directories/check_schema.py` compares the same examples with the schema.
#[test]
fn the_documented_protocol_is_the_one_in_the_code() {
    let page = std::fs::read_to_string("docs/directories.md").unwrap();
    let block = |name: &str| -> Value {
        let (_, rest) = page.split_once(&format!("```json {name}\n")).unwrap();
        serde_json::from_str(rest.split_once("```").unwrap().0).unwrap()
    };
    let find: Find = serde_json::from_value(block("find")).unwrap();
    assert_eq!(serde_json::to_value(find).unwrap(), block("find"));
    let replace: Replace = serde_json::from_value(block("replace")).unwrap();
    assert_eq!(serde_json::to_value(replace).unwrap(), block("replace"));
    let found: Found = serde_json::from_value(block("found")).unwrap();
    assert_eq!(serde_json::to_value(found).unwrap(), block("found"));

    let outcomes: Vec<Replaced> = page
        .match_indices("| `{\"outcome\": ")
        .map(|(at, _)| page[at..].split('`').nth(1).unwrap())
        .map(|response| serde_json::from_str(response).unwrap())
        .collect();
    let reason = Reason::UsedBefore;
    let expected = [
        Replaced::Replaced,
        Replaced::Gone,
        Replaced::Overtaken,
        Replaced::Unacceptable { reason },
        Replaced::Later,
    ];
    assert_eq!(outcomes, expected);
}
