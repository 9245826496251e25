//! The formats of password hashes.

use rekey::config::Env;

/// A format in which the application's login reads password hashes.
///
/// An enum, because a team cannot add a format, and because every format needs its own limits and its own proof that
/// the libraries of that login verify it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// argon2id as a PHC string.
    Argon2id,
    /// argon2id as Django stores it: a PHC string behind the name of Django's hasher.
    Argon2idDjango,
    /// bcrypt as most libraries write it.
    Bcrypt2b,
    /// bcrypt as PHP writes it: the same bits under another name.
    Bcrypt2y,
    /// PBKDF2 with HMAC-SHA-256, as Django stores it.
    Pbkdf2Django,
    /// PBKDF2 with HMAC-SHA-512, as ASP.NET Core Identity 3 stores it.
    Pbkdf2AspNet,
}

impl Format {
    /// All formats, in the order of the template.
    pub const ALL: [Self; 6] = [
        Self::Argon2id,
        Self::Argon2idDjango,
        Self::Bcrypt2b,
        Self::Bcrypt2y,
        Self::Pbkdf2Django,
        Self::Pbkdf2AspNet,
    ];

    /// Reads `PASSWORD_HASH`. The default is argon2id.
    pub fn read(env: &mut Env<'_>) -> Self {
        let format = env.optional("PASSWORD_HASH", Self::Argon2id, |value| {
            let format = Self::ALL.into_iter().find(|format| format.name() == value);
            format.ok_or_else(|| format!("one of {}", Self::ALL.map(Self::name).join(", ")))
        });
        // `Env::finish` rejects an invalid value. Until then, check the other settings for the default.
        format.unwrap_or(Self::Argon2id)
    }

    /// Returns the format's name in `PASSWORD_HASH`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Argon2id => "argon2id",
            Self::Argon2idDjango => "argon2id-django",
            Self::Bcrypt2b => "bcrypt-2b",
            Self::Bcrypt2y => "bcrypt-2y",
            Self::Pbkdf2Django => "pbkdf2-django",
            Self::Pbkdf2AspNet => "pbkdf2-aspnet",
        }
    }

    /// Returns the maximum length of a password, in bytes of UTF-8, if the format has one.
    ///
    /// bcrypt ignores every byte after the 72nd, so a longer password would have equivalents.
    pub const fn max_bytes(self) -> Option<usize> {
        match self {
            Self::Bcrypt2b | Self::Bcrypt2y => Some(72),
            Self::Argon2id | Self::Argon2idDjango | Self::Pbkdf2Django | Self::Pbkdf2AspNet => None,
        }
    }

    /// Returns whether a password may contain NUL.
    ///
    /// Libraries in C end a bcrypt password at its first NUL. HMAC pads its key with NULs, so PBKDF2 does not
    /// distinguish `secret` from `secret\0`.
    pub const fn allows_nul(self) -> bool {
        match self {
            Self::Argon2id | Self::Argon2idDjango => true,
            Self::Bcrypt2b | Self::Bcrypt2y | Self::Pbkdf2Django | Self::Pbkdf2AspNet => false,
        }
    }
}
