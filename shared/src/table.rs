//! The Rekey table: its rows, and the statements that keep them consistent.
//!
//! | row | key | lives |
//! |---|---|---|
//! | [`rows::ResetRequested`] | `request#` and the SHA-256 of the address | an hour |
//! | [`rows::TokenIssued`] | `token#` and the SHA-256 of the token | the token's lifetime; deleted at first use |
//! | [`links::SentLinks`] | `links#` and the SHA-256 of the address and the user's key | a day after the last link |
//! | [`epochs::Epoch`], and the claim of a change in progress | `epoch#` and the SHA-256 of the user's key | 25 hours, longer than any link |
//! | [`rows::PasswordChanged`] | `change#` and the SHA-256 of the token | 15 days, longer than in the failure queue |
//! | a counter | `rate#`, the subject, the start of its window | the window |
//!
//! These rules hold:
//!
//! - A token works once.
//! - A change ends every other link of the user.
//! - A password never changes without its notice.
//! - A request is either stored or rejected.
//!
//! Each rule is a condition in one write, so no race can break it. `DynamoDB` deletes expired rows late, so every read
//! checks the time itself.

pub mod claims;
pub mod counters;
pub mod epochs;
pub mod links;
pub mod requests;
pub mod rows;
pub mod tokens;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::types::builders::{DeleteBuilder, PutBuilder, UpdateBuilder};
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValue, TransactWriteItem};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::aws::transactions::{self, Condition};
use crate::fault::Fault;
use crate::limits::{Limits, LocalLimiter};

/// The Rekey table.
#[derive(Debug)]
pub struct Table {
    client: Client,
    name: String,
    limits: Limits,
    local_limiter: LocalLimiter,
}

/// A statement of a transaction.
#[derive(Debug)]
pub enum Statement {
    /// Writes a row.
    Put(PutBuilder),
    /// Changes attributes of a row.
    Update(UpdateBuilder),
    /// Deletes a row.
    Delete(DeleteBuilder),
}

impl Statement {
    /// Builds the statement for `DynamoDB`.
    ///
    /// # Errors
    /// Returns the SDK's error if a required part is missing. Every statement of Rekey has all of them.
    pub fn build(self) -> Result<TransactWriteItem, BuildError> {
        let item = TransactWriteItem::builder();
        Ok(match self {
            Self::Put(put) => item.put(put.build()?),
            Self::Update(update) => item.update(update.build()?),
            Self::Delete(delete) => item.delete(delete.build()?),
        }
        .build())
    }
}

/// The result of a transaction.
enum Outcome {
    Committed,
    /// The condition of each statement. At least one failed.
    ConditionsFailed(Vec<Condition>),
}

impl Table {
    /// Creates a client of the table of this name, under these limits.
    pub fn new(client: Client, name: String, limits: Limits) -> Self {
        Self {
            client,
            name,
            limits,
            local_limiter: LocalLimiter::default(),
        }
    }

    /// Returns the limits of this deployment.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Runs statements in one transaction: all of them, or none.
    async fn transact(
        &self,
        operation: &'static str,
        statements: impl IntoIterator<Item = Statement>,
    ) -> Result<Outcome, Fault> {
        let items: Result<Vec<_>, _> = statements.into_iter().map(Statement::build).collect();
        let transaction = self.client.transact_write_items();
        let transaction = transaction.set_transact_items(Some(built(items, operation)?));
        let Err(error) = transaction.send().await else {
            return Ok(Outcome::Committed);
        };
        match transactions::failed_conditions(&error) {
            Some(failed) => Ok(Outcome::ConditionsFailed(failed)),
            None => Err(transactions::fault(operation, &error)),
        }
    }

    /// Runs an update alone. Returns the attributes asked for, or `None` if its condition failed.
    async fn update(
        &self,
        operation: &'static str,
        update: UpdateBuilder,
        returned: ReturnValue,
    ) -> Result<Option<HashMap<String, AttributeValue>>, Fault> {
        let update = built(update.build(), operation)?;
        let update = self
            .client
            .update_item()
            .table_name(update.table_name)
            .set_key(Some(update.key))
            .update_expression(update.update_expression)
            .set_condition_expression(update.condition_expression)
            .set_expression_attribute_values(update.expression_attribute_values)
            .return_values(returned);
        match update.send().await {
            Ok(output) => Ok(Some(output.attributes.unwrap_or_default())),
            Err(SdkError::ServiceError(error))
                if error.err().is_conditional_check_failed_exception() =>
            {
                Ok(None)
            }
            Err(error) => Err(Fault::from_sdk(operation, &error)),
        }
    }

    /// Runs a put without a condition, alone.
    async fn put(&self, operation: &'static str, put: PutBuilder) -> Result<(), Fault> {
        let put = built(put.build(), operation)?;
        self.client
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .send()
            .await
            .map_err(|error| Fault::from_sdk(operation, &error))?;
        Ok(())
    }

    /// Reads a row. An unreadable row counts as none.
    async fn row<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        key: String,
    ) -> Result<Option<T>, Fault> {
        let output = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("pk", text(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Fault::from_sdk(operation, &error))?;
        Ok(output
            .item
            .and_then(|item| serde_dynamo::from_item(item).ok()))
    }

    /// Returns the statement that writes a row.
    fn put_statement(&self, key: &str, row: &impl Serialize, expires_at: Timestamp) -> PutBuilder {
        // A row that cannot be serialized has no item, so `build` rejects the statement.
        let item: Option<HashMap<String, AttributeValue>> = serde_dynamo::to_item(row).ok();
        let item = item.map(|mut item| {
            item.insert("pk".to_owned(), text(key.to_owned()));
            item.insert("expires_at".to_owned(), number(expires_at.as_second()));
            item
        });
        Put::builder().table_name(&self.name).set_item(item)
    }
}

fn text(value: String) -> AttributeValue {
    AttributeValue::S(value)
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn built<T>(result: Result<T, BuildError>, operation: &'static str) -> Result<T, Fault> {
    result.map_err(|_| Fault::internal(operation, "BuildError"))
}
