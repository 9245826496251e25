//! Password hashes.

use std::fmt;

use secrecy::SecretString;

/// A password hash, as the text that the users table stores.
#[derive(Clone)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Creates a hash from the hasher's output.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text, for a directory function.
    pub fn into_secret(self) -> SecretString {
        self.0.into()
    }

    /// Returns the text. Its format is the deployment's.
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
