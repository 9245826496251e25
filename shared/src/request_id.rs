//! The ID of a request.

use serde::{Deserialize, Serialize};

use crate::digest::hex;

/// The ID of a request in every log, from the gateway's to the private half's. It identifies no person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RequestId(String);

impl RequestId {
    /// Parses an ID that is short and plain enough for a header, a key, and a log.
    ///
    /// # Errors
    /// Returns what is expected.
    pub fn parse(id: &str) -> Result<Self, &'static str> {
        let is_plain = (1..=128).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte));
        if is_plain {
            Ok(Self(id.to_owned()))
        } else {
            Err("1 to 128 letters, digits, and any of -_=")
        }
    }

    /// Returns the ID that stands for a missing one.
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }

    /// Returns the ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the ID as the value of an SES message tag, which may not hold all of an ID's characters.
    pub(crate) fn to_tag(&self) -> String {
        hex(self.0.as_bytes())
    }

    /// Parses the value of an SES message tag.
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        let (pairs, rest) = tag.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let id = String::from_utf8(bytes.filter(|_| rest.is_empty())?).ok()?;
        Self::parse(&id).ok()
    }
}

impl TryFrom<String> for RequestId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, &'static str> {
        Self::parse(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_survives_its_tag() {
        let id = RequestId::parse("JKJa-XmP_vHcESHA=").unwrap();
        assert!(id.to_tag().bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(RequestId::from_tag(&id.to_tag()), Some(id));
        for bad in ["", "4", "zz", "+4", "4a4", "0a", "é"] {
            assert_eq!(RequestId::from_tag(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_request_id_must_be_plain() {
        assert!(RequestId::parse("JKJaXmPLvHcESHA=").is_ok());
        for bad in ["", "a b", "a\r\nX: y", "a#b", &"a".repeat(129)] {
            assert!(RequestId::parse(bad).is_err(), "{bad:?}");
        }
    }
}
