//! The build of the functions: their architecture, and their bills of materials.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::stack::variable;

/// This machine cannot compile for arm64, so a stand-in for cargo-lambda records SAM's arguments.
#[test]
fn sam_builds_for_the_architecture_in_samconfig() {
    let folder = std::env::current_dir().unwrap().join("target/samconfig");
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    let script = "#!/bin/sh\necho \"$*\" >> \"$CALLS\"\nexit 1\n";
    for tool in ["cargo", "cargo-lambda"] {
        let tool = folder.join("bin").join(tool);
        std::fs::write(&tool, script).unwrap();
        std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    }
    for file in ["template.yaml", "Cargo.toml"] {
        std::fs::copy(file, folder.join(file)).unwrap();
    }
    let config = std::fs::read_to_string("samconfig.toml").unwrap();
    assert_eq!(
        config.matches("\nparameter_overrides = ").count(),
        1,
        "{config}"
    );
    assert_eq!(config.matches("Architecture=x86_64").count(), 1, "{config}");
    let builds_for_arm = |config: &str| {
        std::fs::write(folder.join("samconfig.toml"), config).unwrap();
        sam_build(&folder).contains("lambda build --release --arm64")
    };
    assert!(!builds_for_arm(&config));
    assert!(builds_for_arm(
        &config.replace("Architecture=x86_64", "Architecture=arm64")
    ));
}

/// On the command line, `--parameter-overrides` replaces the list of `samconfig.toml`, for that command alone.
#[test]
fn the_guide_builds_and_deploys_for_one_architecture() {
    let guide = std::fs::read_to_string("docs/deploy.md").unwrap();
    let (_, rest) = guide
        .split_once("$ sam build --parameter-overrides")
        .unwrap();
    let (command, _) = rest.split_once("```").unwrap();
    let command = format!("sam build --parameter-overrides{command}").replace("\\\n", " ");
    let architectures: Vec<&str> = command
        .split("&&")
        .zip(["sam build ", "sam deploy "])
        .map(|(step, starts_with)| {
            assert!(step.trim().starts_with(starts_with), "{command}");
            let mut words = step.split_whitespace();
            words
                .find_map(|word| word.strip_prefix("Architecture="))
                .unwrap()
        })
        .collect();
    assert_eq!(architectures.len(), 2, "{command}");
    assert_eq!(command.matches("Architecture=").count(), 2, "{command}");
    assert_eq!(architectures[0], architectures[1], "{command}");
}

/// Runs `sam build` with the tools of a folder, and returns its calls to them.
fn sam_build(folder: &Path) -> String {
    let calls = folder.join("calls");
    std::fs::write(&calls, "").unwrap();
    let path = format!("{}/bin:{}", folder.display(), variable("PATH"));
    Command::new(
        std::env::current_dir()
            .unwrap()
            .join("target/tools/sam/bin/sam"),
    )
    .arg("build")
    .current_dir(folder)
    .env("PATH", path)
    .env("CALLS", &calls)
    .env("SAM_CLI_TELEMETRY", "0")
    .output()
    .unwrap();
    let calls = std::fs::read_to_string(calls).unwrap();
    assert!(calls.contains("lambda build --release"), "{calls}");
    calls
}

#[test]
fn each_binarys_bill_of_materials_lists_only_compiled_crates() {
    for (binary, has, has_not) in [
        ("forgot", "aws-sdk-sesv2", "argon2"),
        ("reset", "argon2", "forgot"),
    ] {
        let bom = std::fs::read(format!("target/sam/{binary}.cdx.json")).unwrap();
        let bom: Value = serde_json::from_slice(&bom).unwrap();
        assert_eq!(
            (&bom["bomFormat"], &bom["specVersion"]),
            (&json!("CycloneDX"), &json!("1.5"))
        );
        assert_eq!(bom["metadata"]["component"]["name"], binary);
        let crates = bom["components"].as_array().unwrap();
        let names: Vec<&str> = crates
            .iter()
            .map(|each| each["name"].as_str().unwrap())
            .collect();
        assert!(
            names.contains(&has) && !names.contains(&has_not) && !names.contains(&"dynoxide-rs")
        );
        for each in crates.iter().filter(|each| each["name"] != "rekey") {
            assert!(
                each["hashes"][0]["content"].is_string() && each["licenses"][0].is_object(),
                "{each}"
            );
        }
    }
}
