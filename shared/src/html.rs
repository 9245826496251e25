//! HTML escaping for emails.

use std::fmt::{self, Write};

use askama::filters::Escaper;

/// An escaper that writes named entities. The functions' `askama.toml` refers to it.
///
/// Askama's default escaper writes `&#38;`. Programs that rewrite the links in emails know `&amp;`, but some of them
/// break the numeric form (easy-digital-downloads#6413).
#[derive(Clone, Copy, Debug)]
pub struct NamedEntities;

impl Escaper for NamedEntities {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(place) = rest.find(['&', '<', '>', '"', '\'']) {
            let (plain, special) = rest.split_at(place);
            let (special, after) = special.split_at(1);
            dest.write_str(plain)?;
            dest.write_str(match special {
                "&" => "&amp;",
                "<" => "&lt;",
                ">" => "&gt;",
                "\"" => "&quot;",
                // HTML 4, which email clients support, has no named entity for the apostrophe.
                _ => "&#39;",
            })?;
            rest = after;
        }
        dest.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_character_is_escaped() {
        let mut escaped = String::new();
        let text = "<a href=\"?a=1&b='ü'\">";
        NamedEntities.write_escaped_str(&mut escaped, text).unwrap();
        assert_eq!(escaped, "&lt;a href=&quot;?a=1&amp;b=&#39;ü&#39;&quot;&gt;");
    }
}
