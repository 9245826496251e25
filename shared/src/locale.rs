//! The languages of the emails.

use serde::{Deserialize, Serialize};

/// A language of the emails.
///
/// A row may name a language that this version does not know, because a newer version wrote it. It is read as English:
/// the row would otherwise be unreadable, and the email lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "String")]
pub enum Locale {
    /// English, which is also the default.
    #[default]
    En,
    /// German.
    De,
}

impl Locale {
    /// Chooses by a language tag (RFC 5646) or a POSIX locale: `de`, `de-AT`, `de_DE.UTF-8`. Only the language counts.
    ///
    /// A front end sends whatever its platform reports. So no tag is an error: an unknown language, an empty text, and
    /// an invalid tag all choose the default.
    ///
    /// ```
    /// use rekey::locale::Locale;
    ///
    /// assert_eq!(Locale::choose("de_AT.UTF-8"), Locale::De);
    /// assert_eq!(Locale::choose("tlh"), Locale::En);
    /// assert_eq!(Locale::choose(""), Locale::En);
    /// ```
    pub fn choose(tag: &str) -> Self {
        let language = tag.trim().split(['-', '_', '.', '@']).next();
        match language {
            Some(language) if language.eq_ignore_ascii_case("de") => Self::De,
            _ => Self::default(),
        }
    }
}

impl From<String> for Locale {
    fn from(stored: String) -> Self {
        Self::choose(&stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn german_is_chosen_in_any_notation() {
        for tag in [
            "de",
            "DE-at",
            "de_DE",
            "de_DE.UTF-8",
            "de.UTF-8",
            "de_AT@euro",
            " de ",
        ] {
            assert_eq!(Locale::choose(tag), Locale::De, "{tag}");
        }
    }

    #[test]
    fn any_other_tag_chooses_english() {
        for tag in [
            "en-GB",
            "pt-BR",
            "C",
            "POSIX",
            "",
            " ",
            "d",
            "deu",
            "-de",
            "de,en;q=0.5",
            "français",
            "en\r\nX: de",
        ] {
            assert_eq!(Locale::choose(tag), Locale::En, "{tag:?}");
        }
    }
}
