//! The words that an attacker tries first: the user's address and the name of the product.
//!
//! NIST SP 800-63B-4, "Password Verifiers", calls them context-specific words: "the name of the service, the username,
//! and derivatives thereof".

use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use rekey::email::Email;
use secrecy::zeroize::Zeroizing;

/// The length from which a word counts wherever it occurs. With a digit in it, one letter fewer is enough. Shorter
/// words occur in too many others, such as `eva` in `evaluate`.
const MIN_LENGTH: usize = 4;

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

    /// Adds the places of these words in a password.
    ///
    /// Compares every letter of the text with every letter of the password only once, however often letters repeat. An
    /// attacker may choose both, so the work must be bounded.
    fn find(&self, password: &Spelling, found: &mut Found) {
        // For each position in the password: the length of the longest run of pieces there, from `at` on.
        let mut longest = vec![0; password.len() + 1];
        let mut piece_end = self.text.len();
        for at in (0..self.text.len()).rev() {
            let ends_piece = self.text.is_boundary(at + 1);
            if ends_piece {
                piece_end = at + 1;
            }
            for position in 0..password.len() {
                let is_same = self.text.letters[at] == password.letters[position];
                longest[position] = match longest[position + 1] {
                    0 if is_same && ends_piece => 1,
                    behind @ 1.. if is_same => behind + 1,
                    _ => 0,
                };
                let length = longest[position];
                if length == 0 || !self.text.is_boundary(at) {
                    continue;
                }
                found.pieces.push((position, position + piece_end - at));
                if at < self.suffix && counts_anywhere(&self.text.letters[at..at + length]) {
                    found.longest[position] = found.longest[position].max(length);
                }
            }
        }
    }
}

/// Returns whether a word counts inside a longer run of letters, too.
fn counts_anywhere(word: &[char]) -> bool {
    let has_digit = || word.iter().any(|letter| letter.is_numeric());
    word.len() >= MIN_LENGTH || (word.len() == MIN_LENGTH - 1 && has_digit())
}

impl fmt::Debug for ContextWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContextWords(..)")
    }
}

/// The places of words in a password.
struct Found {
    /// For each position: the length of the longest word there that counts wherever it occurs.
    longest: Vec<usize>,
    /// The start and the end of each piece.
    pieces: Vec<(usize, usize)>,
}

/// Returns how many letters and digits of a password are not part of any word, or `None` if it contains no word.
pub(crate) fn letters_outside(contexts: &[&ContextWords], password: &str) -> Option<usize> {
    let password = Spelling::new(password);
    let length = password.len();
    let mut found = Found {
        longest: vec![0; length],
        pieces: Vec::new(),
    };
    for context in contexts {
        context.find(&password, &mut found);
    }
    let Found {
        mut longest,
        mut pieces,
    } = found;
    let is_known = covered(&longest);
    // A short piece counts if it stands by itself, next to a longer word, or in a row of such pieces: `me`, `mememe`.
    let mut begins: Vec<bool> = (0..=length)
        .map(|at| password.is_boundary(at) || is_known[at - 1])
        .collect();
    let mut ends: Vec<bool> = (0..=length)
        .map(|at| password.is_boundary(at) || is_known[at])
        .collect();
    pieces.sort_unstable();
    for (start, end) in &pieces {
        begins[*end] |= begins[*start];
    }
    for (start, end) in pieces.iter().rev() {
        ends[*start] |= ends[*end];
    }
    for (start, end) in pieces {
        if begins[start] && ends[end] {
            longest[start] = longest[start].max(end - start);
        }
    }
    let outside = covered(&longest).iter().filter(|known| !**known).count();
    (outside < length).then_some(outside)
}

/// Returns which positions are part of a word, by the length of the longest word at each.
fn covered(longest: &[usize]) -> Vec<bool> {
    let mut end = 0;
    let covered = longest.iter().enumerate().map(|(position, length)| {
        end = end.max(position + length);
        position < end
    });
    covered.collect()
}

/// The letters and digits of a text without case, separators, and compatibility forms, and the starts of its pieces.
#[derive(Clone)]
struct Spelling {
    letters: Zeroizing<Vec<char>>,
    begins_piece: Vec<bool>,
}

impl Spelling {
    fn new(text: &str) -> Self {
        // Convert to upper and to lower case, so that `ß` equals `SS`, and both small sigmas are equal. Normalize
        // first: fullwidth letters are as easy to type as others.
        let characters = || {
            ComposingNormalizerBorrowed::new_nfkc()
                .normalize_iter(text.chars())
                .flat_map(char::to_uppercase)
                .flat_map(char::to_lowercase)
        };
        // Count first: a vector that grows leaves copies behind.
        let mut letters = Zeroizing::new(Vec::with_capacity(characters().count()));
        let mut begins_piece = Vec::with_capacity(text.len());
        let mut previous = ' ';
        for character in characters() {
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

    fn outside(email: &str, password: &str) -> Option<usize> {
        let email = Email::parse(email).unwrap();
        letters_outside(&[&ContextWords::of_address(&email)], password)
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
            assert_eq!(outside("john.doe@company.co.uk", known), Some(0), "{known}");
        }
        assert_eq!(outside("john.doe@company.co.uk", "doecompanyco1"), Some(1));
        assert_eq!(outside("john.doe@company.co.uk", "comp"), None);
    }

    #[test]
    fn a_short_word_or_a_suffix_counts_if_it_stands_by_itself() {
        assert_eq!(outside("me@my-site.com", "remember"), None);
        assert_eq!(outside("me@my-site.com", "remember me"), Some(8));
        assert_eq!(outside("me@my-site.com", "me7"), Some(1));
        assert_eq!(outside("me@my-site.com", "sitemesite"), Some(0));
        assert_eq!(outside("me@my-site.com", "competitor"), None);
        assert_eq!(outside("me@my-site.com", "site.com"), Some(0));
    }

    #[test]
    fn short_words_in_a_row_count() {
        assert_eq!(outside("me@my-site.com", "memememe"), Some(0));
        assert_eq!(outside("me@my-site.com", "mymymymy"), Some(0));
        assert_eq!(outside("me@my-site.com", "sitememymesite1"), Some(1));
        assert_eq!(outside("ab@x.com", "abababab"), Some(0));
        assert_eq!(outside("a.b.c@cx.com", "abcxabcx"), Some(0));
        assert_eq!(outside("me@my-site.com", "memento"), None);
    }

    #[test]
    fn a_word_of_three_letters_does_not_count_inside_another_word() {
        assert_eq!(outside("eva@example.com", "evaluate99"), None);
        assert_eq!(outside("tim@gmx.de", "time4bed!!"), None);
        assert_eq!(outside("eva@example.com", "eva99"), Some(2));
        assert_eq!(outside("eva@gmx.de", "EvaGmx99"), Some(2));
        assert_eq!(outside("ab1@example.com", "ab123"), Some(2));
        assert_eq!(outside("anna@example.com", "susanna12"), Some(5));
    }

    #[test]
    fn compatibility_forms_make_no_difference() {
        assert_eq!(outside("ada@example.com", "ａｄａ@ｅxample.com"), Some(0));
        assert_eq!(outside("ada@example.com", "ＡＤＡ１２"), Some(2));
        // This character stands for eighteen letters.
        assert_eq!(outside("ada@example.com", "\u{fdfa}ada"), None);
        let product = ContextWords::of_name("Café Noir");
        assert_eq!(letters_outside(&[&product], "cafe\u{301}noir"), Some(0));
    }

    #[test]
    fn overlapping_words_all_count() {
        assert_eq!(outside("anana@example.com", "anananana"), Some(0));
    }

    #[test]
    fn the_longest_password_of_one_letter_is_covered() {
        // 64 and 189 characters, nearly all of them the same letter, and pieces of one letter.
        let address = format!("{}a@{}a", "a.".repeat(31), "a.".repeat(94));
        let password = "a".repeat(256);
        assert_eq!(outside(&address, &password), Some(0));
    }
}
