//! An interpreter of `DynamoDB` transactions that supports what the product's statements use.
//!
//! It panics at anything else. `trial.rs` compares it with a `DynamoDB` in this process.

mod condition;
pub(crate) mod rows;
pub(crate) mod statement;
mod update;

use std::sync::Arc;

use rows::{Item, Rows};
use statement::{Statement, Write};

/// The reason for which a statement cancels its transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Another statement cancels the transaction.
    #[default]
    None,
    /// The condition failed. The row is there if the statement asked for it and the table has it.
    ConditionFailed(Option<Arc<Item>>),
    /// The update reads an attribute that the row does not have.
    Invalid,
}

/// Runs all statements, or none.
///
/// # Errors
/// Returns the reason of each statement, if any statement cancels the transaction.
pub(crate) fn transact(rows: &mut Rows, statements: &[Statement]) -> Result<(), Vec<Reason>> {
    for (n, statement) in statements.iter().enumerate() {
        let is_duplicate = statements[..n].iter().any(|one| one.key == statement.key);
        assert!(!is_duplicate, "two statements for {:?}", statement.key);
    }
    let outcomes: Vec<_> = statements
        .iter()
        .map(|statement| statement.run(rows.get(&statement.key)))
        .collect();
    if outcomes.iter().any(Result::is_err) {
        let reasons = outcomes
            .into_iter()
            .map(|one| one.err().unwrap_or_default());
        return Err(reasons.collect());
    }
    for (statement, row) in statements.iter().zip(outcomes.into_iter().flatten()) {
        match row {
            Some(row) => rows.insert(statement.key.clone(), row),
            None => rows.remove(&statement.key),
        };
    }
    Ok(())
}

impl Statement {
    /// Returns the row after the statement, or the reason for which it cancels the transaction.
    fn run(&self, row: Option<&Arc<Item>>) -> Result<Option<Arc<Item>>, Reason> {
        if !self.holds(row.map(AsRef::as_ref)) {
            let row = row.filter(|_| self.returns_row).cloned();
            return Err(Reason::ConditionFailed(row));
        }
        Ok(match &self.write {
            Write::Put(item) => Some(Arc::clone(item)),
            Write::Delete => None,
            Write::Update(expression) => {
                let missing = Item::from([(self.key_name.to_owned(), self.key.key.clone())]);
                let row = row.map_or(&missing, AsRef::as_ref);
                let updated = self.updated(row, expression).ok_or(Reason::Invalid)?;
                Some(Arc::new(updated))
            }
        })
    }
}

/// Returns the new rows that the stream delivers to the half with this key prefix.
pub(crate) fn streamed(statements: &[Statement], prefix: &str) -> Vec<Arc<Item>> {
    let images = statements.iter().filter_map(|statement| {
        let is_of_half =
            statement.key.table == "rekey" && statement.key.key.text().starts_with(prefix);
        match &statement.write {
            Write::Put(item) if is_of_half => Some(Arc::clone(item)),
            _ => None,
        }
    });
    images.collect()
}
