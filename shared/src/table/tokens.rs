//! Tokens: stored by the private half, used up by the public half.

use aws_sdk_dynamodb::types::Delete;
use aws_sdk_dynamodb::types::builders::{DeleteBuilder, PutBuilder, UpdateBuilder};
use jiff::{SignedDuration, Timestamp};

use super::rows::{CHANGE_PREFIX, PasswordChanged, TokenIssued};
use super::{Outcome, Statement, Table, text};
use crate::email::Email;
use crate::fault::Fault;
use crate::times::unix_seconds;
use crate::token::{Token, TokenHash};

const TOKEN_PREFIX: &str = "token#";

/// The lifetime of a change's row: longer than the failure queue keeps its record.
const CHANGE_LIFETIME: SignedDuration = SignedDuration::from_hours(15 * 24);

/// The outcome of using a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redemption {
    /// The password is replaced, the token is deleted, and the notice is stored.
    Done,
    /// Nothing changed. In the meantime the token was used, the password or the address changed, or the user was
    /// deleted.
    Rejected,
}

impl Table {
    /// Stores a token that was issued to a user.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects the call or does not answer.
    pub async fn store_token(&self, token: &TokenHash, issued: &TokenIssued) -> Result<(), Fault> {
        self.put("table.store_token", self.token_statement(token, issued))
            .await
    }

    /// Returns the statement of [`Table::store_token`].
    pub fn token_statement(&self, token: &TokenHash, issued: &TokenIssued) -> PutBuilder {
        self.put_statement(&token_key(token), issued, issued.expires_at)
    }

    /// Finds the row of a token, if the token is valid for this address.
    ///
    /// `DynamoDB` filters out an invalid token. So neither the response nor its time shows whether a token is unknown,
    /// used, expired, or for another address.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects the call or does not answer.
    pub async fn find_token(
        &self,
        token: &Token,
        email: &Email,
        now: Timestamp,
    ) -> Result<Option<TokenIssued>, Fault> {
        let output = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk")
            .filter_expression("email = :email AND expires_at > :now")
            .expression_attribute_values(":pk", text(token_key(&token.hash())))
            .expression_attribute_values(":email", text(email.as_str().to_owned()))
            .expression_attribute_values(":now", unix_seconds::attribute(now))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Fault::from_sdk("table.find_token", &error))?;
        let item = output.items.and_then(|mut items| items.pop());
        // An unreadable row counts as no token.
        let issued = item.and_then(|item| serde_dynamo::from_item::<_, TokenIssued>(item).ok());
        Ok(issued.filter(|issued| issued.is_valid_for(email, now)))
    }

    /// Uses a token. One transaction deletes it, ends the user's links, replaces the password, and stores the notice.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects the call or does not answer.
    pub async fn redeem(
        &self,
        token: &TokenHash,
        issued: &TokenIssued,
        password: UpdateBuilder,
        changed: &PasswordChanged,
    ) -> Result<Redemption, Fault> {
        let statements = self.redemption_statements(token, issued, password, changed);
        Ok(match self.transact("table.redeem", statements).await? {
            Outcome::Committed => Redemption::Done,
            Outcome::ConditionsFailed(_) => Redemption::Rejected,
        })
    }

    /// Returns the statements of [`Table::redeem`]: delete the token, end the user's links, replace the password, put
    /// the notice.
    pub fn redemption_statements(
        &self,
        token: &TokenHash,
        issued: &TokenIssued,
        password: UpdateBuilder,
        changed: &PasswordChanged,
    ) -> [Statement; 4] {
        let now = changed.changed_at;
        [
            Statement::Delete(self.delete_token_statement(token, now)),
            Statement::Update(self.end_links_statement(issued, now)),
            Statement::Update(password),
            Statement::Put(self.change_statement(token, changed)),
        ]
    }

    /// Returns the statement that deletes a token. It fails if the token was used or has expired.
    pub(super) fn delete_token_statement(
        &self,
        token: &TokenHash,
        now: Timestamp,
    ) -> DeleteBuilder {
        Delete::builder()
            .table_name(&self.name)
            .key("pk", text(token_key(token)))
            .condition_expression("attribute_exists(pk) AND expires_at > :now")
            .expression_attribute_values(":now", unix_seconds::attribute(now))
    }

    /// Returns the statement that stores a change.
    pub(super) fn change_statement(
        &self,
        token: &TokenHash,
        changed: &PasswordChanged,
    ) -> PutBuilder {
        self.put_statement(
            &change_key(token),
            changed,
            changed.changed_at + CHANGE_LIFETIME,
        )
    }
}

fn token_key(token: &TokenHash) -> String {
    format!("{TOKEN_PREFIX}{}", token.as_str())
}

/// Returns the key of the change that uses a token.
///
/// It has the token's hash and not the request's ID: a client of a REST API may choose that ID, and could overwrite
/// another user's notice.
pub(super) fn change_key(token: &TokenHash) -> String {
    format!("{CHANGE_PREFIX}{}", token.as_str())
}
