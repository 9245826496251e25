//! The items of a users table in any layout.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use support::app::TestApp;

use super::text;

pub(super) type Item = HashMap<String, AttributeValue>;

/// Returns an item with these texts.
pub(super) fn item(attributes: &[(&str, &str)]) -> Item {
    let attributes = attributes.iter();
    attributes
        .map(|(name, value)| ((*name).to_owned(), text(value)))
        .collect()
}

/// The users table of an app.
pub(super) struct Users<'a> {
    app: &'a TestApp,
}

impl<'a> Users<'a> {
    pub(super) fn new(app: &'a TestApp) -> Self {
        Self { app }
    }

    pub(super) async fn put(&self, item: &Item) {
        let put = self.app.dynamodb.put_item().table_name("users");
        let put = put.set_item(Some(item.clone()));
        put.send().await.unwrap();
    }

    pub(super) async fn delete(&self, item: &Item) {
        let delete = self.app.dynamodb.delete_item().table_name("users");
        let delete = delete.set_key(Some(self.key(item)));
        delete.send().await.unwrap();
    }

    /// Sets an attribute of an item, or removes it.
    pub(super) async fn set(&self, item: &Item, attribute: &str, value: Option<AttributeValue>) {
        let update = self.app.dynamodb.update_item().table_name("users");
        let update = update
            .set_key(Some(self.key(item)))
            .expression_attribute_names("#attribute", attribute);
        let update = match value {
            Some(value) => update
                .update_expression("SET #attribute = :value")
                .expression_attribute_values(":value", value),
            None => update.update_expression("REMOVE #attribute"),
        };
        update.send().await.unwrap();
    }

    pub(super) async fn get(&self, item: &Item) -> Item {
        let get = self.app.dynamodb.get_item().table_name("users");
        let output = get.set_key(Some(self.key(item))).send().await.unwrap();
        output.item.unwrap()
    }

    pub(super) async fn all(&self) -> Vec<Item> {
        let scan = self.app.dynamodb.scan().table_name("users");
        scan.send().await.unwrap().items.unwrap()
    }

    /// Returns all items but one.
    pub(super) async fn all_but(&self, item: &Item) -> Vec<Item> {
        let key = self.key(item);
        let mut all = self.all().await;
        all.retain(|other| self.key(other) != key);
        all
    }

    /// Asserts that an item has a new password and the time of the change, and is otherwise as it was put.
    pub(super) async fn assert_replaced(&self, item: &Item) {
        let mut stored = self.get(item).await;
        let password = stored
            .remove(self.setting("USERS_PASSWORD_ATTRIBUTE"))
            .unwrap();
        let password = password.as_s().unwrap();
        let format = self.app.settings.get("PASSWORD_HASH");
        let prefix = match format.map(String::as_str) {
            Some("pbkdf2-aspnet") => "AQAAAAI",
            _ => "$argon2id$",
        };
        assert!(password.starts_with(prefix), "{password}");
        let changed = self.app.settings.get("USERS_CHANGED_ATTRIBUTE");
        let changed = changed.map_or("password_changed_at", String::as_str);
        assert!(stored.remove(changed).is_some(), "{stored:?}");
        assert_eq!(stored, *item);
    }

    fn key(&self, item: &Item) -> Item {
        let names = [
            Some(self.setting("USERS_KEY_ATTRIBUTE")),
            self.app
                .settings
                .get("USERS_SORT_KEY_ATTRIBUTE")
                .map(String::as_str),
        ];
        let names = names.into_iter().flatten();
        names
            .map(|name| (name.to_owned(), item[name].clone()))
            .collect()
    }

    fn setting(&self, name: &str) -> &str {
        &self.app.settings[name]
    }
}
