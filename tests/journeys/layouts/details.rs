//! Status, language, and name: attributes that only a second, consistent read returns.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use serde_json::{Value, json};
use support::app::TestApp;
use support::deployment::{ADA, PAGE, PASSWORD, WIDE_LIMITS};
use support::email::SentEmail;
use support::faults::{Fault, Reply};

use super::items::{Users, item};
use super::{number, settings, text};

const GREETED: &str = "UsersNameAttribute=name UsersLocaleAttribute=lang";

async fn app(parameters: &'static str) -> TestApp {
    let app = TestApp::with(&[settings(parameters), WIDE_LIMITS.into()].concat()).await;
    app.user("1", ADA).await;
    app
}

async fn set(app: &TestApp, attribute: &str, value: Option<AttributeValue>) {
    let user = item(&[("id", "1")]);
    Users::new(app).set(&user, attribute, value).await;
}

/// Requests a link in a language, and returns the new emails.
async fn request(app: &TestApp, locale: &str) -> Vec<SentEmail> {
    // The request must not fall within the cooldown of the last one.
    app.clock.advance(SignedDuration::from_mins(2));
    let before = app.aws.emails().len();
    let body = json!({ "email": ADA, "reset_url": PAGE, "locale": locale });
    assert_eq!(app.post("/password/forgot", &body).await.status(), 202);
    app.process_stream().await;
    app.aws.emails().split_off(before)
}

#[tokio::test]
async fn the_second_read_is_consistent_and_names_its_attributes() {
    let app = app(
        "UsersStatusAttribute=state UsersStatusActive=absent UsersNameAttribute=first_name \
                   UsersLocaleAttribute=lang UsersChangedAttribute=changed",
    )
    .await;
    app.forgot(ADA).await;
    app.aws.take_calls();
    app.process_stream().await;
    let expected = [
        "UpdateItem",
        "Query",
        "Query",
        "GetItem",
        "GetItem",
        "PutItem",
        "SendEmail",
        "PutItem",
    ];
    assert_eq!(app.aws.take_calls(), expected);
    let read = app.aws.last_body("Query");
    assert_eq!(read["ConsistentRead"], true);
    assert_eq!(read["Select"], "SPECIFIC_ATTRIBUTES");
    assert_eq!(read["IndexName"], Value::Null);
    let projection = read["ProjectionExpression"].as_str().unwrap().split(", ");
    let named: Vec<&str> = projection
        .map(|name| read["ExpressionAttributeNames"][name].as_str().unwrap())
        .collect();
    assert_eq!(named, ["email", "changed", "state", "lang", "first_name"]);
}

/// The values of `UsersStatusActive`, and the stored values that each allows and does not allow.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn only_an_active_account_gets_a_link_and_can_use_it() {
    let boolean = |value| Some(AttributeValue::Bool(value));
    let null = || Some(AttributeValue::Null(true));
    let (text, number) = (|value| Some(text(value)), |value| Some(number(value)));
    for (parameters, active, inactive) in [
        (
            "UsersStatusAttribute=status UsersStatusActive=ACTIVE,INVITED",
            vec![text("ACTIVE"), text("INVITED")],
            vec![text("BLOCKED"), text("active"), None, null(), boolean(true)],
        ),
        (
            "UsersStatusAttribute=status UsersStatusActive=true",
            vec![boolean(true), text("true")],
            vec![
                boolean(false),
                text("false"),
                text("TRUE"),
                number("1"),
                None,
            ],
        ),
        (
            "UsersStatusAttribute=status UsersStatusActive=absent,false",
            vec![None, null(), boolean(false), text("false")],
            vec![boolean(true), text("true"), text("absent"), number("0")],
        ),
        (
            "UsersStatusAttribute=status UsersStatusActive=absent",
            vec![None, null()],
            vec![text("2026-11-25T09:00:00Z"), number("1795597200"), text("")],
        ),
        (
            "UsersStatusAttribute=status UsersStatusActive=1",
            vec![number("1"), text("1")],
            vec![number("0"), number("11"), boolean(true), None],
        ),
    ] {
        let app = app(parameters).await;
        for value in &active {
            set(&app, "status", value.clone()).await;
            let [email] = request(&app, "en").await.try_into().expect("one email");
            let status = app.reset(&email.link(), PASSWORD).await.status();
            assert_eq!(status, 204, "{parameters} {value:?}");
            app.process_stream().await;
        }
        for value in &inactive {
            set(&app, "status", value.clone()).await;
            assert_eq!(request(&app, "en").await.len(), 0, "{parameters} {value:?}");
            // An account that was active when the link was sent.
            set(&app, "status", active[0].clone()).await;
            let [email] = request(&app, "en").await.try_into().expect("one email");
            set(&app, "status", value.clone()).await;
            let status = app.reset(&email.link(), PASSWORD).await.status();
            assert_eq!(status, 422, "{parameters} {value:?}");
        }
    }
}

/// An index may be behind its table.
#[tokio::test]
async fn a_user_who_just_lost_the_address_gets_no_link() {
    let indexed = json!({ "Items": [{ "id": { "S": "1" } }], "Count": 1, "ScannedCount": 1 });
    for new in [Some(text("new@example.com")), None] {
        let app = app(GREETED).await;
        set(&app, "email", new).await;
        let reply = Reply::Error(200, indexed.to_string());
        app.aws.inject(
            "Query",
            1,
            Fault {
                is_done: false,
                reply,
            },
        );
        assert_eq!(request(&app, "en").await.len(), 0);
    }
    let app = app(GREETED).await;
    Users::new(&app).delete(&item(&[("id", "1")])).await;
    let reply = Reply::Error(200, indexed.to_string());
    app.aws.inject(
        "Query",
        1,
        Fault {
            is_done: false,
            reply,
        },
    );
    assert_eq!(request(&app, "en").await.len(), 0);
}

#[tokio::test]
async fn an_email_greets_its_user_by_name() {
    let app = app(GREETED).await;
    set(&app, "name", Some(text("D'Arcy"))).await;
    for (locale, greeting, in_html) in [
        ("en", "Hello D'Arcy,\n", "<p>Hello D&#39;Arcy,</p>"),
        ("de", "Hallo D'Arcy,\n", "<p>Hallo D&#39;Arcy,</p>"),
    ] {
        let [email] = request(&app, locale).await.try_into().expect("one email");
        assert!(email.text().starts_with(greeting), "{}", email.text());
        assert!(email.html().contains(in_html), "{}", email.html());
    }
}

#[tokio::test]
async fn a_hostile_name_is_not_in_the_email() {
    let app = app(GREETED).await;
    let long = "a".repeat(41);
    for name in [
        "evil.example",
        "evil .example",
        "evil\u{3002}example",
        "evil\u{a4f8}example",
        "call +1 555 0100",
        "https://evil",
        "ada@evil",
        "<b>Ada</b>",
        "\u{202e}live",
        "Ada\u{2066}",
        "Ada\u{200b}",
        "Ada\0",
        "Ada\r\n\r\nhttp://evil",
        "",
        &long,
    ] {
        set(&app, "name", Some(text(name))).await;
        let [email] = request(&app, "en").await.try_into().expect("one email");
        assert!(
            email.text().starts_with("Hello,\n"),
            "{name:?}: {}",
            email.text()
        );
        assert!(
            email.html().contains("<p>Hello,</p>"),
            "{name:?}: {}",
            email.html()
        );
    }
    for value in [
        number("1"),
        AttributeValue::Null(true),
        AttributeValue::Bool(true),
    ] {
        set(&app, "name", Some(value)).await;
        let [email] = request(&app, "de").await.try_into().expect("one email");
        assert!(email.text().starts_with("Guten Tag,\n"), "{}", email.text());
    }
}

#[tokio::test]
async fn the_users_language_wins_over_the_requests() {
    let english = "Set a new password for Example & Söhne";
    let german = "Neues Passwort für Example & Söhne";
    for (stored, requested, expected) in [
        (Some(text("de_AT.UTF-8")), "en", german),
        (Some(text("en-US")), "de", english),
        (Some(text("tlh")), "de", german),
        (Some(text("")), "de", german),
        (Some(number("49")), "de", german),
        (None, "de", german),
        (None, "en", english),
    ] {
        let app = app(GREETED).await;
        set(&app, "lang", stored.clone()).await;
        let [email] = request(&app, requested)
            .await
            .try_into()
            .expect("one email");
        assert_eq!(email.subject(), expected, "{stored:?} {requested}");
        assert_eq!(app.reset(&email.link(), PASSWORD).await.status(), 204);
        app.process_stream().await;
        let notice = app.aws.emails().pop().unwrap();
        let is_german = notice.subject() == "Ihr Passwort für Example & Söhne wurde geändert";
        assert_eq!(is_german, expected == german, "{stored:?} {requested}");
    }
}

/// The metric shows an operator that `UsersChangedFormat` does not match the data.
#[tokio::test]
async fn an_unreadable_change_time_is_counted_by_the_second_read() {
    for (parameters, changed, counted) in [
        (GREETED, None, false),
        (GREETED, Some(AttributeValue::Null(true)), false),
        (GREETED, Some(number("1795435100")), false),
        (GREETED, Some(number("1795435100250")), true),
        (GREETED, Some(text("2026-11-23T11:59:00Z")), true),
        // Without a second read, Rekey does not see the attribute.
        ("UsersChangedFormat=seconds", Some(text("soon")), false),
    ] {
        let app = app(parameters).await;
        set(&app, "password_changed_at", changed.clone()).await;
        assert_eq!(request(&app, "en").await.len(), 1);
        let is_counted = app.events().contains(&"UnreadableChangeTimes".to_owned());
        assert_eq!(is_counted, counted, "{changed:?}");
    }
}
