//! The result of a lookup.

use crate::user::User;

/// The result of looking up an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// No user has the address.
    NotFound,
    /// One user has the address.
    Found(User),
    /// Several users share the address, so no link is sent.
    Ambiguous,
}
