//! An e-mail address.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::problem::Complaint;

/// One plain address, in lower case, that SES could send to.
///
/// Addresses are compared after trimming outer spaces and folding ASCII letters to lower case, and no other way: Unicode
/// case mapping has handed accounts to strangers (CVE-2019-19844). So an address is ASCII altogether: SES cannot send
/// to other local parts, and other domains have an ASCII form (RFC 5891) that browsers put into e-mail fields.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Email(String);

impl Email {
    /// Parses an address as it was typed.
    ///
    /// What is accepted is the `Dot-string@Domain` of RFC 5321 section 4.1.2 with at least two labels, within the
    /// limits of its section 4.5.3.1 (64 octets, and 254 in all): no quoted strings, comments, lists, display names
    /// or address literals.
    ///
    /// # Errors
    /// A complaint where it is anything else.
    pub fn parse(typed: &str) -> Result<Self, Complaint> {
        let address = typed.trim_matches(' ');
        let is_plain = address.len() <= 254
            && address
                .split_once('@')
                .is_some_and(|(local, domain)| is_dot_string(local) && is_domain(domain));
        if is_plain {
            Ok(Self(address.to_ascii_lowercase()))
        } else {
            Err(Complaint::fixed(
                "must be one e-mail address, like ada@example.com",
            ))
        }
    }

    /// The address itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Says nothing of the address: it would end up in a log.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

impl TryFrom<String> for Email {
    type Error = Complaint;

    fn try_from(stored: String) -> Result<Self, Complaint> {
        Self::parse(&stored)
    }
}

fn is_dot_string(local: &str) -> bool {
    local.len() <= 64
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

/// RFC 5322 section 3.2.3.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_domain(domain: &str) -> bool {
    domain.contains('.') && domain.split('.').all(is_label)
}

/// RFC 1035 section 2.3.4, and RFC 1123 section 2.1 for the first character.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn outer_spaces_and_ascii_case_do_not_make_another_address() {
        assert_eq!(
            Email::parse(" ADA@Example.COM ").unwrap().as_str(),
            "ada@example.com"
        );
    }

    #[test]
    fn addresses_that_people_have_are_accepted() {
        for good in [
            "a@b.co",
            "ada+x@example.com",
            "o'brien@sub.example.com",
            "a.b-c_d@xn--exmple-cua.com",
            "1@2.de",
        ] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(64))).is_ok());
    }

    #[test]
    fn what_is_no_single_plain_address_is_refused() {
        let bad = [
            "",
            " ",
            "ada",
            "@example.com",
            "ada@",
            "ada@@example.com",
            "ada@example.com,eve@evil.test",
            "ada@example.com;eve@evil.test",
            "ada@example.com\r\nBcc: eve@evil.test",
            "ada@example.com\n",
            "\tada@example.com",
            "Ada <ada@example.com>",
            "<ada@example.com>",
            "ada@example.com\0",
            "ada@exam ple.com",
            "mailto:ada@example.com",
            "\"ada\"@example.com",
            "ada@[127.0.0.1]",
            "ada@example.com.",
            "ada@localhost",
            ".ada@example.com",
            "ada.@example.com",
            "a..da@example.com",
            "ada@-example.com",
            "ada@example-.com",
            "ada@.example.com",
            "ıda@example.com",
            "ada@exаmple.com",
            "ada@example。com",
            "ADA@EXAMPLE.COM\u{212a}",
        ];
        for bad in bad {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(Email::parse(&format!("a@{}.com", "a".repeat(64))).is_err());
        assert!(Email::parse(&format!("a@{}com", "a.".repeat(126))).is_err());
    }

    #[test]
    fn debug_output_holds_no_address() {
        assert_eq!(
            format!("{:?}", Email::parse("ada@example.com").unwrap()),
            "Email(..)"
        );
    }

    proptest! {
        #[test]
        fn parsing_twice_is_parsing_once(typed in ".*") {
            if let Ok(email) = Email::parse(&typed) {
                prop_assert!(email.as_str().is_ascii());
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email));
            }
        }
    }
}
