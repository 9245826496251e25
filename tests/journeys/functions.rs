//! Users behind two directory functions.

mod gaps;

use argon2::{Argon2, PasswordVerifier as _};
use jiff::{SignedDuration, Timestamp};
use rekey::config::Env;
use rekey::directory::functions::{Functions, Replacement};
use rekey::directory::protocol::SentPassword;
use rekey::email::Email;
use rekey::locale::Locale;
use rekey::pace::Pace;
use rekey::request_id::RequestId;
use rekey::table::rows::{LEASE, PasswordChanged, TokenIssued};
use rekey::user::{KeyPart, UserKey};
use reset::redemption::CLAIM_LIMIT;
use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD, long_timeouts, sdk_config};
use support::directory::{FIND, FUNCTIONS, REPLACE};
use support::email::SentEmail;
use support::futures::futures;
use support::responses::is_rejected;

/// Returns the email that was sent last.
fn last_email(app: &TestApp) -> SentEmail {
    app.aws.emails().pop().unwrap()
}

#[tokio::test]
async fn a_user_of_a_directory_sets_a_password() {
    let app = TestApp::with_functions(&[]).await;
    let link = app.link(ADA).await;
    app.aws.take_calls();
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    let mut calls = app.aws.take_calls();
    calls[..2].sort();
    // The first two run in parallel, so these are four round trips.
    let expected = [
        "Query",
        "UpdateItem",
        "TransactWriteItems",
        "Replace",
        "TransactWriteItems",
    ];
    assert_eq!(calls, expected);

    let hash = app.aws.directory.user("42").password["hash"].clone();
    let verified = Argon2::default().verify_password(PASSWORD.as_bytes(), hash.as_str().unwrap());
    assert!(verified.is_ok());
    app.process_stream().await;
    assert!(last_email(&app).subject().contains("was changed"));
    assert!(is_rejected(&app.reset(&link, PASSWORD).await));
    let change = &app.rows("change#").await[0];
    assert!(change.get("settles_at").is_none(), "{change}");
}

#[tokio::test]
async fn the_request_to_replace_names_the_user_and_the_times() {
    let app = TestApp::with_functions(&[]).await;
    let link = app.link(ADA).await;
    let issued_at = app.clock.now();
    app.clock.advance(SignedDuration::from_secs(90));
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    app.process_stream().await;
    let mut replacements = app.aws.directory.take_replacements();
    assert_eq!(replacements.len(), 1);
    let hash = replacements[0]["password"].take();
    assert!(hash["hash"].as_str().unwrap().starts_with("$argon2id$"));
    let seconds = |after: i64| {
        let time = issued_at + SignedDuration::from_secs(after);
        let text = format!("{}.{:03}", time.as_second(), time.subsec_millisecond());
        json!(text.parse::<f64>().unwrap())
    };
    let expected = json!({
        "rekey": 1, "action": "replace", "request_id": "request-2", "user": "42", "email": ADA,
        "issued_at": seconds(0), "changed_at": seconds(90), "deadline": seconds(100), "password": null,
    });
    assert_eq!(replacements[0], expected);
}

#[tokio::test]
async fn a_directory_that_hashes_receives_the_password_itself() {
    // Longer than bcrypt's limit, which does not matter here.
    let long = "correct horse battery staple, ".repeat(3);
    let settings = [
        ("USERS_PASSWORD_SENT_AS", "plain"),
        ("PASSWORD_HASH", "bcrypt-2b"),
    ];
    let app = TestApp::with_functions(&settings).await;
    let link = app.link(ADA).await;
    assert_eq!(app.reset(&link, &long).await.status(), 204);
    app.process_stream().await;
    let stored = app.aws.directory.user("42").password;
    assert_eq!(stored, json!({ "plain": long }));
    assert!(!app.log().contains("battery"));
}

#[tokio::test]
async fn only_one_user_with_exactly_this_address_gets_a_link() {
    let found = |users: Value| json!({ "users": users }).to_string();
    let user = |id: &str, email: &str| json!({ "id": id, "email": email });
    let long = "x".repeat(1025);
    for (users, is_sent) in [
        (json!([]), false),
        (json!([user("1", "Ada@Example.com ")]), true),
        (json!([user("1", "eve@example.com")]), false),
        (json!([user("1", "eve@example.com"), user("2", ADA)]), true),
        (json!([user("1", ADA), user("2", ADA)]), false),
        (json!([user("", ADA)]), false),
        (json!([user(&long, ADA)]), false),
        (json!([user(&long[..1024], ADA)]), true),
    ] {
        let app = TestApp::with_functions(&[]).await;
        app.aws.directory.respond_with(&found(users.clone()));
        assert_eq!(app.forgot(ADA).await.status(), 202);
        app.process_stream().await;
        assert_eq!(app.aws.emails().len(), usize::from(is_sent), "{users}");
        if is_sent {
            assert_eq!(app.aws.emails()[0].to(), ADA);
        }
    }
}

/// The first quantum is for *find*, and the second for the work that only a known user causes.
#[tokio::test]
async fn a_batch_lasts_two_quanta_whether_or_not_a_user_is_found() {
    for email in [ADA, "nobody@example.com"] {
        let app = TestApp::with_functions(&[]).await;
        assert_eq!(app.forgot(email).await.status(), 202);
        let took = app.deliver_at_a_steady_pace().await;
        assert!(took >= 2 * Pace::STEADY.quantum, "{email}: {took:?}");
        assert_eq!(app.aws.emails().len(), usize::from(email == ADA));
    }
}

#[tokio::test]
async fn a_request_waits_while_find_fails() {
    for response in [
        "null",
        "{}",
        "<html>",
        r#"{"users":{}}"#,
        r#"{"users":[{"id":7,"email":"ada@example.com"}]}"#,
        r#"{"errorType":"Error","errorMessage":"ada@example.com"}"#,
    ] {
        let app = TestApp::with_functions(&[]).await;
        app.aws.directory.respond_with(response);
        assert_eq!(app.forgot(ADA).await.status(), 202);
        assert!(app.try_process_stream().await.is_some(), "{response}");
        assert!(app.aws.emails().is_empty(), "{response}");
        assert!(!app.log().contains(ADA), "{response}");
        app.process_stream().await;
        assert_eq!(app.aws.emails().len(), 1, "{response}");
    }
}

#[tokio::test]
async fn a_password_that_the_directory_rejects_does_not_use_up_the_link() {
    for (reason, code) in [
        ("too_short", "too_short"),
        ("too_long", "too_long"),
        ("too_weak", "too_weak"),
        ("used_before", "used_before"),
    ] {
        let app = TestApp::with_functions(&[]).await;
        let (other, link) = (app.link(ADA).await, {
            app.clock.advance(SignedDuration::from_mins(2));
            app.link(ADA).await
        });
        let response = json!({ "outcome": "unacceptable", "reason": reason, "text": "<b>" });
        app.aws.directory.respond_with(&response.to_string());
        let rejected = app.reset(&link, PASSWORD).await;
        let body: Value = serde_json::from_str(rejected.body()).unwrap();
        assert_eq!(
            (rejected.status(), &body["codes"]),
            (422, &json!({ "password": [code] }))
        );
        assert!(!rejected.body().contains("<b>"));
        // Nothing was changed, so there is no notice, and the user's links still work.
        app.process_stream().await;
        assert_eq!(app.aws.emails().len(), 2);
        assert!(app.events().contains(&"LinksGivenBack".to_owned()));
        assert_eq!(app.reset(&other, PASSWORD).await.status(), 204);
        assert!(is_rejected(&app.reset(&link, PASSWORD).await));
        app.process_stream().await;
    }
}

#[tokio::test]
async fn fifty_resets_with_one_link_have_one_winner() {
    let app = TestApp::with_functions(&[("USERS_PASSWORD_SENT_AS", "plain")]).await;
    let link = app.link(ADA).await;
    let passwords: Vec<String> = (0..50)
        .map(|n| format!("the password of number {n}"))
        .collect();
    let resets = passwords.iter().map(|password| app.reset(&link, password));
    let responses = futures(resets.collect()).await;
    let won: Vec<_> = passwords
        .iter()
        .zip(&responses)
        .filter(|(_, response)| response.status() == 204)
        .collect();
    assert_eq!(won.len(), 1);
    let stored = app.aws.directory.user("42").password;
    assert_eq!(stored, json!({ "plain": won[0].0 }));
    assert_eq!(app.aws.directory.take_replacements().len(), 1);
    app.process_stream().await;
    let emails = app.aws.emails();
    let notices = emails
        .iter()
        .filter(|email| email.subject().contains("was changed"));
    assert_eq!(notices.count(), 1);
}

#[tokio::test]
async fn a_change_ends_the_users_other_links_even_if_the_directory_only_sets() {
    let app = TestApp::with_functions(&[]).await;
    let first = app.link(ADA).await;
    app.clock.advance(SignedDuration::from_mins(2));
    let second = app.link(ADA).await;
    assert_eq!(app.reset(&second, PASSWORD).await.status(), 204);
    app.process_stream().await;
    app.aws.directory.take_replacements();
    assert!(is_rejected(&app.reset(&first, PASSWORD).await));
    assert_eq!(app.aws.directory.take_replacements(), [json!(null); 0]);
}

#[tokio::test]
async fn a_settled_change_does_not_delay_the_next_one() {
    let app = TestApp::with_functions(&[("COOLDOWN_SECONDS", "1")]).await;
    let first = app.link(ADA).await;
    assert_eq!(app.reset(&first, PASSWORD).await.status(), 204);
    app.clock.advance(SignedDuration::from_secs(2));
    let second = newer_link(&app).await;
    assert_eq!(app.reset(&second, PASSWORD).await.status(), 204);
    app.process_stream().await;
}

#[tokio::test]
async fn a_link_of_a_busy_user_works_after_the_lease() {
    let app = TestApp::with_functions(&[("COOLDOWN_SECONDS", "1")]).await;
    let first = app.link(ADA).await;
    app.aws.directory.respond_with(r#"{"errorType":"Timeout"}"#);
    assert_eq!(app.reset(&first, PASSWORD).await.status(), 503);
    // A new link, while the first change may be in progress.
    app.clock.advance(SignedDuration::from_secs(5));
    app.aws.directory.take_replacements();
    let second = newer_link(&app).await;
    let busy = app.reset(&second, PASSWORD).await;
    assert_eq!(
        (busy.status(), busy.header("Retry-After")),
        (503, Some("55"))
    );
    assert_eq!(app.aws.directory.take_replacements(), [json!(null); 0]);
    app.clock.advance(LEASE);
    assert_eq!(app.reset(&second, PASSWORD).await.status(), 204);
    app.process_stream().await;
}

/// A client that waits for exactly as long as it is asked to must not be too early.
#[tokio::test]
async fn the_time_until_a_retry_is_rounded_up() {
    let app = TestApp::with_functions(&[("COOLDOWN_SECONDS", "1")]).await;
    let first = app.link(ADA).await;
    app.aws.directory.respond_with(r#"{"errorType":"Timeout"}"#);
    assert_eq!(app.reset(&first, PASSWORD).await.status(), 503);
    app.clock.advance(SignedDuration::from_millis(5_500));
    let second = newer_link(&app).await;
    let busy = app.reset(&second, PASSWORD).await;
    assert_eq!(busy.header("Retry-After"), Some("55"));
    app.clock.advance(SignedDuration::from_secs(55));
    assert_eq!(app.reset(&second, PASSWORD).await.status(), 204);
    app.process_stream().await;
}

#[tokio::test]
async fn a_change_that_would_begin_too_late_does_not_use_up_the_link() {
    let app = TestApp::with_functions(&[]).await;
    let link = app.link(ADA).await;
    app.aws.directory.take_replacements();
    // Each reading of the clock is later than the last one, as if hashing took that long.
    app.clock.step(CLAIM_LIMIT + SignedDuration::from_millis(1));
    let response = app.reset(&link, PASSWORD).await;
    app.clock.step(SignedDuration::ZERO);
    assert_eq!(
        (response.status(), response.header("Retry-After")),
        (503, Some("2"))
    );
    assert_eq!(app.aws.directory.take_replacements(), [json!(null); 0]);
    assert_eq!(app.rows("change#").await, [json!(null); 0]);
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    app.process_stream().await;
}

/// The clock of the instance that changes the password is behind the clock that issued the link.
#[tokio::test]
async fn a_change_is_never_older_than_its_link() {
    let app = TestApp::with_functions(&[("COOLDOWN_SECONDS", "1")]).await;
    let first = app.link(ADA).await;
    app.clock.advance(SignedDuration::from_secs(2));
    let second = app.link(ADA).await;
    app.clock.advance(SignedDuration::from_secs(-3));
    assert_eq!(app.reset(&second, PASSWORD).await.status(), 204);
    let replacement = &app.aws.directory.take_replacements()[0];
    assert_eq!(replacement["changed_at"], replacement["issued_at"]);
    assert!(is_rejected(&app.reset(&first, PASSWORD).await));
    app.process_stream().await;
}

/// Requests another link, without the stream's record of an open change.
async fn newer_link(app: &TestApp) -> support::email::Link {
    assert_eq!(app.forgot(ADA).await.status(), 202);
    let requests = app.rows("request#").await;
    app.deliver(&requests.iter().collect::<Vec<_>>()).await;
    last_email(app).link()
}

/// Its link was sent while the users were in a table.
#[tokio::test]
async fn a_user_whose_key_is_not_text_is_not_in_the_directory() {
    let settings = |name: &str| {
        let entry = FUNCTIONS.iter().find(|(known, _)| *known == name);
        entry.map(|(_, value)| (*value).to_owned())
    };
    let sdk = sdk_config("http://127.0.0.1:1", long_timeouts());
    let functions = Functions::read(&mut Env::new(&settings), &sdk);
    let functions = functions.flatten().unwrap();
    let number = |number: &str| KeyPart::Number(number.to_owned());
    for user in [
        UserKey::Simple(number("42")),
        UserKey::Simple(KeyPart::Bytes(b"42".to_vec())),
        UserKey::Composite {
            partition: number("42"),
            sort: number("1"),
        },
    ] {
        let issued = TokenIssued {
            user,
            email: Email::parse(ADA).unwrap(),
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1),
            locale: Locale::En,
        };
        let changed =
            PasswordChanged::new(&issued, RequestId::unknown(), Timestamp::UNIX_EPOCH).unsettled();
        let password = SentPassword::Plain(PASSWORD.into());
        let replacement = functions.replace(&changed, &issued, password).await;
        assert_eq!(replacement, Replacement::Dead);
    }
}

#[test]
fn one_function_without_the_other_is_rejected_by_name() {
    let read = |variables: &[(&str, &str)]| {
        let variable = |name: &str| {
            let entry = variables.iter().find(|(known, _)| *known == name);
            entry.map(|(_, value)| (*value).to_owned())
        };
        let mut env = Env::new(&variable);
        let functions =
            Functions::read(&mut env, &sdk_config("http://127.0.0.1:1", long_timeouts()));
        env.finish(functions)
            .map(|functions| functions.is_some())
            .map_err(|error| error.to_string())
    };
    assert_eq!(read(&[]), Ok(false));
    let both = [
        ("USERS_FIND_FUNCTION", FIND),
        ("USERS_REPLACE_FUNCTION", REPLACE),
    ];
    assert_eq!(read(&both), Ok(true));
    assert!(
        read(&both[..1])
            .unwrap_err()
            .contains("USERS_REPLACE_FUNCTION: expected an ARN")
    );
    assert!(
        read(&both[1..])
            .unwrap_err()
            .contains("USERS_FIND_FUNCTION: expected an ARN")
    );
    let not_an_arn = [("USERS_FIND_FUNCTION", "find"), both[1]];
    assert!(
        read(&not_an_arn)
            .unwrap_err()
            .contains("the ARN of a Lambda function")
    );
    let unknown = [both[0], both[1], ("USERS_PASSWORD_SENT_AS", "text")];
    assert!(
        read(&unknown)
            .unwrap_err()
            .contains("expected hash or plain")
    );
}
