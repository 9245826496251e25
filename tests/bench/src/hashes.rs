//! argon2id at Rekey's parameters (19 MiB, two passes, one lane), in Rekey's implementation and others.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::Serialize;

use crate::repository::root;
use crate::stats::{Sample, Summary};
use crate::subject::PASSWORD;

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const SALT: &[u8] = b"sixteen bytes !!";

/// The results of one implementation.
#[derive(Serialize)]
pub(crate) struct Implementation {
    pub(crate) name: &'static str,
    pub(crate) took: Summary,
    /// The ratio to the fastest implementation that is audited or widely used.
    pub(crate) ratio: Summary,
}

/// Measures each implementation in turn.
pub(crate) fn compare(rounds: usize) -> Vec<Implementation> {
    let mut others = Others::start();
    let (mut ours, mut rust) = (Ours::new(), rust());
    let mut samples = [(); 5].map(|()| Sample::default());
    for round in 0..=rounds {
        let [libsodium, openssl, libargon2] =
            ["libsodium", "openssl", "libargon2"].map(|name| others.hash(name));
        let took = [ours.hash(), rust(), libsodium, openssl, libargon2];
        if round > 0 {
            for (sample, took) in samples.iter_mut().zip(took) {
                sample.push(took);
            }
        }
    }
    let [argon2, argon2_rust, libsodium, openssl, libargon2] = samples;
    let fastest = libsodium.clone();
    [
        ("argon2, the crate: ours", argon2),
        (
            "argon2-rust, the crate: not audited, little used",
            argon2_rust,
        ),
        ("libsodium, from PyNaCl", libsodium),
        ("OpenSSL, from cryptography", openssl),
        ("libargon2, from argon2-cffi", libargon2),
    ]
    .map(|(name, sample)| Implementation {
        name,
        took: sample.summary(),
        ratio: sample.over(&fastest).summary(),
    })
    .into()
}

/// The crate that Rekey uses, with memory that is reused as in Rekey.
pub(crate) struct Ours(Argon2<'static>, Vec<Block>);

impl Ours {
    pub(crate) fn new() -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap();
        let memory = vec![Block::default(); params.block_count()];
        Self(
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            memory,
        )
    }

    pub(crate) fn hash(&mut self) -> Duration {
        let mut hash = [0; 32];
        let started = Instant::now();
        self.0
            .hash_password_into_with_memory(PASSWORD.as_bytes(), SALT, &mut hash, &mut self.1)
            .unwrap();
        started.elapsed()
    }
}

/// Returns a hasher of the fastest known implementation. It reuses its memory, too.
fn rust() -> impl FnMut() -> Duration {
    use argon2_rust::params::Memory;
    use argon2_rust::{Algorithm, Argon2, Params, Version};
    let params = Params::builder()
        .memory(Memory::kib(MEMORY_KIB.into()))
        .passes(PASSES);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.build().unwrap());
    let mut hasher = argon2.hasher();
    move || {
        let mut hash = [0; 32];
        let started = Instant::now();
        hasher
            .hash_into(PASSWORD.as_bytes(), SALT, &mut hash)
            .unwrap();
        started.elapsed()
    }
}

/// The implementations in C, in a process that reports the time of each hash.
struct Others {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Others {
    fn start() -> Self {
        let mut child = Command::new(root().join("target/tools/peers/venv/bin/python"))
            .arg(root().join("infra/bench/hashes.py"))
            .args([PASSWORD, str::from_utf8(SALT).unwrap()])
            .args([MEMORY_KIB, PASSES].map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            requests,
            answers,
        }
    }

    fn hash(&mut self, name: &str) -> Duration {
        writeln!(self.requests, "{name}").unwrap();
        let mut nanoseconds = String::new();
        self.answers.read_line(&mut nanoseconds).unwrap();
        Duration::from_nanos(nanoseconds.trim().parse().unwrap())
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
