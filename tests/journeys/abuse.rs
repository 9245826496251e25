//! Too much is held back, for known and unknown addresses alike, and nobody else notices.

use jiff::SignedDuration;
use rekey::http::response::Response;
use serde_json::{Value, json};

use crate::app::{ADA, PAGE, TestApp};
use crate::forgot::futures;
use crate::torture::{report, times};

async fn ask_from(app: &TestApp, source: &str, email: &str) -> Response {
    let body = json!({ "email": email, "reset_url": PAGE }).to_string();
    let mut event = app.event("/password/forgot", &body);
    event["requestContext"]["http"]["sourceIp"] = json!(source);
    app.send(event).await
}

#[tokio::test]
async fn a_source_that_repeats_one_address_is_told_too_and_asks_nothing_of_the_table_any_more() {
    let app = TestApp::with(&[("SOURCE_LIMIT", "10")]).await;
    for _ in 0..10 {
        assert_eq!(app.forgot(ADA).await.status(), 202);
    }
    app.aws.take_calls();
    assert_eq!(app.forgot(ADA).await.status(), 429);
    assert_eq!(app.forgot("eve@example.com").await.status(), 429);
    assert_eq!(app.aws.take_calls(), [""; 0]);
    let other = ask_from(&app, "192.0.2.2", "bob@example.com").await;
    assert_eq!(other.status(), 202);
    app.drain().await;
}

#[tokio::test]
async fn an_address_has_at_most_five_live_links_and_strangers_see_nothing_of_it() {
    let app = TestApp::with_ada().await;
    let mut answers = Vec::new();
    for _ in 0..8 {
        for email in [ADA, "nobody@example.com"] {
            let answer = app.forgot(email).await;
            answers.push((answer.status(), answer.body().to_owned()));
        }
        app.stream().await;
        app.later(SignedDuration::from_secs(61));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(answers[0].0, 202);
    assert_eq!(app.aws.mails().len(), 5);
    let events = app.events();
    let held_back = events.iter().filter(|event| *event == "RequestsHeldBack");
    assert_eq!(held_back.count(), 3);

    // The first link expires an hour after it was sent.
    app.later(SignedDuration::from_mins(52));
    app.link(ADA).await;
    assert_eq!(app.aws.mails().len(), 6);
}

/// A thief with one stolen link must not keep the owner from asking for another.
#[tokio::test]
async fn a_change_lifts_the_limit_of_an_address() {
    let app = TestApp::with(&[("ADDRESS_LIMIT", "2")]).await;
    app.user("1", ADA).await;
    let stolen = app.link(ADA).await;
    app.later(SignedDuration::from_secs(61));
    app.link(ADA).await;
    assert_eq!(app.reset(&stolen, "the thief's own").await.status(), 204);
    app.later(SignedDuration::from_secs(61));
    let link = app.link(ADA).await;
    assert_eq!(app.reset(&link, "the owner's again").await.status(), 204);
    app.drain().await;
}

#[tokio::test]
async fn after_the_daily_limit_an_address_has_one_live_link_at_a_time() {
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
        app.stream().await;
        sent.push(app.aws.mails().len());
        app.later(SignedDuration::from_secs(60));
    }
    // Two at once, the third when the first has expired; then the next whenever the last has.
    let expected = [1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5];
    assert_eq!(sent, expected);
    let last = app.aws.mails().pop().unwrap().link();
    app.later(-SignedDuration::from_secs(60));
    assert_eq!(app.reset(&last, "correct horse").await.status(), 204);
    app.drain().await;
}

/// SES has the email: to fail then would have the stream bring the record, and another email, again.
#[tokio::test]
async fn a_link_that_cannot_be_counted_is_sent_once() {
    let app = TestApp::with_ada().await;
    app.forgot(ADA).await;
    app.aws.spare("PutItem", 1);
    app.aws.fail("PutItem", 3, (500, "InternalServerError", ""));
    assert_eq!(app.stream().await, None);
    assert_eq!(app.aws.mails().len(), 1);
    assert_eq!(app.events()[1..], ["LinksSent", "Fault"]);
}

/// The settings of a budget of a hundred emails a day, and the smallest allowance of a source that goes with it.
const SMALL_BUDGET: [(&str, &str); 3] = [
    ("DAILY_MAIL_BUDGET", "100"),
    ("SOURCE_LIMIT", "1"),
    ("SOURCE_WINDOW_SECONDS", "3600"),
];

/// Has so many requests for unknown addresses processed, each from another source.
async fn spend(app: &TestApp, emails: std::ops::Range<u32>) {
    for n in emails {
        let source = format!("198.51.100.{n}");
        let answer = ask_from(app, &source, &format!("{n}@example.com")).await;
        assert_eq!(answer.status(), 202);
    }
    assert_eq!(app.stream().await, None);
}

/// The units that a metric has in the log (CloudWatch User Guide, "Specification: Embedded metric format").
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
async fn the_days_budget_of_mails_is_kept_told_from_80_percent_on_and_counts_unknown_addresses() {
    let app = TestApp::with(&SMALL_BUDGET).await;
    app.user("1", ADA).await;
    let told = |app: &TestApp| {
        let lines = app.log();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told = lines.filter_map(|line| line["EmailBudgetUtilization"].as_i64());
        let mut told: Vec<i64> = told.collect();
        told.sort_unstable();
        told
    };
    spend(&app, 0..79).await;
    assert_eq!(told(&app), [0; 0]);
    spend(&app, 79..100).await;
    assert_eq!(told(&app), (80..=100).collect::<Vec<_>>());
    assert_eq!(units(&app.log(), "EmailBudgetUtilization"), ["Percent"]);
    assert_eq!(units(&app.log(), "RequestsAccepted"), ["Count"]);
    let full = |app: &TestApp| told(app).iter().filter(|percent| **percent == 100).count();
    let full_before = full(&app);

    assert_eq!(
        app.forgot(ADA).await.status(),
        202,
        "a stranger sees nothing"
    );
    assert!(app.stream().await.is_some(), "it waits");
    assert_eq!(app.aws.mails().len(), 0);
    assert_eq!(full(&app), full_before + 1, "the refused email reports it");

    app.later(SignedDuration::from_mins(50));
    assert!(app.stream().await.is_some());
    app.allow_unprocessed("the last request waits for the next day's budget");
}

#[tokio::test]
async fn what_waited_for_the_next_days_budget_is_sent_if_its_link_would_still_be_good() {
    let app = TestApp::with(&SMALL_BUDGET).await;
    app.user("1", ADA).await;
    app.later(SignedDuration::new(11 * 3600 + 45 * 60, 0));
    spend(&app, 0..100).await;
    app.forgot(ADA).await;
    assert!(app.stream().await.is_some());
    app.later(SignedDuration::from_mins(30));
    assert_eq!(app.stream().await, None);
    assert_eq!(app.aws.mails().len(), 1);
}

/// Five hundred requests a second, of which one is another's, at four instances.
#[tokio::test]
async fn under_a_flood_from_one_source_the_others_still_get_their_mail() {
    const RATE: usize = 500;
    const SOURCE_LIMIT: usize = 100;
    let app = TestApp::open().await;
    let seconds = times(3, 60);
    let instances: Vec<TestApp> = (0..4).map(|_| app.instance()).collect();
    let (mut let_through, mut calls) = (0, 0);
    for second in 0..seconds {
        let other = format!("other-{second}@example.com");
        app.user(&second.to_string(), &other).await;
        app.aws.take_calls();
        let flood = (0..RATE).map(|n| {
            let email = format!("{second}-{n}@example.com");
            let instance = &instances[n % instances.len()];
            async move { ask_from(instance, "198.51.100.7", &email).await.status() }
        });
        let source = format!("192.0.2.{second}");
        let (flooded, answer) = tokio::join!(
            futures(flood.collect()),
            ask_from(&instances[0], &source, &other)
        );
        assert_eq!(answer.status(), 202);
        assert!(flooded.iter().all(|status| [202, 429].contains(status)));
        let_through += flooded.iter().filter(|status| **status == 202).count();
        calls += app.aws.take_calls().len();
        app.stream().await;
        let mails = app.aws.mails();
        assert_eq!(mails.last().unwrap().to(), other, "in the same second");
        for each in instances.iter().chain([&app]) {
            each.later(SignedDuration::from_secs(1));
        }
    }
    assert!(let_through <= SOURCE_LIMIT * (1 + seconds / 300));
    // Each instance asks the table until it has seen as many itself, and then no more.
    assert!(calls <= seconds + instances.len() * SOURCE_LIMIT, "{calls}");
    let shown = format!("{let_through} let through, {seconds} others got their link");
    report(
        "500 requests a second from one source",
        seconds * RATE,
        &shown,
    );
}
