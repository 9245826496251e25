//! Verifies password hashes in every format, as a login does.

use argon2::{Argon2, PasswordVerifier as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pbkdf2::{Algorithm, Params, pbkdf2_hmac, pbkdf2_hmac_with_params};
use reset::format::Format;
use sha2::Sha512;

/// Returns whether a hash is in a format, and is the hash of a password.
pub fn verify(format: Format, hash: &str, password: &str) -> bool {
    let verified = match format {
        Format::Argon2id => Some(verify_argon2id(hash, password)),
        Format::Argon2idDjango => hash
            .strip_prefix("argon2")
            .map(|phc| verify_argon2id(phc, password)),
        Format::Bcrypt2b => verify_bcrypt(hash, "$2b$", password),
        Format::Bcrypt2y => verify_bcrypt(hash, "$2y$", password),
        Format::Pbkdf2Django => verify_django(hash, password),
        Format::Pbkdf2AspNet => verify_asp_net(hash, password),
    };
    verified == Some(true)
}

fn verify_argon2id(phc: &str, password: &str) -> bool {
    phc.starts_with("$argon2id$")
        && Argon2::default()
            .verify_password(password.as_bytes(), phc)
            .is_ok()
}

fn verify_bcrypt(hash: &str, prefix: &str, password: &str) -> Option<bool> {
    // The crate's variant that does not cut rejects 72 bytes as well.
    (hash.starts_with(prefix) && password.len() <= 72)
        .then(|| bcrypt::verify(password, hash).unwrap())
}

fn verify_django(hash: &str, password: &str) -> Option<bool> {
    let parts: Vec<&str> = hash.split('$').collect();
    let [algorithm, iterations, salt, key] = parts.as_slice() else {
        return None;
    };
    let iterations = iterations.parse().ok()?;
    let params = Params::new(iterations).ok()?;
    let mut derived = [0; 32];
    pbkdf2_hmac_with_params(
        password.as_bytes(),
        salt.as_bytes(),
        Algorithm::Pbkdf2Sha256,
        params,
        &mut derived,
    );
    // Django hashes again at login if the salt is shorter than 128 bits of letters and digits: 22 characters.
    let is_long = salt.len() >= 22;
    Some(*algorithm == "pbkdf2_sha256" && is_long && BASE64_STANDARD.encode(derived) == *key)
}

fn verify_asp_net(hash: &str, password: &str) -> Option<bool> {
    let layout = BASE64_STANDARD.decode(hash).ok()?;
    let (header, rest) = layout.split_at_checked(13)?;
    let number = |at: usize| Some(u32::from_be_bytes(header[at..at + 4].try_into().ok()?));
    let (prf, iterations, length) = (number(1)?, number(5)?, number(9)?);
    let (salt, key) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let mut derived = vec![0; key.len()];
    match Params::new(iterations) {
        Ok(params) => pbkdf2_hmac_with_params(
            password.as_bytes(),
            salt,
            Algorithm::Pbkdf2Sha512,
            params,
            &mut derived,
        ),
        // The hashes in .NET's own tests have fewer iterations than the crate's parameters allow.
        Err(_) => pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, iterations, &mut derived),
    }
    // The shortest salt and key that ASP.NET Core Identity accepts.
    let is_long = salt.len() >= 16 && key.len() >= 16;
    Some(header[0] == 1 && prf == 2 && is_long && derived == key)
}
