//! An email is escaped, in the requested language, and links to the page that the request names.

use std::collections::HashSet;

use jiff::SignedDuration;
use serde_json::json;

use support::app::TestApp;
use support::deployment::{ADA, PAGE, PASSWORD};

#[tokio::test]
async fn the_email_is_escaped_and_names_its_sender() {
    let app = TestApp::with_ada().await;
    app.link(ADA).await;

    let email = app.aws.emails().remove(0);
    assert!(
        email.html().contains("Example &amp; Söhne"),
        "{}",
        email.html()
    );
    assert!(
        email.html().contains("?email=ada%40example.com&amp;token="),
        "{}",
        email.html()
    );
    assert_eq!(
        email.0["FromEmailAddress"],
        "=?UTF-8?B?RXhhbXBsZSAmIFPDtmhuZQ==?= <no-reply@example.com>"
    );
    assert_eq!(email.0["ConfigurationSetName"], "rekey-mail");
    let headers = &email.0["Content"]["Simple"]["Headers"];
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
async fn each_email_has_a_unique_entity_reference() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.reset(&link, PASSWORD).await;
    app.process_stream().await;
    app.clock.advance(SignedDuration::from_hours(2));
    app.link(ADA).await;

    let emails = app.aws.emails();
    let references: HashSet<String> = emails
        .iter()
        .map(|email| {
            let header = &email.0["Content"]["Simple"]["Headers"][2];
            assert_eq!(header["Name"], "X-Entity-Ref-ID");
            header["Value"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!((emails.len(), references.len()), (3, 3));
}

#[tokio::test]
async fn emails_are_in_the_requested_language() {
    let app = TestApp::with_ada().await;
    let body = json!({ "email": ADA, "reset_url": PAGE, "locale": "de-AT" });
    assert_eq!(app.post("/password/forgot", &body).await.status(), 202);
    app.try_process_stream().await;
    let email = app.aws.emails().remove(0);
    assert_eq!(email.subject(), "Neues Passwort für Example & Söhne");
    assert!(email.html().contains("<html lang=\"de\">"));

    app.reset(&email.link(), "correct horse").await;
    app.try_process_stream().await;
    assert_eq!(
        app.aws.emails()[1].subject(),
        "Ihr Passwort für Example & Söhne wurde geändert"
    );
}

#[tokio::test]
async fn an_allowed_reset_url_keeps_its_query() {
    let app = TestApp::with_ada().await;
    let body = json!({ "email": ADA, "reseturl": "https://app.example.com/account?view=reset" });
    assert_eq!(app.post("/password/forgot", &body).await.status(), 202);
    app.try_process_stream().await;
    let link = app.aws.emails()[0].link();
    assert!(
        link.url.as_str().starts_with(
            "https://app.example.com/account?view=reset&email=ada%40example.com&token="
        )
    );
}

#[tokio::test]
async fn a_link_can_have_its_token_in_the_fragment() {
    let app = TestApp::with(&[("LINK_PLACEMENT", "fragment")]).await;
    app.user("1", ADA).await;
    let link = app.link(ADA).await;
    assert!(
        link.url
            .as_str()
            .starts_with("https://app.example.com/password/reset#email=ada%40example.com&token=")
    );
    assert_eq!(app.reset(&link, "correct horse").await.status(), 204);
    app.process_stream().await;
}
