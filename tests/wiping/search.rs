//! The search of this process's memory.

use std::fs::File;
use std::io::{BufRead as _, Read as _};
use std::os::unix::fs::FileExt as _;

use rekey::token::Token;
use secrecy::{ExposeSecret as _, SecretString};

/// The bytes to search for, each masked so that the search does not find them here.
pub(crate) struct Traces(pub(crate) Vec<Vec<u8>>);

pub(crate) const MASK: u8 = 0x80;

pub(crate) fn masked(bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    bytes.map(|byte| byte ^ MASK).collect()
}

impl Traces {
    /// Returns the traces of a secret's middle, because an allocator overwrites the first bytes of freed memory. A
    /// token's bytes may be in memory when its digits are not.
    pub(crate) fn of(secret: &SecretString) -> Self {
        let digits = &secret.expose_secret().as_bytes()[24..56];
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap();
        let byte = |pair: &[u8]| u8::try_from(value(pair[0]) << 4 | value(pair[1])).unwrap();
        Self(vec![
            masked(digits.iter().copied()),
            masked(digits.chunks(2).map(byte)),
        ])
    }

    pub(crate) fn of_token(token: &Token) -> Self {
        Self::of(&token.hex())
    }
}

/// Reads this process's memory. It allocates its buffers at the start. Otherwise, they could reuse freed memory, and
/// overwrite the traces.
pub(crate) struct Search {
    memory: File,
    maps: String,
    writable: Vec<(u64, u64)>,
    chunk: Vec<u8>,
}

impl Search {
    const CHUNK: usize = 1 << 16;

    pub(crate) fn new() -> Self {
        Self {
            memory: File::open("/proc/self/mem").unwrap(),
            maps: String::with_capacity(Self::CHUNK),
            writable: Vec::with_capacity(1000),
            chunk: vec![0; Self::CHUNK + 32],
        }
    }

    /// Returns the number of occurrences of the traces in writable memory.
    pub(crate) fn count(&mut self, traces: &Traces) -> usize {
        self.maps.clear();
        let mut maps = File::open("/proc/self/maps").unwrap();
        maps.read_to_string(&mut self.maps).unwrap();
        self.writable.clear();
        let lines = self.maps.lines().filter(|line| line.contains(" rw"));
        self.writable.extend(lines.map(range));
        traces.0.iter().map(|trace| self.count_of(trace)).sum()
    }

    fn count_of(&mut self, masked: &[u8]) -> usize {
        let (first, others) = masked.split_first().unwrap();
        let starts_here = |rest: &[u8]| {
            rest.len() >= others.len() && rest.iter().zip(others).all(|(a, b)| *a == b ^ MASK)
        };
        let mut count = 0;
        for (start, end) in &self.writable {
            for at in (*start..*end).step_by(Self::CHUNK) {
                let max = Self::CHUNK + masked.len() - 1;
                let length = max.min(usize::try_from(end - at).unwrap());
                let Ok(read) = self.memory.read_at(&mut self.chunk[..length], at) else {
                    break;
                };
                let mut rest = &self.chunk[..read];
                while rest.skip_until(first ^ MASK).unwrap() > 0 {
                    count += usize::from(starts_here(rest));
                }
            }
        }
        count
    }
}

/// Returns the start and the end of the range in a line of `/proc/self/maps`.
fn range(line: &str) -> (u64, u64) {
    let (start, rest) = line.split_once('-').unwrap();
    let (end, _) = rest.split_once(' ').unwrap();
    let address = |digits| u64::from_str_radix(digits, 16).unwrap();
    (address(start), address(end))
}
