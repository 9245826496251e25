//! The words that an attacker tries first: the user's address and the name of the product.
//!
//! NIST SP 800-63B-4, "Password Verifiers", calls them context-specific words: "the name of the service, the username,
//! and derivatives thereof".

use std::fmt;
use std::ops::Range;

use rekey::email::Email;
use secrecy::zeroize::Zeroizing;

/// Words shorter than this occur in too many others. They count only when they stand by themselves.
const MIN_LENGTH: usize = 3;

/// A text that makes a weak password, in any spelling.
///
/// A word is any run of its whole pieces. The words of `john.doe@company.co.uk` include its pieces (`doe`), its local
/// part, its domain with and without suffixes, and the whole address. Case and separators make no difference.
#[derive(Clone)]
pub(crate) struct ContextWords {
    text: Spelling,
    /// The position of a domain's suffix. `com` is part of `recommend` and says nothing about the user.
    suffix: usize,
}

impl ContextWords {
    /// Returns the words of an address.
    pub(crate) fn of_address(email: &Email) -> Self {
        let text = Spelling::new(email.as_str());
        let suffix = Spelling::new(suffix_of(email.as_str())).len();
        let suffix = text.len() - suffix;
        Self { text, suffix }
    }

    /// Returns the words of a name.
    pub(crate) fn of_name(name: &str) -> Self {
        let text = Spelling::new(name);
        let suffix = text.len();
        Self { text, suffix }
    }

    /// Calls `found` with the place of each word in a password, and whether it counts wherever it occurs.
    ///
    /// Compares every letter of the text with every letter of the password once, however often they repeat: anyone
    /// may send both.
    fn find(&self, password: &Spelling, mut found: impl FnMut(Range<usize>, bool)) {
        // For each position in the password: the length of the longest run of pieces there, from `at` on.
        let mut longest = vec![0; password.len() + 1];
        for at in (0..self.text.len()).rev() {
            let ends_piece = self.text.is_boundary(at + 1);
            for position in 0..password.len() {
                let is_same = self.text.letters[at] == password.letters[position];
                longest[position] = match longest[position + 1] {
                    0 if is_same && ends_piece => 1,
                    behind @ 1.. if is_same => behind + 1,
                    _ => 0,
                };
                let length = longest[position];
                if length > 0 && self.text.is_boundary(at) {
                    let counts_anywhere = length >= MIN_LENGTH && at < self.suffix;
                    found(position..position + length, counts_anywhere);
                }
            }
        }
    }
}

impl fmt::Debug for ContextWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContextWords(..)")
    }
}

/// Returns how many letters and digits of a password are not part of any word, or `None` if it contains no word.
pub(crate) fn letters_besides(contexts: &[&ContextWords], password: &str) -> Option<usize> {
    let password = Spelling::new(password);
    let mut is_known = vec![false; password.len()];
    let mut short = Vec::new();
    for context in contexts {
        context.find(&password, |place, counts_anywhere| {
            if counts_anywhere {
                is_known[place].fill(true);
            } else {
                short.push(place);
            }
        });
    }
    // Afterwards, because a short word may stand between two long ones.
    for place in short {
        let begins = password.is_boundary(place.start) || is_known[place.start - 1];
        let ends = password.is_boundary(place.end) || is_known[place.end];
        if begins && ends {
            is_known[place].fill(true);
        }
    }
    let besides = is_known.iter().filter(|is_known| !**is_known).count();
    (besides < is_known.len()).then_some(besides)
}

/// The letters and digits of a text without case and separators, and where its pieces begin.
#[derive(Clone)]
struct Spelling {
    letters: Zeroizing<Vec<char>>,
    begins_piece: Vec<bool>,
}

impl Spelling {
    fn new(text: &str) -> Self {
        // No case mapping makes more letters than the text has bytes, so no copy is left behind by growing.
        let mut letters = Zeroizing::new(Vec::with_capacity(text.len()));
        let mut begins_piece = Vec::with_capacity(text.len());
        let mut previous = ' ';
        // Both ways, letter by letter: `ß` and `SS`, and the two small sigmas, are the same letters.
        for character in text
            .chars()
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
        {
            if character.is_alphanumeric() {
                let is_continued =
                    previous.is_alphanumeric() && previous.is_numeric() == character.is_numeric();
                letters.push(character);
                begins_piece.push(!is_continued);
            }
            previous = character;
        }
        Self {
            letters,
            begins_piece,
        }
    }

    fn len(&self) -> usize {
        self.letters.len()
    }

    /// Returns whether a piece begins or the text ends here.
    fn is_boundary(&self, position: usize) -> bool {
        self.begins_piece.get(position).copied().unwrap_or(true)
    }
}

/// Returns the part of a domain that many others share: `com`, or `co.uk`.
///
/// No list of public suffixes is consulted: it changes every month, and a wrong guess costs a user three letters.
fn suffix_of(address: &str) -> &str {
    let (_, domain) = address.rsplit_once('@').unwrap_or_default();
    let mut dots = domain.rmatch_indices('.').map(|(dot, _)| dot);
    let (Some(last), second) = (dots.next(), dots.next()) else {
        return domain;
    };
    match second {
        Some(second) if last - second <= 4 => &domain[second..],
        _ => &domain[last..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn besides(email: &str, password: &str) -> Option<usize> {
        let email = Email::parse(email).unwrap();
        letters_besides(&[&ContextWords::of_address(&email)], password)
    }

    #[test]
    fn every_run_of_pieces_is_a_word() {
        for known in [
            "john.doe@company.co.uk",
            "JohnDoe",
            "doe-company",
            "company.co.uk",
            "doe",
            "doedoedoe",
        ] {
            assert_eq!(besides("john.doe@company.co.uk", known), Some(0), "{known}");
        }
        assert_eq!(besides("john.doe@company.co.uk", "doecompanyco1"), Some(1));
        assert_eq!(besides("john.doe@company.co.uk", "comp"), None);
    }

    #[test]
    fn a_short_word_or_a_suffix_counts_when_it_stands_by_itself() {
        assert_eq!(besides("me@my-site.com", "remember"), None);
        assert_eq!(besides("me@my-site.com", "remember me"), Some(8));
        assert_eq!(besides("me@my-site.com", "me7"), Some(1));
        assert_eq!(besides("me@my-site.com", "sitemesite"), Some(0));
        assert_eq!(besides("me@my-site.com", "competitor"), None);
        assert_eq!(besides("me@my-site.com", "site.com"), Some(0));
    }

    #[test]
    fn overlapping_words_all_count() {
        assert_eq!(besides("anana@example.com", "anananana"), Some(0));
    }

    #[test]
    fn the_longest_password_of_one_letter_is_known_in_full() {
        // 64 and 189 characters, nearly all of them the same letter, and pieces of one letter.
        let address = format!("{}a@{}a", "a.".repeat(31), "a.".repeat(94));
        let password = "a".repeat(256);
        assert_eq!(besides(&address, &password), Some(0));
    }
}
