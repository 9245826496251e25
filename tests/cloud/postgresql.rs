//! The deployed functions of `infra/directories/postgresql`, and its tests in Python.

use std::process::Command;

use serde_json::json;

use crate::roles::attempt::json_call;
use crate::roles::credentials::credentials_of;
use crate::stack::variable;

/// They include 40 races of 20 changes, under the database's roles.
#[test]
fn the_directorys_own_tests_pass() {
    let output = Command::new("target/tools/desk/bin/python")
        .args(["-W", "ignore", "-m", "unittest", "--verbose"])
        .arg("tests/postgresql/test_directory.py")
        .env("PYTHONPATH", variable("DIRECTORY_CODE"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AWS_DEFAULT_REGION", variable("AWS_REGION"))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("test_one_of_twenty_changes"), "{printed}");
}

#[tokio::test]
async fn each_function_can_read_only_its_own_secret() {
    for (function, own, other) in [("find", "FIND", "REPLACE"), ("replace", "REPLACE", "FIND")] {
        let credentials = credentials_of(function).await;
        for (secret, expected) in [(own, true), (other, false)] {
            let secret = json!({ "SecretId": variable(&format!("{secret}_SECRET_ARN")) });
            let target = "secretsmanager.GetSecretValue";
            let attempt = json_call("read a secret", "secretsmanager", target, &secret);
            assert_eq!(
                attempt.is_allowed(&credentials).await,
                expected,
                "{function}: {secret}"
            );
        }
    }
}
