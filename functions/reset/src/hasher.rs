//! How a password is hashed: argon2id, in memory that is kept and wiped.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand::TryRng as _;
use rand::rngs::SysRng;
use rekey::config::Env;
use rekey::fault::Fault;
use rekey::users::PasswordHash;
use secrecy::zeroize::Zeroize as _;
use tokio::task::yield_now;

use crate::password::NewPassword;

/// argon2id (RFC 9106), with the deployment's parameters.
pub struct Hasher {
    argon2: Argon2<'static>,
    /// From one password to the next, wiped: to have 19 MiB mapped anew would take longer.
    kept: Mutex<Vec<Block>>,
}

impl Hasher {
    /// Reads `ARGON2_MEMORY_KIB`, `ARGON2_ITERATIONS` and `ARGON2_PARALLELISM`. OWASP's first recommendation is the
    /// default, and the least that is taken (Password Storage Cheat Sheet, "Argon2id").
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let memory = env.number("ARGON2_MEMORY_KIB", 19_456, 19_456..=262_144);
        let iterations = env.number("ARGON2_ITERATIONS", 2, 2..=8);
        let parallelism = env.number("ARGON2_PARALLELISM", 1, 1..=16);
        // Within these bounds there are no parameters that argon2 refuses.
        let params = Params::new(memory?, iterations?, parallelism?, None).ok()?;
        Some(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            kept: Mutex::default(),
        })
    }

    /// Hashes a password, and wipes it. The memory that argon2 filled is still to be wiped: it can be where something
    /// else has to be waited for.
    ///
    /// # Errors
    /// A fault where there is no randomness or no memory.
    pub fn hash(&self, password: NewPassword) -> Result<(PasswordHash, Memory<'_>), Fault> {
        const OPERATION: &str = "password.hash";
        let mut salt = [0; 16];
        SysRng
            .try_fill_bytes(&mut salt)
            .map_err(|_| Fault::internal(OPERATION, "NoRandomness"))?;
        let hashed = self.phc(&password, &salt);
        drop(password);
        let (phc, memory) = hashed.ok_or(Fault::internal(OPERATION, "NotHashed"))?;
        Ok((PasswordHash::new(phc), memory))
    }

    /// The hash as a PHC string. argon2's own way to it would leave the memory that it filled as it is.
    fn phc(&self, password: &NewPassword, salt: &[u8]) -> Option<(String, Memory<'_>)> {
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
        Some((hash.to_string(), memory))
    }

    /// The memory that was kept, or new one where that is in use or there is none yet.
    fn memory(&self) -> Option<Memory<'_>> {
        // It is wiped whatever happened to a password.
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blocks = std::mem::take(&mut *{ kept });
        let wanted = self.argon2.params().block_count();
        let missing = wanted.saturating_sub(blocks.len());
        blocks.try_reserve_exact(missing).ok()?;
        blocks.resize(wanted, Block::default());
        Some(Memory {
            hasher: self,
            blocks,
            wiped: 0,
        })
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(self.argon2.params()).finish()
    }
}

/// What argon2 filled: whoever has it can guess the password for a fraction of the cost. It is wiped when it is dropped.
pub struct Memory<'a> {
    hasher: &'a Hasher,
    blocks: Vec<Block>,
    /// So many of them, from the first on.
    wiped: usize,
}

impl Memory<'_> {
    /// How many blocks of 1 KiB are wiped in one go: some thirty microseconds' worth.
    const BATCH: usize = 2048;

    /// Wipes it, and lets others go first again and again: a call to AWS leaves meanwhile, and is answered.
    pub async fn wipe(mut self) {
        while self.wiped < self.blocks.len() {
            yield_now().await;
            self.wipe_at_most(Self::BATCH);
        }
    }

    /// Block by block: zeroize's own way with a `Vec` goes over the memory twice, the second time byte by byte.
    fn wipe_at_most(&mut self, number: usize) {
        for block in self.blocks.iter_mut().skip(self.wiped).take(number) {
            block.zeroize();
            self.wiped += 1;
        }
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        self.wipe_at_most(self.blocks.len());
        let kept = &self.hasher.kept;
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut self.blocks);
    }
}

impl fmt::Debug for Memory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory(..)")
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier as _;

    use super::*;
    use crate::password::Policy;

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
        hasher.hash(password(typed)).unwrap().0
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
    fn the_hash_is_an_argon2id_phc_string_with_owasps_parameters_and_a_salt_of_its_own() {
        let hash = || hash(&hasher(), "correct horse");
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
    fn memory_that_was_used_before_or_is_in_use_makes_no_difference() {
        let hasher = hasher();
        let is_right = |hash: &PasswordHash| {
            Argon2::default()
                .verify_password(b"correct horse", hash.as_str())
                .is_ok()
        };
        let (first, in_use) = hasher.hash(password("correct horse")).unwrap();
        let second = hash(&hasher, "correct horse");
        drop(in_use);
        let third = hash(&hasher, "correct horse");
        assert!([first, second, third].iter().all(is_right));
    }

    #[tokio::test]
    async fn wiped_memory_is_kept_and_holds_nothing_though_its_wiping_was_broken_off() {
        let hasher = hasher();
        let is_kept_and_empty = || {
            let kept = hasher.kept.lock().unwrap();
            kept.len() == hasher.argon2.params().block_count()
                && kept
                    .iter()
                    .all(|block| block.as_ref().iter().all(|&word| word == 0))
        };
        let (_, memory) = hasher.hash(password("correct horse")).unwrap();
        assert!(memory.blocks.iter().any(|block| block.as_ref()[0] != 0));
        memory.wipe().await;
        assert!(is_kept_and_empty());

        let (_, memory) = hasher.hash(password("correct horse")).unwrap();
        tokio::select! {
            biased;
            () = memory.wipe() => panic!("it lets others go first"),
            () = yield_now() => {}
        }
        assert!(is_kept_and_empty());
    }
}
