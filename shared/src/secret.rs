//! Text that is secret from its first letter on.

use std::fmt;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

/// A text that is being written, and wiped after use: what was outgrown meanwhile, too.
///
/// A `String` that grows leaves copies of what was in it so far behind, wherever it was.
#[derive(Default)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Writes more.
    pub fn push(&mut self, more: &str) {
        let length = self.0.len() + more.len();
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(String::with_capacity(2 * length));
            larger.push_str(&self.0);
            self.0 = larger;
        }
        self.0.push_str(more);
    }

    /// The whole text.
    pub fn finish(self) -> SecretString {
        // Of the exact length: one with room to spare would be moved once more, and not wiped where it was.
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
    fn what_is_written_is_there_however_it_grew() {
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
