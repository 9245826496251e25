//! Hostile requests: a list, and a generator of near misses.

pub mod addresses;
pub mod attempts;
mod fields;
pub mod inputs;
pub mod json;

/// The placeholder for a live token.
pub const TOKEN: &str = "{{a good token}}";
/// A marker in passwords and in extra fields, which no response or log may contain.
pub const CANARY: &str = "canary-6c1f";

/// The stored users, whose addresses have lookalikes.
pub const USERS: [&str; 4] = [
    "anna@example.com",
    "mike@example.org",
    "kiss.it@sub.example.com",
    "o'brien+x@xn--exmple-cua.com",
];

/// The allowed reset URLs.
pub const PAGES: [&str; 2] = [
    "https://app.example.com/password/reset",
    "https://app.example.com/account?view=reset",
];
