//! The passwords that attackers try first: the 100,000 most common in public leaks, in 325 KiB.
//!
//! `infra/common-passwords.py` generates the file, and documents where the passwords come from. The file has part of
//! the SHA-256 of each password in lower case. Its first 13 bits choose a bucket, which contains the 24 bits of the
//! next three bytes.
//!
//! A bucket has 12 entries on average. So one in 1.4 million other passwords is rejected by chance. Nothing is unpacked
//! at start-up.

use sha2::{Digest as _, Sha256};

static FILE: &[u8] = include_bytes!("common_passwords.bin");

const BUCKETS: usize = 1 << 13;
/// The size of a bucket's end. The file begins with the end of each bucket, counted in passwords.
const END: usize = size_of::<u32>();
/// The size of a password's entry in its bucket, in bytes.
const REST: usize = 3;

/// Returns whether a password is one of them. It must be in lower case.
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
    fn the_file_has_100_000_passwords() {
        let counts = (0..BUCKETS).map(|index| bucket(index).count());
        assert_eq!(counts.sum::<usize>(), 100_000);
        assert_eq!(FILE.len(), BUCKETS * END + 100_000 * REST);
    }

    #[test]
    fn common_passwords_are_found_and_the_last_bucket_is_readable() {
        for common in [
            "password",
            "12345678",
            "qwertyuiop",
            "iloveyou",
            "password123",
            "1q2w3e4r",
        ] {
            assert!(contains(common), "{common}");
        }
        assert!(bucket(0).next().is_some() && bucket(BUCKETS - 1).next().is_some());
        assert!(bucket(BUCKETS).next().is_none());
    }

    #[test]
    fn fewer_than_one_in_a_million_other_passwords_are_rejected() {
        let hashes = BUCKETS << (8 * REST);
        assert!(100_000 * 1_000_000 < hashes);
        let tried = 1_200_000;
        let mistaken = (0..tried).filter(|n| contains(&format!("never leaked {n}")));
        assert!(mistaken.count() * 1_000_000 < tried);
    }
}
