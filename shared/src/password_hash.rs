//! Password hashes.

use std::fmt;

/// An argon2id hash, as a PHC string.
#[derive(Clone)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Creates a hash from the hasher's output.
    pub fn new(phc: String) -> Self {
        Self(phc)
    }

    /// Returns the PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Omits the hash, which belongs only in the users table.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}
