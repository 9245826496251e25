//! Password hashing, in the format that the application's login reads.

mod argon2id;
mod bcrypt;
mod compute;
mod pbkdf2;

use std::fmt;

use rand::TryRng as _;
use rand::rngs::SysRng;
use rekey::config::Env;
use rekey::fault::Fault;
use rekey::password_hash::PasswordHash;

use crate::format::Format;
use crate::policy::NewPassword;
use argon2id::Argon2id;
use bcrypt::Cost;
use compute::Compute;
use pbkdf2::Iterations;

pub use bcrypt::ROUNDS_PER_SECOND as BCRYPT_ROUNDS_PER_SECOND;
pub use compute::LONGEST_HASH;
pub use pbkdf2::{
    SHA256_ITERATIONS_PER_SECOND as PBKDF2_SHA256_ITERATIONS_PER_SECOND,
    SHA512_ITERATIONS_PER_SECOND as PBKDF2_SHA512_ITERATIONS_PER_SECOND,
};

/// The random bytes of a salt (NIST SP 800-132, 5.1: at least 128 bits).
const SALT_BYTES: usize = 16;

/// The deployment's format, and the parameters of its algorithm.
pub struct Hasher {
    format: Format,
    argon2id: Argon2id,
    cost: Cost,
    iterations: Iterations,
}

impl Hasher {
    /// Reads the parameters of all algorithms, and the memory that Lambda gives this function. Rejects parameters with
    /// which the format takes longer than a request can wait.
    pub fn read(env: &mut Env<'_>, format: Format) -> Option<Self> {
        let compute = Compute::read(env);
        let argon2id = Argon2id::read(env);
        let cost = Cost::read(env, format, compute);
        let iterations = Iterations::read(env, format, compute);
        Some(Self {
            format,
            argon2id: argon2id?,
            cost: cost?,
            iterations: iterations?,
        })
    }

    /// Hashes a password and wipes it, and the memory that held a part or an equivalent of it.
    ///
    /// # Errors
    /// Returns a [`Fault`] if there is no randomness or no memory, or if the policy of another format accepted the
    /// password.
    pub fn hash(&self, password: NewPassword) -> Result<PasswordHash, Fault> {
        const OPERATION: &str = "password.hash";
        let mut salt = [0; SALT_BYTES];
        SysRng
            .try_fill_bytes(&mut salt)
            .map_err(|_| Fault::internal(OPERATION, "NoRandomness"))?;
        let hash = self.encoded(password.as_bytes(), salt);
        drop(password);
        let hash = hash.ok_or(Fault::internal(OPERATION, "NotHashed"))?;
        Ok(PasswordHash::new(hash))
    }

    fn encoded(&self, password: &[u8], salt: [u8; SALT_BYTES]) -> Option<String> {
        let is_cut = self
            .format
            .max_bytes()
            .is_some_and(|max| password.len() > max);
        let ends_early = password.contains(&0) && !self.format.allows_nul();
        // The policy rejects such passwords. Their hashes would match other passwords, too.
        if is_cut || ends_early {
            return None;
        }
        match self.format {
            Format::Argon2id => self.argon2id.phc(password, &salt),
            // Django finds its hasher by the text before the first dollar sign.
            Format::Argon2idDjango => {
                Some(format!("argon2{}", self.argon2id.phc(password, &salt)?))
            }
            Format::Bcrypt2b => self.cost.hash(password, salt, ::bcrypt::Version::TwoB),
            Format::Bcrypt2y => self.cost.hash(password, salt, ::bcrypt::Version::TwoY),
            Format::Pbkdf2Django => Some(self.iterations.django(password, salt)),
            Format::Pbkdf2AspNet => Some(self.iterations.asp_net(password, salt)),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Hasher");
        shown.field("format", &self.format);
        match self.format {
            Format::Argon2id | Format::Argon2idDjango => shown.field("argon2id", &self.argon2id),
            Format::Bcrypt2b | Format::Bcrypt2y => shown.field("cost", &self.cost),
            Format::Pbkdf2Django | Format::Pbkdf2AspNet => {
                shown.field("iterations", &self.iterations)
            }
        };
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use argon2::{Argon2, PasswordVerifier as _};

    use super::*;
    use crate::policy::Policy;

    fn hasher(settings: &[(&str, &str)]) -> Hasher {
        let variable = |name: &str| {
            let found = settings.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let mut env = Env::new(&variable);
        let format = Format::read(&mut env);
        let hasher = Hasher::read(&mut env, format);
        env.finish(hasher).unwrap()
    }

    fn accepted_for(format: Format, typed: &str) -> NewPassword {
        let policy = Policy::read(&mut Env::new(&|_: &str| None), format).unwrap();
        NewPassword::parse(typed, &policy, None).unwrap()
    }

    #[test]
    fn a_password_is_hashed_exactly_as_received() {
        for (typed, other) in [
            ("  outer spaces  ", "outer spaces"),
            ("nul\0in between", "nul"),
            ("cafe\u{301} in NFD", "caf\u{e9} in NFD"),
            ("CaSe matters", "case matters"),
        ] {
            let password = accepted_for(Format::Argon2id, typed);
            let hash = hasher(&[]).hash(password).unwrap();
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
    fn a_password_that_another_format_holds_is_never_cut() {
        let long = "0123456789".repeat(8);
        for (format, typed) in [
            ("bcrypt-2b", long.as_str()),
            ("bcrypt-2y", "nul\0in between"),
            ("pbkdf2-django", "nul at the end\0"),
            ("pbkdf2-aspnet", "nul at the end\0"),
        ] {
            let hasher = hasher(&[("PASSWORD_HASH", format)]);
            let password = accepted_for(Format::Argon2id, typed);
            assert!(hasher.hash(password).is_err(), "{format}");
        }
    }

    #[test]
    fn debug_output_names_the_format_and_its_parameter() {
        let shown = format!("{:?}", hasher(&[("PASSWORD_HASH", "bcrypt-2y")]));
        assert_eq!(shown, "Hasher { format: Bcrypt2y, cost: Cost(12) }");
    }
}
