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

#[test]
fn this_stack_has_no_users_to_check_if_it_has_functions() {
    if variable("USERS_KIND") == "table" {
        return;
    }
    let output = Command::new("target/tools/desk/bin/python")
        .args(["infra/users_check.py", &variable("STACK_NAME")])
        .env("AWS_DEFAULT_REGION", variable("AWS_REGION"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("`make directory-check`"), "{printed}");
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
        "22 checks: {} ok, {warnings} warnings, 0 failed.",
        22 - warnings
    );
    assert!(printed.contains(&counts), "{printed}");
}
