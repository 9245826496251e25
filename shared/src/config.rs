//! The settings of a function: environment variables, read once at start-up.

use std::fmt;
use std::ops::RangeInclusive;

/// An environment, and the errors found in it.
///
/// Read every variable first and unwrap the values only in [`Env::finish`], so that one error lists every invalid
/// variable:
///
/// ```
/// use rekey::config::Env;
///
/// let variable = |name: &str| (name == "COOLDOWN_SECONDS").then(|| "soon".to_owned());
/// let mut env = Env::new(&variable);
/// let cooldown = env.number("COOLDOWN_SECONDS", 60, 1..=3600);
/// let table = env.text("REKEY_TABLE");
/// let error = env.finish(cooldown.zip(table)).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "invalid settings: COOLDOWN_SECONDS: expected a whole number from 1 to 3600, got \"soon\"; \
///      REKEY_TABLE: is not set"
/// );
/// ```
pub struct Env<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<String>,
}

impl<'a> Env<'a> {
    /// Creates an environment whose variables a function returns: [`process`], or a test's map.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            variable,
            errors: Vec::new(),
        }
    }

    /// Parses a variable that must be set. `parse` returns what it expects if the value is invalid.
    pub fn required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some(value) = self.get(name) else {
            self.errors.push(format!("{name}: is not set"));
            return None;
        };
        self.parsed(name, &value, parse)
    }

    /// Parses a variable, or returns the default if it is missing or empty.
    pub fn optional<T>(
        &mut self,
        name: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.get(name) {
            Some(value) => self.parsed(name, &value, parse),
            None => Some(default),
        }
    }

    /// Parses a whole number within bounds, or returns the default if it is missing or empty.
    pub fn number(&mut self, name: &str, default: u32, bounds: RangeInclusive<u32>) -> Option<u32> {
        self.optional(name, default, |value| {
            let number = value.parse().ok().filter(|number| bounds.contains(number));
            number.ok_or_else(|| {
                format!("a whole number from {} to {}", bounds.start(), bounds.end())
            })
        })
    }

    /// Returns the text of a variable that must be set.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.required(name, |value| Ok(value.to_owned()))
    }

    /// Returns the text of a variable, or `None` if it is missing or empty.
    pub fn optional_text(&self, name: &str) -> Option<String> {
        self.get(name)
    }

    /// Reports an invalid variable: its value, and the expected one.
    ///
    /// Call it directly for variables that contradict each other.
    pub fn report(&mut self, name: &str, actual: &str, expected: &str) {
        self.errors
            .push(format!("{name}: expected {expected}, got {actual:?}"));
    }

    /// Returns the value that was made from the variables.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] with every error that was reported.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(ConfigError(self.errors)),
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        value: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(value)
            .map_err(|expected| self.report(name, value, &expected))
            .ok()
    }
}

impl fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

/// Returns an environment variable of this process.
pub fn process(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "only this function reads the environment"
    )]
    std::env::var(name).ok()
}

/// Every invalid setting: its name, the expected value, and the actual one.
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid settings: {}", self.0.join("; "))
    }
}

/// Prints the same as `Display`, because a `main` that fails prints the `Debug` output.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_lists_every_invalid_setting() {
        let variables = |name: &str| (name == "COOLDOWN_SECONDS").then(|| "soon".to_owned());
        let mut env = Env::new(&variables);
        let values = (
            env.number("COOLDOWN_SECONDS", 60, 1..=3600),
            env.text("REKEY_TABLE"),
        );
        let error = env.finish(values.0.zip(values.1)).unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid settings: \
             COOLDOWN_SECONDS: expected a whole number from 1 to 3600, got \"soon\"; \
             REKEY_TABLE: is not set"
        );
    }

    #[test]
    fn a_missing_or_empty_number_is_its_default() {
        for variables in [|_: &str| None, |_: &str| Some(String::new())] {
            let mut env = Env::new(&variables);
            let number = env.number("COOLDOWN_SECONDS", 60, 1..=3600);
            assert_eq!(env.finish(number).unwrap(), 60);
        }
    }
}
