//! argon2id (RFC 9106), in memory that is wiped and reused.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use rekey::config::Env;
use secrecy::zeroize::Zeroize as _;

/// argon2id with the deployment's parameters.
pub(super) struct Argon2id {
    argon2: Argon2<'static>,
    /// The wiped memory of the previous password. Mapping 19 MiB again would take longer.
    kept: Mutex<Vec<Block>>,
}

impl Argon2id {
    /// Reads `ARGON2_MEMORY_KIB`, `ARGON2_ITERATIONS`, and `ARGON2_PARALLELISM`. OWASP's first recommendation is both
    /// the default and the minimum (Password Storage Cheat Sheet, "Argon2id").
    pub(super) fn read(env: &mut Env<'_>) -> Option<Self> {
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

    /// Returns the hash as a PHC string. `Argon2::hash_password` would not wipe the memory that it filled.
    pub(super) fn phc(&self, password: &[u8], salt: &[u8]) -> Option<String> {
        let mut memory = self.memory()?;
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        self.argon2
            .hash_password_into_with_memory(password, salt, &mut output, &mut memory.blocks[..])
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
            argon2id: self,
            blocks,
        })
    }
}

impl fmt::Debug for Argon2id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Argon2id")
            .field(self.argon2.params())
            .finish()
    }
}

/// Memory that argon2 fills. Its content would let an attacker guess the password at a fraction of the cost, so it is
/// wiped on drop.
struct Memory<'a> {
    argon2id: &'a Argon2id,
    blocks: Vec<Block>,
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        // Wipe block by block: zeroize's `Vec` implementation wipes the memory twice, the second time byte by byte.
        for block in &mut self.blocks {
            block.zeroize();
        }
        let kept = &self.argon2id.kept;
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut self.blocks);
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier as _;

    use super::*;

    const PASSWORD: &[u8] = b"correct horse";
    const SALT: &[u8] = b"sixteen bytes !!";

    fn argon2id() -> Argon2id {
        Argon2id::read(&mut Env::new(&|_: &str| None)).unwrap()
    }

    #[test]
    fn the_hash_has_owasps_parameters() {
        let phc = argon2id().phc(PASSWORD, SALT).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
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
            let argon2id = Argon2id::read(&mut env);
            assert!(env.finish(argon2id).unwrap_err().to_string().contains(weak));
        }
    }

    #[test]
    fn hashes_with_kept_and_with_new_memory_are_valid() {
        let argon2id = argon2id();
        let is_valid = |phc: &String| {
            Argon2::default()
                .verify_password(PASSWORD, phc.as_str())
                .is_ok()
        };
        let first = argon2id.phc(PASSWORD, SALT).unwrap();
        let second = argon2id.phc(PASSWORD, SALT).unwrap();
        let in_use = argon2id.memory();
        let third = argon2id.phc(PASSWORD, SALT).unwrap();
        drop(in_use);
        assert!([first, second, third].iter().all(is_valid));
    }

    #[test]
    fn memory_is_wiped_and_reused() {
        let argon2id = argon2id();
        let mut memory = argon2id.memory().unwrap();
        memory.blocks[7].as_mut()[3] = 1;
        drop(memory);
        argon2id.phc(PASSWORD, SALT).unwrap();
        let kept = argon2id.kept.lock().unwrap();
        assert_eq!(kept.len(), argon2id.argon2.params().block_count());
        let is_wiped = |block: &Block| block.as_ref().iter().all(|&word| word == 0);
        assert!(kept.iter().all(is_wiped));
    }
}
