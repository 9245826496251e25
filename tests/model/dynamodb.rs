//! An interpreter of `DynamoDB` transactions that supports what the product's statements use.
//!
//! It panics at anything else. `trial.rs` compares it with a `DynamoDB` in this process.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};

/// An attribute's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Value {
    S(Arc<str>),
    /// A number in thousandths. The product writes times in milliseconds, and nothing finer.
    N(i64),
    L(Vec<Value>),
    M(Item),
}

impl Value {
    fn from_sdk(value: &AttributeValue) -> Self {
        match value {
            AttributeValue::S(text) => Self::from_text(text),
            AttributeValue::N(number) => Self::N(thousandths(number)),
            AttributeValue::L(values) => Self::L(values.iter().map(Self::from_sdk).collect()),
            AttributeValue::M(values) => Self::M(item(values)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn from_text(text: &str) -> Self {
        Self::S(text.into())
    }

    pub(crate) fn to_attribute(&self) -> AttributeValue {
        match self {
            Self::S(text) => AttributeValue::S(text.as_ref().to_owned()),
            Self::N(number) if number % 1000 == 0 => AttributeValue::N((number / 1000).to_string()),
            Self::N(number) => AttributeValue::N(format!("{}.{:03}", number / 1000, number % 1000)),
            Self::L(values) => AttributeValue::L(values.iter().map(Self::to_attribute).collect()),
            Self::M(values) => AttributeValue::M(attributes(values)),
        }
    }

    /// Returns the name of the type, as `attribute_type` expects it.
    fn type_name(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::L(_) => "L",
            Self::M(_) => "M",
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::S(text) => text,
            Self::N(_) | Self::L(_) | Self::M(_) => panic!("{self:?}"),
        }
    }
}

fn thousandths(number: &str) -> i64 {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    assert!(fraction.len() <= 3, "{number} has more than three decimals");
    format!("{whole}{fraction:0<3}").parse().unwrap()
}

/// The attributes of a row.
pub(crate) type Item = BTreeMap<String, Value>;
/// The rows of all tables, by table and key.
pub(crate) type Rows = BTreeMap<Key, Arc<Item>>;

/// The table and the key of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) table: &'static str,
    pub(crate) key: Value,
}

/// Converts a row from the SDK's type.
pub(crate) fn item(attributes: &HashMap<String, AttributeValue>) -> Item {
    attributes
        .iter()
        .map(|(name, value)| (name.clone(), Value::from_sdk(value)))
        .collect()
}

/// Converts a row to the SDK's type.
pub(crate) fn attributes(item: &Item) -> HashMap<String, AttributeValue> {
    item.iter()
        .map(|(name, value)| (name.clone(), value.to_attribute()))
        .collect()
}

/// One statement of a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) key: Key,
    pub(crate) key_name: &'static str,
    pub(crate) write: Write,
    pub(crate) condition: Option<String>,
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
}

/// The write of a statement.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(Arc<Item>),
    Update(String),
    Delete,
}

/// Returns the key of a statement's row, and the name of the key attribute.
fn locate(table: &str, attributes: &HashMap<String, AttributeValue>) -> (Key, &'static str) {
    let (table, key_name) = match table {
        "rekey" => ("rekey", "pk"),
        "users" => ("users", "id"),
        _ => panic!("unknown table: {table}"),
    };
    let key = Value::from_sdk(&attributes[key_name]);
    (Key { table, key }, key_name)
}

impl Statement {
    /// Converts a statement of the product.
    pub(crate) fn from_sdk(statement: TransactWriteItem) -> Self {
        if let Some(put) = statement.put {
            return Self::from_put(put);
        }
        if let Some(update) = statement.update {
            let (key, key_name) = locate(&update.table_name, &update.key);
            return Self {
                key,
                key_name,
                write: Write::Update(update.update_expression),
                condition: update.condition_expression,
                names: update.expression_attribute_names.unwrap_or_default(),
                values: update.expression_attribute_values.unwrap_or_default(),
            };
        }
        let delete = statement.delete.expect("a put, an update or a delete");
        let (key, key_name) = locate(&delete.table_name, &delete.key);
        Self {
            key,
            key_name,
            write: Write::Delete,
            condition: delete.condition_expression,
            names: delete.expression_attribute_names.unwrap_or_default(),
            values: delete.expression_attribute_values.unwrap_or_default(),
        }
    }

    /// Converts a put outside a transaction.
    pub(crate) fn from_put(put: Put) -> Self {
        let (key, key_name) = locate(&put.table_name, &put.item);
        Self {
            key,
            key_name,
            write: Write::Put(Arc::new(item(&put.item))),
            condition: put.condition_expression,
            names: put.expression_attribute_names.unwrap_or_default(),
            values: put.expression_attribute_values.unwrap_or_default(),
        }
    }

    fn holds(&self, row: Option<&Item>) -> bool {
        let Some(condition) = &self.condition else {
            return true;
        };
        let mut reader = Reader::new(self, row, condition);
        let holds = reader.any();
        assert!(reader.rest.is_empty(), "{condition}: {:?}", reader.rest);
        holds
    }

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

    fn name(&self, path: &str) -> String {
        if path.starts_with('#') {
            self.names[path].clone()
        } else {
            path.to_owned()
        }
    }

    fn value(&self, name: &str) -> Value {
        assert!(name.starts_with(':'), "not a value placeholder: {name}");
        Value::from_sdk(&self.values[name])
    }
}

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

/// Evaluates a condition for a row.
///
/// Loosest precedence first: `OR`, `AND`, `NOT`, comparisons (Amazon `DynamoDB` Developer Guide, "Condition and filter
/// expressions", "Precedence in conditions").
struct Reader<'a> {
    statement: &'a Statement,
    row: Option<&'a Item>,
    tokens: Vec<String>,
    rest: std::ops::Range<usize>,
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

fn tokens(expression: &str) -> Vec<String> {
    let mut spaced = String::new();
    for character in expression.chars() {
        if "(),".contains(character) {
            spaced.extend([' ', character, ' ']);
        } else {
            spaced.push(character);
        }
    }
    spaced.split_whitespace().map(str::to_owned).collect()
}
