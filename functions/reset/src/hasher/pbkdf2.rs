//! PBKDF2 (RFC 8018) in the layouts of Django and of ASP.NET Core Identity.

use std::hint::black_box;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use pbkdf2::{Algorithm, Params, pbkdf2_hmac_with_params};
use rekey::config::Env;
use secrecy::zeroize::Zeroize as _;

use super::SALT_BYTES;
use super::compute::Compute;
use crate::format::Format;

/// The iterations with SHA-256 in a second on a whole core of Lambda. Every machine measured so far is faster.
pub const SHA256_ITERATIONS_PER_SECOND: u32 = 1_000_000;

/// The iterations with SHA-512 in a second on a whole core of Lambda. Every machine measured so far is faster.
pub const SHA512_ITERATIONS_PER_SECOND: u32 = 500_000;

/// OWASP's minimum of iterations with SHA-256 (Password Storage Cheat Sheet, "PBKDF2"). The minimum with SHA-512 is
/// 210,000, the lower bound of `PBKDF2_ITERATIONS`.
const SHA256_MIN_ITERATIONS: u32 = 600_000;

/// The length of the derived key, in bytes, as Django and ASP.NET Core Identity derive it.
const KEY_BYTES: usize = 32;

/// The number of iterations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Iterations(Params);

impl Iterations {
    /// Reads `PBKDF2_ITERATIONS`.
    pub(super) fn read(env: &mut Env<'_>, format: Format, compute: Compute) -> Option<Self> {
        const NAME: &str = "PBKDF2_ITERATIONS";
        let iterations = env.number(NAME, 1_000_000, 210_000..=5_000_000)?;
        // The crate accepts all numbers within these bounds.
        let params = Params::new_with_output_len(iterations, KEY_BYTES).ok()?;
        let (min, rate) = match format {
            Format::Pbkdf2Django => (SHA256_MIN_ITERATIONS, SHA256_ITERATIONS_PER_SECOND),
            Format::Pbkdf2AspNet => (0, SHA512_ITERATIONS_PER_SECOND),
            Format::Argon2id | Format::Argon2idDjango | Format::Bcrypt2b | Format::Bcrypt2y => {
                return Some(Self(params));
            }
        };
        if iterations < min {
            let expected = format!("at least {min} with {}", format.name());
            env.report(NAME, &iterations.to_string(), &expected);
            return None;
        }
        let max = compute.max_steps(rate);
        if u64::from(iterations) > max {
            compute.report(env, NAME, iterations, max);
            return None;
        }
        Some(Self(params))
    }

    /// Returns the hash as Django stores it: `pbkdf2_sha256$iterations$salt$key`. The salt is text, and Django passes
    /// that text to PBKDF2.
    pub(super) fn django(self, password: &[u8], salt: [u8; SALT_BYTES]) -> String {
        let salt = BASE64_URL_SAFE_NO_PAD.encode(salt);
        let key = self.derive(Algorithm::Pbkdf2Sha256, password, salt.as_bytes());
        format!(
            "pbkdf2_sha256${}${salt}${}",
            self.0.rounds(),
            BASE64_STANDARD.encode(key)
        )
    }

    /// Returns the hash as ASP.NET Core Identity 3 stores it (`PasswordHasher.cs` of `dotnet/aspnetcore`): a version, the
    /// pseudo-random function, the iterations, the length of the salt, the salt, and the key.
    pub(super) fn asp_net(self, password: &[u8], salt: [u8; SALT_BYTES]) -> String {
        const VERSION: u8 = 1;
        const HMAC_SHA512: u32 = 2;
        const SALT_LENGTH: u32 = 16;
        let key = self.derive(Algorithm::Pbkdf2Sha512, password, &salt);
        let mut layout = vec![VERSION];
        for number in [HMAC_SHA512, self.0.rounds(), SALT_LENGTH] {
            layout.extend(number.to_be_bytes());
        }
        layout.extend(salt);
        layout.extend(key);
        BASE64_STANDARD.encode(layout)
    }

    fn derive(self, algorithm: Algorithm, password: &[u8], salt: &[u8]) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        fill(password, salt, algorithm, self.0, &mut key);
        wipe_stack();
        key
    }
}

/// Derives a key in a stack frame below the caller's.
#[inline(never)]
fn fill(
    password: &[u8],
    salt: &[u8],
    algorithm: Algorithm,
    params: Params,
    key: &mut [u8; KEY_BYTES],
) {
    pbkdf2_hmac_with_params(password, salt, algorithm, params, key);
}

/// Overwrites the part of the stack that [`fill`] used.
///
/// HMAC leaves the password there, combined with a constant, and two states with which a guess takes one iteration instead
/// of all of them. The crate wipes neither.
#[inline(never)]
fn wipe_stack() {
    let mut stack = [0_u8; 1 << 14];
    black_box(&mut stack).zeroize();
    black_box(&stack);
}
