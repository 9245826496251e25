//! Keys of other types, and attributes whose names are reserved words.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};
use support::app::TestApp;
use support::deployment::{ADA, KeyTypes, PASSWORD, WIDE_LIMITS, recreate_users_table};

use super::items::{Item, Users, item};
use super::{EVE, number, settings, text};

const SORTED: &str = "UsersKeyAttribute=pk UsersSortKeyAttribute=sk";

fn bytes(bytes: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

#[tokio::test]
async fn a_binary_key() {
    let types = KeyTypes {
        key: ScalarAttributeType::B,
        ..KeyTypes::default()
    };
    let user = |id: u8| vec![("id", bytes(&[0, id, 255]))];
    resets_by_key("", &types, user(1), user(2)).await;
}

#[tokio::test]
async fn a_binary_key_and_a_numeric_sort_key() {
    let types = KeyTypes {
        key: ScalarAttributeType::B,
        sort_key: ScalarAttributeType::N,
        ..KeyTypes::default()
    };
    let user = |id: u8| vec![("pk", bytes(&[0, 255])), ("sk", number(&id.to_string()))];
    resets_by_key(SORTED, &types, user(1), user(2)).await;
}

#[tokio::test]
async fn a_numeric_key_and_a_binary_sort_key() {
    let types = KeyTypes {
        key: ScalarAttributeType::N,
        sort_key: ScalarAttributeType::B,
        ..KeyTypes::default()
    };
    let tenant = "12345678901234567890123456789012345678";
    let user = |id: u8| vec![("pk", number(tenant)), ("sk", bytes(&[id]))];
    resets_by_key(SORTED, &types, user(1), user(2)).await;
}

/// A key without a prefix would otherwise match every text.
#[tokio::test]
async fn a_key_that_is_not_text_has_no_prefix() {
    let parameters = "UsersKeyPrefix=1";
    let app = TestApp::with(&settings(parameters)).await;
    let types = KeyTypes {
        key: ScalarAttributeType::N,
        ..KeyTypes::default()
    };
    recreate_users_table(&app.dynamodb, &app.settings, &types).await;
    let users = Users::new(&app);
    let user = [("id", number("1")), ("email", text(ADA))];
    users
        .put(&user.map(|(name, value)| (name.to_owned(), value)).into())
        .await;
    app.forgot(ADA).await;
    app.process_stream().await;
    assert_eq!(app.aws.emails().len(), 0);
}

#[tokio::test]
async fn reserved_words_and_dots_in_attribute_names() {
    let parameters = "UsersKeyAttribute=user-id UsersSortKeyAttribute=user UsersEmailAttribute=e.mail \
                      UsersPasswordAttribute=Hash UsersChangedAttribute=timestamp UsersStatusAttribute=status \
                      UsersStatusActive=ACTIVE UsersLocaleAttribute=language UsersNameAttribute=name";
    let app = TestApp::with(&settings(parameters)).await;
    let users = Users::new(&app);
    let user = item(&[
        ("user-id", "1"),
        ("user", "profile"),
        ("e.mail", ADA),
        ("status", "ACTIVE"),
        ("language", "de"),
        ("name", "Ada"),
    ]);
    users.put(&user).await;
    // Dots in a name without a placeholder would be a path.
    let nested = [("mail".to_owned(), text(EVE))].into();
    users.set(&user, "e", Some(AttributeValue::M(nested))).await;
    app.forgot(ADA).await;
    app.process_stream().await;
    let email = app.aws.emails().remove(0);
    assert!(email.text().starts_with("Hallo Ada,"), "{}", email.text());
    let link = email.link();
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    users.set(&user, "e", None).await;
    users.assert_replaced(&user).await;
    app.process_stream().await;
}

/// Resets the password of the first of two users, and checks that it ends no link of the second.
async fn resets_by_key(
    parameters: &'static str,
    types: &KeyTypes,
    ada: Vec<(&str, AttributeValue)>,
    eve: Vec<(&str, AttributeValue)>,
) {
    let settings = [settings(parameters), WIDE_LIMITS.into()].concat();
    let app = TestApp::with(&settings).await;
    recreate_users_table(&app.dynamodb, &app.settings, types).await;
    let users = Users::new(&app);
    let with_email = |key: Vec<(&str, AttributeValue)>, email: &str| -> Item {
        let key = key.into_iter().chain([("email", text(email))]);
        key.map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let (ada, eve) = (with_email(ada, ADA), with_email(eve, EVE));
    users.put(&ada).await;
    users.put(&eve).await;
    let (link, other) = (app.link(ADA).await, app.link(EVE).await);
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    users.assert_replaced(&ada).await;
    assert_eq!(users.get(&eve).await, eve);
    assert_eq!(app.reset(&other, PASSWORD).await.status(), 204);
    users.assert_replaced(&eve).await;
    app.process_stream().await;
}
