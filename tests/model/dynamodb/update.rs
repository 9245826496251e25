//! An evaluator of update expressions.

use std::vec::IntoIter;

use super::rows::{Item, Value};
use super::statement::{Statement, tokens};

impl Statement {
    /// Returns a row after an update such as `SET a = :x, b = if_not_exists(c, :y) REMOVE d ADD e :z`, or `None` if the
    /// update reads an attribute that the row does not have.
    pub(super) fn updated(&self, before: &Item, expression: &str) -> Option<Item> {
        let mut updater = Updater {
            statement: self,
            before,
            after: before.clone(),
            tokens: tokens(expression).into_iter(),
        };
        let mut clause = String::new();
        while let Some(token) = updater.tokens.next() {
            match (clause.as_str(), token.as_str()) {
                (_, "SET" | "ADD" | "REMOVE") => clause = token,
                (_, ",") => {}
                ("SET", path) => updater.set(path)?,
                ("ADD", path) => updater.add(path),
                ("REMOVE", path) => {
                    updater.after.remove(&self.name(path));
                }
                _ => panic!("{expression}"),
            }
        }
        Some(updater.after)
    }
}

/// Applies an update to a row. Every value that the update reads is of the row before it (Amazon `DynamoDB` Developer
/// Guide, "Using update expressions").
struct Updater<'a> {
    statement: &'a Statement,
    before: &'a Item,
    after: Item,
    tokens: IntoIter<String>,
}

impl Updater<'_> {
    fn next(&mut self) -> String {
        self.tokens.next().expect("the update continues")
    }

    fn expect(&mut self, token: &str) {
        assert_eq!(self.next(), token);
    }

    fn set(&mut self, path: &str) -> Option<()> {
        self.expect("=");
        let value = self.operand()?;
        self.after.insert(self.statement.name(path), value);
        Some(())
    }

    fn add(&mut self, path: &str) {
        let more = self.next();
        let Value::N(more) = self.statement.value(&more) else {
            panic!("{more}")
        };
        let sum = self.after.entry(self.statement.name(path));
        let Value::N(sum) = sum.or_insert(Value::N(0)) else {
            panic!("{path}")
        };
        *sum += more;
    }

    /// Reads a value placeholder, `if_not_exists(…)`, or a path. Returns `None` if the row has no such attribute.
    fn operand(&mut self) -> Option<Value> {
        let token = self.next();
        if token.starts_with(':') {
            return Some(self.statement.value(&token));
        }
        if token != "if_not_exists" {
            return self.before.get(&self.statement.name(&token)).cloned();
        }
        self.expect("(");
        let path = self.next();
        self.expect(",");
        let otherwise = self.operand();
        self.expect(")");
        let value = self.before.get(&self.statement.name(&path)).cloned();
        value.or(otherwise)
    }
}
