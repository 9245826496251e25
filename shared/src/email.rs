//! Email addresses.

use std::borrow::Cow;
use std::{fmt, iter};

use icu_normalizer::uts46::Uts46MapperBorrowed;
use serde::{Deserialize, Serialize};

use crate::field_error::FieldError;
use crate::unicode::{self, is_ignorable};

/// The longest address, in octets (RFC 5321 section 4.5.3.1.3).
const MAX_LENGTH: usize = 254;

/// A plain email address in lower case that SES can send to.
///
/// Parsing removes surrounding whitespace and invisible characters, and converts ASCII letters to lower case. It also
/// converts a domain to its ASCII form (UTS 46), because Firefox sends `ada@münchen.de` as typed. Nothing else makes
/// two addresses equal: Unicode case mapping of local parts has given accounts to strangers (CVE-2019-19844). Local
/// parts must be ASCII, because SES cannot send to any others.
///
/// ```
/// use rekey::email::Email;
///
/// assert_eq!(Email::parse(" Ada@Example.COM\n")?.as_str(), "ada@example.com");
/// assert_eq!(Email::parse("ada@münchen.de")?.as_str(), "ada@xn--mnchen-3ya.de");
/// assert!(Email::parse("Ada <ada@example.com>").is_err());
/// # Ok::<(), rekey::field_error::FieldError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Email(String);

impl Email {
    /// Parses an address as a user typed or pasted it.
    ///
    /// Accepts the `Dot-string@Domain` of RFC 5321 section 4.1.2, with at least two labels. The limits are those of its
    /// section 4.5.3.1: 64 octets for the local part, and 254 in all. Quoted strings, comments, lists, display names,
    /// and address literals are invalid.
    ///
    /// # Errors
    /// Returns [`FieldError::NotAnAddress`] for anything else.
    pub fn parse(typed: &str) -> Result<Self, FieldError> {
        let address = plain_address(unicode::trim(typed));
        address.map(Self).ok_or(FieldError::NotAnAddress)
    }

    /// Returns the address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Omits the address, which would end up in a log.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

impl TryFrom<String> for Email {
    type Error = FieldError;

    fn try_from(stored: String) -> Result<Self, FieldError> {
        Self::parse(&stored)
    }
}

fn plain_address(typed: &str) -> Option<String> {
    let (local, domain) = typed.split_once('@')?;
    let domain = ascii_domain(domain)?;
    let address = format!("{local}@{domain}").to_ascii_lowercase();
    let is_plain = address.len() <= MAX_LENGTH && is_dot_string(local) && is_domain(&domain);
    is_plain.then_some(address)
}

/// Converts a domain as browsers do (WHATWG URL, "domain to ASCII"), unless it looks like another domain.
///
/// UTS 46 also drops invisible characters and maps compatibility characters, so that `ⓔxample。com` becomes
/// `example.com`. Such a domain is rejected. An ASCII domain stays unchanged.
fn ascii_domain(typed: &str) -> Option<Cow<'_, str>> {
    if typed.is_ascii() {
        return Some(typed.into());
    }
    // Skip the conversion of a domain that cannot fit into an address: anyone can send one.
    if typed.len() > 4 * MAX_LENGTH || typed.contains(is_hidden) || typed.contains(becomes_ascii) {
        return None;
    }
    idna::domain_to_ascii(typed).ok().map(Cow::Owned)
}

/// Returns whether a character is invisible and has no meaning in a domain. The two joiners are left to UTS 46, which
/// accepts them only if a script needs them.
fn is_hidden(character: char) -> bool {
    is_ignorable(character) && !matches!(character, '\u{200c}' | '\u{200d}')
}

/// Returns whether UTS 46 maps a character to text that contains ASCII.
fn becomes_ascii(character: char) -> bool {
    let uts46 = Uts46MapperBorrowed::new();
    let mut mapped = uts46.map_normalize(iter::once(character));
    !character.is_ascii() && mapped.any(|character| character.is_ascii())
}

fn is_dot_string(local: &str) -> bool {
    local.len() <= 64
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

/// Returns whether a byte may be part of an atom (RFC 5322 section 3.2.3).
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_domain(domain: &str) -> bool {
    domain.contains('.') && domain.split('.').all(is_label)
}

/// Returns whether a text is a label of a domain (RFC 1035 section 2.3.4, and RFC 1123 section 2.1 for its first
/// character).
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
    fn surrounding_invisible_characters_and_ascii_case_are_ignored() {
        for invisible in [
            " ", "\t", "\n", "\r\n", "\u{a0}", "\u{200b}", "\u{feff}", "\u{3000}",
        ] {
            let typed = format!("{invisible}ADA@Example.COM{invisible}");
            assert_eq!(
                Email::parse(&typed).unwrap().as_str(),
                "ada@example.com",
                "{typed:?}"
            );
            let inner = format!("ada@{invisible}example.com");
            assert!(Email::parse(&inner).is_err(), "{inner:?}");
            let inner = format!("a{invisible}da@example.com");
            assert!(Email::parse(&inner).is_err(), "{inner:?}");
        }
    }

    #[test]
    fn an_international_domain_is_converted_to_ascii() {
        for (typed, expected) in [
            ("Ada@München.de", "ada@xn--mnchen-3ya.de"),
            ("ada@MÜNCHEN.DE", "ada@xn--mnchen-3ya.de"),
            ("ada@straße.de", "ada@xn--strae-oqa.de"),
            ("ada@bücher.example.com", "ada@xn--bcher-kva.example.com"),
            ("ada@例え.jp", "ada@xn--r8jz45g.jp"),
            ("ada@mu\u{308}nchen.de", "ada@xn--mnchen-3ya.de"),
            ("ada@ΟΔΥΣΣΕΥΣ.gr", "ada@xn--pxac2arabkd.gr"),
            ("ada@น้ำ.com", "ada@xn--q3c4c8cq.com"),
            ("ada@نامه\u{200c}ای.com", "ada@xn--mgba3gch31f060k.com"),
        ] {
            assert_eq!(Email::parse(typed).unwrap().as_str(), expected, "{typed}");
        }
        let long = format!("ada@{}.de", "ü".repeat(60));
        assert!(
            Email::parse(&long).is_err(),
            "a label has at most 63 octets"
        );
        let long = format!("ada@{}de", "ü.".repeat(600));
        assert!(Email::parse(&long).is_err());
    }

    #[test]
    fn ordinary_addresses_are_accepted() {
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
    fn anything_but_one_plain_address_is_rejected() {
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
            "ada@mün chen.de",
            "ada@mün%63hen.de",
            "ada@mü@nchen.de",
            "ada@münchen",
            "ada@mün\u{200c}chen.de",
            "ada@mün\u{ad}chen.de",
            "ada@ｅxample.com",
            "ada@example。com",
            "ada@exaⓜple.com",
            "ada@\u{212a}example.com",
            "ada@ⓜünchen.de",
            "ada@mu\u{308}nchen.ｄe",
            "ada@ｘn--mnchen-3ya.de",
            "ada@xn--mnｃhen-3ya.de",
            "ada@İstanbul.com",
        ];
        for bad in bad {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(Email::parse(&format!("a@{}.com", "a".repeat(64))).is_err());
        assert!(Email::parse(&format!("a@{}com", "a.".repeat(126))).is_err());
    }

    #[test]
    fn debug_output_omits_the_address() {
        assert_eq!(
            format!("{:?}", Email::parse("ada@example.com").unwrap()),
            "Email(..)"
        );
    }

    proptest! {
        #[test]
        fn parsing_a_parsed_address_changes_nothing(typed in ".*") {
            if let Ok(email) = Email::parse(&typed) {
                prop_assert!(email.as_str().is_ascii());
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email));
            }
        }
    }
}
