//! Input as people paste it and as platforms report it. Each test names the bug reports that it covers.

use jiff::SignedDuration;
use serde_json::json;

use support::app::TestApp;
use support::deployment::{ADA, PAGE, PASSWORD};

/// matomo-org/matomo#20296, Expensify/App#34437.
#[tokio::test]
async fn invisible_characters_around_an_address_do_not_matter() {
    let app = TestApp::with_ada().await;
    for invisible in ["\t", "\n", "\r\n", "\u{a0}", "\u{200b}", "\u{feff}"] {
        for typed in [format!("{invisible}{ADA}"), format!("{ADA}{invisible}")] {
            let response = app.forgot(&typed).await;
            assert_eq!(response.status(), 202, "{typed:?}");
            app.try_process_stream().await;
            app.clock.advance(SignedDuration::from_hours(2));
        }
        let inner = format!("ada{invisible}@example.com");
        let response = app.forgot(&inner).await;
        assert_eq!(response.status(), 422, "{inner:?}");
    }
    assert_eq!(app.aws.emails().len(), 12);
}

/// dotnet/aspnetcore#9107, w3c/html#538: Firefox sends the domain as it was typed.
#[tokio::test]
async fn an_international_domain_works_as_typed() {
    let app = TestApp::open().await;
    app.user("1", "ada@xn--mnchen-3ya.de").await;
    let link = app.link("Ada@München.de").await;
    assert_eq!(link.email, "ada@xn--mnchen-3ya.de");

    let body = json!({ "email": "ada@münchen.de", "token": link.token, "password": PASSWORD });
    assert_eq!(app.post("/password/reset", &body).await.status(), 204);
    app.process_stream().await;
}

/// devise-passwordless#79.
#[tokio::test]
async fn a_token_works_in_upper_case_and_with_whitespace() {
    let app = TestApp::with_ada().await;
    let changes: [fn(&str) -> String; 4] = [
        str::to_uppercase,
        |token| format!("{token} "),
        |token| format!("{token}\r\n"),
        |token| format!("\u{200b}{token}\u{a0}"),
    ];
    for change in changes {
        let link = app.link(ADA).await;
        let token = change(&link.token);
        let body = json!({ "email": link.email, "token": token, "password": PASSWORD });
        let response = app.post("/password/reset", &body).await;
        assert_eq!(response.status(), 204, "{token:?}");
        app.process_stream().await;
        app.clock.advance(SignedDuration::from_hours(2));
    }
}

/// lifeGLANCE#233.
#[tokio::test]
async fn no_locale_is_rejected() {
    let german = [json!("de"), json!("de_DE"), json!("de_DE.UTF-8")];
    let english = [
        json!("C"),
        json!(""),
        json!("nonsense, or not"),
        json!("x".repeat(1_000)),
        json!(7),
        json!(["de"]),
        json!(null),
    ];
    let german = german.iter().map(|locale| (locale, "Neues Passwort"));
    let english = english.iter().map(|locale| (locale, "Set a new password"));
    let app = TestApp::with_ada().await;
    for (locale, subject) in german.chain(english) {
        let body = json!({ "email": ADA, "reset_url": PAGE, "locale": locale });
        let response = app.post("/password/forgot", &body).await;
        assert_eq!(response.status(), 202, "{locale}");
        app.try_process_stream().await;
        let email = app.aws.emails().pop().unwrap();
        assert!(
            email.subject().starts_with(subject),
            "{locale}: {}",
            email.subject()
        );
        app.clock.advance(SignedDuration::from_hours(2));
    }
}

#[tokio::test]
async fn a_repeated_character_is_rejected_and_the_link_still_works() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    for password in ["aaaaaaaaaaaa", "AaAaAaAaAaAa", "------------"] {
        let response = app.reset(&link, password).await;
        assert_eq!(response.status(), 422, "{password}");
        assert!(
            response
                .body()
                .contains("must not repeat a single character"),
            "{password}"
        );
    }
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    app.process_stream().await;
}
