//! The environment, read once at the start.

use std::fmt;
use std::ops::RangeInclusive;

/// An environment, and what is wrong with it.
///
/// First everything is asked for, and only then unwrapped: so one error lists every error, and a deployment is
/// put right in one go.
pub struct Env<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<String>,
}

impl<'a> Env<'a> {
    /// Reads variables by a function: the process's by [`process`], a test's from a map.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            variable,
            errors: Vec::new(),
        }
    }

    /// A variable that has to be there. `parse` says what is wanted where it finds something else.
    pub fn required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.get(name) {
            Some(found) => self.parsed(name, &found, parse),
            None => self.parsed(name, "", parse),
        }
    }

    /// A variable that may be absent or empty.
    pub fn optional<T>(
        &mut self,
        name: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.get(name) {
            Some(found) => self.parsed(name, &found, parse),
            None => Some(default),
        }
    }

    /// A whole number within bounds.
    pub fn number(&mut self, name: &str, default: u32, bounds: RangeInclusive<u32>) -> Option<u32> {
        self.optional(name, default, |found| {
            let number = found.parse().ok().filter(|number| bounds.contains(number));
            number.ok_or_else(|| {
                format!("a whole number from {} to {}", bounds.start(), bounds.end())
            })
        })
    }

    /// Any text but none.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.required(name, |found| {
            if found.is_empty() {
                Err("a text".to_owned())
            } else {
                Ok(found.to_owned())
            }
        })
    }

    /// Adds a error that no single variable gave rise to.
    pub fn report(&mut self, name: &str, found: &str, wanted: &str) {
        self.errors
            .push(format!("{name}: found {found:?}, wanted {wanted}"));
    }

    /// The value that was read.
    ///
    /// # Errors
    /// All errors, where there are any.
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
        found: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(found)
            .map_err(|wanted| self.report(name, found, &wanted))
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

/// A variable of this process.
pub fn process(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that reads the environment"
    )]
    std::env::var(name).ok()
}

/// What is wrong with the environment: the variables' names, what was found, and what is wanted.
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment is not right: {}", self.0.join("; "))
    }
}

/// As `Display`: a `main` that fails prints this.
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
    fn every_error_is_told_at_once_with_name_found_and_wanted() {
        let variables = |name: &str| (name == "COOLDOWN_SECONDS").then(|| "soon".to_owned());
        let mut env = Env::new(&variables);
        let values = (
            env.number("COOLDOWN_SECONDS", 60, 1..=3600),
            env.text("REKEY_TABLE"),
        );
        let error = env.finish(values.0.zip(values.1)).unwrap_err().to_string();
        assert_eq!(
            error,
            "the environment is not right: \
             COOLDOWN_SECONDS: found \"soon\", wanted a whole number from 1 to 3600; \
             REKEY_TABLE: found \"\", wanted a text"
        );
    }

    #[test]
    fn an_absent_or_empty_number_is_its_default() {
        for variables in [|_: &str| None, |_: &str| Some(String::new())] {
            let mut env = Env::new(&variables);
            let number = env.number("COOLDOWN_SECONDS", 60, 1..=3600);
            assert_eq!(env.finish(number).unwrap(), 60);
        }
    }
}
