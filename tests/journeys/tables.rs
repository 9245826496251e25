//! Users as real tables store them. Each test names the bug reports that it covers.

use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};

use support::app::TestApp;
use support::deployment::{ADA, KeyTypes, PASSWORD, recreate_users_table};

/// truora/minidyn#124, internxt/drive-server-old#382.
#[tokio::test]
async fn an_unreadable_password_changed_at_locks_no_user_out() {
    let unreadable = [
        AttributeValue::Null(true),
        AttributeValue::Bool(true),
        AttributeValue::S(String::new()),
        AttributeValue::S("2026-11-23T12:00:00.123Z".to_owned()),
        AttributeValue::S("1795435200".to_owned()),
        // A time in milliseconds.
        AttributeValue::N("1795435200250".to_owned()),
        // A time one day in the future.
        AttributeValue::N("1795521600".to_owned()),
    ];
    for value in unreadable {
        let app = TestApp::with_ada().await;
        set_changed_at(&app, value.clone()).await;
        let link = app.link(ADA).await;
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 204, "{value:?}");
        let replaced: f64 = app
            .stored("1", "password_changed_at")
            .await
            .parse()
            .unwrap();
        assert!((replaced - 1_795_435_200.0).abs() < 10.0, "{value:?}");
        app.process_stream().await;
    }
}

/// The application's clock may be five minutes ahead.
#[tokio::test]
async fn a_change_by_the_application_ends_links_even_if_its_clock_is_ahead() {
    for (ahead, status) in [(0, 422), (299, 422), (301, 204)] {
        let app = TestApp::with_ada().await;
        let link = app.link(ADA).await;
        let changed_at = app.clock.now().as_second() + 1 + ahead;
        set_changed_at(&app, AttributeValue::N(changed_at.to_string())).await;
        assert_eq!(app.reset(&link, PASSWORD).await.status(), status, "{ahead}");
        app.process_stream().await;
    }
}

async fn set_changed_at(app: &TestApp, value: AttributeValue) {
    app.dynamodb
        .update_item()
        .table_name("users")
        .key("id", AttributeValue::S("1".to_owned()))
        .update_expression("SET password_changed_at = :value")
        .expression_attribute_values(":value", value)
        .send()
        .await
        .unwrap();
}

/// awslabs/emr-dynamodb-connector#167.
#[tokio::test]
async fn a_numeric_key_may_be_any_number() {
    for key in [
        "1",
        "-7",
        "0.5",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "123456789012345678901234567890",
        "12345678901234567890123456789012345678",
    ] {
        let app = TestApp::open().await;
        let key = AttributeValue::N(key.to_owned());
        let types = KeyTypes {
            key: ScalarAttributeType::N,
            ..KeyTypes::default()
        };
        recreate_users_table(&app.dynamodb, &app.settings, &types).await;
        put_user(&app, key.clone()).await;
        let link = app.link(ADA).await;
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 204, "{key:?}");
        let second = app.reset(&link, PASSWORD).await;
        assert_eq!(second.status(), 422, "{key:?}");

        let user = app.dynamodb.get_item().table_name("users");
        let user = user
            .key("id", key.clone())
            .send()
            .await
            .unwrap()
            .item
            .unwrap();
        assert!(
            user["password_hash"]
                .as_s()
                .unwrap()
                .starts_with("$argon2id$"),
            "{key:?}"
        );
        app.process_stream().await;
    }
}

async fn put_user(app: &TestApp, key: AttributeValue) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    app.dynamodb
        .put_item()
        .table_name("users")
        .item("id", key)
        .item("email", text(ADA))
        .item("password_hash", text("old"))
        .send()
        .await
        .unwrap();
}
