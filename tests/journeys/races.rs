//! Who comes at the same time: one of them wins, and the others are told so.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordVerifier as _};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use rekey::http::response::Response;

use crate::app::{ADA, Link, PASSWORD, TestApp};
use crate::forgot::futures;
use crate::reset::is_refused;
use crate::torture::{report, times};

/// A number that looks random, and is the same each time the test runs (`SplitMix64`).
fn dice(round: usize, sides: usize) -> usize {
    let mut mixed = (round as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
}

/// Whether a reset won. Who did not was refused, or met other transactions to the end and may come again.
fn won(answer: &Response) -> bool {
    let has_conflicted = answer.status() == 503 && answer.header("Retry-After") == Some("2");
    let body = answer.body();
    let is_legal = answer.status() == 204 || is_refused(answer) || has_conflicted;
    assert!(is_legal, "{}: {body}", answer.status());
    answer.status() == 204
}

fn is_hash_of(hash: &str, password: &str) -> bool {
    let argon2 = Argon2::default();
    argon2.verify_password(password.as_bytes(), hash).is_ok()
}

async fn notices(app: &TestApp) -> usize {
    assert_eq!(app.stream().await, None);
    let mails = app.aws.mails();
    let notices = mails
        .iter()
        .filter(|mail| mail.subject().contains("was changed"));
    notices.count()
}

/// Uses these links at once. One of them wins: its password is stored, its owner told once.
async fn one_wins(app: &TestApp, links: &[&Link]) {
    let passwords: Vec<String> = (0..links.len())
        .map(|n| format!("password of number {n}"))
        .collect();
    let resets = links.iter().zip(&passwords);
    let resets = resets.map(|(link, password)| app.reset(link, password));
    let answers = futures(resets.collect()).await;

    let winners: Vec<usize> = (0..links.len()).filter(|n| won(&answers[*n])).collect();
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
        // In every second round, as many of them meet another transaction: some twice, some to the end.
        app.aws.conflict((round % 2) * dice(round, 100));
        one_wins(&app, &[&link; 50]).await;
        assert!(is_refused(&app.reset(&link, PASSWORD).await));
        assert_eq!(app.rows("token#").await.len(), 0);
    }
    let what = "50 resets at once with one link";
    report(what, rounds * 50, "one winner each");
}

#[tokio::test]
async fn fifty_resets_with_fifty_links_of_one_user_have_one_winner_and_end_every_link() {
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
            app.later(SignedDuration::from_secs(60));
        }
        app.aws.conflict((round % 2) * dice(round, 100));
        one_wins(&app, &links.iter().collect::<Vec<_>>()).await;
        let again = links.iter().map(|link| app.reset(link, PASSWORD));
        let again = futures(again.collect()).await;
        assert!(again.iter().all(is_refused));
    }
    let what = "50 resets at once with 50 links of one user";
    report(what, rounds * 50, "one winner each, no link left");
}

/// What the application does to the user meanwhile.
#[derive(Clone, Copy, Debug)]
enum Write {
    Address,
    Password,
    Deletion,
}

impl Write {
    async fn act(self, app: &TestApp) {
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

    /// Asserts that the user is as if the reset and this came one after the other. This always works, and after it the
    /// link does not: so a reset that won was first.
    async fn has_its_place(self, app: &TestApp, is_reset: bool) {
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

/// Waits until the app's AWS has had such a call, and then a little more.
async fn call(app: &TestApp, wanted: Option<&str>, turns: usize) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Some(wanted) = wanted
        && !app.aws.take_calls().iter().any(|call| call == wanted)
    {
        assert!(Instant::now() < deadline, "there was no {wanted}");
        tokio::task::yield_now().await;
    }
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Calls of a reset: the other one waits for them.
const MOMENTS: [Option<&str>; 4] = [
    None,
    Some("Query"),
    Some("UpdateItem"),
    Some("TransactWriteItems"),
];

#[tokio::test]
async fn a_reset_and_a_write_of_the_application_come_one_after_the_other() {
    let rounds = times(24, 3000);
    let mut won_by_reset = 0;
    for round in 0..rounds {
        let app = TestApp::with_ada().await;
        let link = app.link(ADA).await;
        app.aws.take_calls();
        let write = [Write::Address, Write::Password, Write::Deletion][round % 3];
        let moment = MOMENTS[round / 3 % 4];
        app.aws.conflict((round % 2) * dice(round, 4));
        let (answer, ()) = tokio::join!(app.reset(&link, PASSWORD), async {
            call(&app, moment, dice(round, 50)).await;
            write.act(&app).await;
        });
        let is_reset = won(&answer);
        write.has_its_place(&app, is_reset).await;
        won_by_reset += usize::from(is_reset);
        assert!(!won(&app.reset(&link, PASSWORD).await));
    }
    assert!(0 < won_by_reset && won_by_reset < rounds, "{won_by_reset}");
    let shown = format!("in order; {won_by_reset} times the reset was first");
    let what = "a reset against a new address, a new password or deletion";
    report(what, rounds, &shown);
}

#[tokio::test]
async fn a_reset_and_a_new_request_do_not_hinder_one_another() {
    let rounds = times(8, 1000);
    let mut survived = 0;
    for round in 0..rounds {
        let app = TestApp::with_ada().await;
        let first = app.link(ADA).await;
        app.later(SignedDuration::from_secs(60));
        app.tick(SignedDuration::from_millis(1));
        app.aws.take_calls();
        let turns = dice(round, 50);
        // Either waits for a call of the other.
        let (of_reset, of_request) = match round % 4 {
            0 => (None, Some("PutItem")),
            1 => (None, Some("SendEmail")),
            2 => (Some("Query"), None),
            _ => (Some("TransactWriteItems"), None),
        };
        let reset = async {
            call(&app, of_request, turns).await;
            app.reset(&first, PASSWORD).await
        };
        let request = async {
            call(&app, of_reset, turns).await;
            app.link(ADA).await
        };
        let (answer, second) = tokio::join!(reset, request);
        assert!(won(&answer));

        // The second link is good if it was made after the change, and dead if it was made before or with it.
        let tokens = app.rows("token#").await;
        let seconds = |number: &str| number.parse::<f64>().unwrap();
        let issued_at = seconds(tokens[0]["issued_at"]["N"].as_str().unwrap());
        let changed_at = seconds(&app.stored("1", "password_changed_at").await);
        assert_eq!(tokens.len(), 1);
        let is_good = won(&app.reset(&second, "another password").await);
        assert_eq!(is_good, changed_at < issued_at, "{tokens:?}");
        assert_eq!(notices(&app).await, 1 + usize::from(is_good));
        survived += usize::from(is_good);

        // In either case the next one is good.
        app.later(SignedDuration::from_secs(60));
        let third = app.link(ADA).await;
        assert!(won(&app.reset(&third, PASSWORD).await));
        app.drain().await;
    }
    assert!(0 < survived && survived < rounds, "{survived}");
    let shown = format!("both answered; {survived} new links were made after the change");
    report("a reset against a new request", rounds, &shown);
}
