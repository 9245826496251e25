//! The team's users, wherever they are.
//!
//! [`Directory`] is an enum and not a trait: teams cannot add a third kind, and a reader sees both at once. The kinds
//! differ in where a change commits, which a trait would hide.

mod change_time;
mod email_format;
pub mod functions;
pub mod lookup;
pub mod protocol;
pub mod schema;
mod status;
pub mod users_table;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use jiff::Timestamp;

use self::functions::{Functions, SentAs};
use self::lookup::Lookup;
use self::schema::Schema;
use self::users_table::UsersTable;
use crate::config::Env;
use crate::email::Email;
use crate::fault::Fault;
use crate::request_id::RequestId;

/// The place where a team keeps its users.
#[derive(Clone, Debug)]
pub enum Directory {
    /// A `DynamoDB` table. A password is replaced in one transaction with its token.
    Table(UsersTable),
    /// Two functions that the team provides. A password is replaced under a claim.
    Functions(Functions),
}

impl Directory {
    /// Reads the `USERS_…` variables: functions if their ARNs are set, and a table otherwise.
    pub fn read(env: &mut Env<'_>, sdk: &SdkConfig, dynamodb: Client) -> Option<Self> {
        if let Some(functions) = Functions::read(env, sdk)? {
            return Some(Self::Functions(functions));
        }
        let schema = Schema::read(env)?;
        Some(Self::Table(UsersTable::new(dynamodb, schema)))
    }

    /// Returns whether the directory receives passwords, and hashes them by itself.
    pub fn hashes_by_itself(&self) -> bool {
        match self {
            Self::Table(_) => false,
            Self::Functions(functions) => functions.sent_as() == SentAs::Plain,
        }
    }

    /// Looks up an address, for a request. Only private halves have the permission.
    ///
    /// # Errors
    /// Returns a [`Fault`] if the directory rejects the call or does not answer.
    pub async fn find_by_email(
        &self,
        email: &Email,
        id: &RequestId,
        now: Timestamp,
    ) -> Result<Lookup, Fault> {
        match self {
            Self::Table(table) => table.find_by_email(email, now).await,
            Self::Functions(functions) => functions.find_by_email(email, id).await,
        }
    }
}
