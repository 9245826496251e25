//! Invisible characters, as Unicode defines them.

use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;

/// Returns whether a renderer may ignore a character (UAX 44, `Default_Ignorable_Code_Point`): zero-width spaces and
/// joiners, the byte order mark, variation selectors, Hangul fillers.
pub fn is_ignorable(character: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

/// Removes surrounding whitespace and ignorable characters, which people often copy along with a text.
///
/// Keeps controls that change the direction of text, because they can disguise a text.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|character: char| {
        let is_bidi_control =
            matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        character.is_whitespace() || is_ignorable(character) && !is_bidi_control
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrounding_invisible_characters_are_removed_and_inner_ones_stay() {
        let invisible = "\u{feff} \t\r\n\u{a0}\u{200b}\u{3000}\u{2060}";
        assert_eq!(
            trim(&format!("{invisible}a{invisible}b{invisible}")),
            format!("a{invisible}b")
        );
    }

    #[test]
    fn control_characters_stay() {
        for kept in ["\0a\u{1b}", "\u{202e}a\u{202c}", "\u{2066}a\u{2069}"] {
            assert_eq!(trim(kept), kept);
        }
    }
}
