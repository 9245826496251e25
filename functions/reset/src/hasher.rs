//! Password hashing: argon2id, in memory that is wiped and reused.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand::TryRng as _;
use rand::rngs::SysRng;
use rekey::config::Env;
use rekey::fault::Fault;
use rekey::password_hash::PasswordHash;
use secrecy::zeroize::Zeroize as _;

use crate::policy::NewPassword;

/// argon2id (RFC 9106), with the deployment's parameters.
pub struct Hasher {
    argon2: Argon2<'static>,
    /// The wiped memory of the previous password. Mapping 19 MiB again would take longer.
    kept: Mutex<Vec<Block>>,
}

impl Hasher {
    /// Reads `ARGON2_MEMORY_KIB`, `ARGON2_ITERATIONS`, and `ARGON2_PARALLELISM`. OWASP's first recommendation is both
    /// the default and the minimum (Password Storage Cheat Sheet, "Argon2id").
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let memory = env.number("ARGON2_MEMORY_KIB", 19_456, 19_456..=262_144);
        let iterations = env.number("ARGON2_ITERATIONS", 2, 2..=8);
        let parallelism = env.number("ARGON2_PARALLELISM", 1, 1..=16);
        // argon2 accepts all parameters within these bounds.
        let params = Params::new(memory?, iterations?, parallelism?, None).ok()?;
        Some(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            kept: Mutex::default(),
        })
    }

    /// Hashes a password and wipes it, and the memory that argon2 filled.
    ///
    /// # Errors
    /// Returns a [`Fault`] if there is no randomness or no memory.
    pub fn hash(&self, password: NewPassword) -> Result<PasswordHash, Fault> {
        const OPERATION: &str = "password.hash";
        let mut salt = [0; 16];
        SysRng
            .try_fill_bytes(&mut salt)
            .map_err(|_| Fault::internal(OPERATION, "NoRandomness"))?;
        let phc = self.phc(&password, &salt);
        drop(password);
        let phc = phc.ok_or(Fault::internal(OPERATION, "NotHashed"))?;
        Ok(PasswordHash::new(phc))
    }

    /// Returns the hash as a PHC string. `Argon2::hash_password` would not wipe the memory that it filled.
    fn phc(&self, password: &NewPassword, salt: &[u8]) -> Option<String> {
        let mut memory = self.memory()?;
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        self.argon2
            .hash_password_into_with_memory(
                password.as_bytes(),
                salt,
                &mut output,
                &mut memory.blocks[..],
            )
            .ok()?;
        let hash = phc::PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(self.argon2.params()).ok()?,
            salt: Some(Salt::new(salt).ok()?),
            hash: Some(Output::new(&output).ok()?),
        };
        Some(hash.to_string())
    }

    /// Returns the kept memory, or new memory if that is in use or does not exist yet.
    fn memory(&self) -> Option<Memory<'_>> {
        // The memory is valid even if hashing panicked, because it is wiped on drop.
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blocks = std::mem::take(&mut *{ kept });
        let needed = self.argon2.params().block_count();
        let missing = needed.saturating_sub(blocks.len());
        blocks.try_reserve_exact(missing).ok()?;
        blocks.resize(needed, Block::default());
        Some(Memory {
            hasher: self,
            blocks,
        })
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(self.argon2.params()).finish()
    }
}

/// Memory that argon2 fills. Its content would let an attacker guess the password at a fraction of the cost, so it is
/// wiped on drop.
struct Memory<'a> {
    hasher: &'a Hasher,
    blocks: Vec<Block>,
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        // Wipe block by block: zeroize's `Vec` implementation wipes the memory twice, the second time byte by byte.
        for block in &mut self.blocks {
            block.zeroize();
        }
        let kept = &self.hasher.kept;
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut self.blocks);
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier as _;

    use super::*;
    use crate::policy::Policy;

    fn hasher() -> Hasher {
        let env = |_: &str| None;
        Hasher::read(&mut Env::new(&env)).unwrap()
    }

    fn password(typed: &str) -> NewPassword {
        let env = |_: &str| None;
        let policy = Policy::read(&mut Env::new(&env)).unwrap();
        NewPassword::parse(typed, &policy, None).unwrap()
    }

    fn hash(hasher: &Hasher, typed: &str) -> PasswordHash {
        hasher.hash(password(typed)).unwrap()
    }

    #[test]
    fn a_password_is_hashed_exactly_as_received() {
        for (typed, other) in [
            ("  outer spaces  ", "outer spaces"),
            ("nul\0in between", "nul"),
            ("cafe\u{301} in NFD", "caf\u{e9} in NFD"),
            ("CaSe matters", "case matters"),
        ] {
            let hash = hash(&hasher(), typed);
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
    fn the_hash_has_owasps_parameters_and_a_unique_salt() {
        let hash = || hash(&hasher(), "correct horse");
        assert!(
            hash()
                .as_str()
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
        assert_ne!(hash().as_str(), hash().as_str());
    }

    #[test]
    fn parameters_below_owasps_are_rejected() {
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
    fn hashes_with_kept_and_with_new_memory_are_valid() {
        let hasher = hasher();
        let is_valid = |hash: &PasswordHash| {
            Argon2::default()
                .verify_password(b"correct horse", hash.as_str())
                .is_ok()
        };
        let first = hash(&hasher, "correct horse");
        let second = hash(&hasher, "correct horse");
        let in_use = hasher.memory();
        let third = hash(&hasher, "correct horse");
        drop(in_use);
        assert!([first, second, third].iter().all(is_valid));
    }

    #[test]
    fn memory_is_wiped_and_reused() {
        let hasher = hasher();
        let mut memory = hasher.memory().unwrap();
        memory.blocks[7].as_mut()[3] = 1;
        drop(memory);
        hash(&hasher, "correct horse");
        let kept = hasher.kept.lock().unwrap();
        assert_eq!(kept.len(), hasher.argon2.params().block_count());
        let is_wiped = |block: &Block| block.as_ref().iter().all(|&word| word == 0);
        assert!(kept.iter().all(is_wiped));
    }
}
