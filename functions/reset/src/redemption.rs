//! Uses a token and replaces the password, in the directory of the deployment.

use jiff::{SignedDuration, Timestamp};
use rekey::directory::Directory;
use rekey::directory::functions::{Functions, Replacement, SentAs};
use rekey::directory::protocol::SentPassword;
use rekey::directory::users_table::UsersTable;
use rekey::fault::Fault;
use rekey::http::problem::Problem;
use rekey::lambda::function::Clock;
use rekey::request_id::RequestId;
use rekey::table::claims::{Claim, Settlement};
use rekey::table::rows::{PasswordChanged, TokenIssued};
use rekey::table::tokens::Redemption;
use rekey::telemetry::RequestLog;
use rekey::telemetry::metric::Metric;
use rekey::token::TokenHash;

use crate::Reset;
use crate::policy::NewPassword;

/// The time after the start of a request from which Rekey claims no change. The claim, the directory's function, and the
/// settlement need the rest of Lambda's timeout.
pub const CLAIM_LIMIT: SignedDuration = SignedDuration::from_secs(8);

/// A change that a request asks for with a valid token.
pub(crate) struct PendingChange<'a> {
    pub(crate) token: TokenHash,
    pub(crate) issued: TokenIssued,
    pub(crate) request_id: RequestId,
    pub(crate) started_at: Timestamp,
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
            Directory::Functions(functions) => {
                self.redeem_under_claim(functions, change, password).await
            }
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

    /// Uses a token under a claim, and asks the directory to replace the password, once.
    async fn redeem_under_claim(
        &self,
        functions: &Functions,
        change: &PendingChange<'_>,
        password: NewPassword,
    ) -> Result<Redemption, Problem> {
        let password = match functions.sent_as() {
            SentAs::Hash => SentPassword::Hash(self.hasher.hash(password)?.into_secret()),
            SentAs::Plain => SentPassword::Plain(password.into_secret()),
        };
        if (change.clock)().duration_since(change.started_at) > CLAIM_LIMIT {
            return Err(Fault::internal("reset.claim", "TooLate").transient().into());
        }
        let changed = change.at_this_time().unsettled();
        let (table, issued) = (&self.services.table, &change.issued);
        match table.claim(&change.token, issued, &changed).await? {
            Claim::Held => {}
            Claim::Dead => return Ok(Redemption::Rejected),
            Claim::Busy { retry_after } => return Err(Problem::Unavailable { retry_after }),
        }
        let replacement = functions.replace(&changed, issued, password).await;
        self.settle(change, &changed, replacement).await
    }

    /// Settles a claim by the directory's response.
    async fn settle(
        &self,
        change: &PendingChange<'_>,
        changed: &PasswordChanged,
        replacement: Replacement,
    ) -> Result<Redemption, Problem> {
        let log = self.log(change);
        let (settlement, result) = match replacement {
            Replacement::Replaced => (Settlement::Done, Ok(Redemption::Done)),
            Replacement::Dead => (Settlement::NotDone, Ok(Redemption::Rejected)),
            Replacement::Unacceptable(error) => (
                Settlement::GivenBack,
                Err(Problem::invalid("password", error)),
            ),
            Replacement::Later(fault) => (Settlement::GivenBack, Err(fault.into())),
            Replacement::Unknown(fault) => {
                log.count(Metric::ChangesUnknown, fault.code());
                return Err(fault.transient().into());
            }
        };
        let table = &self.services.table;
        let settled = table.settle(&change.token, &change.issued, changed, settlement);
        match (settlement, settled.await) {
            (Settlement::GivenBack, Ok(true)) => {
                log.count(
                    Metric::LinksGivenBack,
                    "the directory did not replace the password",
                );
                result
            }
            // The owner disowned the link during the claim.
            (Settlement::GivenBack, Ok(false)) => Ok(Redemption::Rejected),
            (Settlement::GivenBack, Err(fault)) => {
                log.count(Metric::ChangesUnknown, "the link could not be given back");
                Err(fault.transient().into())
            }
            (Settlement::Done | Settlement::NotDone, Ok(_)) => result,
            // The outcome is known, and only the notice will be uncertain.
            (Settlement::Done | Settlement::NotDone, Err(fault)) => {
                log.fault(&fault);
                result
            }
        }
    }

    fn log<'a>(&'a self, change: &'a PendingChange<'_>) -> RequestLog<'a> {
        let telemetry = &self.services.telemetry;
        telemetry.for_request(&change.request_id, (change.clock)())
    }
}
