//! Passwords are stored in the format that the application's login reads.

use std::time::Instant;

use jiff::SignedDuration;
use pbkdf2::{Algorithm, Params, pbkdf2_hmac_with_params};
use reset::Reset;
use reset::breaches;
use reset::format::Format;
use reset::hasher::{self, LONGEST_HASH};
use reset::redemption::CLAIM_LIMIT;
use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD, environment, long_timeouts, sdk_config};
use support::hashes::verify;
use support::template;
use support::torture::{report, times};

/// Starts an app that stores passwords in a format, with one user.
async fn app_with(format: Format) -> TestApp {
    // The fewest that Rekey accepts.
    let iterations = if format == Format::Pbkdf2Django {
        "600000"
    } else {
        "210000"
    };
    let app = TestApp::with(&[
        ("PASSWORD_HASH", format.name()),
        ("BCRYPT_COST", "10"),
        ("PBKDF2_ITERATIONS", iterations),
    ])
    .await;
    app.user("1", ADA).await;
    app
}

/// Requests a link after the cooldown, sets a password, and returns the stored hash.
async fn stored_after_reset(app: &TestApp, password: &str) -> String {
    app.clock.advance(SignedDuration::from_mins(1));
    let link = app.link(ADA).await;
    assert_eq!(
        app.reset(&link, password).await.status(),
        204,
        "{password:?}"
    );
    app.try_process_stream().await;
    app.stored("1", "password_hash").await
}

#[tokio::test]
async fn a_reset_stores_a_hash_that_the_login_verifies() {
    for format in Format::ALL {
        let app = app_with(format).await;
        let [first, second] = [
            stored_after_reset(&app, PASSWORD).await,
            stored_after_reset(&app, PASSWORD).await,
        ];
        assert_ne!(first, second, "{format:?}: the salt is new");
        assert!(verify(format, &first, PASSWORD), "{first}");
        assert!(!verify(format, &first, "correct horse"), "{first}");
        for other in Format::ALL.into_iter().filter(|other| *other != format) {
            assert!(!verify(other, &first, PASSWORD), "{first} is not {other:?}");
        }
    }
}

/// Each hash in hashes.json was made by a library that logins use, with the command beside it.
#[test]
fn hashes_of_other_libraries_verify_and_so_does_no_other_password() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("hashes.json")).unwrap();
    let mut formats = Vec::new();
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let format = Format::ALL
            .into_iter()
            .find(|each| each.name() == text("format"));
        let (format, hash, password) = (format.unwrap(), text("hash"), text("password"));
        assert!(verify(format, hash, password), "{vector}");
        let mut other = password.to_owned();
        other.pop();
        assert!(!verify(format, hash, &other), "{vector}");
        formats.push(format);
    }
    formats.dedup();
    assert_eq!(formats, Format::ALL);
}

#[tokio::test]
async fn bcrypt_accepts_72_bytes_and_rejects_more_without_using_up_the_link() {
    let letters = "0123456789".repeat(7);
    let app = app_with(Format::Bcrypt2b).await;
    let link = app.link(ADA).await;
    app.aws.take_calls();
    for too_long in [
        format!("{letters}abc"),
        format!("{letters}aä"),
        format!("{}a", "äö".repeat(18)),
        format!("{}a", "😀😁".repeat(9)),
        "ab".repeat(200),
    ] {
        let response = app.reset(&link, &too_long).await;
        let problem: Value = serde_json::from_str(response.body()).unwrap();
        let message =
            "must have at most 72 characters; letters with accents and emoji count for more";
        assert_eq!(
            problem["errors"],
            json!({ "password": [message] }),
            "{too_long}"
        );
        assert_eq!(problem["codes"], json!({ "password": ["too_long"] }));
        assert_eq!(
            problem["parameters"],
            json!({ "password": { "max_bytes": 72 } })
        );
    }
    assert_eq!(app.aws.take_calls(), [""; 0], "no call before the policy");

    assert_eq!(
        app.reset(&link, &format!("{letters}ab")).await.status(),
        204
    );
    for longest in [
        format!("{letters}ab"),
        format!("{letters}ä"),
        "äö".repeat(18),
        "😀😁".repeat(9),
    ] {
        assert_eq!(longest.len(), 72);
        let hash = stored_after_reset(&app, &longest).await;
        assert!(verify(Format::Bcrypt2b, &hash, &longest), "{longest}");
        let mut shorter = longest.clone();
        shorter.pop();
        assert!(!verify(Format::Bcrypt2b, &hash, &shorter), "{longest}");
    }
}

#[tokio::test]
async fn formats_without_a_limit_store_256_code_points() {
    let longest = "äö😀!".repeat(64);
    for format in [Format::Argon2id, Format::Pbkdf2Django, Format::Pbkdf2AspNet] {
        let app = app_with(format).await;
        let hash = stored_after_reset(&app, &longest).await;
        assert!(verify(format, &hash, &longest), "{format:?}");
        assert!(
            !verify(format, &hash, &longest[..longest.len() - 1]),
            "{format:?}"
        );
    }
}

#[tokio::test]
async fn a_format_that_cannot_hold_nul_rejects_it_without_using_up_the_link() {
    for format in Format::ALL {
        let app = app_with(format).await;
        let link = app.link(ADA).await;
        for with_nul in ["nul\0in between", "nul at the end\0"] {
            if format.allows_nul() {
                let hash = stored_after_reset(&app, with_nul).await;
                assert!(verify(format, &hash, with_nul), "{format:?}");
                let without = with_nul.split('\0').next().unwrap();
                assert!(!verify(format, &hash, without), "{format:?}");
            } else {
                let response = app.reset(&link, with_nul).await;
                let problem: Value = serde_json::from_str(response.body()).unwrap();
                assert_eq!(response.status(), 422, "{format:?}");
                assert_eq!(problem["codes"], json!({ "password": ["not_allowed"] }));
            }
        }
        if !format.allows_nul() {
            assert_eq!(app.reset(&link, PASSWORD).await.status(), 204, "{format:?}");
            app.process_stream().await;
        }
    }
}

/// Returns the error with which `reset` refuses to start.
fn start_error(settings: &[(&str, &str)]) -> Option<String> {
    let sdk = sdk_config("http://127.0.0.1:1", long_timeouts());
    let settings = environment(settings);
    let variable = |name: &str| settings.get(name).cloned();
    let reset = Reset::new(&sdk, &variable, Box::new(std::io::sink()));
    reset.err().map(|error| error.to_string())
}

const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

#[test]
fn a_wrong_setting_is_refused_at_start_up_by_its_name() {
    for (settings, expected) in [
        (
            &[("PASSWORD_HASH", "scrypt")][..],
            "PASSWORD_HASH: expected one of argon2id, argon2id-django, bcrypt-2b, bcrypt-2y, pbkdf2-django, \
             pbkdf2-aspnet, got \"scrypt\"",
        ),
        (
            &[("BCRYPT_COST", "9")],
            "BCRYPT_COST: expected a whole number from 10 to 14, got \"9\"",
        ),
        (
            &[
                ("PASSWORD_HASH", "pbkdf2-django"),
                ("PBKDF2_ITERATIONS", "599999"),
            ],
            "PBKDF2_ITERATIONS: expected at least 600000 with pbkdf2-django, got \"599999\"",
        ),
        (
            &[
                ("PASSWORD_HASH", "bcrypt-2y"),
                ("BCRYPT_COST", "14"),
                (MEMORY, "1024"),
            ],
            "BCRYPT_COST: expected at most 13 with 1024 MB of memory (HashingMemoryMB), got \"14\"",
        ),
        (
            &[("PASSWORD_HASH", "pbkdf2-aspnet"), (MEMORY, "512")],
            "PBKDF2_ITERATIONS: expected at most 795929 with 512 MB of memory (HashingMemoryMB), got \"1000000\"",
        ),
        (
            &[
                ("PASSWORD_HASH", "pbkdf2-aspnet"),
                ("PBKDF2_ITERATIONS", "5000000"),
                (MEMORY, "3008"),
            ],
            "PBKDF2_ITERATIONS: expected at most 2750000, even on a whole core, got \"5000000\"",
        ),
    ] {
        let error = start_error(settings).unwrap();
        assert_eq!(error, format!("invalid settings: {expected}"));
    }
}

#[test]
fn the_parameters_of_other_formats_do_not_matter() {
    for fine in [
        &[
            ("PASSWORD_HASH", "pbkdf2-aspnet"),
            ("PBKDF2_ITERATIONS", "210000"),
            (MEMORY, "512"),
        ][..],
        &[
            ("PASSWORD_HASH", "argon2id"),
            ("BCRYPT_COST", "14"),
            (MEMORY, "512"),
        ],
        &[
            ("PASSWORD_HASH", "bcrypt-2b"),
            ("PBKDF2_ITERATIONS", "5000000"),
            (MEMORY, "512"),
        ],
    ] {
        assert_eq!(start_error(fine), None, "{fine:?}");
    }
}

/// The table in docs/application.md has the least memory with which each format starts.
#[test]
fn the_documentation_has_the_least_memory_of_each_setting() {
    let documentation = include_str!("../../docs/application.md");
    let (_, section) = documentation.split_once("### Time and memory\n").unwrap();
    let (section, _) = section.split_once("\n#").unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            line.split('|')
                .map(|cell| cell.trim().trim_matches('`'))
                .collect()
        })
        .collect();
    let smallest: u32 = template::parameter("HashingMemoryMB").number("MinValue");
    let mut formats = Vec::new();
    for row in rows {
        let (format, setting, least) = (row[1], row[2], row[4]);
        for format in format.split("`, `") {
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        let (name, value) = setting.split_once('=').unwrap();
        let name = match name {
            "BcryptCost" => "BCRYPT_COST",
            "Pbkdf2Iterations" => "PBKDF2_ITERATIONS",
            // argon2id's bounds fit into the smallest function, whatever its parameters.
            _ => continue,
        };
        let starts_with = |memory: u32| {
            let memory = memory.to_string();
            let format = format.split('`').next().unwrap();
            start_error(&[("PASSWORD_HASH", format), (name, value), (MEMORY, &memory)]).is_none()
        };
        let Ok(least) = least.parse::<u32>() else {
            assert!(!starts_with(10_240), "{row:?}");
            continue;
        };
        assert!(starts_with(least), "{row:?}");
        assert!(least == smallest || !starts_with(least - 1), "{row:?}");
    }
    assert_eq!(formats, Format::ALL.map(Format::name));
}

/// With directory functions, a change stops at this limit. The longest hash leaves a second for the calls before it, which
/// take milliseconds.
#[test]
fn the_longest_hash_ends_before_a_change_stops() {
    let limit: std::time::Duration = CLAIM_LIMIT.try_into().unwrap();
    assert!(breaches::TIMEOUT + LONGEST_HASH + std::time::Duration::from_secs(1) <= limit);
}

/// Takes the best of several tries, because the machine may be busy.
#[test]
fn hashing_is_as_fast_as_the_settings_assume() {
    let tries = times(3, 30);
    let best = |steps: u32, hash: &dyn Fn()| {
        let rate = |_| {
            let started = Instant::now();
            hash();
            f64::from(steps) / started.elapsed().as_secs_f64()
        };
        (0..tries).map(rate).fold(0.0, f64::max)
    };
    let bcrypt = || {
        bcrypt::hash_with_salt(PASSWORD, 10, [1; 16]).unwrap();
    };
    let pbkdf2 = |algorithm: Algorithm| {
        let params = Params::new(100_000).unwrap();
        let salt = &[1; 16];
        pbkdf2_hmac_with_params(PASSWORD.as_bytes(), salt, algorithm, params, &mut [0; 32]);
    };
    for (what, rate, assumed) in [
        (
            "rounds of bcrypt",
            best(1 << 10, &bcrypt),
            hasher::BCRYPT_ROUNDS_PER_SECOND,
        ),
        (
            "iterations of PBKDF2 with SHA-256",
            best(100_000, &|| pbkdf2(Algorithm::Pbkdf2Sha256)),
            hasher::PBKDF2_SHA256_ITERATIONS_PER_SECOND,
        ),
        (
            "iterations of PBKDF2 with SHA-512",
            best(100_000, &|| pbkdf2(Algorithm::Pbkdf2Sha512)),
            hasher::PBKDF2_SHA512_ITERATIONS_PER_SECOND,
        ),
    ] {
        report(what, tries, &format!("{rate:.0} a second"));
        assert!(rate > assumed.into(), "{what}: {rate:.0} a second");
    }
}
