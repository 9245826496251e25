//! Tests of `make directory-check`: on functions that keep the protocol, on some that break it, and on those of this
//! repository.

use std::process::Command;

use crate::stack::{Stack, variable};

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

/// The database compares times, and Cognito cannot.
#[tokio::test]
async fn this_repositorys_directories_pass() {
    let email = "directory-check@example.com";
    let (sent_as, warnings) = match variable("USERS_KIND").as_str() {
        "postgresql" => ("hash", 0),
        "cognito" => ("plain", 2),
        _ => return,
    };
    Stack::new().user(email).await;
    let output = Command::new("target/tools/desk/bin/python")
        .arg("infra/directory_check.py")
        .args([variable("FIND_FUNCTION"), variable("REPLACE_FUNCTION")])
        .args([email, sent_as])
        .output()
        .unwrap();
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{printed}");
    let counts = format!(
        "21 checks: {} ok, {warnings} warnings, 0 failed.",
        21 - warnings
    );
    assert!(printed.contains(&counts), "{printed}");
}
