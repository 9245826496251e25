//! A form: the fields of a JSON body, and their errors.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::problem::Problem;
use crate::field_error::FieldError;

/// The fields of a JSON object that has each field once.
///
/// Read every field first and unwrap the values only in [`Form::finish`], so that one response lists every error:
///
/// ```
/// # use rekey::http::form::Form;
/// # use rekey::email::Email;
/// # fn email(body: &str) -> Result<Email, rekey::http::problem::Problem> {
/// let mut form: Form = serde_json::from_str(body).unwrap();
/// let email = form.required("email", Email::parse);
/// form.finish(email)
/// # }
/// # assert!(email(r#"{"email": "ada@example.com"}"#).is_ok());
/// # assert!(email(r#"{"email": "ada"}"#).is_err());
/// ```
#[derive(Debug)]
pub struct Form {
    fields: HashMap<String, Field>,
    errors: BTreeMap<&'static str, FieldError>,
}

impl Form {
    /// Accepts a second name for a field.
    ///
    /// # Errors
    /// Returns [`Problem::Malformed`] if the form has both names.
    pub fn alias(&mut self, alias: &str, name: &str) -> Result<(), Problem> {
        if let Some(field) = self.fields.remove(alias)
            && self.fields.insert(name.to_owned(), field).is_some()
        {
            return Err(Problem::Malformed);
        }
        Ok(())
    }

    /// Parses a required field. Returns `None`, and keeps the error, if it is missing, not a string, or invalid.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, FieldError>,
    ) -> Option<T> {
        let result = match self.fields.get(name) {
            Some(Field::Text(text)) => parse(text.expose_secret()),
            Some(Field::NotText) => Err(FieldError::NotText),
            Some(Field::Null) | None => Err(FieldError::Required),
        };
        result.map_err(|error| self.errors.insert(name, error)).ok()
    }

    /// Parses a field that may be missing. Keeps the error if it is not a string, or invalid.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, FieldError>,
    ) -> Option<T> {
        let result = match self.fields.get(name) {
            Some(Field::Text(text)) => parse(text.expose_secret()),
            Some(Field::NotText) => Err(FieldError::NotText),
            Some(Field::Null) | None => return None,
        };
        result.map_err(|error| self.errors.insert(name, error)).ok()
    }

    /// Returns the text of a field that never makes a request invalid.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.fields.get(name) {
            Some(Field::Text(text)) => Some(text.expose_secret()),
            Some(Field::Null | Field::NotText) | None => None,
        }
    }

    /// Returns the value that was made from the fields.
    ///
    /// # Errors
    /// Returns [`Problem::Invalid`] with the errors of all fields.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Problem::Invalid(self.errors)),
        }
    }
}

impl<'de> Deserialize<'de> for Form {
    /// Rejects an object that has a field twice. Parsers differ in which of the two they use (RFC 8259 section 4).
    /// Software in front of Rekey might check one, and Rekey use the other.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Form;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object that has each field once")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Form, A::Error> {
                let mut fields = HashMap::new();
                while let Some((name, field)) = entries.next_entry()? {
                    if fields.insert(name, field).is_some() {
                        return Err(A::Error::custom("a field twice"));
                    }
                }
                let errors = BTreeMap::new();
                Ok(Form { fields, errors })
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// The value of a field: any JSON.
#[derive(Debug)]
enum Field {
    Null,
    /// A string, which may hold a secret.
    Text(SecretString),
    /// A number, a boolean, a list, or an object.
    NotText,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_str<E>(self, text: &str) -> Result<Field, E> {
                Ok(Field::Text(text.into()))
            }
            fn visit_unit<E>(self) -> Result<Field, E> {
                Ok(Field::Null)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
                Ok(Field::NotText)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
                Ok(Field::NotText)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
                Ok(Field::NotText)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
                Ok(Field::NotText)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Field::NotText)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Field, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Field::NotText)
            }
        }

        deserializer.deserialize_any(Anything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Option<Form> {
        serde_json::from_str(body).ok()
    }

    /// Returns the error of the required field `email`.
    fn error_of_email(body: &str) -> Option<FieldError> {
        let mut form = parse(body).unwrap();
        let email = form.required("email", |text| Ok(text.to_owned()));
        match form.finish(email) {
            Err(Problem::Invalid(errors)) => errors.get("email").copied(),
            _ => None,
        }
    }

    #[test]
    fn a_duplicate_field_is_malformed() {
        for body in [
            r#"{"email":"a@b.co","email":"c@d.co"}"#,
            r#"{"email":"a@b.co","\u0065mail":"c@d.co"}"#,
            // A field that Rekey does not read, too: other software may.
            r#"{"email":"a@b.co","x":1,"\u0078":2}"#,
        ] {
            assert!(parse(body).is_none(), "{body}");
        }
    }

    #[test]
    fn an_array_is_malformed() {
        assert!(parse(r#"["a@b.co"]"#).is_none());
    }

    #[test]
    fn a_missing_field_and_one_that_is_not_text_have_different_errors() {
        for other in ["1", "-1", "1.5", "true", "[]", "[[{}]]", r#"{"$ne":null}"#] {
            let error = error_of_email(&format!(r#"{{"email":{other}}}"#));
            assert_eq!(error, Some(FieldError::NotText), "{other}");
        }
        for missing in ["{}", r#"{"email":null}"#] {
            assert_eq!(
                error_of_email(missing),
                Some(FieldError::Required),
                "{missing}"
            );
        }
        assert_eq!(error_of_email(r#"{"email":""}"#), None);
    }

    #[test]
    fn an_optional_field_may_be_missing_but_must_be_text() {
        for (body, is_valid) in [
            ("{}", true),
            (r#"{"x":null}"#, true),
            (r#"{"x":"y"}"#, true),
            (r#"{"x":"z"}"#, false),
            (r#"{"x":1}"#, false),
        ] {
            let mut form = parse(body).unwrap();
            form.optional("x", |text| match text {
                "y" => Ok(()),
                _ => Err(FieldError::NotTheSame),
            });
            assert_eq!(form.finish(Some(())).is_ok(), is_valid, "{body}");
        }
    }

    #[test]
    fn a_form_with_a_field_under_both_names_is_malformed() {
        let mut form = parse(r#"{"reseturl":"a"}"#).unwrap();
        assert!(form.alias("reseturl", "reset_url").is_ok());
        assert_eq!(form.text("reset_url"), Some("a"));
        let mut form = parse(r#"{"reseturl":"a","reset_url":"a"}"#).unwrap();
        assert!(form.alias("reseturl", "reset_url").is_err());
    }
}
