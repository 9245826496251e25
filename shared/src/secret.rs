//! Secret text that is built piece by piece.

use std::fmt;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

/// A secret text that is being written. Every buffer that it outgrows is wiped, and so is the last one.
///
/// A plain `String` that grows leaves copies of its content behind in freed memory.
#[derive(Default)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Appends text.
    pub fn push(&mut self, more: &str) {
        let length = self.0.len() + more.len();
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(String::with_capacity(2 * length));
            larger.push_str(&self.0);
            self.0 = larger;
        }
        self.0.push_str(more);
    }

    /// Returns the whole text.
    pub fn finish(self) -> SecretString {
        // The copy has the exact length. With spare capacity, its conversion would reallocate it and leave an unwiped
        // copy.
        SecretString::from(self.0.as_str())
    }
}

impl fmt::Write for SecretText {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.push(more);
        Ok(())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_text_that_grew_is_complete() {
        let mut text = SecretText::default();
        for n in 0..100 {
            write!(text, "{n},").unwrap();
        }
        assert!(!format!("{text:?}").contains('1'));
        let text = text.finish();
        let numbers = text.expose_secret().split_terminator(',');
        assert!(numbers.eq((0..100).map(|n| n.to_string())));
    }
}
