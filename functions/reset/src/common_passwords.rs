//! The passwords that attackers try first: 100,000 of the most used in public leaks, in 325 KiB.
//!
//! `infra/common-passwords.py` makes the file, and says where the passwords come from. Of each, in lower case, the
//! SHA-256 is kept in part: 13 bits choose a bucket, and the 24 of the next three bytes stand in it. A password that is none of them meets one
//! of the 12 in its bucket by chance once in 1.4 million times. Nothing is unpacked at the start.

use sha2::{Digest as _, Sha256};

static FILE: &[u8] = include_bytes!("common_passwords.bin");

const BUCKETS: usize = 1 << 13;
/// The file begins with the end of each bucket, counted in passwords.
const END: usize = size_of::<u32>();
/// What is kept of a password within its bucket, in bytes.
const REST: usize = 3;

/// Whether a password is one of them. It is given in lower case.
pub(crate) fn contains(lower_case: &str) -> bool {
    let [first, second, third, fourth, fifth, ..] = Sha256::digest(lower_case.as_bytes()).0;
    let index = usize::from(u16::from_be_bytes([first, second]) >> 3);
    bucket(index).any(|rest| rest == [third, fourth, fifth])
}

fn bucket(index: usize) -> impl Iterator<Item = &'static [u8]> {
    let (ends, rests) = FILE.split_at(BUCKETS * END);
    let end = |index: usize| {
        let (ends, _) = ends.as_chunks::<END>();
        ends.get(index)
            .map_or(0, |end| u32::from_be_bytes(*end) as usize)
    };
    let start = index.checked_sub(1).map_or(0, end);
    let length = end(index).saturating_sub(start);
    rests.chunks_exact(REST).skip(start).take(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole_and_has_100_000() {
        let counts = (0..BUCKETS).map(|index| bucket(index).count());
        assert_eq!(counts.sum::<usize>(), 100_000);
        assert_eq!(FILE.len(), BUCKETS * END + 100_000 * REST);
    }

    #[test]
    fn what_was_leaked_is_found_to_the_last_bucket() {
        for leaked in [
            "password",
            "12345678",
            "qwertyuiop",
            "iloveyou",
            "password123",
            "1q2w3e4r",
        ] {
            assert!(contains(leaked), "{leaked}");
        }
        assert!(bucket(0).next().is_some() && bucket(BUCKETS - 1).next().is_some());
        assert!(bucket(BUCKETS).next().is_none());
    }

    #[test]
    fn what_was_not_leaked_is_mistaken_for_it_less_than_once_in_a_million_times() {
        let hashes = BUCKETS << (8 * REST);
        assert!(100_000 * 1_000_000 < hashes);
        let tried = 1_200_000;
        let mistaken = (0..tried).filter(|n| contains(&format!("never leaked {n}")));
        assert!(mistaken.count() * 1_000_000 < tried);
    }
}
