//! Races: of several simultaneous writes, one wins, and the others get an error.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordVerifier as _};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use rekey::http::response::Response;

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::email::Link;
use support::futures::futures;
use support::random::Dice;
use support::responses::is_rejected;
use support::torture::{report, times};

/// Returns a pseudorandom number, which is the same in each run of the test.
fn dice(round: usize, sides: usize) -> usize {
    Dice(round as u64).roll(sides)
}

/// Returns whether a reset won. A losing reset is rejected, or conflicts on every attempt and may be retried.
fn won(response: &Response) -> bool {
    let has_conflicted = response.status() == 503 && response.header("Retry-After") == Some("2");
    let body = response.body();
    let is_legal = response.status() == 204 || is_rejected(response) || has_conflicted;
    assert!(is_legal, "{}: {body}", response.status());
    response.status() == 204
}

fn is_hash_of(hash: &str, password: &str) -> bool {
    let argon2 = Argon2::default();
    argon2.verify_password(password.as_bytes(), hash).is_ok()
}

async fn notices(app: &TestApp) -> usize {
    assert_eq!(app.try_process_stream().await, None);
    let emails = app.aws.emails();
    let notices = emails
        .iter()
        .filter(|email| email.subject().contains("was changed"));
    notices.count()
}

/// Uses these links at the same time, and checks that one wins. Its password is stored, and its owner gets one notice.
async fn one_wins(app: &TestApp, links: &[&Link]) {
    let passwords: Vec<String> = (0..links.len())
        .map(|n| format!("password of number {n}"))
        .collect();
    let resets = links.iter().zip(&passwords);
    let resets = resets.map(|(link, password)| app.reset(link, password));
    let responses = futures(resets.collect()).await;

    let winners: Vec<usize> = (0..links.len()).filter(|n| won(&responses[*n])).collect();
    assert_eq!(winners.len(), 1);
    let hash = app.stored("1", "password_hash").await;
    assert!(is_hash_of(&hash, &passwords[winners[0]]));
    assert_eq!(notices(app).await, 1);
}

#[tokio::test]
async fn fifty_resets_with_one_link_have_one_winner() {
    let rounds = times(2, 200);
    for round in 0..rounds {
        let app = TestApp::with_ada().await;
        let link = app.link(ADA).await;
        // In every second round, this many transactions conflict. Some resets conflict twice, some on every attempt.
        app.aws.conflict((round % 2) * dice(round, 100));
        one_wins(&app, &[&link; 50]).await;
        assert!(is_rejected(&app.reset(&link, PASSWORD).await));
        assert_eq!(app.rows("token#").await.len(), 0);
    }
    let what = "50 simultaneous resets with one link";
    report(what, rounds * 50, "one winner each");
}

#[tokio::test]
async fn fifty_resets_with_fifty_links_have_one_winner_and_end_every_link() {
    let rounds = times(1, 100);
    for round in 0..rounds {
        let settings = [
            ("ADDRESS_LIMIT", "100"),
            ("ADDRESS_DAILY_LIMIT", "100"),
            ("SOURCE_LIMIT", "1000"),
            ("DAILY_MAIL_BUDGET", "1000000"),
        ];
        let app = TestApp::with(&settings).await;
        app.user("1", ADA).await;
        let mut links = Vec::new();
        for _ in 0..50 {
            links.push(app.link(ADA).await);
            app.clock.advance(SignedDuration::from_secs(60));
        }
        app.aws.conflict((round % 2) * dice(round, 100));
        one_wins(&app, &links.iter().collect::<Vec<_>>()).await;
        let second = links.iter().map(|link| app.reset(link, PASSWORD));
        let second = futures(second.collect()).await;
        assert!(second.iter().all(is_rejected));
    }
    let what = "50 simultaneous resets with 50 links of one user";
    report(what, rounds * 50, "one winner each, no link left");
}

/// A simultaneous write of the application to the user.
#[derive(Clone, Copy, Debug)]
enum Write {
    Address,
    Password,
    Deletion,
}

impl Write {
    async fn run(self, app: &TestApp) {
        let key = AttributeValue::S("1".to_owned());
        let update = app.dynamodb.update_item().table_name("users");
        let update = update.key("id", key.clone());
        let text = |text: &str| AttributeValue::S(text.to_owned());
        match self {
            Self::Address => {
                let update = update.update_expression("SET email = :email");
                let update = update.expression_attribute_values(":email", text("c@example.com"));
                update.send().await.map(drop).unwrap();
            }
            Self::Password => {
                let now = AttributeValue::N("1795435200.5".to_owned());
                let update = update
                    .update_expression("SET password_hash = :hash, password_changed_at = :now")
                    .expression_attribute_values(":hash", text("the application's"))
                    .expression_attribute_values(":now", now);
                update.send().await.map(drop).unwrap();
            }
            Self::Deletion => {
                let delete = app.dynamodb.delete_item().table_name("users");
                delete.key("id", key).send().await.map(drop).unwrap();
            }
        }
    }

    /// Checks that the user is as if the reset and this write ran one after the other. The write always succeeds, and
    /// ends the link, so a winning reset was first.
    async fn check_order(self, app: &TestApp, is_reset: bool) {
        let user = user(app).await;
        let hash = user.as_ref().map(|user| user["password_hash"].as_str());
        match (self, hash) {
            (Self::Address, Some(hash)) => {
                assert_eq!(user.as_ref().unwrap()["email"], "c@example.com");
                let is_old = hash == "old";
                assert!(is_old != is_reset && (is_old || is_hash_of(hash, PASSWORD)));
            }
            (Self::Password, Some(hash)) => {
                assert_eq!(hash, "the application's");
                assert_eq!(
                    user.as_ref().unwrap()["password_changed_at"],
                    "1795435200.5"
                );
            }
            (Self::Deletion, None) => {}
            _ => panic!("{self:?} left {user:?}"),
        }
        assert_eq!(notices(app).await, usize::from(is_reset));
    }
}

async fn user(app: &TestApp) -> Option<HashMap<String, String>> {
    let scan = app.dynamodb.scan().table_name("users");
    let users = scan.send().await.unwrap().items.unwrap();
    assert!(users.len() <= 1);
    let texts = |(name, value): (&String, &AttributeValue)| match value {
        AttributeValue::S(text) | AttributeValue::N(text) => (name.clone(), text.clone()),
        other => panic!("{other:?}"),
    };
    users.first().map(|user| user.iter().map(texts).collect())
}

/// Waits until AWS receives this call, if there is one, and then yields a number of times.
async fn wait_for_call(app: &TestApp, awaited: Option<&str>, turns: usize) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Some(name) = awaited
        && !app.aws.take_calls().iter().any(|call| call == name)
    {
        assert!(Instant::now() < deadline, "timed out waiting for {name}");
        tokio::task::yield_now().await;
    }
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// The calls of a reset that the application's write waits for.
const MOMENTS: [Option<&str>; 4] = [
    None,
    Some("Query"),
    Some("UpdateItem"),
    Some("TransactWriteItems"),
];

#[tokio::test]
async fn a_reset_and_an_application_write_are_serialized() {
    let rounds = times(24, 3000);
    let mut won_by_reset = 0;
    for round in 0..rounds {
        let app = TestApp::with_ada().await;
        let link = app.link(ADA).await;
        app.aws.take_calls();
        let write = [Write::Address, Write::Password, Write::Deletion][round % 3];
        let moment = MOMENTS[round / 3 % 4];
        app.aws.conflict((round % 2) * dice(round, 4));
        let (response, ()) = tokio::join!(app.reset(&link, PASSWORD), async {
            wait_for_call(&app, moment, dice(round, 50)).await;
            write.run(&app).await;
        });
        let is_reset = won(&response);
        write.check_order(&app, is_reset).await;
        won_by_reset += usize::from(is_reset);
        assert!(!won(&app.reset(&link, PASSWORD).await));
    }
    assert!(0 < won_by_reset && won_by_reset < rounds, "{won_by_reset}");
    let shown = format!("serialized, and the reset was first {won_by_reset} times");
    let what = "a reset against a new address, a new password or deletion";
    report(what, rounds, &shown);
}

#[tokio::test]
async fn a_reset_and_a_new_request_both_succeed() {
    let rounds = times(8, 1000);
    let mut survived = 0;
    for round in 0..rounds {
        let app = TestApp::with_ada().await;
        let first = app.link(ADA).await;
        app.clock.advance(SignedDuration::from_secs(60));
        app.clock.step(SignedDuration::from_millis(1));
        app.aws.take_calls();
        let turns = dice(round, 50);
        // One waits for a call of the other.
        let (call_of_reset, call_of_request) = match round % 4 {
            0 => (None, Some("PutItem")),
            1 => (None, Some("SendEmail")),
            2 => (Some("Query"), None),
            _ => (Some("TransactWriteItems"), None),
        };
        let reset = async {
            wait_for_call(&app, call_of_request, turns).await;
            app.reset(&first, PASSWORD).await
        };
        let request = async {
            wait_for_call(&app, call_of_reset, turns).await;
            app.link(ADA).await
        };
        let (response, second) = tokio::join!(reset, request);
        assert!(won(&response));

        // The second link works only if it was issued after the change, not before it or at the same time.
        let tokens = app.rows("token#").await;
        let seconds = |number: &str| number.parse::<f64>().unwrap();
        let issued_at = seconds(tokens[0]["issued_at"]["N"].as_str().unwrap());
        let changed_at = seconds(&app.stored("1", "password_changed_at").await);
        assert_eq!(tokens.len(), 1);
        let is_live = won(&app.reset(&second, "another password").await);
        assert_eq!(is_live, changed_at < issued_at, "{tokens:?}");
        assert_eq!(notices(&app).await, 1 + usize::from(is_live));
        survived += usize::from(is_live);

        // In either case, the next link works.
        app.clock.advance(SignedDuration::from_secs(60));
        let third = app.link(ADA).await;
        assert!(won(&app.reset(&third, PASSWORD).await));
        app.process_stream().await;
    }
    assert!(0 < survived && survived < rounds, "{survived}");
    let shown = format!("both succeeded, and {survived} new links were issued after the change");
    report("a reset against a new request", rounds, &shown);
}
