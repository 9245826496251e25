//! A statement of a transaction, read from the SDK's type.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};

use super::rows::{Item, Key, Value, item};

/// One statement of a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) key: Key,
    pub(crate) key_name: &'static str,
    pub(crate) write: Write,
    pub(crate) condition: Option<String>,
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
    /// Whether a failed condition returns the row.
    pub(crate) returns_row: bool,
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

fn returns_row(values: Option<&ReturnValuesOnConditionCheckFailure>) -> bool {
    values == Some(&ReturnValuesOnConditionCheckFailure::AllOld)
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
                returns_row: returns_row(update.return_values_on_condition_check_failure.as_ref()),
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
            returns_row: returns_row(delete.return_values_on_condition_check_failure.as_ref()),
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
            returns_row: returns_row(put.return_values_on_condition_check_failure.as_ref()),
        }
    }

    pub(crate) fn name(&self, path: &str) -> String {
        if path.starts_with('#') {
            self.names[path].clone()
        } else {
            path.to_owned()
        }
    }

    pub(crate) fn value(&self, name: &str) -> Value {
        assert!(name.starts_with(':'), "not a value placeholder: {name}");
        Value::from_sdk(&self.values[name])
    }
}

/// Splits an expression into its words and punctuation.
pub(crate) fn tokens(expression: &str) -> Vec<String> {
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
