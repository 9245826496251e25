//! bcrypt (Provos and Mazières, "A Future-Adaptable Password Scheme").

use bcrypt::Version;
use rekey::config::Env;

use super::SALT_BYTES;
use super::compute::Compute;
use crate::format::Format;

/// The rounds that bcrypt makes in a second on a whole core of Lambda. Every machine measured so far is five times as
/// fast.
pub const ROUNDS_PER_SECOND: u32 = 3000;

/// The binary logarithm of the number of rounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost(u32);

impl Cost {
    /// Reads `BCRYPT_COST`. The minimum is OWASP's (Password Storage Cheat Sheet, "bcrypt").
    pub(super) fn read(env: &mut Env<'_>, format: Format, compute: Compute) -> Option<Self> {
        let cost = env.number("BCRYPT_COST", 12, 10..=14)?;
        let max = compute
            .max_steps(ROUNDS_PER_SECOND)
            .checked_ilog2()
            .unwrap_or(0);
        if matches!(format, Format::Bcrypt2b | Format::Bcrypt2y) && cost > max {
            compute.report(env, "BCRYPT_COST", cost, max.into());
            return None;
        }
        Some(Self(cost))
    }

    /// Returns the hash in the modular crypt format. The crate would cut a password of more than 72 bytes, and its
    /// variants that do not cut reject 72 bytes as well.
    pub(super) fn hash(
        self,
        password: &[u8],
        salt: [u8; SALT_BYTES],
        version: Version,
    ) -> Option<String> {
        let parts = bcrypt::hash_with_salt(password, self.0, salt).ok()?;
        Some(parts.format_for_version(version))
    }
}
