//! Uses a token and replaces the password, in the directory of the deployment.

use rekey::directory::Directory;
use rekey::directory::users_table::UsersTable;
use rekey::http::problem::Problem;
use rekey::lambda::function::Clock;
use rekey::request_id::RequestId;
use rekey::table::rows::{PasswordChanged, TokenIssued};
use rekey::table::tokens::Redemption;
use rekey::token::TokenHash;

use crate::Reset;
use crate::policy::NewPassword;

/// A change that a request asks for with a valid token.
pub(crate) struct PendingChange<'a> {
    pub(crate) token: TokenHash,
    pub(crate) issued: TokenIssued,
    pub(crate) request_id: RequestId,
    pub(crate) clock: Clock<'a>,
}

impl PendingChange<'_> {
    /// Returns the row of the change if it happens now.
    fn at_this_time(&self) -> PasswordChanged {
        PasswordChanged::new(&self.issued, self.request_id.clone(), (self.clock)())
    }
}

impl Reset {
    /// Uses a valid token: ends the user's links, replaces the password, and stores the notice, or none of it.
    ///
    /// # Errors
    /// Returns a problem if the password cannot be hashed, or if AWS fails.
    pub(crate) async fn redeem(
        &self,
        change: &PendingChange<'_>,
        password: NewPassword,
    ) -> Result<Redemption, Problem> {
        match &self.services.directory {
            Directory::Table(users) => self.redeem_in_transaction(users, change, password).await,
        }
    }

    /// Uses a token in one transaction with the user's item.
    async fn redeem_in_transaction(
        &self,
        users: &UsersTable,
        change: &PendingChange<'_>,
        password: NewPassword,
    ) -> Result<Redemption, Problem> {
        let hash = self.hasher.hash(password)?;
        // Read the clock after the hashing: a link issued in between must be older than this change.
        let changed = change.at_this_time();
        let password = users.password_statement(&change.issued, &hash, changed.changed_at);
        let table = &self.services.table;
        let redemption = table.redeem(&change.token, &change.issued, password, &changed);
        Ok(redemption.await?)
    }
}
