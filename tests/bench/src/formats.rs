//! The time of a hash in each format, relative to argon2id.

use std::time::Instant;

use rekey::config::Env;
use reset::format::Format;
use reset::hasher::Hasher;
use reset::policy::{NewPassword, Policy};

use crate::stats::Sample;
use crate::subject::PASSWORD;

/// Hashes with each of these settings in turn, and prints a table.
pub(crate) fn compare(rounds: usize) {
    let hashers = SETTINGS.map(|(_, settings)| hasher(settings));
    let mut samples = SETTINGS.map(|_| Sample::default());
    for round in 0..=rounds {
        for ((format, hasher), sample) in hashers.iter().zip(&mut samples) {
            let policy = Policy::read(&mut Env::new(&|_| None), *format).unwrap();
            let password = NewPassword::parse(PASSWORD, &policy, None).unwrap();
            let started = Instant::now();
            hasher.hash(password).unwrap();
            if round > 0 {
                sample.push(started.elapsed());
            }
        }
    }
    for ((name, _), sample) in SETTINGS.iter().zip(&samples) {
        let (took, ratio) = (sample.summary(), sample.over(&samples[0]).summary());
        println!(
            "{name:28} {:8.1} ms, {:6.2} times argon2id ({:.2} to {:.2})",
            took.median, ratio.median, ratio.p10, ratio.p90
        );
    }
}

fn hasher(settings: &[(&str, &str)]) -> (Format, Hasher) {
    let variable = |name: &str| {
        let found = settings.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let mut env = Env::new(&variable);
    let format = Format::read(&mut env);
    let hasher = Hasher::read(&mut env, format);
    (format, env.finish(hasher).unwrap())
}

const SETTINGS: [(&str, &[(&str, &str)]); 8] = [
    ("argon2id", &[]),
    ("argon2id-django", &[("PASSWORD_HASH", "argon2id-django")]),
    (
        "bcrypt-2b, cost 10",
        &[("PASSWORD_HASH", "bcrypt-2b"), ("BCRYPT_COST", "10")],
    ),
    ("bcrypt-2b, cost 12", &[("PASSWORD_HASH", "bcrypt-2b")]),
    (
        "bcrypt-2y, cost 14",
        &[("PASSWORD_HASH", "bcrypt-2y"), ("BCRYPT_COST", "14")],
    ),
    (
        "pbkdf2-django, 1,000,000",
        &[("PASSWORD_HASH", "pbkdf2-django")],
    ),
    (
        "pbkdf2-aspnet, 210,000",
        &[
            ("PASSWORD_HASH", "pbkdf2-aspnet"),
            ("PBKDF2_ITERATIONS", "210000"),
        ],
    ),
    (
        "pbkdf2-aspnet, 1,000,000",
        &[("PASSWORD_HASH", "pbkdf2-aspnet")],
    ),
];
