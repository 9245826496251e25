//! Claims: changes of passwords in a directory that cannot join a transaction.
//!
//! A claim uses a token before the directory replaces the password. It deletes the token, ends the user's links, and
//! stores the change, whose outcome is open. Then Rekey asks the directory, once, and settles the claim:
//!
//! - *done*: the password is replaced.
//! - *not done*: the link is dead, because the user or the password changed. The user's other links work again.
//! - *given back*: the password was not replaced, and the same link works again.
//!
//! A claim that Rekey does not settle counts as done, because the password may have been replaced. The owner receives
//! an uncertain notice. During a claim, no other change of the user begins. So an older password never replaces a newer
//! one, even if the directory replaces passwords late.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::builders::{DeleteBuilder, UpdateBuilder};
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, ReturnValuesOnConditionCheckFailure, Update,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::epochs::{self, epoch_key};
use super::rows::{LEASE, PasswordChanged, TokenIssued};
use super::tokens::change_key;
use super::{Outcome, Statement, Table, number, text};
use crate::fault::Fault;
use crate::times::unix_seconds;
use crate::token::TokenHash;

/// The outcome of claiming a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The token is used, and the directory may replace the password.
    Held,
    /// The token was used, or a change ended it.
    Dead,
    /// Another change of the user is in progress. Depending on its outcome, the link works afterwards.
    Busy {
        /// The time until that change cannot be in progress.
        retry_after: Duration,
    },
}

/// The way in which a claim ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The password is replaced.
    Done,
    /// The password is not replaced, and the link is dead.
    NotDone,
    /// The password is not replaced, and the link works again.
    GivenBack,
}

/// The epoch row of a user, as a failed claim returns it.
#[derive(Clone, Debug, Deserialize)]
struct ClaimedEpoch {
    #[serde(default, with = "unix_seconds::optional")]
    ended_at: Option<Timestamp>,
    /// `ended_at` before the claim.
    #[serde(default, with = "unix_seconds::optional")]
    previous_end: Option<Timestamp>,
    #[serde(default, with = "unix_seconds::optional")]
    changing_until: Option<Timestamp>,
}

impl Table {
    /// Claims a change: uses its token, ends the user's links, and stores the change with an open outcome.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects the transaction or does not answer.
    pub async fn claim(
        &self,
        token: &TokenHash,
        issued: &TokenIssued,
        changed: &PasswordChanged,
    ) -> Result<Claim, Fault> {
        let statements = self.claim_statements(token, issued, changed);
        let conditions = match self.transact("table.claim", statements).await? {
            Outcome::Committed => return Ok(Claim::Held),
            Outcome::ConditionsFailed(conditions) => conditions,
        };
        let [token, epoch, _] = conditions.as_slice() else {
            return Err(Fault::internal("table.claim", "UnexpectedReasons"));
        };
        if token.has_failed {
            return Ok(Claim::Dead);
        }
        Ok(claim_of(epoch.row.as_ref(), issued, changed.changed_at))
    }

    /// Returns the statements of [`Table::claim`]: delete the token, claim the epoch, put the change.
    pub fn claim_statements(
        &self,
        token: &TokenHash,
        issued: &TokenIssued,
        changed: &PasswordChanged,
    ) -> [Statement; 3] {
        let now = changed.changed_at;
        [
            Statement::Delete(self.delete_token_statement(token, now)),
            Statement::Update(self.claim_epoch_statement(token, issued, now)),
            Statement::Put(self.change_statement(token, changed)),
        ]
    }

    fn claim_epoch_statement(
        &self,
        token: &TokenHash,
        issued: &TokenIssued,
        now: Timestamp,
    ) -> UpdateBuilder {
        Update::builder()
            .table_name(&self.name)
            .key("pk", text(epoch_key(&issued.user)))
            .update_expression(
                "SET previous_end = if_not_exists(ended_at, :never), ended_at = :now, changing = :id, \
                 changing_until = :until, expires_at = :kept",
            )
            .condition_expression(
                "(attribute_not_exists(ended_at) OR ended_at < :issued_at) \
                 AND (attribute_not_exists(changing_until) OR changing_until < :now)",
            )
            .expression_attribute_values(":never", number(0))
            .expression_attribute_values(":now", unix_seconds::attribute(now))
            .expression_attribute_values(":id", text(token.as_str().to_owned()))
            .expression_attribute_values(":until", unix_seconds::attribute(now + LEASE))
            .expression_attribute_values(":kept", number((now + epochs::LIFETIME).as_second()))
            .expression_attribute_values(":issued_at", unix_seconds::attribute(issued.issued_at))
            // The row shows whether another change is in progress. It holds no secret.
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Settles a claim. Returns whether a link that was given back works again.
    ///
    /// It does not if the owner disowned it during the claim.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects the transaction or does not answer.
    pub async fn settle(
        &self,
        token: &TokenHash,
        issued: &TokenIssued,
        changed: &PasswordChanged,
        settlement: Settlement,
    ) -> Result<bool, Fault> {
        const OPERATION: &str = "table.settle";
        let statements = self.settlement_statements(token, issued, changed, settlement);
        if let Outcome::Committed = self.transact(OPERATION, statements).await? {
            return Ok(settlement == Settlement::GivenBack);
        }
        if settlement != Settlement::Done {
            let statements = self.disowned_statements(token, issued);
            self.transact(OPERATION, statements).await?;
        }
        Ok(false)
    }

    /// Returns the statements of [`Table::settle`].
    pub fn settlement_statements(
        &self,
        token: &TokenHash,
        issued: &TokenIssued,
        changed: &PasswordChanged,
        settlement: Settlement,
    ) -> Vec<Statement> {
        match settlement {
            Settlement::Done => vec![
                Statement::Update(self.settle_change_statement(token)),
                Statement::Update(self.release_statement(token, issued)),
            ],
            Settlement::NotDone => self.undo_statements(token, issued, changed),
            Settlement::GivenBack => {
                let mut statements = self.undo_statements(token, issued, changed);
                statements.push(Statement::Put(self.token_statement(token, issued)));
                statements
            }
        }
    }

    /// Returns the statements for a claim that did nothing, if the user's links were ended again during the claim: the
    /// change is deleted, and no link works again.
    pub fn disowned_statements(&self, token: &TokenHash, issued: &TokenIssued) -> Vec<Statement> {
        vec![
            Statement::Delete(self.delete_change_statement(token)),
            Statement::Update(self.release_statement(token, issued)),
        ]
    }

    /// Deletes the change, and sets the epoch back: no change was made, so the user's other links work again.
    fn undo_statements(
        &self,
        token: &TokenHash,
        issued: &TokenIssued,
        changed: &PasswordChanged,
    ) -> Vec<Statement> {
        let restore = Update::builder()
            .table_name(&self.name)
            .key("pk", text(epoch_key(&issued.user)))
            .update_expression(
                "SET ended_at = previous_end REMOVE previous_end, changing, changing_until",
            )
            .condition_expression("changing = :id AND ended_at = :claimed_at")
            .expression_attribute_values(":id", text(token.as_str().to_owned()))
            .expression_attribute_values(
                ":claimed_at",
                unix_seconds::attribute(changed.changed_at),
            );
        vec![
            Statement::Delete(self.delete_change_statement(token)),
            Statement::Update(restore),
        ]
    }

    fn settle_change_statement(&self, token: &TokenHash) -> UpdateBuilder {
        Update::builder()
            .table_name(&self.name)
            .key("pk", text(change_key(token)))
            .update_expression("REMOVE settles_at")
            .condition_expression("attribute_exists(settles_at)")
    }

    fn delete_change_statement(&self, token: &TokenHash) -> DeleteBuilder {
        Delete::builder()
            .table_name(&self.name)
            .key("pk", text(change_key(token)))
            .condition_expression("attribute_exists(settles_at)")
    }

    /// Ends the lease, unless another change has taken it over.
    fn release_statement(&self, token: &TokenHash, issued: &TokenIssued) -> UpdateBuilder {
        Update::builder()
            .table_name(&self.name)
            .key("pk", text(epoch_key(&issued.user)))
            .update_expression("REMOVE previous_end, changing, changing_until")
            .condition_expression("changing = :id")
            .expression_attribute_values(":id", text(token.as_str().to_owned()))
    }

    /// Reads a change again, by the key of its row. An unreadable row counts as none.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects the call or does not answer.
    pub async fn change(&self, key: &str) -> Result<Option<PasswordChanged>, Fault> {
        self.row("table.change", key.to_owned()).await
    }
}

/// Returns the outcome of a claim that failed because of the user's epoch row.
///
/// It is a function of the row alone, so that the model of the protocol calls it too.
#[expect(clippy::implicit_hasher, reason = "the SDK returns rows in this type")]
pub fn claim_of(
    epoch: Option<&HashMap<String, AttributeValue>>,
    issued: &TokenIssued,
    now: Timestamp,
) -> Claim {
    let epoch = epoch.and_then(|row| serde_dynamo::from_item::<_, ClaimedEpoch>(row.clone()).ok());
    let Some(ClaimedEpoch {
        ended_at,
        previous_end,
        changing_until: Some(until),
    }) = epoch.filter(|epoch| epoch.changing_until.is_some_and(|until| now <= until))
    else {
        return Claim::Dead;
    };
    // The change in progress may be undone. Then only earlier ends count.
    let remains = previous_end.or(ended_at);
    if remains.is_some_and(|ended_at| issued.issued_at <= ended_at) {
        return Claim::Dead;
    }
    let rest = until.duration_since(now);
    Claim::Busy {
        retry_after: rest.try_into().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::email::Email;
    use crate::locale::Locale;
    use crate::user::UserKey;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    /// Returns the outcome at 100 seconds, for a link issued at 50, and a row with these times.
    fn outcome(row: &[(&str, i64)]) -> Claim {
        let issued = TokenIssued {
            user: UserKey::text("42".to_owned()),
            email: Email::parse("ada@example.com").unwrap(),
            issued_at: at(50),
            expires_at: at(4000),
            locale: Locale::En,
        };
        let row = row.iter().map(|(name, second)| {
            let value = AttributeValue::N(second.to_string());
            ((*name).to_owned(), value)
        });
        claim_of(Some(&row.collect()), &issued, at(100))
    }

    #[test]
    fn a_claim_in_progress_makes_other_links_wait_unless_they_were_dead_before() {
        let busy = |seconds| Claim::Busy {
            retry_after: Duration::from_secs(seconds),
        };
        for (row, expected) in [
            // The claim ended the link, and may be undone.
            (
                &[
                    ("ended_at", 90),
                    ("previous_end", 0),
                    ("changing_until", 135),
                ][..],
                busy(35),
            ),
            (
                &[
                    ("ended_at", 90),
                    ("previous_end", 49),
                    ("changing_until", 100),
                ],
                busy(0),
            ),
            // The link was issued during the claim.
            (
                &[
                    ("ended_at", 40),
                    ("previous_end", 30),
                    ("changing_until", 135),
                ],
                busy(35),
            ),
            // An earlier change ended the link.
            (
                &[
                    ("ended_at", 90),
                    ("previous_end", 50),
                    ("changing_until", 135),
                ],
                Claim::Dead,
            ),
            // The lease is over, and the claim counts as done.
            (
                &[
                    ("ended_at", 50),
                    ("previous_end", 0),
                    ("changing_until", 99),
                ],
                Claim::Dead,
            ),
            (&[("ended_at", 90)], Claim::Dead),
            (&[], Claim::Dead),
        ] {
            assert_eq!(outcome(row), expected, "{row:?}");
        }
    }
}
