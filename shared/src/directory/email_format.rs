//! The content of the attribute that an address is found by.

use crate::email::Email;

/// The text around an address: `{email}` alone, which is the default, `USER#{email}`, or `{EMAIL}` for upper case.
#[derive(Clone, Debug, Default)]
pub(super) struct EmailFormat {
    before: String,
    after: String,
    is_upper_case: bool,
}

impl EmailFormat {
    /// Parses a format.
    pub(super) fn parse(format: &str) -> Result<Self, String> {
        let lower = format.split_once("{email}").map(|parts| (parts, false));
        let upper = || format.split_once("{EMAIL}").map(|parts| (parts, true));
        let found = lower.or_else(upper);
        let found = found
            .filter(|((before, after), _)| !before.contains(BRACES) && !after.contains(BRACES));
        let ((before, after), is_upper_case) = found.ok_or_else(|| {
            "a text with {email} or {EMAIL}, once, and without other braces".to_owned()
        })?;
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
            is_upper_case,
        })
    }

    /// Returns the content of the attribute of the user with this address.
    pub(super) fn apply(&self, email: &Email) -> String {
        let email = email.as_str();
        let mut text = String::with_capacity(self.before.len() + email.len() + self.after.len());
        text.push_str(&self.before);
        text.push_str(email);
        if self.is_upper_case {
            // An address is ASCII.
            text[self.before.len()..].make_ascii_uppercase();
        }
        text.push_str(&self.after);
        text
    }

    /// Returns the text before the address.
    pub(super) fn before(&self) -> &str {
        &self.before
    }
}

const BRACES: [char; 2] = ['{', '}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_put_into_the_format() {
        let email = Email::parse("ada@example.com").unwrap();
        for (format, expected) in [
            ("{email}", "ada@example.com"),
            ("USER#{email}", "USER#ada@example.com"),
            ("{EMAIL}", "ADA@EXAMPLE.COM"),
            ("user#{EMAIL}#x", "user#ADA@EXAMPLE.COM#x"),
        ] {
            assert_eq!(EmailFormat::parse(format).unwrap().apply(&email), expected);
        }
    }

    #[test]
    fn a_format_has_one_placeholder() {
        for format in [
            "",
            "USER#",
            "{email}{email}",
            "{email}{EMAIL}",
            "{Email}",
            "{{email}",
            "{email}}",
            "{id}{email}",
        ] {
            assert!(EmailFormat::parse(format).is_err(), "{format}");
        }
    }
}
