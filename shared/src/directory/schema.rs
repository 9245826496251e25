//! The layout of a users table, as its settings describe it.

use super::change_time::ChangeTimeFormat;
use super::email_format::EmailFormat;
use super::status::Status;
use crate::config::Env;

/// The layout of the users table.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(super) table: String,
    pub(super) key: String,
    /// The prefix of a user's partition key. Items with another key are not users.
    pub(super) key_prefix: String,
    pub(super) sort_key: Option<SortKey>,
    /// The attribute that an address is found by: the partition key of the index, or of the table.
    pub(super) email: String,
    pub(super) email_format: EmailFormat,
    pub(super) email_index: String,
    pub(super) password: String,
    pub(super) changed: String,
    pub(super) changed_format: ChangeTimeFormat,
    pub(super) status: Option<Status>,
    pub(super) locale: Option<String>,
    pub(super) name: Option<String>,
}

/// The sort key of the users table.
#[derive(Clone, Debug)]
pub(super) struct SortKey {
    pub(super) attribute: String,
    /// The prefix of the sort key of a user's own item. Other items in the same partition are not users.
    pub(super) prefix: String,
}

/// The longest prefix of a partition key, in characters.
const MAX_PREFIX: usize = 64;

impl Schema {
    /// Reads the `USERS_…` variables. Reports those that contradict each other by both names.
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let table = env.text("USERS_TABLE");
        let key = env.text("USERS_KEY_ATTRIBUTE");
        let key_prefix = env.optional("USERS_KEY_PREFIX", String::new(), parse_key_prefix);
        let sort_key = SortKey::read(env);
        let email = env.text("USERS_EMAIL_ATTRIBUTE");
        let email_format = env.optional(
            "USERS_EMAIL_FORMAT",
            EmailFormat::default(),
            EmailFormat::parse,
        );
        let email_index = env.text("USERS_EMAIL_INDEX");
        let password = env.text("USERS_PASSWORD_ATTRIBUTE");
        let changed = text_or(env, "USERS_CHANGED_ATTRIBUTE", CHANGED_AT);
        let seconds = ChangeTimeFormat::Seconds;
        let changed_format = env.optional("USERS_CHANGED_FORMAT", seconds, ChangeTimeFormat::parse);
        let status = Status::read(env);
        let locale = env.optional_text("USERS_LOCALE_ATTRIBUTE");
        let name = env.optional_text("USERS_NAME_ATTRIBUTE");
        let schema = Self {
            table: table?,
            key: key?,
            key_prefix: key_prefix?,
            sort_key,
            email: email?,
            email_format: email_format?,
            email_index: email_index?,
            password: password?,
            changed,
            changed_format: changed_format?,
            status,
            locale,
            name,
        };
        schema.report_shared_attributes(env);
        schema.report_unreachable_users(env);
        Some(schema)
    }

    /// Returns whether the address is found by the table's partition key, without an index.
    pub(super) fn is_found_by_key(&self) -> bool {
        self.email == self.key
    }

    /// Returns whether the lookup needs more than the user's key.
    pub(super) fn has_details(&self) -> bool {
        self.status.is_some() || self.locale.is_some() || self.name.is_some()
    }

    /// Returns the attributes that the lookup needs beside the user's key, and their names in expressions.
    pub(super) fn details(&self) -> Vec<(&'static str, &str)> {
        let mut details = vec![
            ("#email", self.email.as_str()),
            ("#changed_at", &self.changed),
        ];
        details.extend(
            self.status
                .as_ref()
                .map(|status| ("#status", status.attribute.as_str())),
        );
        details.extend(self.locale.as_deref().map(|locale| ("#locale", locale)));
        details.extend(self.name.as_deref().map(|name| ("#name", name)));
        details
    }

    /// Reports two settings that name the same attribute. `DynamoDB` would reject an update or a projection that has it
    /// twice. A greeting by the password attribute would send the hash.
    fn report_shared_attributes(&self, env: &mut Env<'_>) {
        let sort_key = self.sort_key.as_ref().map(|sort_key| &sort_key.attribute);
        let status = self.status.as_ref().map(|status| &status.attribute);
        let names = [
            ("USERS_KEY_ATTRIBUTE", Some(&self.key)),
            ("USERS_SORT_KEY_ATTRIBUTE", sort_key),
            ("USERS_EMAIL_ATTRIBUTE", Some(&self.email)),
            ("USERS_PASSWORD_ATTRIBUTE", Some(&self.password)),
            ("USERS_CHANGED_ATTRIBUTE", Some(&self.changed)),
            ("USERS_STATUS_ATTRIBUTE", status),
            ("USERS_LOCALE_ATTRIBUTE", self.locale.as_ref()),
            ("USERS_NAME_ATTRIBUTE", self.name.as_ref()),
        ];
        for (n, (variable, name)) in names.iter().enumerate() {
            // An address may be found by either key of the table: an index may begin with the sort key.
            let others = if *variable == "USERS_EMAIL_ATTRIBUTE" {
                &[]
            } else {
                &names[..n]
            };
            let same = |(_, other): &&(&str, Option<&String>)| name.is_some() && other == name;
            if let (Some(name), Some((other, _))) = (name, others.iter().find(same)) {
                env.report(variable, name, &format!("another attribute than {other}"));
            }
        }
    }

    /// Reports a prefix that no user's key has, because the key is the address in another form.
    fn report_unreachable_users(&self, env: &mut Env<'_>) {
        let begins = self.email_format.before();
        if self.is_found_by_key() && !begins.starts_with(&self.key_prefix) {
            env.report(
                "USERS_EMAIL_FORMAT",
                begins,
                "a text that begins with USERS_KEY_PREFIX, because the address is the key",
            );
        }
    }
}

/// The default name of the attribute with the time of a user's last password change.
pub const CHANGED_AT: &str = "password_changed_at";

impl SortKey {
    fn read(env: &mut Env<'_>) -> Option<Self> {
        let attribute = env.optional_text("USERS_SORT_KEY_ATTRIBUTE");
        let prefix = text_or(env, "USERS_SORT_KEY_PREFIX", "");
        if attribute.is_none() && !prefix.is_empty() {
            env.report(
                "USERS_SORT_KEY_PREFIX",
                &prefix,
                "no prefix without USERS_SORT_KEY_ATTRIBUTE",
            );
        }
        Some(Self {
            attribute: attribute?,
            prefix,
        })
    }
}

/// Parses a prefix. IAM reads `*` and `?` as wildcards, and `${` as the start of a variable.
fn parse_key_prefix(prefix: &str) -> Result<String, String> {
    let is_special = |character: char| "*?{}".contains(character) || character.is_whitespace();
    if prefix.chars().count() > MAX_PREFIX || prefix.contains(is_special) {
        return Err(format!(
            "at most {MAX_PREFIX} characters, without whitespace and without *, ?, {{, and }}"
        ));
    }
    Ok(prefix.to_owned())
}

fn text_or(env: &Env<'_>, name: &str, default: &str) -> String {
    env.optional_text(name)
        .unwrap_or_else(|| default.to_owned())
}
