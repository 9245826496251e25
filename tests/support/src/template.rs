//! A reader of `template.yaml`: its parameters, its resources, and their properties.

use std::str::FromStr;

/// Returns the text of the template.
pub fn text() -> String {
    std::fs::read_to_string("template.yaml").unwrap()
}

/// Returns the names of the parameters, in order.
pub fn parameters() -> Vec<String> {
    let declared = section("Parameters");
    let names = declared.lines().filter_map(name_in);
    names.map(str::to_owned).collect()
}

/// Returns the values of a property in the whole template, in order.
pub fn values(property: &str) -> Vec<String> {
    let template = text();
    let values = template.lines().filter_map(|line| value_in(line, property));
    values.map(str::to_owned).collect()
}

pub fn parameter(name: &str) -> Declaration {
    Declaration::read("Parameters", name)
}

pub fn resource(name: &str) -> Declaration {
    Declaration::read("Resources", name)
}

/// The declaration of a parameter or a resource.
pub struct Declaration {
    name: String,
    lines: Vec<String>,
}

impl Declaration {
    fn read(section_name: &str, name: &str) -> Self {
        let declared = section(section_name);
        let mut lines = declared.lines();
        assert!(
            lines.any(|line| name_in(line) == Some(name)),
            "{section_name} has no {name}"
        );
        let lines = lines.take_while(|line| line.is_empty() || line.starts_with("   "));
        Self {
            name: name.to_owned(),
            lines: lines.map(str::to_owned).collect(),
        }
    }

    /// Returns the first value of a property, without quotes.
    pub fn value(&self, property: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| value_in(line, property))
    }

    /// Returns the first value of a property, as a number.
    pub fn number<T: FromStr>(&self, property: &str) -> T {
        let value = self.value(property).and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("{} has no number {property}", self.name))
    }
}

/// Returns the lines of a top-level section.
fn section(name: &str) -> String {
    let template = text();
    let mut lines = template.lines();
    assert!(
        lines.any(|line| line.strip_suffix(':') == Some(name)),
        "the template has no {name}"
    );
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the name of the parameter or resource that a line declares.
fn name_in(line: &str) -> Option<&str> {
    let declared = line.strip_prefix("  ")?;
    let (name, _) = declared.split_once(':')?;
    (!declared.starts_with([' ', '#'])).then_some(name)
}

/// Returns the value of a property that a line sets, without quotes.
fn value_in<'a>(line: &'a str, property: &str) -> Option<&'a str> {
    let value = line.trim().strip_prefix(property)?.strip_prefix(": ")?;
    Some(value.trim_matches('"'))
}
