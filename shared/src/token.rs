//! Tokens: the secrets in links.

use std::fmt;

use rand::TryRng as _;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use serde::{Deserialize, Serialize};

use crate::digest::{sha256_hex, write_hex};
use crate::fault::Fault;
use crate::field_error::FieldError;
use crate::secret::SecretText;
use crate::unicode;

/// A secret of 32 bytes from the operating system's random generator.
///
/// OWASP ASVS 5.0, 11.5.1 requires 128 bits, half as many. A token is wiped after use. Only two methods expose it:
/// [`Token::hash`] for the table and [`Token::hex`] for the link.
///
/// ```
/// use rekey::token::Token;
/// use secrecy::ExposeSecret as _;
///
/// let token = Token::generate()?;
/// let typed = token.hex();
/// let parsed = Token::parse(typed.expose_secret())?;
/// assert_eq!(parsed.hash(), token.hash());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A token cannot be printed:
///
/// ```compile_fail
/// # let token = rekey::token::Token::generate().unwrap();
/// println!("{token}");
/// ```
///
/// Its hash can, although its `Debug` output omits the digits:
///
/// ```
/// # let token = rekey::token::Token::generate().unwrap();
/// println!("{:?}", token.hash());
/// ```
#[derive(Debug)]
pub struct Token(SecretBox<[u8; 32]>);

impl Token {
    /// Generates a new token.
    ///
    /// # Errors
    /// Returns a [`Fault`] if the operating system has no randomness.
    pub fn generate() -> Result<Self, Fault> {
        let mut token = Self(SecretBox::new(Box::new([0; 32])));
        let bytes = secrecy::ExposeSecretMut::expose_secret_mut(&mut token.0);
        SysRng
            .try_fill_bytes(bytes)
            .map_err(|_| Fault::internal("token.generate", "NoRandomness"))?;
        Ok(token)
    }

    /// Parses the 64 hexadecimal digits of a link, in either case.
    ///
    /// Surrounding whitespace and invisible characters are ignored, because people copy them along with the digits.
    ///
    /// # Errors
    /// Returns [`FieldError::BadToken`] for anything else. A token that is unknown, used, or expired has the same
    /// error.
    pub fn parse(typed: &str) -> Result<Self, FieldError> {
        let typed = unicode::trim(typed);
        let mut token = Self(SecretBox::new(Box::new([0; 32])));
        let bytes = secrecy::ExposeSecretMut::expose_secret_mut(&mut token.0);
        let (pairs, rest) = typed.as_bytes().as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(FieldError::BadToken);
        }
        for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(high)? << 4 | nibble(low)?;
        }
        Ok(token)
    }

    /// Returns the hash that the token is stored under. The token cannot be derived from it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(sha256_hex(self.0.expose_secret()))
    }

    /// Returns the token as hexadecimal digits, for the link.
    pub fn hex(&self) -> SecretString {
        let mut digits = SecretText::default();
        write_hex(&mut digits, self.0.expose_secret());
        digits.finish()
    }
}

fn nibble(digit: u8) -> Result<u8, FieldError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(FieldError::BadToken),
    }
}

/// The SHA-256 of a token, which the table stores instead of the token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenHash(String);

impl TokenHash {
    /// Returns the hash in hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Omits the digits: even the hash of a token does not belong in a log.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_a_round_trip_through_its_digits() {
        let token = Token::generate().unwrap();
        let digits = token.hex();
        assert_eq!(digits.expose_secret().len(), 64);
        assert_eq!(
            Token::parse(digits.expose_secret()).unwrap().hash(),
            token.hash()
        );
    }

    #[test]
    fn two_tokens_differ() {
        assert_ne!(
            Token::generate().unwrap().hash(),
            Token::generate().unwrap().hash()
        );
    }

    #[test]
    fn case_and_surrounding_invisible_characters_are_ignored() {
        let digits = "0f".repeat(32);
        let token = Token::parse(&digits).unwrap();
        for same in [
            digits.to_uppercase(),
            format!("{digits} "),
            format!("{digits}\r\n"),
            format!("\u{feff}{digits}\u{200b}"),
        ] {
            assert_eq!(
                Token::parse(&same).unwrap().hash(),
                token.hash(),
                "{same:?}"
            );
        }
    }

    #[test]
    fn anything_but_64_hexadecimal_digits_is_rejected() {
        let good = "0f".repeat(32);
        assert!(Token::parse(&good).is_ok());
        for bad in [
            "",
            &good[1..],
            &format!("{good}0"),
            &format!("{good}00"),
            &good.replacen('0', "g", 1),
            &format!("{} {}", &good[..32], &good[32..]),
            &"é0".repeat(32),
        ] {
            assert_eq!(
                Token::parse(bad).unwrap_err(),
                FieldError::BadToken,
                "{bad}"
            );
        }
    }

    #[test]
    fn debug_output_omits_the_token_and_its_hash() {
        let token = Token::parse(&"ab".repeat(32)).unwrap();
        let printed = format!("{token:?} {:?}", token.hash());
        assert!(
            !printed.contains("abab")
                && !printed.contains("171")
                && !printed.contains(token.hash().as_str())
        );
    }
}
