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
        Self::known(tag).unwrap_or_default()
    }

    /// Returns the language of a tag, in any notation of [`Locale::choose`], if Rekey has its emails in that language.
    pub fn known(tag: &str) -> Option<Self> {
        let language = tag.trim().split(['-', '_', '.', '@']).next()?;
        let known = [("en", Self::En), ("de", Self::De)];
        let known = known
            .into_iter()
            .find(|(tag, _)| language.eq_ignore_ascii_case(tag));
        known.map(|(_, locale)| locale)
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
    fn only_tags_of_known_languages_are_known() {
        assert_eq!(Locale::known("EN_us"), Some(Locale::En));
        for tag in ["", "fr", "C", "deu", "english", "de,en;q=0.5", "d\u{e9}"] {
            assert_eq!(Locale::known(tag), None, "{tag}");
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
