//! Journeys of users who request a link.

use jiff::SignedDuration;
use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::{ADA, PAGE};
use support::futures::futures;

#[tokio::test]
async fn a_user_who_requests_a_link_receives_it_by_email() {
    let app = TestApp::with_ada().await;
    app.forgot(" ADA@Example.com ").await;
    app.try_process_stream().await;

    let emails = app.aws.emails();
    assert_eq!(emails.len(), 1);
    assert_eq!(emails[0].to(), ADA);
    assert_eq!(
        emails[0].subject(),
        "Set a new password for Example & Söhne"
    );
    let link = emails[0].link();
    assert!(
        link.url
            .as_str()
            .starts_with("https://app.example.com/password/reset?email=")
    );
    assert_eq!((link.email.as_str(), link.token.len()), (ADA, 64));
    assert!(
        emails[0]
            .text()
            .contains("works once and expires after 1 hour")
    );
    assert!(emails[0].text().contains("If you did not request this"));
    assert_eq!(app.events(), ["RequestsAccepted", "LinksSent"]);
}

/// Compares the responses to callers, and the traffic between Rekey and AWS, in each state of an address.
#[tokio::test]
async fn known_and_unknown_addresses_cause_the_same_responses_and_calls() {
    let app = TestApp::with(&[("ADDRESS_LIMIT", "2"), ("SOURCE_LIMIT", "12")]).await;
    app.user("1", ADA).await;
    let suppressed = (400, "MessageRejected", "The address is suppressed.");
    let throttled = (400, "ThrottlingException", "");
    app.aws.fail("SendEmail", 1, suppressed);
    let (now, later) = (SignedDuration::ZERO, SignedDuration::from_secs(61));
    for (state, wait, status, calls) in [
        ("the first request", now, 202, 1),
        ("within the cooldown", now, 202, 1),
        ("after SES rejected the first email", later, 202, 1),
        ("after SES accepted the second email", later, 202, 1),
        ("enough links are live", later, 202, 1),
        ("the table throttles", later, 503, 3),
        ("the source reached its limit", now, 429, 0),
    ] {
        app.clock.advance(wait);
        let mut responses = Vec::new();
        for email in [ADA, "eve@example.com"] {
            if status == 503 {
                app.aws.fail("TransactWriteItems", 3, throttled);
            }
            app.aws.take_traffic();
            responses.push((request(&app, email).await, app.aws.take_traffic()));
        }
        assert_eq!(responses[0], responses[1], "{state}");
        assert_eq!(responses[0].0.status(), status, "{state}");
        assert_eq!(responses[0].1.len(), calls, "{state}");
        app.try_process_stream().await;
    }
    let events = app.events();
    let count = |name| events.iter().filter(|event| *event == name).count();
    assert_eq!((count("EmailsRejected"), count("LinksSent")), (1, 2));
    assert_eq!(count("RequestsHeldBack"), 1);
    assert_eq!(count("UnknownAddresses"), 4);
}

/// Requests a link with a constant request ID.
async fn request(app: &TestApp, email: &str) -> rekey::http::response::Response {
    let body = json!({ "email": email, "reset_url": PAGE }).to_string();
    let mut event = app.event("/password/forgot", &body);
    event["requestContext"]["requestId"] = json!("request");
    app.send(event).await
}

#[tokio::test]
async fn a_second_request_within_the_cooldown_gets_the_same_response_and_sends_nothing() {
    let app = TestApp::with_ada().await;
    for email in [ADA, "eve@example.com"] {
        let first = app.forgot(email).await;
        app.try_process_stream().await;
        let second = app.forgot(email).await;
        assert_eq!(
            (first.status(), first.body()),
            (second.status(), second.body())
        );
        assert_eq!(app.try_process_stream().await, None);
        assert_eq!(app.aws.emails().len(), 1);
    }

    app.clock.advance(SignedDuration::from_secs(60));
    app.forgot(ADA).await;
    app.try_process_stream().await;
    assert_eq!(app.aws.emails().len(), 2);
}

#[tokio::test]
async fn parallel_requests_for_one_address_send_one_email() {
    let app = TestApp::with_ada().await;
    let requests: Vec<_> = (0..20).map(|_| app.forgot(ADA)).collect();
    for response in futures(requests).await {
        assert_eq!(response.status(), 202);
    }
    app.try_process_stream().await;
    assert_eq!(app.aws.emails().len(), 1);
    assert_eq!(
        app.events()
            .iter()
            .filter(|event| *event == "RequestsAccepted")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_source_over_its_limit_gets_retry_after_and_other_sources_are_accepted() {
    let app = TestApp::with(&[("SOURCE_LIMIT", "3"), ("SOURCE_WINDOW_SECONDS", "60")]).await;
    let request = |email: String, source: &'static str| {
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
            request(format!("{n}@example.com"), "2001:db8::1")
                .await
                .status(),
            202
        );
    }
    // Another address of the same /64.
    let flooded = request("3@example.com".to_owned(), "2001:db8::2").await;
    assert_eq!(flooded.status(), 429);
    assert_eq!(flooded.header("Retry-After"), Some("60"));
    assert_eq!(
        request("4@example.com".to_owned(), "2001:db8:0:1::1")
            .await
            .status(),
        202
    );

    app.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(
        request("5@example.com".to_owned(), "2001:db8::2")
            .await
            .status(),
        202
    );
    app.process_stream().await;
}

#[tokio::test]
async fn parallel_requests_do_not_exceed_the_limit_of_their_source() {
    let app = TestApp::with(&[("SOURCE_LIMIT", "10")]).await;
    let emails: Vec<String> = (0..30).map(|n| format!("{n}@example.com")).collect();
    let responses = futures(emails.iter().map(|email| app.forgot(email)).collect()).await;
    assert_eq!(
        responses
            .iter()
            .filter(|response| response.status() == 202)
            .count(),
        10
    );
    assert_eq!(app.rows("request#").await.len(), 10);
    app.process_stream().await;
}

#[tokio::test]
async fn a_row_that_expired_or_was_forged_sends_nothing() {
    let app = TestApp::with_ada().await;
    app.forgot(ADA).await;
    let row = app.rows("request#").await.remove(0);

    let mut elsewhere = row.clone();
    elsewhere["reset_url"]["S"] = json!("https://evil.test/");
    let mut malformed = row.clone();
    malformed["email"]["S"] = json!("ada@example.com, eve@evil.test");
    assert_eq!(app.deliver(&[&elsewhere]).await, None);
    assert_eq!(app.deliver(&[&malformed]).await, None);
    app.clock.advance(SignedDuration::from_mins(61));
    assert_eq!(app.deliver(&[&row]).await, None);

    assert_eq!(app.aws.emails().len(), 0);
    assert_eq!(
        app.events()[1..],
        ["RecordsDiscarded", "RecordsDiscarded", "RecordsDiscarded"]
    );
}

#[tokio::test]
async fn rows_of_other_kinds_are_ignored() {
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
    assert_eq!(app.deliver(&others).await, None);
    assert_eq!(app.log(), logged);
}
