//! Neither make nor the shell runs the values of `make` variables as code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

/// Values that create a file `ran` if make or a shell evaluates them.
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
fn values_reach_the_programs_unchanged() {
    for (target, name) in [
        ("redrive", "STACK"),
        ("users-check", "STACK"),
        ("directory-check", "FIND"),
        ("directory-check", "REPLACE"),
        ("directory-check", "ADDRESS"),
        ("directory-check", "SENT_AS"),
        ("directory-check", "FORMAT"),
        ("dev", "PARAMETERS"),
        ("dev", "APP"),
        ("dev", "USERS"),
        ("fuzz", "SECONDS_EACH"),
        ("mutants", "SHARD"),
        ("torture", "PART"),
    ] {
        for value in VALUES {
            for on_command_line in [true, false] {
                let checkout = Checkout::new();
                let mut make = checkout.make(target);
                if on_command_line {
                    make.arg(format!("{name}={value}"));
                } else {
                    make.env(name, value);
                }
                let output = make.output().unwrap();
                assert!(output.status.success(), "{name}={value}: {output:?}");
                let printed = String::from_utf8(output.stdout).unwrap();
                assert!(
                    printed.lines().any(|line| line == format!("[{value}]")),
                    "{name}={value}: {printed}"
                );
                assert!(
                    !checkout.0.join("ran").exists(),
                    "{name}={value} ran as code"
                );
            }
        }
    }
}

#[test]
fn unset_values_have_their_defaults() {
    for (target, expected) in [
        ("redrive", "[rekey]"),
        ("users-check", "[rekey]"),
        ("dev", "[]"),
        ("fuzz", "[600]"),
        ("mutants", "[0/1]"),
        ("torture", "[]"),
    ] {
        let checkout = Checkout::new();
        let output = checkout.make(target).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(
            printed.lines().any(|line| line == expected),
            "{target}: {printed}"
        );
    }
}

/// A folder with the Makefile, and with programs that only print their arguments in brackets.
struct Checkout(PathBuf);

impl Checkout {
    fn new() -> Self {
        static CHECKOUTS: AtomicU32 = AtomicU32::new(0);
        let number = CHECKOUTS.fetch_add(1, Ordering::Relaxed);
        let name = format!("rekey-make-{}-{number}", process::id());
        let checkout = Self(std::env::temp_dir().join(name));
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
            checkout.write(name, "");
        }
        fs::copy("Makefile", checkout.0.join("Makefile")).unwrap();
        let echo = "#!/bin/sh\nfor given in \"$@\" \"$PARAMETERS$APP$USERS\"; do printf '[%s]\\n' \"$given\"; done\n";
        checkout.write("infra/desk/fuzz.sh", echo);
        checkout.write("infra/desk/mutants.sh", echo);
        checkout.write("infra/desk/browser.sh", "");
        let python = checkout.write("target/tools/desk/bin/python", echo);
        let made = Command::new("chmod")
            .arg("+x")
            .arg(python)
            .status()
            .unwrap();
        assert!(made.success());
        checkout
    }

    /// Returns a `make` command without the environment of an outer `make`, which may run these tests.
    fn make(&self, target: &str) -> Command {
        let mut make = Command::new("make");
        make.arg(target).current_dir(&self.0);
        for name in [
            "STACK",
            "APP",
            "USERS",
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

impl Drop for Checkout {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}
