//! The language of a mail.

use serde::{Deserialize, Serialize};

use crate::problem::Complaint;

/// A language that the mails are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    /// English: also where nothing, or a language that is not here, was asked for.
    #[default]
    En,
    /// German.
    De,
}

impl Locale {
    /// Chooses by a language tag (RFC 5646): `de`, `de-AT`, `pt-BR`. Only the first subtag counts.
    ///
    /// # Errors
    /// A complaint where it is no language tag.
    pub fn parse(tag: &str) -> Result<Self, Complaint> {
        let is_subtag = |subtag: &str| {
            (1..=8).contains(&subtag.len())
                && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let language = tag.split('-').next().unwrap_or_default();
        let is_tag = tag.len() <= 35
            && (2..=8).contains(&language.len())
            && language.bytes().all(|byte| byte.is_ascii_alphabetic())
            && tag.split('-').all(is_subtag);
        match language.to_ascii_lowercase().as_str() {
            _ if !is_tag => Err(Complaint::fixed("must be a language tag, like en or de-AT")),
            "de" => Ok(Self::De),
            _ => Ok(Self::En),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_subtag_chooses_and_english_is_for_all_others() {
        for (tag, locale) in [
            ("de", Locale::De),
            ("DE-at", Locale::De),
            ("en-GB", Locale::En),
            ("pt-BR", Locale::En),
        ] {
            assert_eq!(Locale::parse(tag), Ok(locale), "{tag}");
        }
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for bad in [
            "",
            "d",
            "de_AT",
            "de-",
            "-de",
            "d3",
            "de,en;q=0.5",
            "français",
            "de\r\nX: y",
        ] {
            assert!(Locale::parse(bad).is_err(), "{bad:?}");
        }
    }
}
