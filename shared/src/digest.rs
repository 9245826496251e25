//! SHA-256 and hexadecimal digits, for the table's keys.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// Returns the SHA-256 of some bytes (FIPS 180-4), in lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns bytes in lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    write_hex(&mut digits, bytes);
    digits
}

/// Writes bytes in lower-case hexadecimal digits.
pub(crate) fn write_hex(text: &mut impl Write, bytes: &[u8]) {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for digit in digits.filter_map(|digit| char::from_digit(digit.into(), 16)) {
        // Writing to memory cannot fail.
        let _ = text.write_char(digit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_matches_fips_180() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
