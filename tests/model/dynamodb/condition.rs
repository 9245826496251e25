//! An evaluator of condition expressions.

use std::ops::Range;

use super::rows::{Item, Value};
use super::statement::{Statement, tokens};

impl Statement {
    /// Returns whether the condition holds for a row, or for none.
    pub(crate) fn holds(&self, row: Option<&Item>) -> bool {
        let Some(condition) = &self.condition else {
            return true;
        };
        let mut reader = Reader::new(self, row, condition);
        let holds = reader.any();
        assert!(reader.rest.is_empty(), "{condition}: {:?}", reader.rest);
        holds
    }
}

/// Evaluates a condition for a row.
///
/// Loosest precedence first: `OR`, `AND`, `NOT`, comparisons (Amazon `DynamoDB` Developer Guide, "Condition and filter
/// expressions", "Precedence in conditions").
struct Reader<'a> {
    statement: &'a Statement,
    row: Option<&'a Item>,
    tokens: Vec<String>,
    rest: Range<usize>,
}

impl<'a> Reader<'a> {
    fn new(statement: &'a Statement, row: Option<&'a Item>, condition: &str) -> Self {
        let tokens = tokens(condition);
        Self {
            statement,
            row,
            rest: 0..tokens.len(),
            tokens,
        }
    }

    fn next(&mut self) -> String {
        let at = self.rest.next().expect("the condition continues");
        self.tokens[at].clone()
    }

    fn follows(&mut self, token: &str) -> bool {
        let follows = !self.rest.is_empty() && self.tokens[self.rest.start] == token;
        if follows {
            self.rest.next();
        }
        follows
    }

    fn expect(&mut self, token: &str) {
        assert!(self.follows(token), "{token} in {:?}", self.tokens);
    }

    fn any(&mut self) -> bool {
        let mut holds = self.all();
        while self.follows("OR") {
            holds |= self.all();
        }
        holds
    }

    fn all(&mut self) -> bool {
        let mut holds = self.one();
        while self.follows("AND") {
            holds &= self.one();
        }
        holds
    }

    fn one(&mut self) -> bool {
        if self.follows("NOT") {
            return !self.one();
        }
        if self.follows("(") {
            let holds = self.any();
            self.expect(")");
            return holds;
        }
        for (function, expected) in [("attribute_exists", true), ("attribute_not_exists", false)] {
            if self.follows(function) {
                self.expect("(");
                let path = self.next();
                self.expect(")");
                let name = self.statement.name(&path);
                return self.row.is_some_and(|row| row.contains_key(&name)) == expected;
            }
        }
        if self.follows("attribute_type") {
            self.expect("(");
            let value = self.operand();
            self.expect(",");
            let expected = self.operand();
            self.expect(")");
            return value
                .is_some_and(|value| expected == Some(Value::from_text(value.type_name())));
        }
        self.comparison()
    }

    /// Evaluates a comparison. It is false if an operand is missing or the types differ.
    fn comparison(&mut self) -> bool {
        let left = self.operand();
        let comparator = self.next();
        let right = self.operand();
        let (Some(left), Some(right)) = (left, right) else {
            return false;
        };
        if std::mem::discriminant(&left) != std::mem::discriminant(&right) {
            return false;
        }
        match comparator.as_str() {
            "=" => left == right,
            "<" => left < right,
            "<=" => left <= right,
            ">" => left > right,
            ">=" => left >= right,
            _ => panic!("unknown comparator: {comparator}"),
        }
    }

    fn operand(&mut self) -> Option<Value> {
        let token = self.next();
        if token.starts_with(':') {
            Some(self.statement.value(&token))
        } else {
            self.row?.get(&self.statement.name(&token)).cloned()
        }
    }
}
