//! The team's users, wherever they are.
//!
//! [`Directory`] is an enum and not a trait: teams cannot add a third kind, and a reader sees both at once. The kinds
//! differ in where a change commits, which a trait would hide.

pub mod protocol;
pub mod users_table;

use aws_sdk_dynamodb::Client;

use self::users_table::{Schema, UsersTable};
use crate::config::Env;
use crate::email::Email;
use crate::fault::Fault;
use crate::user::User;

/// The place where a team keeps its users.
#[derive(Clone, Debug)]
pub enum Directory {
    /// A `DynamoDB` table. A password is replaced in one transaction with its token.
    Table(UsersTable),
}

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

impl Directory {
    /// Reads the `USERS_…` variables.
    pub fn read(env: &mut Env<'_>, dynamodb: Client) -> Option<Self> {
        let schema = Schema::read(env)?;
        Some(Self::Table(UsersTable::new(dynamodb, schema)))
    }

    /// Looks up an address. Only private halves have the permission.
    ///
    /// # Errors
    /// Returns a [`Fault`] if the directory rejects the call or does not answer.
    pub async fn find_by_email(&self, email: &Email) -> Result<Lookup, Fault> {
        match self {
            Self::Table(table) => table.find_by_email(email).await,
        }
    }
}
