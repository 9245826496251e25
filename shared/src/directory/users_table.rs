//! Users in a `DynamoDB` table: one lookup, and one statement that replaces a password.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select, Update};
use jiff::{SignedDuration, Timestamp};

use super::Lookup;
use crate::config::Env;
use crate::email::Email;
use crate::fault::Fault;
use crate::password_hash::PasswordHash;
use crate::table::rows::TokenIssued;
use crate::times::unix_seconds;
use crate::user::{User, UserKey};

/// The attribute with the time of a user's last password change, in seconds since 1970, as a number.
///
/// An application that compares it with the start of a session can end older sessions (OWASP ASVS 5.0, 7.4.3). An
/// application that writes it ends the links that were issued before. Rekey ignores a value of another type, or one too
/// far in the future for a clock's error. Such a value would lock the user out for good.
pub const CHANGED_AT: &str = "password_changed_at";

/// The time by which the application's clock may be ahead of Rekey's.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The layout of the users table.
#[derive(Clone, Debug)]
pub struct Schema {
    table: String,
    key: String,
    email: String,
    email_index: String,
    password: String,
}

impl Schema {
    /// Reads the `USERS_…` variables.
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let table = env.text("USERS_TABLE");
        let key = env.text("USERS_KEY_ATTRIBUTE");
        let email = env.text("USERS_EMAIL_ATTRIBUTE");
        let email_index = env.text("USERS_EMAIL_INDEX");
        let password = env.text("USERS_PASSWORD_ATTRIBUTE");
        Some(Self {
            table: table?,
            key: key?,
            email: email?,
            email_index: email_index?,
            password: password?,
        })
    }
}

/// A client of the users table.
#[derive(Clone, Debug)]
pub struct UsersTable {
    client: Client,
    schema: Schema,
}

impl UsersTable {
    /// Creates a client of the table with this layout.
    pub fn new(client: Client, schema: Schema) -> Self {
        Self { client, schema }
    }

    /// Looks up an address. Reads only the key and the address.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects the call or does not answer.
    pub async fn find_by_email(&self, email: &Email) -> Result<Lookup, Fault> {
        let items = self.query(email).await?;
        let mut users = items
            .iter()
            .filter_map(|item| self.user(item))
            .filter(|user| user.email == *email);
        Ok(match (users.next(), items.len()) {
            (_, 2..) => Lookup::Ambiguous,
            (Some(user), _) => Lookup::Found(user),
            (None, _) => Lookup::NotFound,
        })
    }

    /// Returns the statement that replaces a password.
    ///
    /// It fails if the user no longer exists, or no longer has the address that the token was sent to. It also fails if
    /// [`CHANGED_AT`] shows that the password changed after the token was issued.
    pub fn password_statement(
        &self,
        issued: &TokenIssued,
        hash: &PasswordHash,
        now: Timestamp,
    ) -> UpdateBuilder {
        Update::builder()
            .table_name(&self.schema.table)
            .key(&self.schema.key, issued.user.to_attribute())
            .update_expression("SET #password = :hash, #changed_at = :now")
            .condition_expression(
                "#email = :email AND (attribute_not_exists(#changed_at) OR NOT attribute_type(#changed_at, :type) \
                 OR #changed_at < :issued_at OR #changed_at > :horizon)",
            )
            .expression_attribute_names("#password", &self.schema.password)
            .expression_attribute_names("#changed_at", CHANGED_AT)
            .expression_attribute_names("#email", &self.schema.email)
            .expression_attribute_values(":hash", AttributeValue::S(hash.as_str().to_owned()))
            .expression_attribute_values(":now", unix_seconds::attribute(now))
            .expression_attribute_values(":email", AttributeValue::S(issued.email.as_str().to_owned()))
            .expression_attribute_values(":issued_at", unix_seconds::attribute(issued.issued_at))
            .expression_attribute_values(":type", AttributeValue::S("N".to_owned()))
            .expression_attribute_values(":horizon", unix_seconds::attribute(now + CLOCK_SKEW))
    }

    /// Returns up to two users. Two are enough to know that the address is ambiguous.
    ///
    /// Both layouts use a `Query`, because a `GetItem` has no `Select`. With `Select`, the role can limit reads to the
    /// attributes that are named here.
    async fn query(&self, email: &Email) -> Result<Vec<HashMap<String, AttributeValue>>, Fault> {
        let Schema {
            key,
            email: attribute,
            ..
        } = &self.schema;
        let query = self
            .client
            .query()
            .table_name(&self.schema.table)
            .key_condition_expression("#email = :email")
            .select(Select::SpecificAttributes)
            .expression_attribute_names("#email", attribute)
            .expression_attribute_values(":email", AttributeValue::S(email.as_str().to_owned()))
            .limit(2);
        // DynamoDB rejects a projection that names the same attribute twice.
        let query = if key == attribute {
            query.projection_expression("#email")
        } else {
            query
                .index_name(&self.schema.email_index)
                .projection_expression("#key, #email")
                .expression_attribute_names("#key", key)
        };
        let output = query
            .send()
            .await
            .map_err(|error| Fault::from_sdk("directory.find_by_email", &error))?;
        Ok(output.items.unwrap_or_default())
    }

    fn user(&self, item: &HashMap<String, AttributeValue>) -> Option<User> {
        let email = item.get(&self.schema.email)?.as_s().ok()?;
        Some(User {
            key: UserKey::parse(item.get(&self.schema.key)?)?,
            email: Email::parse(email).ok()?,
        })
    }
}
