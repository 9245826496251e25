//! Users in a `DynamoDB` table: the lookup, and the statement that replaces a password.

use std::collections::HashMap;
use std::iter;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select, Update};
use jiff::Timestamp;

use super::lookup::Lookup;
use super::schema::Schema;
use crate::email::Email;
use crate::fault::Fault;
use crate::given_name::GivenName;
use crate::locale::Locale;
use crate::password_hash::PasswordHash;
use crate::table::rows::TokenIssued;
use crate::user::{KeyPart, User, UserKey};

/// The most items with an address that the lookup reads. An index may have other items beside the user's.
const MAX_ITEMS: i32 = 10;

/// The condition of [`UsersTable::password_statement`], without the status.
const CONDITION: &str = "#email = :email AND (attribute_not_exists(#changed_at) OR NOT attribute_type(#changed_at, :type) \
                         OR #changed_at < :issued_at OR #changed_at > :horizon)";

type Item = HashMap<String, AttributeValue>;

/// A client of the users table.
#[derive(Clone, Debug)]
pub struct UsersTable {
    client: Client,
    schema: Schema,
    condition: String,
}

impl UsersTable {
    /// Creates a client of the table with this layout.
    pub fn new(client: Client, schema: Schema) -> Self {
        let condition = match &schema.status {
            Some(status) => format!("{CONDITION} AND ({})", status.condition()),
            None => CONDITION.to_owned(),
        };
        Self {
            client,
            schema,
            condition,
        }
    }

    /// Looks up an address. Reads only the key, unless the settings name a status, a language, or a name.
    ///
    /// # Errors
    /// Returns a [`Fault`] if `DynamoDB` rejects a call or does not answer.
    pub async fn find_by_email(&self, email: &Email, now: Timestamp) -> Result<Lookup, Fault> {
        let output = self.find_items(email).await?;
        let items = output.items.unwrap_or_default();
        let mut keys = items.iter().filter_map(|item| self.user_key(item));
        // Another page may have another user.
        let is_complete = output.last_evaluated_key.is_none();
        let key = match (keys.next(), keys.next()) {
            (None, None) if is_complete => return Ok(Lookup::NotFound),
            (Some(key), None) if is_complete => key,
            _ => return Ok(Lookup::Ambiguous),
        };
        // DynamoDB found the item by equality, so the user has the requested address.
        let user = User {
            key,
            email: email.clone(),
            locale: None,
            name: None,
            has_unreadable_change_time: false,
        };
        if !self.schema.has_details() {
            return Ok(Lookup::Found(user));
        }
        let item = self.read_details(&user.key).await?;
        let user = item.and_then(|item| self.with_details(user, &item, now));
        Ok(user.map_or(Lookup::NotFound, Lookup::Found))
    }

    /// Returns the statement that replaces a password.
    ///
    /// It fails if the user no longer exists, no longer has the address that the token was sent to, or may no longer
    /// reset the password. It also fails if the time of the last change shows that the password changed after the token
    /// was issued.
    pub fn password_statement(
        &self,
        issued: &TokenIssued,
        hash: &PasswordHash,
        now: Timestamp,
    ) -> UpdateBuilder {
        let schema = &self.schema;
        let format = schema.changed_format;
        let email = schema.email_format.apply(&issued.email);
        let update = Update::builder()
            .table_name(&schema.table)
            .update_expression("SET #password = :hash, #changed_at = :now")
            .condition_expression(&self.condition)
            .expression_attribute_names("#password", &schema.password)
            .expression_attribute_names("#changed_at", &schema.changed)
            .expression_attribute_names("#email", &schema.email)
            .expression_attribute_values(":hash", AttributeValue::S(hash.as_str().to_owned()))
            .expression_attribute_values(":now", format.attribute(now))
            .expression_attribute_values(":email", AttributeValue::S(email))
            .expression_attribute_values(":issued_at", format.attribute(issued.issued_at))
            .expression_attribute_values(":type", AttributeValue::S(format.type_name().to_owned()))
            .expression_attribute_values(":horizon", format.horizon(now));
        let update = self
            .key_attributes(&issued.user)
            .fold(update, |update, (name, value)| update.key(name, value));
        let Some(status) = &schema.status else {
            return update;
        };
        let update = update.expression_attribute_names("#status", &status.attribute);
        status.values().fold(update, |update, (name, value)| {
            update.expression_attribute_values(name, value)
        })
    }

    /// Returns the keys of the items with an address.
    async fn find_items(&self, email: &Email) -> Result<QueryOutput, Fault> {
        let schema = &self.schema;
        let address = schema.email_format.apply(email);
        let query = self
            .query()
            .limit(MAX_ITEMS)
            .projection_expression("#key")
            .expression_attribute_names("#key", &schema.key)
            .expression_attribute_names("#email", &schema.email)
            .expression_attribute_values(":email", AttributeValue::S(address));
        let query = match &schema.sort_key {
            Some(sort_key) => query
                .projection_expression("#key, #sort")
                .expression_attribute_names("#sort", &sort_key.attribute),
            None => query,
        };
        let query = match &schema.sort_key {
            _ if !schema.is_found_by_key() => query
                .index_name(&schema.email_index)
                .key_condition_expression("#email = :email"),
            // The user's partition may have more of other items than one page.
            Some(sort_key) if !sort_key.prefix.is_empty() => query
                .key_condition_expression("#email = :email AND begins_with(#sort, :prefix)")
                .expression_attribute_values(":prefix", AttributeValue::S(sort_key.prefix.clone())),
            _ => query.key_condition_expression("#email = :email"),
        };
        let output = query.send().await;
        output.map_err(|error| Fault::from_sdk("directory.find_by_email", &error))
    }

    /// Reads the attributes of a user that the lookup needs beside the key, or returns `None` if the user was deleted.
    ///
    /// The read is consistent. So a user who just lost the address or was just disabled gets no link, although the index
    /// is behind the table.
    async fn read_details(&self, key: &UserKey) -> Result<Option<Item>, Fault> {
        let details = self.schema.details();
        let projection: Vec<&str> = details.iter().map(|(name, _)| *name).collect();
        let condition = match key {
            UserKey::Simple(_) => "#key = :key",
            UserKey::Composite { .. } => "#key = :key AND #sort = :sort",
        };
        let query = self
            .query()
            .consistent_read(true)
            .key_condition_expression(condition)
            .projection_expression(projection.join(", "));
        let query = details.iter().fold(query, |query, (name, attribute)| {
            query.expression_attribute_names(*name, *attribute)
        });
        let parts = self
            .key_attributes(key)
            .zip([("#key", ":key"), ("#sort", ":sort")]);
        let query = parts.fold(query, |query, ((attribute, value), (name, placeholder))| {
            query
                .expression_attribute_names(name, attribute)
                .expression_attribute_values(placeholder, value)
        });
        let output = query.send().await;
        let output = output.map_err(|error| Fault::from_sdk("directory.read_user", &error))?;
        Ok(output.items.and_then(|mut items| items.pop()))
    }

    /// Returns a query of the table.
    ///
    /// Both reads are a `Query`, because a `GetItem` has no `Select`. With `Select`, the role can limit reads to the
    /// attributes that are named here.
    fn query(&self) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.schema.table);
        query.select(Select::SpecificAttributes)
    }

    /// Returns the key of an item, or `None` if the item is not a user.
    fn user_key(&self, item: &Item) -> Option<UserKey> {
        let part = |attribute: &str, prefix: &str| {
            let part = KeyPart::parse(item.get(attribute)?)?;
            part.starts_with(prefix).then_some(part)
        };
        let partition = part(&self.schema.key, &self.schema.key_prefix)?;
        Some(match &self.schema.sort_key {
            None => UserKey::Simple(partition),
            Some(sort_key) => UserKey::Composite {
                partition,
                sort: part(&sort_key.attribute, &sort_key.prefix)?,
            },
        })
    }

    /// Returns the names and values of a user's key attributes.
    fn key_attributes<'a>(
        &'a self,
        key: &'a UserKey,
    ) -> impl Iterator<Item = (&'a str, AttributeValue)> {
        let (partition, sort) = match key {
            UserKey::Simple(partition) => (partition, None),
            UserKey::Composite { partition, sort } => (partition, Some(sort)),
        };
        let sort = self.schema.sort_key.as_ref().zip(sort);
        let sort = sort.map(|(sort_key, part)| (sort_key.attribute.as_str(), part.to_attribute()));
        iter::once((self.schema.key.as_str(), partition.to_attribute())).chain(sort)
    }

    /// Adds an item's attributes to its user, or returns `None` if the user lost the address or may not reset the
    /// password.
    fn with_details(&self, user: User, item: &Item, now: Timestamp) -> Option<User> {
        let schema = &self.schema;
        let has_address =
            item.get(&schema.email)?.as_s().ok()? == &schema.email_format.apply(&user.email);
        let status = schema.status.as_ref();
        let is_active = status.is_none_or(|status| status.allows(item.get(&status.attribute)));
        let text = |attribute: &Option<String>| item.get(attribute.as_ref()?)?.as_s().ok();
        let changed = item.get(&schema.changed);
        (has_address && is_active).then(|| User {
            locale: text(&schema.locale).and_then(|tag| Locale::known(tag)),
            name: text(&schema.name).and_then(|name| GivenName::parse(name)),
            has_unreadable_change_time: changed
                .is_some_and(|changed| !schema.changed_format.can_read(changed, now)),
            ..user
        })
    }
}
