//! Values for `make` never run as code, neither make's nor the shell's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

/// Each would make a file `ran` if anything but the program that it is for reads it.
const VALUES: [&str; 9] = [
    "x; touch ran",
    "$(touch ran)",
    "`touch ran`",
    "$(shell touch ran)",
    "${shell touch ran}",
    "$$(touch ran)",
    "\"; touch ran; \"",
    "'; touch ran; '",
    "x && touch ran || touch ran",
];

#[test]
fn values_reach_the_programs_as_they_are() {
    for (target, name) in [
        ("redrive", "STACK"),
        ("users-check", "STACK"),
        ("dev", "PARAMETERS"),
        ("dev", "APP"),
        ("fuzz", "SECONDS_EACH"),
        ("mutants", "SHARD"),
        ("torture", "PART"),
    ] {
        for value in VALUES {
            for on_command_line in [true, false] {
                let desk = Desk::new();
                let mut make = desk.make(target);
                if on_command_line {
                    make.arg(format!("{name}={value}"));
                } else {
                    make.env(name, value);
                }
                let output = make.output().unwrap();
                assert!(output.status.success(), "{name}={value}: {output:?}");
                let told = String::from_utf8(output.stdout).unwrap();
                assert!(
                    told.lines().any(|line| line == format!("[{value}]")),
                    "{name}={value}: {told}"
                );
                assert!(!desk.0.join("ran").exists(), "{name}={value} ran as code");
            }
        }
    }
}

#[test]
fn values_that_are_not_set_have_their_defaults() {
    for (target, expected) in [
        ("redrive", "[rekey]"),
        ("users-check", "[rekey]"),
        ("dev", "[]"),
        ("fuzz", "[600]"),
        ("mutants", "[0/1]"),
        ("torture", "[]"),
    ] {
        let desk = Desk::new();
        let output = desk.make(target).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(
            told.lines().any(|line| line == expected),
            "{target}: {told}"
        );
    }
}

/// A folder with the Makefile, whose programs print what they are given, in brackets, and do nothing.
struct Desk(PathBuf);

impl Desk {
    fn new() -> Self {
        static DESKS: AtomicU32 = AtomicU32::new(0);
        let number = DESKS.fetch_add(1, Ordering::Relaxed);
        let name = format!("rekey-make-{}-{number}", process::id());
        let desk = Self(std::env::temp_dir().join(name));
        let programs = [
            "infra/desk/requirements-desk.txt",
            "infra/desk/requirements-sam.txt",
            "target/tools/desk/installed",
            "target/tools/sam/installed",
            "target/tools/cargo/mutants-installed",
            "tests/page/package.json",
            "tests/page/package-lock.json",
            "target/tools/page/installed",
        ];
        for name in programs {
            desk.write(name, "");
        }
        fs::copy("Makefile", desk.0.join("Makefile")).unwrap();
        let echo = "#!/bin/sh\nfor given in \"$@\" \"$PARAMETERS$APP\"; do printf '[%s]\\n' \"$given\"; done\n";
        desk.write("infra/desk/fuzz.sh", echo);
        desk.write("infra/desk/mutants.sh", echo);
        desk.write("infra/desk/browser.sh", "");
        let python = desk.write("target/tools/desk/bin/python", echo);
        let made = Command::new("chmod")
            .arg("+x")
            .arg(python)
            .status()
            .unwrap();
        assert!(made.success());
        desk
    }

    /// `make` as from a shell, even where `make` runs these tests.
    fn make(&self, target: &str) -> Command {
        let mut make = Command::new("make");
        make.arg(target).current_dir(&self.0);
        for name in [
            "STACK",
            "APP",
            "PARAMETERS",
            "PART",
            "SECONDS_EACH",
            "SHARD",
            "MAKEFLAGS",
            "MAKEOVERRIDES",
            "MAKELEVEL",
        ] {
            make.env_remove(name);
        }
        make
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let file = self.0.join(Path::new(name));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        file
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}
