//! The attribute that shows whether an account may reset its password.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::config::Env;

/// An attribute, and the values with which an account may reset its password.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Status {
    pub(super) attribute: String,
    /// Whether an account without the attribute may reset its password.
    is_optional: bool,
    values: Vec<AttributeValue>,
}

/// The word for a missing attribute, in a list of values.
const ABSENT: &str = "absent";

/// The most values in a list.
const MAX_VALUES: usize = 8;

impl Status {
    /// Reads the attribute and its values. Reports one without the other.
    pub(super) fn read(env: &mut Env<'_>) -> Option<Self> {
        let attribute = env.optional_text("USERS_STATUS_ATTRIBUTE");
        let values = env.optional("USERS_STATUS_ACTIVE", Vec::new(), parse_values)?;
        match (attribute, values.as_slice()) {
            (Some(attribute), []) => env.report(
                "USERS_STATUS_ATTRIBUTE",
                &attribute,
                "no attribute without USERS_STATUS_ACTIVE",
            ),
            (None, [_, ..]) => env.report(
                "USERS_STATUS_ACTIVE",
                &values.join(","),
                "no values without USERS_STATUS_ATTRIBUTE",
            ),
            (Some(attribute), [_, ..]) => return Some(Self::new(attribute, &values)),
            (None, []) => {}
        }
        None
    }

    fn new(attribute: String, values: &[String]) -> Self {
        Self {
            attribute,
            is_optional: values.iter().any(|value| value == ABSENT),
            values: values.iter().flat_map(|value| spellings(value)).collect(),
        }
    }

    /// Returns whether an account may reset its password.
    pub(super) fn allows(&self, value: Option<&AttributeValue>) -> bool {
        value.map_or(self.is_optional, |value| self.values.contains(value))
    }

    /// Returns the condition that [`allows`](Self::allows) checks, on `#status`.
    pub(super) fn condition(&self) -> String {
        let absent = self
            .is_optional
            .then(|| "attribute_not_exists(#status)".to_owned());
        let values = self.values().map(|(name, _)| format!("#status = {name}"));
        absent
            .into_iter()
            .chain(values)
            .collect::<Vec<_>>()
            .join(" OR ")
    }

    /// Returns the values of the condition, with their names.
    pub(super) fn values(&self) -> impl Iterator<Item = (String, AttributeValue)> + '_ {
        let values = self.values.iter().enumerate();
        values.map(|(n, value)| (format!(":status{n}"), value.clone()))
    }
}

/// Parses a list of values, separated by commas.
///
/// Each is a text. `true` and `false` are also booleans, and decimal digits are also a number, because tables have
/// all of these. `absent` stands for a missing attribute and for `NULL`, which some libraries write instead.
fn parse_values(list: &str) -> Result<Vec<String>, String> {
    let values: Vec<String> = list.split(',').map(str::to_owned).collect();
    let is_value = |value: &String| !value.is_empty() && !value.contains(char::is_whitespace);
    if values.len() > MAX_VALUES || !values.iter().all(is_value) {
        return Err(format!(
            "1 to {MAX_VALUES} values, separated by commas, without whitespace"
        ));
    }
    Ok(values)
}

/// Returns the attribute values that a value in the list stands for.
fn spellings(value: &str) -> Vec<AttributeValue> {
    let text = AttributeValue::S(value.to_owned());
    match value {
        ABSENT => vec![AttributeValue::Null(true)],
        "true" => vec![text, AttributeValue::Bool(true)],
        "false" => vec![text, AttributeValue::Bool(false)],
        _ if value.bytes().all(|byte| byte.is_ascii_digit()) => {
            vec![text, AttributeValue::N(value.to_owned())]
        }
        _ => vec![text],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(values: &str) -> Status {
        Status::new("status".to_owned(), &parse_values(values).unwrap())
    }

    #[test]
    fn each_value_has_every_spelling_that_tables_have() {
        let text = |text: &str| Some(AttributeValue::S(text.to_owned()));
        let number = |number: &str| Some(AttributeValue::N(number.to_owned()));
        let boolean = |value| Some(AttributeValue::Bool(value));
        let null = || Some(AttributeValue::Null(true));
        for (values, allowed, rejected) in [
            (
                "ACTIVE,INVITED",
                vec![text("ACTIVE"), text("INVITED")],
                vec![text("active"), None, null()],
            ),
            (
                "true",
                vec![text("true"), boolean(true)],
                vec![boolean(false), text("True"), None],
            ),
            (
                "absent,false",
                vec![None, null(), boolean(false), text("false")],
                vec![boolean(true), text("absent")],
            ),
            (
                "absent",
                vec![None, null()],
                vec![text("2026-11-25"), number("0"), boolean(false)],
            ),
            (
                "1",
                vec![text("1"), number("1")],
                vec![number("0"), boolean(true), None],
            ),
        ] {
            let status = status(values);
            assert!(
                allowed.iter().all(|value| status.allows(value.as_ref())),
                "{values}"
            );
            assert!(
                !rejected.iter().any(|value| status.allows(value.as_ref())),
                "{values}"
            );
        }
    }

    #[test]
    fn a_list_has_one_to_eight_values_without_spaces() {
        assert!(parse_values("1,2,3,4,5,6,7,8").is_ok());
        for list in ["", ",", "ACTIVE,", "ACTIVE, INVITED", "1,2,3,4,5,6,7,8,9"] {
            assert!(parse_values(list).is_err(), "{list:?}");
        }
    }
}
