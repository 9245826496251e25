//! An interpreter of `DynamoDB` transactions that supports what the product's statements use.
//!
//! It panics at anything else. `trial.rs` compares it with a `DynamoDB` in this process.

mod condition;
pub(crate) mod rows;
pub(crate) mod statement;

use std::sync::Arc;

use rows::{Item, Rows, Value};
use statement::{Statement, Write, tokens};

/// Runs all statements, or none.
///
/// # Errors
/// Returns, for each statement, whether its condition failed, if any did.
pub(crate) fn transact(rows: &mut Rows, statements: &[Statement]) -> Result<(), Vec<bool>> {
    for (n, statement) in statements.iter().enumerate() {
        let is_duplicate = statements[..n].iter().any(|one| one.key == statement.key);
        assert!(!is_duplicate, "two statements for {:?}", statement.key);
    }
    let failed: Vec<bool> = statements
        .iter()
        .map(|statement| !statement.holds(rows.get(&statement.key).map(AsRef::as_ref)))
        .collect();
    if failed.contains(&true) {
        return Err(failed);
    }
    for statement in statements {
        statement.write(rows);
    }
    Ok(())
}

impl Statement {
    fn write(&self, rows: &mut Rows) {
        match &self.write {
            Write::Put(item) => {
                rows.insert(self.key.clone(), Arc::clone(item));
            }
            Write::Delete => {
                rows.remove(&self.key);
            }
            Write::Update(expression) => {
                let before = rows.get(&self.key);
                let mut row = before.map_or_else(
                    || Item::from([(self.key_name.to_owned(), self.key.key.clone())]),
                    |row| Item::clone(row),
                );
                self.update(&mut row, expression);
                rows.insert(self.key.clone(), Arc::new(row));
            }
        }
    }

    /// Applies an update such as `SET a = :x, b = :y ADD c :z`.
    fn update(&self, row: &mut Item, expression: &str) {
        let tokens = tokens(expression);
        let mut tokens = tokens.iter().map(String::as_str).peekable();
        let mut clause = "";
        while let Some(token) = tokens.next() {
            match (clause, token) {
                (_, "SET" | "ADD") => clause = token,
                (_, ",") => {}
                ("SET", path) => {
                    assert_eq!(tokens.next(), Some("="), "{expression}");
                    let value = self.value(tokens.next().unwrap());
                    row.insert(self.name(path), value);
                }
                ("ADD", path) => {
                    let Value::N(more) = self.value(tokens.next().unwrap()) else {
                        panic!("{expression}")
                    };
                    let Value::N(sum) = row.entry(self.name(path)).or_insert(Value::N(0)) else {
                        panic!("{expression}")
                    };
                    *sum += more;
                }
                _ => panic!("{expression}"),
            }
        }
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
