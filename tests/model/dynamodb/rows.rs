//! The rows of the tables, and their conversions from and to the SDK's types.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;

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
    pub(crate) fn from_sdk(value: &AttributeValue) -> Self {
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
    pub(crate) fn type_name(&self) -> &'static str {
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

/// Reads a row as the product does.
pub(crate) fn parsed<T: DeserializeOwned>(item: &Item) -> T {
    serde_dynamo::from_item(attributes(item)).unwrap()
}
