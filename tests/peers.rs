//! The libraries of logins verify fresh hashes of the product, and reject other passwords. `make peers` runs this, and
//! installs the libraries.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what verified what"
)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use rekey::config::Env;
use reset::format::Format;
use reset::hasher::Hasher;
use reset::policy::{NewPassword, Policy};
use serde_json::{Value, json};

/// A library for each format, at least. ASP.NET Core Identity's layout is read by a port of its code.
const LIBRARIES: [(Format, &[&str]); 6] = [
    (Format::Argon2id, &["argon2-cffi", "PHP"]),
    (Format::Argon2idDjango, &["Django"]),
    (Format::Bcrypt2b, &["Python's bcrypt"]),
    (Format::Bcrypt2y, &["PHP", "Python's bcrypt"]),
    (Format::Pbkdf2Django, &["Django"]),
    (Format::Pbkdf2AspNet, &["ASP.NET Core Identity's layout"]),
];

#[test]
fn the_libraries_of_logins_verify_each_format() {
    let letters = "0123456789".repeat(7);
    let passwords = [
        (
            "correct horse battery staple",
            "correct horse battery stapl",
        ),
        ("Größenwahn & Übermut", "Grossenwahn & Ubermut"),
        ("  outer spaces  ", "outer spaces"),
        (&format!("{letters}ä"), &format!("{letters}ö")),
        (&"😀😁".repeat(9), &"😀😂".repeat(9)),
    ];
    let mut questions = Vec::new();
    for format in Format::ALL {
        for (password, other) in passwords {
            let hash = hash(format, password);
            questions.push((format, json!([hash, password]), true));
            questions.push((format, json!([hash, other]), false));
        }
        if format.allows_nul() {
            let hash = hash(format, "nul\0in between");
            questions.push((format, json!([hash, "nul\0in between"]), true));
            questions.push((format, json!([hash, "nul"]), false));
        }
    }
    let answers = answers(&questions);
    assert_eq!(answers.len(), questions.len());
    for ((format, question, expected), answer) in questions.iter().zip(&answers) {
        let expected_of = LIBRARIES.iter().find(|(each, _)| each == format).unwrap().1;
        let answer = answer.as_object().unwrap();
        for library in expected_of {
            let name = answer
                .keys()
                .find(|name| name.starts_with(library))
                .unwrap();
            assert_eq!(answer[name], *expected, "{name}: {question}");
        }
    }
    for (format, _) in LIBRARIES {
        let at = questions
            .iter()
            .position(|(each, ..)| *each == format)
            .unwrap();
        let names: Vec<&str> = answers[at]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        println!("{:16} verified by {}", format.name(), names.join(" and "));
    }
}

/// Returns a hash by the product's hasher, with the fewest steps that it accepts.
fn hash(format: Format, password: &str) -> String {
    let fewest = |name: &str| match (name, format) {
        ("BCRYPT_COST", _) => Some("10".to_owned()),
        ("PBKDF2_ITERATIONS", Format::Pbkdf2Django) => Some("600000".to_owned()),
        ("PBKDF2_ITERATIONS", _) => Some("210000".to_owned()),
        _ => None,
    };
    let mut env = Env::new(&fewest);
    let policy = Policy::read(&mut env, format).unwrap();
    let hasher = Hasher::read(&mut env, format).unwrap();
    let password = NewPassword::parse(password, &policy, None).unwrap();
    hasher.hash(password).unwrap().as_str().to_owned()
}

/// Returns the answers of the libraries to each question.
fn answers(questions: &[(Format, Value, bool)]) -> Vec<Value> {
    let mut libraries = Command::new("target/tools/logins/bin/python")
        .arg("infra/logins/verify.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = String::new();
    for (format, question, _) in questions {
        let line = json!({ "format": format.name(), "hash": question[0], "password": question[1] });
        lines += &format!("{line}\n");
    }
    libraries
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = libraries.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    let answers = str::from_utf8(&output.stdout).unwrap().lines();
    answers
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
