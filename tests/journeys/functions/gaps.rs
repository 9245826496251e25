//! Every gap between Rekey's table and the directory: what the caller, the link, and the owner see.

mod table;

use std::time::Duration;

use jiff::SignedDuration;
use rekey::http::response::Response;
use rekey::table::rows::LEASE;
use serde_json::{Value, json};

use super::{last_email, newer_link};
use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::email::Link;
use support::faults::{Fault, Reply};
use support::responses::is_rejected;
use table::{After, Answer, GAPS, Gap, Owner, Password, respond, unanswered};

#[tokio::test]
async fn every_gap_has_its_answer_its_link_and_its_notice() {
    for gap in &GAPS {
        check(gap).await;
    }
}

async fn check(gap: &Gap) {
    let failure = gap.failure;
    let mut app = TestApp::with_functions(&[]).await;
    let link = app.link(ADA).await;
    if gap.times_out {
        app.shorten_timeouts(8);
    }
    app.aws.take_calls();
    (gap.plan)(&app);
    let response = reset(&app, &link, gap.ends).await;
    let answer = answer(response.as_ref());
    app.aws.heal();
    app.restart();

    let password = match app.aws.directory.user("42").password {
        old if old == json!("old") => Password::Unchanged,
        _ => Password::Replaced,
    };
    // Long before the lease ends.
    let again = app.reset(&link, "another password, for the second try");
    let after = match again.await {
        again if again.status() == 204 => After::Works,
        again if is_rejected(&again) => After::Dead,
        again => panic!("{failure}: {} {}", again.status(), again.body()),
    };
    let owner = owner(&app, after).await;
    assert_eq!((answer, password, after, owner), gap.effect, "{failure}");
    // A lost claim did not reach the directory.
    let is_unknown = (answer, after) == (Answer::Unavailable, After::Dead)
        && failure != "the claim's response is lost";
    let is_counted = app.events().contains(&"ChangesUnknown".to_owned());
    assert_eq!(is_counted, is_unknown, "{failure}");
    let log = app.log();
    assert!(
        !log.contains(PASSWORD) && !log.contains("argon2"),
        "{failure}"
    );
}

/// Follows the link, and returns the response unless the public half ends during the invocation.
async fn reset(app: &TestApp, link: &Link, ends: bool) -> Option<Response> {
    if !ends {
        return Some(app.reset(link, PASSWORD).await);
    }
    let is_calling = async {
        let mut calls = Vec::new();
        while !calls.contains(&"Replace".to_owned()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            calls.extend(app.aws.take_calls());
        }
    };
    tokio::select! {
        response = app.reset(link, PASSWORD) => panic!("{}", response.status()),
        () = is_calling => None,
    }
}

fn answer(response: Option<&Response>) -> Answer {
    let Some(response) = response else {
        return Answer::Nothing;
    };
    let body: Value = serde_json::from_str(response.body()).unwrap_or_default();
    match (response.status(), response.header("Retry-After")) {
        (204, _) => Answer::Done,
        (422, _) if body["codes"].get("token").is_some() => Answer::BadToken,
        (422, _) if body["codes"].get("password").is_some() => Answer::BadPassword,
        (503, Some("2")) => Answer::Unavailable,
        (500, None) => Answer::Internal,
        other => panic!("{other:?} {body}"),
    }
}

/// Returns the email that the owner gets in the end.
async fn owner(app: &TestApp, link: After) -> Owner {
    app.clock.advance(LEASE + SignedDuration::from_millis(1));
    let before = app.aws.emails().len();
    app.process_stream().await;
    let sent = app.aws.emails().len() - before;
    // The second try set a password, whose notice is not the failure's.
    if link == After::Works {
        assert_eq!(sent, 1);
        assert!(last_email(app).subject().contains("was changed"));
        return Owner::Nothing;
    }
    assert!(sent <= 1);
    match sent {
        0 => Owner::Nothing,
        _ if last_email(app).subject().contains("may have been changed") => Owner::Uncertain,
        _ => Owner::Notice,
    }
}

/// The private half sees an open change before the public half settles it.
#[tokio::test]
async fn a_change_that_is_settled_while_the_private_half_waits_has_one_notice() {
    let app = TestApp::with_functions(&[]).await;
    let link = app.link(ADA).await;
    app.aws.take_calls();
    let delay = Duration::from_millis(500);
    app.aws.inject(
        "Replace",
        1,
        Fault {
            is_done: true,
            reply: Reply::Late(delay),
        },
    );
    let private_half = async {
        while app.rows("change#").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        app.process_stream().await;
        assert_eq!(app.aws.emails().len(), 1, "an open change has no notice");
    };
    let (response, ()) = tokio::join!(app.reset(&link, PASSWORD), private_half);
    assert_eq!(response.status(), 204);
    app.process_stream().await;
    assert_eq!(app.aws.emails().len(), 2);
    assert!(last_email(&app).subject().contains("was changed"));
}

/// A link that was given back may be used again before the private half has read the first change again.
#[tokio::test]
async fn an_open_change_that_another_use_of_the_link_replaced_has_no_notice() {
    let app = TestApp::with_functions(&[]).await;
    let link = app.link(ADA).await;
    respond(&app, &json!({ "errorType": "Timeout" }));
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 503);
    let second = app.rows("change#").await.pop().unwrap();
    let mut first = second.clone();
    let settles_at: f64 = second["settles_at"]["N"].as_str().unwrap().parse().unwrap();
    let changed_at: f64 = second["changed_at"]["N"].as_str().unwrap().parse().unwrap();
    assert!((settles_at - changed_at - LEASE.as_secs_f64()).abs() < 0.001);
    first["settles_at"]["N"] = json!((settles_at - 20.0).to_string());
    app.clock.advance(LEASE + SignedDuration::from_millis(1));
    app.deliver_changes(&[&first]).await;
    assert_eq!(app.aws.emails().len(), 1);
    app.deliver_changes(&[&second]).await;
    assert_eq!(app.aws.emails().len(), 2);
    assert!(last_email(&app).subject().contains("may have been changed"));
}

#[tokio::test]
async fn a_function_that_commits_late_is_not_overtaken_by_another_change() {
    let mut app = TestApp::with_functions(&[("COOLDOWN_SECONDS", "1")]).await;
    let link = app.link(ADA).await;
    app.shorten_timeouts(8);
    app.aws.inject("Replace", 1, unanswered(false));
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 503);
    let late = app.aws.last_body("Replace");
    app.restart();
    app.clock.advance(SignedDuration::from_secs(28));
    let newer = newer_link(&app).await;
    assert_eq!(app.reset(&newer, "a newer password").await.status(), 503);
    app.aws.directory.invoke(&late);
    app.clock.advance(LEASE);
    assert_eq!(app.reset(&newer, "a newer password").await.status(), 204);
    let changed_at = app.aws.directory.user("42").changed_at;
    assert!(late["changed_at"].as_f64().unwrap() < changed_at);
    app.process_stream().await;
}

/// An owner may disown a link, which ends all links of the user, while a change is in progress.
#[tokio::test]
async fn a_link_that_was_disowned_during_the_change_is_not_given_back() {
    let app = TestApp::with_functions(&[]).await;
    let link = app.link(ADA).await;
    let reply = Reply::Late(Duration::from_millis(300));
    app.aws.inject(
        "Replace",
        1,
        Fault {
            is_done: true,
            reply,
        },
    );
    respond(&app, &json!({ "outcome": "later" }));
    let disown = async {
        let epoch = loop {
            match app.rows("epoch#").await.pop() {
                Some(row) => break row,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        let key = epoch["pk"]["S"].as_str().unwrap().to_owned();
        let ended_at: f64 = epoch["ended_at"]["N"].as_str().unwrap().parse().unwrap();
        app.end_links(&key, ended_at + 0.001).await;
    };
    let (response, ()) = tokio::join!(app.reset(&link, PASSWORD), disown);
    assert!(is_rejected(&response), "{}", response.body());
    assert!(is_rejected(&app.reset(&link, PASSWORD).await));
    app.process_stream().await;
    assert_eq!(app.aws.emails().len(), 1);
    assert_eq!(app.rows("change#").await, [json!(null); 0]);
}

#[tokio::test]
async fn the_uncertain_notice_names_what_happened_and_what_to_do() {
    for (locale, subject, said) in [
        (
            "en",
            "Your password for Example & Söhne may have been changed",
            "We could not confirm whether the new password took effect.",
        ),
        (
            "de",
            "Ihr Passwort für Example & Söhne wurde möglicherweise geändert",
            "Wir konnten nicht feststellen, ob das neue Passwort gilt.",
        ),
    ] {
        let app = TestApp::with_functions(&[]).await;
        app.aws
            .directory
            .change("42", |user| user.locale = Some(locale.to_owned()));
        let link = newer_link(&app).await;
        app.aws.directory.respond_with("null");
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 503);
        app.clock.advance(LEASE + SignedDuration::from_secs(1));
        app.process_stream().await;
        let notice = last_email(&app);
        assert_eq!(notice.subject(), subject);
        assert!(notice.text().contains(said) && notice.html().contains(said));
        assert!(notice.text().contains("2026") && notice.html().contains(ADA));
    }
}
