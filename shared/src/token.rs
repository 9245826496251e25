//! The secret in the link.

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

/// 32 bytes from the operating system's generator: twice the 128 bits that OWASP ASVS 5.0, 11.5.1 asks for.
///
/// It does not print, is wiped after use, and has two ways out: [`Token::hash`] for the table and
/// [`Token::hex`] for the link.
///
/// ```compile_fail
/// # let token = rekey::token::Token::generate().unwrap();
/// println!("{token}");
/// ```
///
/// ```
/// # let token = rekey::token::Token::generate().unwrap();
/// println!("{:?}", token.hash());
/// ```
#[derive(Debug)]
pub struct Token(SecretBox<[u8; 32]>);

impl Token {
    /// Makes a new token.
    ///
    /// # Errors
    /// A fault where the operating system has no randomness.
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
    /// Returns [`FieldError::BadToken`] for anything else, as for a token that is unknown, used, or expired.
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

    /// The key that the token is stored under. It leads nowhere without the token.
    pub fn hash(&self) -> TokenHash {
        TokenHash(sha256_hex(self.0.expose_secret()))
    }

    /// The token as the link carries it.
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

/// The SHA-256 of a token: all that the table knows of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenHash(String);

impl TokenHash {
    /// Its hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Says nothing: not even the hash of a token belongs into a log.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_its_digits() {
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
    fn case_and_surrounding_invisible_characters_do_not_matter() {
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
    fn what_is_not_64_hexadecimal_digits_is_refused() {
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
    fn debug_output_holds_neither_token_nor_hash() {
        let token = Token::parse(&"ab".repeat(32)).unwrap();
        let printed = format!("{token:?} {:?}", token.hash());
        assert!(
            !printed.contains("abab")
                && !printed.contains("171")
                && !printed.contains(token.hash().as_str())
        );
    }
}
