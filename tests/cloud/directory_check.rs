//! Tests of `make directory-check`, on functions that keep the protocol and functions that break it.

use std::process::Command;

#[test]
fn directory_check_reports_each_breach_of_the_protocol() {
    let output = Command::new("target/tools/desk/bin/python")
        .args(["-m", "unittest", "tests/cloud/directories/test_check.py"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{printed}");
    assert!(printed.ends_with("\nOK\n"), "{printed}");
}
