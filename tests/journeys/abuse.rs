//! Rate limits apply to known and unknown addresses alike, and do not affect other sources.

use jiff::SignedDuration;
use rekey::http::response::Response;
use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::{ADA, PAGE, PASSWORD};
use support::email::Link;
use support::futures::futures;
use support::torture::{report, times};

async fn request_from(app: &TestApp, source: &str, email: &str) -> Response {
    let body = json!({ "email": email, "reset_url": PAGE }).to_string();
    let mut event = app.event("/password/forgot", &body);
    event["requestContext"]["http"]["sourceIp"] = json!(source);
    app.send(event).await
}

#[tokio::test]
async fn a_source_that_repeats_one_address_is_limited_without_calling_the_table() {
    let app = TestApp::with(&[("SOURCE_LIMIT", "10")]).await;
    for _ in 0..10 {
        assert_eq!(app.forgot(ADA).await.status(), 202);
    }
    app.aws.take_calls();
    assert_eq!(app.forgot(ADA).await.status(), 429);
    assert_eq!(app.forgot("eve@example.com").await.status(), 429);
    assert_eq!(app.aws.take_calls(), [""; 0]);
    let other = request_from(&app, "192.0.2.2", "bob@example.com").await;
    assert_eq!(other.status(), 202);
    app.process_stream().await;
}

/// The lookup runs beside the counter, so it must not start either.
#[tokio::test]
async fn a_source_that_tries_many_tokens_is_limited_without_calling_the_table() {
    let app = TestApp::with(&[("SOURCE_LIMIT", "3"), ("SOURCE_WINDOW_SECONDS", "300")]).await;
    app.user("1", ADA).await;
    let link = app.link(ADA).await;
    let guess = Link {
        token: "0".repeat(64),
        ..link.clone()
    };
    for _ in 0..3 {
        assert_eq!(app.reset(&guess, PASSWORD).await.status(), 422);
    }
    app.aws.take_calls();
    let response = app.reset(&link, PASSWORD).await;
    assert_eq!(response.status(), 429);
    assert!(response.header("Retry-After").is_some());
    assert_eq!(app.aws.take_calls(), [""; 0]);
    app.clock.advance(SignedDuration::from_secs(300));
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    app.process_stream().await;
}

#[tokio::test]
async fn an_address_has_at_most_five_live_links_and_callers_cannot_see_it() {
    let app = TestApp::with_ada().await;
    let mut responses = Vec::new();
    for _ in 0..8 {
        for email in [ADA, "nobody@example.com"] {
            let response = app.forgot(email).await;
            responses.push((response.status(), response.body().to_owned()));
        }
        app.try_process_stream().await;
        app.clock.advance(SignedDuration::from_secs(61));
    }
    assert!(responses.iter().all(|response| *response == responses[0]));
    assert_eq!(responses[0].0, 202);
    assert_eq!(app.aws.emails().len(), 5);
    let events = app.events();
    let limited = events.iter().filter(|event| *event == "RequestsHeldBack");
    assert_eq!(limited.count(), 3);

    // The first link expires an hour after it was sent.
    app.clock.advance(SignedDuration::from_mins(52));
    app.link(ADA).await;
    assert_eq!(app.aws.emails().len(), 6);
}

/// A thief with one stolen link must not stop the owner from requesting another.
#[tokio::test]
async fn a_password_change_resets_the_limit_of_the_address() {
    let app = TestApp::with(&[("ADDRESS_LIMIT", "2")]).await;
    app.user("1", ADA).await;
    let stolen = app.link(ADA).await;
    app.clock.advance(SignedDuration::from_secs(61));
    app.link(ADA).await;
    assert_eq!(app.reset(&stolen, "the thief's own").await.status(), 204);
    app.clock.advance(SignedDuration::from_secs(61));
    let link = app.link(ADA).await;
    assert_eq!(app.reset(&link, "the owner's again").await.status(), 204);
    app.process_stream().await;
}

#[tokio::test]
async fn an_address_over_its_daily_limit_has_one_live_link_at_a_time() {
    let settings = [
        ("TOKEN_LIFETIME_MINUTES", "5"),
        ("ADDRESS_LIMIT", "2"),
        ("ADDRESS_DAILY_LIMIT", "3"),
    ];
    let app = TestApp::with(&settings).await;
    app.user("1", ADA).await;
    let mut sent = Vec::new();
    for _ in 0..20 {
        app.forgot(ADA).await;
        app.try_process_stream().await;
        sent.push(app.aws.emails().len());
        app.clock.advance(SignedDuration::from_secs(60));
    }
    // Two links are live at once, and the third follows when the first expires. After that, each waits for the last.
    let expected = [1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5];
    assert_eq!(sent, expected);
    let last = app.aws.emails().pop().unwrap().link();
    app.clock.advance(-SignedDuration::from_secs(60));
    assert_eq!(app.reset(&last, "correct horse").await.status(), 204);
    app.process_stream().await;
}

/// SES has accepted the email. If the record failed now, the stream would deliver it again, and send a second email.
#[tokio::test]
async fn a_link_is_sent_once_if_it_cannot_be_counted() {
    let app = TestApp::with_ada().await;
    app.forgot(ADA).await;
    app.aws.succeed("PutItem", 1);
    app.aws.fail("PutItem", 3, (500, "InternalServerError", ""));
    assert_eq!(app.try_process_stream().await, None);
    assert_eq!(app.aws.emails().len(), 1);
    assert_eq!(app.events()[1..], ["LinksSent", "Fault"]);
}

/// A budget of a hundred emails a day, and the smallest source limit that is valid with it.
const SMALL_BUDGET: [(&str, &str); 3] = [
    ("DAILY_MAIL_BUDGET", "100"),
    ("SOURCE_LIMIT", "1"),
    ("SOURCE_WINDOW_SECONDS", "3600"),
];

/// Spends the budget on requests for unknown addresses, each from its own source.
async fn spend(app: &TestApp, emails: std::ops::Range<u32>) {
    for n in emails {
        let source = format!("198.51.100.{n}");
        let response = request_from(app, &source, &format!("{n}@example.com")).await;
        assert_eq!(response.status(), 202);
    }
    assert_eq!(app.try_process_stream().await, None);
}

/// Returns the units of a metric in the log (CloudWatch User Guide, "Specification: Embedded metric format").
fn units(log: &str, name: &str) -> Vec<String> {
    let mut units: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .flat_map(|line| {
            line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .filter(|metric| metric["Name"] == name)
        .map(|metric| metric["Unit"].as_str().unwrap().to_owned())
        .collect();
    units.dedup();
    units
}

#[tokio::test]
async fn the_daily_email_budget_counts_unknown_addresses_and_is_logged_from_80_percent() {
    let app = TestApp::with(&SMALL_BUDGET).await;
    app.user("1", ADA).await;
    let utilization = |app: &TestApp| {
        let lines = app.log();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let percentages = lines.filter_map(|line| line["EmailBudgetUtilization"].as_i64());
        let mut percentages: Vec<i64> = percentages.collect();
        percentages.sort_unstable();
        percentages
    };
    spend(&app, 0..79).await;
    assert_eq!(utilization(&app), [0; 0]);
    spend(&app, 79..100).await;
    assert_eq!(utilization(&app), (80..=100).collect::<Vec<_>>());
    assert_eq!(units(&app.log(), "EmailBudgetUtilization"), ["Percent"]);
    assert_eq!(units(&app.log(), "RequestsAccepted"), ["Count"]);
    let full = |app: &TestApp| {
        utilization(app)
            .iter()
            .filter(|percent| **percent == 100)
            .count()
    };
    let full_before = full(&app);

    assert_eq!(
        app.forgot(ADA).await.status(),
        202,
        "the caller cannot see it"
    );
    assert!(app.try_process_stream().await.is_some(), "the record waits");
    assert_eq!(app.aws.emails().len(), 0);
    assert_eq!(full(&app), full_before + 1, "the rejected email reports it");

    app.clock.advance(SignedDuration::from_mins(50));
    assert!(app.try_process_stream().await.is_some());
    app.allow_unprocessed("the last request waits for the next day's budget");
}

#[tokio::test]
async fn a_request_over_budget_is_sent_the_next_day_unless_it_expired() {
    let app = TestApp::with(&SMALL_BUDGET).await;
    app.user("1", ADA).await;
    app.clock
        .advance(SignedDuration::new(11 * 3600 + 45 * 60, 0));
    spend(&app, 0..100).await;
    app.forgot(ADA).await;
    assert!(app.try_process_stream().await.is_some());
    app.clock.advance(SignedDuration::from_mins(30));
    assert_eq!(app.try_process_stream().await, None);
    assert_eq!(app.aws.emails().len(), 1);
}

/// Five hundred requests a second from one source, and one from another, at four instances.
#[tokio::test]
async fn other_sources_get_their_links_during_a_flood_from_one_source() {
    const RATE: usize = 500;
    const SOURCE_LIMIT: usize = 100;
    let app = TestApp::open().await;
    let seconds = times(3, 60);
    let instances: Vec<TestApp> = (0..4).map(|_| app.instance()).collect();
    let (mut accepted, mut calls) = (0, 0);
    for second in 0..seconds {
        let other = format!("other-{second}@example.com");
        app.user(&second.to_string(), &other).await;
        app.aws.take_calls();
        let flood = (0..RATE).map(|n| {
            let email = format!("{second}-{n}@example.com");
            let instance = &instances[n % instances.len()];
            async move {
                request_from(instance, "198.51.100.7", &email)
                    .await
                    .status()
            }
        });
        let source = format!("192.0.2.{second}");
        let (flooded, response) = tokio::join!(
            futures(flood.collect()),
            request_from(&instances[0], &source, &other)
        );
        assert_eq!(response.status(), 202);
        assert!(flooded.iter().all(|status| [202, 429].contains(status)));
        accepted += flooded.iter().filter(|status| **status == 202).count();
        calls += app.aws.take_calls().len();
        app.try_process_stream().await;
        let emails = app.aws.emails();
        assert_eq!(emails.last().unwrap().to(), other, "in the same second");
        for each in instances.iter().chain([&app]) {
            each.clock.advance(SignedDuration::from_secs(1));
        }
    }
    assert!(accepted <= SOURCE_LIMIT * (1 + seconds / 300));
    // Each instance calls the table until its own count reaches the limit, and then no more.
    assert!(calls <= seconds + instances.len() * SOURCE_LIMIT, "{calls}");
    let shown = format!("{accepted} accepted, {seconds} other sources got their link");
    report(
        "500 requests a second from one source",
        seconds * RATE,
        &shown,
    );
}
