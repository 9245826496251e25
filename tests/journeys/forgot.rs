use std::collections::HashSet;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::{ADA, PAGE, PASSWORD, TestApp};

#[tokio::test]
async fn a_user_who_asks_gets_a_link_by_mail() {
    let app = TestApp::with_ada().await;
    app.forgot(" ADA@Example.com ").await;
    app.stream().await;

    let mails = app.aws.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to(), ADA);
    assert_eq!(mails[0].subject(), "Set a new password for Example & Söhne");
    let link = mails[0].link();
    assert!(
        link.url
            .as_str()
            .starts_with("https://app.example.com/password/reset?email=")
    );
    assert_eq!((link.email.as_str(), link.token.len()), (ADA, 64));
    assert!(
        mails[0]
            .text()
            .contains("works once and expires after 1 hour")
    );
    assert!(mails[0].text().contains("If you did not request this"));
    assert_eq!(app.events(), ["RequestsAccepted", "LinksSent"]);
}

#[tokio::test]
async fn the_mail_is_escaped_and_says_who_wrote_it() {
    let app = TestApp::with_ada().await;
    app.link(ADA).await;

    let mail = app.aws.mails().remove(0);
    assert!(
        mail.html().contains("Example &amp; Söhne"),
        "{}",
        mail.html()
    );
    assert!(
        mail.html().contains("?email=ada%40example.com&amp;token="),
        "{}",
        mail.html()
    );
    assert_eq!(
        mail.0["FromEmailAddress"],
        "=?UTF-8?B?RXhhbXBsZSAmIFPDtmhuZQ==?= <no-reply@example.com>"
    );
    assert_eq!(mail.0["ConfigurationSetName"], "rekey-mail");
    let headers = &mail.0["Content"]["Simple"]["Headers"];
    assert_eq!(
        headers[0],
        json!({ "Name": "Auto-Submitted", "Value": "auto-generated" })
    );
    assert_eq!(
        headers[1],
        json!({ "Name": "X-Auto-Response-Suppress", "Value": "All" })
    );
}

/// firebaseui-web#700, nhost#4622: Gmail folds emails that share a subject into one thread.
#[tokio::test]
async fn each_email_has_an_entity_reference_of_its_own() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.reset(&link, PASSWORD).await;
    app.drain().await;
    app.later(SignedDuration::from_hours(2));
    app.link(ADA).await;

    let mails = app.aws.mails();
    let references: HashSet<String> = mails
        .iter()
        .map(|mail| {
            let header = &mail.0["Content"]["Simple"]["Headers"][2];
            assert_eq!(header["Name"], "X-Entity-Ref-ID");
            header["Value"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!((mails.len(), references.len()), (3, 3));
}

#[tokio::test]
async fn a_mail_is_written_in_the_language_that_was_asked_for() {
    let app = TestApp::with_ada().await;
    let body = json!({ "email": ADA, "reset_url": PAGE, "locale": "de-AT" });
    assert_eq!(app.post("/password/forgot", &body).await.status(), 202);
    app.stream().await;
    let mail = app.aws.mails().remove(0);
    assert_eq!(mail.subject(), "Neues Passwort für Example & Söhne");
    assert!(mail.html().contains("<html lang=\"de\">"));

    app.reset(&mail.link(), "correct horse").await;
    app.stream().await;
    assert_eq!(
        app.aws.mails()[1].subject(),
        "Ihr Passwort für Example & Söhne wurde geändert"
    );
}

/// Whatever is the matter: what a caller sees, and what a look at the network between us and AWS would show.
#[tokio::test]
async fn known_and_unknown_addresses_are_answered_alike_with_the_same_calls() {
    let app = TestApp::with(&[("ADDRESS_LIMIT", "2"), ("SOURCE_LIMIT", "12")]).await;
    app.user("1", ADA).await;
    let suppressed = (400, "MessageRejected", "The address is suppressed.");
    let throttled = (400, "ThrottlingException", "");
    app.aws.fail("SendEmail", 1, suppressed);
    let (now, later) = (SignedDuration::ZERO, SignedDuration::from_secs(61));
    for (state, wait, status, calls) in [
        ("asked for the first time", now, 202, 1),
        ("cooling", now, 202, 1),
        ("the first mail was refused", later, 202, 1),
        ("the second mail went out", later, 202, 1),
        ("enough links are alive", later, 202, 1),
        ("the table throttles", later, 503, 3),
        ("the source asks too often", now, 429, 0),
    ] {
        app.later(wait);
        let mut answers = Vec::new();
        for email in [ADA, "eve@example.com"] {
            if status == 503 {
                app.aws.fail("TransactWriteItems", 3, throttled);
            }
            app.aws.take_traffic();
            answers.push((ask(&app, email).await, app.aws.take_traffic()));
        }
        assert_eq!(answers[0], answers[1], "{state}");
        assert_eq!(answers[0].0.status(), status, "{state}");
        assert_eq!(answers[0].1.len(), calls, "{state}");
        app.stream().await;
    }
    let told = app.events();
    let count = |event| told.iter().filter(|told| *told == event).count();
    assert_eq!((count("EmailsRejected"), count("LinksSent")), (1, 2));
    assert_eq!(count("RequestsHeldBack"), 1);
    assert_eq!(count("UnknownAddresses"), 4);
}

/// Asks for a link, under a request id that is always the same.
async fn ask(app: &TestApp, email: &str) -> rekey::http::response::Response {
    let body = json!({ "email": email, "reset_url": PAGE }).to_string();
    let mut event = app.event("/password/forgot", &body);
    event["requestContext"]["requestId"] = json!("request");
    app.send(event).await
}

#[tokio::test]
async fn asking_again_within_the_cooldown_is_answered_alike_and_sends_nothing() {
    let app = TestApp::with_ada().await;
    for email in [ADA, "eve@example.com"] {
        let first = app.forgot(email).await;
        app.stream().await;
        let second = app.forgot(email).await;
        assert_eq!(
            (first.status(), first.body()),
            (second.status(), second.body())
        );
        assert_eq!(app.stream().await, None);
        assert_eq!(app.aws.mails().len(), 1);
    }

    app.later(SignedDuration::from_secs(60));
    app.forgot(ADA).await;
    app.stream().await;
    assert_eq!(app.aws.mails().len(), 2);
}

#[tokio::test]
async fn parallel_requests_for_one_address_send_one_mail() {
    let app = TestApp::with_ada().await;
    let asking: Vec<_> = (0..20).map(|_| app.forgot(ADA)).collect();
    for response in futures(asking).await {
        assert_eq!(response.status(), 202);
    }
    app.stream().await;
    assert_eq!(app.aws.mails().len(), 1);
    assert_eq!(
        app.events()
            .iter()
            .filter(|event| *event == "RequestsAccepted")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_source_that_asks_too_often_is_told_when_to_come_back_and_others_are_not_held_up() {
    let app = TestApp::with(&[("SOURCE_LIMIT", "3"), ("SOURCE_WINDOW_SECONDS", "60")]).await;
    let ask = |email: String, source: &'static str| {
        let mut event = app.event(
            "/password/forgot",
            &json!({ "email": email, "reset_url": PAGE }).to_string(),
        );
        event["requestContext"]["http"]["sourceIp"] = json!(source);
        event["headers"]["x-forwarded-for"] = json!("198.51.100.7");
        app.send(event)
    };
    for n in 0..3 {
        assert_eq!(
            ask(format!("{n}@example.com"), "2001:db8::1")
                .await
                .status(),
            202
        );
    }
    // Another address of the same /64.
    let flooded = ask("3@example.com".to_owned(), "2001:db8::2").await;
    assert_eq!(flooded.status(), 429);
    assert_eq!(flooded.header("Retry-After"), Some("60"));
    assert_eq!(
        ask("4@example.com".to_owned(), "2001:db8:0:1::1")
            .await
            .status(),
        202
    );

    app.later(SignedDuration::from_secs(60));
    assert_eq!(
        ask("5@example.com".to_owned(), "2001:db8::2")
            .await
            .status(),
        202
    );
    app.drain().await;
}

#[tokio::test]
async fn parallel_requests_do_not_slip_through_the_limit_of_their_source() {
    let app = TestApp::with(&[("SOURCE_LIMIT", "10")]).await;
    let emails: Vec<String> = (0..30).map(|n| format!("{n}@example.com")).collect();
    let answers = futures(emails.iter().map(|email| app.forgot(email)).collect()).await;
    assert_eq!(
        answers
            .iter()
            .filter(|answer| answer.status() == 202)
            .count(),
        10
    );
    assert_eq!(app.rows("request#").await.len(), 10);
    app.drain().await;
}

#[tokio::test]
async fn every_allowed_url_keeps_its_own_query() {
    let app = TestApp::with_ada().await;
    let body = json!({ "email": ADA, "reseturl": "https://app.example.com/account?view=reset" });
    assert_eq!(app.post("/password/forgot", &body).await.status(), 202);
    app.stream().await;
    let link = app.aws.mails()[0].link();
    assert!(
        link.url.as_str().starts_with(
            "https://app.example.com/account?view=reset&email=ada%40example.com&token="
        )
    );
}

#[tokio::test]
async fn a_link_can_carry_its_secret_in_the_fragment() {
    let app = TestApp::with(&[("LINK_PLACEMENT", "fragment")]).await;
    app.user("1", ADA).await;
    let link = app.link(ADA).await;
    assert!(
        link.url
            .as_str()
            .starts_with("https://app.example.com/password/reset#email=ada%40example.com&token=")
    );
    assert_eq!(app.reset(&link, "correct horse").await.status(), 204);
    app.drain().await;
}

#[tokio::test]
async fn a_row_that_is_old_or_names_another_url_sends_nothing() {
    let app = TestApp::with_ada().await;
    app.forgot(ADA).await;
    let row = app.rows("request#").await.remove(0);

    let mut elsewhere = row.clone();
    elsewhere["reset_url"]["S"] = json!("https://evil.test/");
    let mut malformed = row.clone();
    malformed["email"]["S"] = json!("ada@example.com, eve@evil.test");
    assert_eq!(app.bring_to_forgot(&[&elsewhere]).await, None);
    assert_eq!(app.bring_to_forgot(&[&malformed]).await, None);
    app.later(SignedDuration::from_mins(61));
    assert_eq!(app.bring_to_forgot(&[&row]).await, None);

    assert_eq!(app.aws.mails().len(), 0);
    assert_eq!(
        app.events()[1..],
        ["RecordsDiscarded", "RecordsDiscarded", "RecordsDiscarded"]
    );
}

#[tokio::test]
async fn rows_of_other_kinds_and_deleted_rows_are_passed_over() {
    let app = TestApp::with_ada().await;
    app.link(ADA).await;
    let rows: Vec<Value> = app.rows("").await;
    let others: Vec<&Value> = rows
        .iter()
        .filter(|row| !row["pk"]["S"].as_str().unwrap().starts_with("request#"))
        .collect();
    let (token_and_links, counters) = (2, 2);
    assert_eq!(others.len(), token_and_links + counters);
    let logged = app.log();
    assert_eq!(app.bring_to_forgot(&others).await, None);
    assert_eq!(app.log(), logged);
}

#[tokio::test]
async fn an_address_that_several_users_have_gets_no_link() {
    let app = TestApp::with_ada().await;
    app.user("2", ADA).await;
    app.forgot(ADA).await;
    app.stream().await;
    assert_eq!(app.aws.mails().len(), 0);
    assert_eq!(app.events(), ["RequestsAccepted", "UnknownAddresses"]);
}

#[tokio::test]
async fn the_address_may_be_the_users_key() {
    let app = TestApp::with(&[("USERS_KEY_ATTRIBUTE", "email")]).await;
    app.user("1", ADA).await;
    let link = app.link(ADA).await;
    assert_eq!(app.reset(&link, "correct horse").await.status(), 204);
    app.drain().await;
}

/// IAM can only limit a query to the attributes that the request names.
#[tokio::test]
async fn the_lookup_names_the_attributes_that_it_reads() {
    for (key, index, read) in [
        ("id", json!("email-index"), vec!["email", "id"]),
        ("email", Value::Null, vec!["email"]),
    ] {
        let app = TestApp::with(&[("USERS_KEY_ATTRIBUTE", key)]).await;
        app.user("1", ADA).await;
        app.forgot(ADA).await;
        app.aws.take_calls();
        app.stream().await;
        let calls = app.aws.take_calls();
        let expected = [
            "UpdateItem",
            "Query",
            "GetItem",
            "GetItem",
            "PutItem",
            "SendEmail",
            "PutItem",
        ];
        assert_eq!(calls, expected);
        let lookup = app.aws.last_body("Query");
        assert_eq!(lookup["TableName"], "users");
        assert_eq!(lookup["IndexName"], index);
        assert_eq!(lookup["Select"], "SPECIFIC_ATTRIBUTES");
        let projection = lookup["ProjectionExpression"].as_str().unwrap();
        let mut named: Vec<&str> = projection
            .split(", ")
            .map(|name| lookup["ExpressionAttributeNames"][name].as_str().unwrap())
            .collect();
        named.sort_unstable();
        assert_eq!(named, read);
    }
}

#[tokio::test]
async fn a_lookup_by_key_finds_nobody_for_an_unknown_address() {
    let app = TestApp::with(&[("USERS_KEY_ATTRIBUTE", "email")]).await;
    app.user("1", ADA).await;
    app.forgot("eve@example.com").await;
    app.stream().await;
    assert_eq!(app.aws.mails().len(), 0);
    assert_eq!(app.events(), ["RequestsAccepted", "UnknownAddresses"]);
}

#[tokio::test]
async fn asking_changes_nothing_about_the_user() {
    let app = TestApp::with_ada().await;
    app.link(ADA).await;
    let users = app
        .dynamodb
        .scan()
        .table_name("users")
        .send()
        .await
        .unwrap()
        .items
        .unwrap();
    assert_eq!(users[0].len(), 3);
    assert_eq!(app.stored("1", "password_hash").await, "old");
}

#[tokio::test]
async fn the_table_holds_no_token() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    let rows = json!(app.rows("").await).to_string();
    assert!(rows.contains("token#") && !rows.contains(&link.token));
}

/// Waits for all.
pub(crate) async fn futures<T>(all: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
