//! The time of the last password change: in the table's format, and with values that Rekey cannot read.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use support::app::TestApp;
use support::deployment::{PASSWORD, WIDE_LIMITS};

use super::items::{Users, item};
use super::{number, settings, text};

/// A format: its name, and how it writes a time.
type Format = (&'static str, fn(Timestamp) -> AttributeValue);

const FORMATS: [Format; 3] = [
    ("seconds", |time| number(&time.as_second().to_string())),
    ("milliseconds", |time| {
        number(&time.as_millisecond().to_string())
    }),
    ("iso8601", |time| text(&format!("{time:.3}"))),
];

async fn app(format: &str) -> TestApp {
    let format = String::leak(format!(
        "UsersChangedAttribute=changed UsersChangedFormat={format}"
    ));
    TestApp::with(&[settings(format), WIDE_LIMITS.into()].concat()).await
}

/// Sets the time of change of a new user who has a link, uses the link, and returns the status of the response.
async fn reset_after(app: &TestApp, changed: impl Fn(Timestamp) -> AttributeValue) -> u16 {
    let users = Users::new(app);
    let count = users.all().await.len();
    let email = format!("user-{count}@example.com");
    let user = item(&[("id", &count.to_string()), ("email", &email)]);
    users.put(&user).await;
    let issued = app.clock.now();
    let link = app.link(&email).await;
    app.clock.advance(SignedDuration::from_secs(60));
    users.set(&user, "changed", Some(changed(issued))).await;
    let status = app.reset(&link, PASSWORD).await.status();
    if status == 204 {
        users.assert_replaced(&user).await;
    }
    app.process_stream().await;
    status
}

#[tokio::test]
async fn a_change_by_the_application_ends_links_in_each_format() {
    for (name, write) in FORMATS {
        let app = app(name).await;
        for (after, expected) in [
            (-86_400, 204),
            (-2, 204),
            (2, 422),
            (59, 422),
            // The clock has advanced by a minute since, and the application's may be five minutes ahead.
            (60 + 298, 422),
            (60 + 302, 204),
            (86_400, 204),
        ] {
            let changed = |issued: Timestamp| write(issued + SignedDuration::from_secs(after));
            assert_eq!(reset_after(&app, changed).await, expected, "{name} {after}");
        }
    }
}

#[tokio::test]
async fn no_unreadable_time_locks_a_user_out() {
    for (name, _) in FORMATS {
        let app = app(name).await;
        let later = app.clock.now() + SignedDuration::from_secs(2);
        let mut values = vec![
            AttributeValue::Null(true),
            AttributeValue::Bool(true),
            AttributeValue::M([("at".to_owned(), number("1"))].into()),
            AttributeValue::L(vec![number("1")]),
            text(""),
            text("soon"),
            text("1795435200"),
            text("25.11.2026 09:00"),
            text("Wed, 25 Nov 2026 09:00:00 GMT"),
            number("99999999999999999999999999999999999999"),
            number("0"),
            number("-1"),
        ];
        // A change in the format of another parameter.
        let others = FORMATS.iter().filter(|(other, _)| *other != name);
        values.extend(others.map(|(_, write)| write(later)));
        for value in values {
            let status = reset_after(&app, |_| value.clone()).await;
            assert_eq!(status, 204, "{name} {value:?}");
        }
    }
}

#[tokio::test]
async fn rekey_writes_the_time_of_its_change_in_the_tables_format() {
    for (name, expected) in [
        ("seconds", number("1795435200.5")),
        ("milliseconds", number("1795435200500")),
        ("iso8601", text("2026-11-23T12:00:00.500Z")),
    ] {
        let app = app(name).await;
        let users = Users::new(&app);
        let user = item(&[("id", "1"), ("email", "ada@example.com")]);
        users.put(&user).await;
        let link = app.link("ada@example.com").await;
        app.clock.advance(SignedDuration::from_millis(250));
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
        assert_eq!(users.get(&user).await["changed"], expected);
        app.process_stream().await;
    }
}

/// A change in the same second, without a fraction, may end a link that was issued just after it. A fraction may have
/// more digits than Rekey's.
#[tokio::test]
async fn notations_of_iso_8601_in_utc_compare_like_times() {
    let app = app("iso8601").await;
    for (notation, expected) in [
        ("%Y-%m-%dT%H:%M:%SZ", 422),
        ("%Y-%m-%dT%H:%M:%S", 422),
        ("%Y-%m-%dT%H:%M:%S.123456Z", 422),
        ("%Y-%m-%dT%H:%M:%S+00:00", 422),
        ("%Y-%m-%dT%H:%M:%S.123456789+00:00", 422),
    ] {
        for (after, expected) in [(-2, 204), (2, expected)] {
            let changed = |issued: Timestamp| {
                let time = issued + SignedDuration::from_secs(after);
                text(&time.strftime(notation).to_string())
            };
            assert_eq!(
                reset_after(&app, changed).await,
                expected,
                "{notation} {after}"
            );
        }
    }
}
