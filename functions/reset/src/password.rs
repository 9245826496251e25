//! What a password must be, and how it is hashed.

use std::fmt;

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand::TryRng as _;
use rand::rngs::SysRng;
use rekey::config::Env;
use rekey::fault::Fault;
use rekey::problem::Complaint;
use rekey::users::PasswordHash;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

/// The longest password, in code points. Every one of them counts: nothing is cut off (OWASP ASVS 5.0, 6.2.8 and 6.2.9).
const MAX_LENGTH: usize = 256;

/// What the deployment asks of a password: a length, and no rules of composition (OWASP ASVS 5.0, 6.2.1 and 6.2.5).
#[derive(Clone, Debug)]
pub struct Policy {
    min_length: usize,
    too_short: Complaint,
}

impl Policy {
    /// Reads `PASSWORD_MIN_LENGTH`, in code points.
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let min_length = env.number("PASSWORD_MIN_LENGTH", 8, 8..=64)? as usize;
        let too_short =
            Complaint::of_setting(format!("must have at least {min_length} characters"));
        Some(Self {
            min_length,
            too_short,
        })
    }
}

/// A password that the policy accepts, exactly as it was received.
#[derive(Debug)]
pub struct NewPassword(SecretString);

impl NewPassword {
    /// Takes a password as it was typed. It is neither trimmed nor normalised: the application's own login has to find
    /// the same bytes.
    ///
    /// # Errors
    /// A complaint where the policy refuses it.
    pub fn parse(typed: &str, policy: &Policy) -> Result<Self, Complaint> {
        match typed.chars().count() {
            length if length < policy.min_length => Err(policy.too_short.clone()),
            length if length > MAX_LENGTH => {
                Err(Complaint::fixed("must have at most 256 characters"))
            }
            _ => Ok(Self(typed.into())),
        }
    }

    /// Whether this is the same password.
    pub fn is(&self, typed: &str) -> bool {
        self.0.expose_secret() == typed
    }
}

/// argon2id (RFC 9106), with the deployment's parameters.
#[derive(Clone)]
pub struct Hasher(Argon2<'static>);

impl Hasher {
    /// Reads `ARGON2_MEMORY_KIB`, `ARGON2_ITERATIONS` and `ARGON2_PARALLELISM`. OWASP's first recommendation is the
    /// default, and the least that is taken (Password Storage Cheat Sheet, "Argon2id").
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let memory = env.number("ARGON2_MEMORY_KIB", 19_456, 19_456..=262_144);
        let iterations = env.number("ARGON2_ITERATIONS", 2, 2..=8);
        let parallelism = env.number("ARGON2_PARALLELISM", 1, 1..=16);
        // Within these bounds there are no parameters that argon2 refuses.
        let params = Params::new(memory?, iterations?, parallelism?, None).ok()?;
        Some(Self(Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            params,
        )))
    }

    /// Hashes a password, and wipes it.
    ///
    /// # Errors
    /// A fault where there is no randomness or no memory.
    pub fn hash(&self, password: NewPassword) -> Result<PasswordHash, Fault> {
        const ACT: &str = "password.hash";
        let mut salt = [0; 16];
        SysRng
            .try_fill_bytes(&mut salt)
            .map_err(|_| Fault::of_our_own(ACT, "NoRandomness"))?;
        let hash = self.phc(&password, &salt);
        drop(password);
        hash.ok_or(Fault::of_our_own(ACT, "NotHashed"))
            .map(PasswordHash::new)
    }

    /// The hash as a PHC string. argon2's own way to it would leave the memory that it filled as it is, and whoever
    /// has that can guess the password for a fraction of the cost.
    fn phc(&self, password: &NewPassword, salt: &[u8]) -> Option<String> {
        let params = self.0.params();
        let mut blocks = Zeroizing::new(Vec::new());
        blocks.try_reserve_exact(params.block_count()).ok()?;
        blocks.resize(params.block_count(), Block::default());
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        let password = password.0.expose_secret().as_bytes();
        let hashed =
            self.0
                .hash_password_into_with_memory(password, salt, &mut output, &mut blocks[..]);
        hashed.ok()?;
        let hash = phc::PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(params).ok()?,
            salt: Some(Salt::new(salt).ok()?),
            hash: Some(Output::new(&output).ok()?),
        };
        Some(hash.to_string())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(self.0.params()).finish()
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier as _;

    use super::*;

    fn policy() -> Policy {
        let env = |_: &str| None;
        Policy::read(&mut Env::new(&env)).unwrap()
    }

    fn hasher() -> Hasher {
        let env = |_: &str| None;
        Hasher::read(&mut Env::new(&env)).unwrap()
    }

    #[test]
    fn code_points_are_counted() {
        let policy = policy();
        assert!(NewPassword::parse("pässwör", &policy).is_err());
        assert!(NewPassword::parse("😀😀😀😀😀😀😀", &policy).is_err());
        assert!(NewPassword::parse("😀😀😀😀😀😀😀😀", &policy).is_ok());
        assert!(NewPassword::parse(&"é".repeat(256), &policy).is_ok());
        assert!(NewPassword::parse(&"é".repeat(257), &policy).is_err());
    }

    #[test]
    fn a_password_is_hashed_exactly_as_received() {
        for (typed, other) in [
            ("  outer spaces  ", "outer spaces"),
            ("nul\0in between", "nul"),
            ("cafe\u{301} in NFD", "caf\u{e9} in NFD"),
            ("CaSe matters", "case matters"),
        ] {
            let password = NewPassword::parse(typed, &policy()).unwrap();
            let hash = hasher().hash(password).unwrap();
            let verify = |password: &str| {
                Argon2::default()
                    .verify_password(password.as_bytes(), hash.as_str())
                    .is_ok()
            };
            assert!(verify(typed), "{typed:?}");
            assert!(!verify(other), "{other:?}");
        }
    }

    #[test]
    fn the_hash_is_an_argon2id_phc_string_with_owasps_parameters_and_a_salt_of_its_own() {
        let hash = || {
            hasher()
                .hash(NewPassword::parse("correct horse", &policy()).unwrap())
                .unwrap()
        };
        assert!(
            hash()
                .as_str()
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
        assert_ne!(hash().as_str(), hash().as_str());
    }

    #[test]
    fn parameters_below_owasps_are_refused() {
        for (weak, value) in [
            ("ARGON2_MEMORY_KIB", "19455"),
            ("ARGON2_ITERATIONS", "1"),
            ("ARGON2_PARALLELISM", "0"),
        ] {
            let variables = |name: &str| (name == weak).then(|| value.to_owned());
            let mut env = Env::new(&variables);
            let hasher = Hasher::read(&mut env);
            assert!(env.finish(hasher).unwrap_err().to_string().contains(weak));
        }
    }

    #[test]
    fn debug_output_holds_no_password() {
        let password = NewPassword::parse("correct horse", &policy()).unwrap();
        assert!(!format!("{password:?}").contains("horse"));
    }
}
