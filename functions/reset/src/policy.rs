//! The password policy.

use rekey::config::Env;
use rekey::email::Email;
use rekey::field_error::FieldError;
use rekey::unicode::is_ignorable;
use secrecy::{ExposeSecret as _, SecretString};

use crate::common_passwords;
use crate::context_words::{ContextWords, letters_outside};
use crate::format::Format;

/// The maximum length of a password, in code points. A password is never truncated (OWASP ASVS 5.0, 6.2.8 and 6.2.9).
const MAX_LENGTH: usize = 256;

/// The number of other letters and digits in a password that contains a context word. Fewer would make a short password
/// with a prefix that an attacker knows.
const MIN_REST: usize = 8;

/// The deployment's password policy.
///
/// A password needs a minimum length, and must not be one that attackers try first. There are no composition rules
/// (OWASP ASVS 5.0, 6.2.1, 6.2.4, 6.2.5, 6.2.11; NIST SP 800-63B-4, "Password Verifiers").
#[derive(Clone, Debug)]
pub struct Policy {
    min_length: usize,
    product: ContextWords,
    format: Format,
}

impl Policy {
    /// Reads `PASSWORD_MIN_LENGTH`, in code points, and `PRODUCT_NAME`, whose words alone do not make a password. A
    /// password must also fit into the format of its hash.
    pub fn read(env: &mut Env<'_>, format: Format) -> Option<Self> {
        let min_length = env.number("PASSWORD_MIN_LENGTH", 8, 8..=64)? as usize;
        // `Services::read` reports a missing name.
        let product = env.optional("PRODUCT_NAME", ContextWords::of_name(""), |name| {
            Ok(ContextWords::of_name(name))
        })?;
        Some(Self {
            min_length,
            product,
            format,
        })
    }

    fn check(&self, typed: &str, email: Option<&Email>) -> Result<(), FieldError> {
        let length = typed.chars().count();
        if length < self.min_length {
            return Err(FieldError::TooShort {
                min_length: self.min_length,
            });
        }
        // Before the limit in code points, which would let the user try a length that the format rejects.
        if let Some(max_bytes) = self.format.max_bytes().filter(|max| typed.len() > *max) {
            return Err(FieldError::TooManyBytes { max_bytes });
        }
        if length > MAX_LENGTH {
            return Err(FieldError::TooLong {
                max_length: MAX_LENGTH,
            });
        }
        if typed.contains('\0') && !self.format.allows_nul() {
            return Err(FieldError::Nul);
        }
        if !typed.chars().any(is_visible) {
            return Err(FieldError::Invisible);
        }
        if is_one_letter(typed) {
            return Err(FieldError::Repeated);
        }
        let address = email.map(ContextWords::of_address);
        let contexts: Vec<&ContextWords> = address.iter().chain([&self.product]).collect();
        if letters_outside(&contexts, typed).is_some_and(|rest| rest < MIN_REST) {
            return Err(FieldError::MadeOfContext);
        }
        let lower_case = SecretString::from(typed.to_lowercase());
        if common_passwords::contains(lower_case.expose_secret()) {
            return Err(FieldError::Leaked);
        }
        Ok(())
    }
}

/// Returns whether a reader can see a character. A user cannot recognize a password of invisible characters, and
/// attackers try spaces early.
///
/// Whitespace, control characters, and what Unicode lets a renderer ignore are invisible (UAX 44, `White_Space` and
/// `Default_Ignorable_Code_Point`). Neither property covers the blank Braille pattern and the interlinear anchors.
fn is_visible(character: char) -> bool {
    let is_blank = matches!(character, '\u{2800}' | '\u{fff9}'..='\u{fffb}');
    !(character.is_whitespace() || character.is_control() || is_ignorable(character) || is_blank)
}

/// Returns whether all characters are the same, apart from their case.
fn is_one_letter(typed: &str) -> bool {
    let mut letters = typed.chars().map(char::to_lowercase);
    let first = letters.next();
    letters.all(|letter| first.as_ref().is_some_and(|first| letter.eq(first.clone())))
}

/// A password that the policy accepts, exactly as it was received.
#[derive(Debug)]
pub struct NewPassword(SecretString);

impl NewPassword {
    /// Parses a password for the user with an address. It is neither trimmed nor normalized, because the application's
    /// login must see the same bytes.
    ///
    /// # Errors
    /// Returns the first reason for which the policy rejects it.
    pub fn parse(typed: &str, policy: &Policy, email: Option<&Email>) -> Result<Self, FieldError> {
        policy.check(typed, email)?;
        Ok(Self(typed.into()))
    }

    /// Returns whether a text is the same password.
    pub fn is(&self, typed: &str) -> bool {
        self.0.expose_secret() == typed
    }

    /// Returns the password itself, for a directory that hashes it.
    pub(crate) fn into_secret(self) -> SecretString {
        self.0
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let env = |_: &str| None;
        Policy::read(&mut Env::new(&env), Format::Argon2id).unwrap()
    }

    #[test]
    fn the_length_counts_code_points() {
        let policy = policy();
        assert!(NewPassword::parse("pässwör", &policy, None).is_err());
        assert!(NewPassword::parse("😀😁😂🤣😃😄😅", &policy, None).is_err());
        assert!(NewPassword::parse("😀😁😂🤣😃😄😅😆", &policy, None).is_ok());
        assert!(NewPassword::parse(&"éè".repeat(128), &policy, None).is_ok());
        assert!(NewPassword::parse(&format!("{}é", "éè".repeat(128)), &policy, None).is_err());
    }

    #[test]
    fn a_password_needs_a_visible_character() {
        let policy = policy();
        for invisible in [
            " ", "\t", "\0", "\u{a0}", "\u{200b}", "\u{2800}", "\u{3164}", "\u{fffa}",
        ] {
            let typed = invisible.repeat(8);
            assert!(
                NewPassword::parse(&typed, &policy, None).is_err(),
                "{typed:?}"
            );
            let one_visible = format!("{typed}x");
            assert!(
                NewPassword::parse(&one_visible, &policy, None).is_ok(),
                "{one_visible:?}"
            );
        }
    }

    #[test]
    fn one_repeated_character_is_rejected() {
        let policy = policy();
        for repeated in [
            "aaaaaaaaaaaa",
            "aAaAaAaAaAaA",
            "ÄÄÄÄÄÄääääää",
            "😀😀😀😀😀😀😀😀",
            "************",
        ] {
            let error = NewPassword::parse(repeated, &policy, None).unwrap_err();
            assert_eq!(error, FieldError::Repeated, "{repeated}");
        }
        assert!(NewPassword::parse("aaaaaaaaaaab", &policy, None).is_ok());
    }

    #[test]
    fn context_words_alone_are_rejected() {
        let variables =
            |name: &str| (name == "PRODUCT_NAME").then(|| "Söhne & Co. Example".to_owned());
        let policy = Policy::read(&mut Env::new(&variables), Format::Argon2id).unwrap();
        let email = Email::parse("ada.lovelace@mail.analytical.org").unwrap();
        for weak in [
            "ada.lovelace@mail.analytical.org",
            "Lovelace1815!",
            "adaadaada",
            "ANALYTICAL-7",
            "söhne2026!",
            "SÖHNE example",
            "mail-example-ada",
        ] {
            assert!(
                NewPassword::parse(weak, &policy, Some(&email)).is_err(),
                "{weak}"
            );
        }
        for good in [
            "an example of a long passphrase",
            "lovelace and seven swans",
            "co-organiser",
        ] {
            assert!(
                NewPassword::parse(good, &policy, Some(&email)).is_ok(),
                "{good}"
            );
        }
        assert!(NewPassword::parse("Lovelace1815!", &policy, None).is_ok());
    }

    #[test]
    fn a_common_password_is_rejected_in_any_case() {
        for leaked in ["iloveyou", "Password123", "QWERTYUIOP", "passw0rd1"] {
            assert_eq!(
                NewPassword::parse(leaked, &policy(), None).unwrap_err(),
                FieldError::Leaked,
                "{leaked}"
            );
        }
    }

    #[test]
    fn debug_output_omits_the_password() {
        let password = NewPassword::parse("correct horse", &policy(), None).unwrap();
        assert!(!format!("{password:?}").contains("horse"));
    }
}
