//! Too much is held back, for known and unknown addresses alike, and nobody else notices.

use jiff::SignedDuration;
use rekey::http::Response;
use serde_json::{Value, json};

use crate::desk::{ADA, Desk, PAGE};
use crate::forgot::futures;
use crate::torture::{report, times};

async fn ask_from(desk: &Desk, source: &str, email: &str) -> Response {
    let body = json!({ "email": email, "reset_url": PAGE }).to_string();
    let mut event = desk.event("/password/forgot", &body);
    event["requestContext"]["http"]["sourceIp"] = json!(source);
    desk.send(event).await
}

#[tokio::test]
async fn a_source_that_repeats_one_address_is_told_too_and_asks_nothing_of_the_table_any_more() {
    let desk = Desk::with(&[("SOURCE_LIMIT", "10")]).await;
    for _ in 0..10 {
        assert_eq!(desk.forgot(ADA).await.status(), 202);
    }
    desk.aws.take_calls();
    assert_eq!(desk.forgot(ADA).await.status(), 429);
    assert_eq!(desk.forgot("eve@example.com").await.status(), 429);
    assert_eq!(desk.aws.take_calls(), [""; 0]);
    let other = ask_from(&desk, "192.0.2.2", "bob@example.com").await;
    assert_eq!(other.status(), 202);
    desk.drain().await;
}

#[tokio::test]
async fn an_address_is_sent_so_many_links_while_one_of_them_is_alive_and_strangers_see_nothing_of_it()
 {
    let desk = Desk::with_ada().await;
    let mut answers = Vec::new();
    for n in 0..8 {
        for email in [ADA, "nobody@example.com"] {
            let source = format!("192.0.2.{n}");
            answers.push(ask_from(&desk, &source, email).await);
        }
        desk.later(SignedDuration::from_secs(61));
    }
    assert!(answers.iter().all(|answer| answer.status() == 202));
    assert!(
        answers
            .iter()
            .all(|answer| answer.body() == answers[0].body())
    );
    desk.stream().await;
    let sent = |desk: &Desk| desk.aws.mails().len();
    let asked = |row: &&Value| row["pk"]["S"].as_str().unwrap().contains("#address#");
    let rows = desk.rows("rate#").await;
    let counted: Vec<&str> = rows
        .iter()
        .filter(asked)
        .map(|row| row["requests"]["N"].as_str().unwrap())
        .collect();
    assert_eq!(counted, ["5", "5"], "known and unknown alike");
    assert_eq!(
        sent(&desk),
        1,
        "of a stream that was carried once, the last version of the row"
    );

    desk.later(SignedDuration::from_hours(1));
    desk.forgot(ADA).await;
    desk.stream().await;
    assert_eq!(sent(&desk), 2);
}

#[tokio::test]
async fn the_days_budget_of_mails_is_kept_told_from_80_percent_on_and_counts_unknown_addresses() {
    let desk = Desk::with(&[("DAILY_MAIL_BUDGET", "5")]).await;
    desk.user("1", ADA).await;
    for n in 0..4 {
        desk.forgot(&format!("{n}@example.com")).await;
    }
    desk.stream().await;
    let told = |desk: &Desk| {
        let lines = desk.log();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told = lines.filter_map(|line| line["MailBudgetUsed"].as_i64());
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&desk), [80]);

    desk.forgot("5@example.com").await;
    assert_eq!(desk.stream().await, None);
    assert_eq!(
        desk.forgot(ADA).await.status(),
        202,
        "a stranger sees nothing"
    );
    assert!(desk.stream().await.is_some(), "it waits");
    assert_eq!(desk.aws.mails().len(), 0);
    assert_eq!(told(&desk), [80, 100, 100]);

    desk.later(SignedDuration::from_mins(50));
    assert!(desk.stream().await.is_some());
    desk.allow_unprocessed("the last request waits for the next day's budget");
}

#[tokio::test]
async fn what_waited_for_the_next_days_budget_is_sent_if_its_link_would_still_be_good() {
    let desk = Desk::with(&[("DAILY_MAIL_BUDGET", "1")]).await;
    desk.user("1", ADA).await;
    desk.later(SignedDuration::new(11 * 3600 + 45 * 60, 0));
    desk.forgot("nobody@example.com").await;
    desk.stream().await;
    desk.forgot(ADA).await;
    assert!(desk.stream().await.is_some());
    desk.later(SignedDuration::from_mins(30));
    assert_eq!(desk.stream().await, None);
    assert_eq!(desk.aws.mails().len(), 1);
}

/// Five hundred requests a second, of which one is another's, at four instances.
#[tokio::test]
async fn under_a_flood_from_one_source_the_others_still_get_their_mail() {
    const RATE: usize = 500;
    const SOURCE_LIMIT: usize = 100;
    let desk = Desk::open().await;
    let seconds = times(3, 60);
    let instances: Vec<Desk> = (0..4).map(|_| desk.instance()).collect();
    let (mut let_through, mut calls) = (0, 0);
    for second in 0..seconds {
        let other = format!("other-{second}@example.com");
        desk.user(&second.to_string(), &other).await;
        desk.aws.take_calls();
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
        calls += desk.aws.take_calls().len();
        desk.stream().await;
        let mails = desk.aws.mails();
        assert_eq!(mails.last().unwrap().to(), other, "in the same second");
        for each in instances.iter().chain([&desk]) {
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
