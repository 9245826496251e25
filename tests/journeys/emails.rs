//! An email is escaped, in the requested language, and links to the page that the request names.

use std::collections::HashSet;

use insta::assert_snapshot;
use jiff::SignedDuration;
use serde_json::json;
use support::app::TestApp;
use support::deployment::{ADA, PAGE, PASSWORD};
use support::email::{Link, SentEmail};

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

/// Requests a link, changes the password through it, and returns both emails.
async fn emails(locale: &str) -> (SentEmail, Link, SentEmail) {
    let app = TestApp::with(&[("PRODUCT_NAME", "Example App")]).await;
    app.user("1", ADA).await;
    let body = json!({ "email": ADA, "reset_url": PAGE, "locale": locale });
    app.post("/password/forgot", &body).await;
    app.process_stream().await;
    let link = app.aws.emails()[0].link();
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    app.process_stream().await;
    let [requested, notice] = app.aws.emails().try_into().unwrap();
    (requested, link, notice)
}

fn text(email: &SentEmail) -> String {
    format!("Subject: {}\n\n{}", email.subject(), email.text())
}

fn without_token(text: &str, link: &Link) -> String {
    text.replace(&link.token, "TOKEN")
}

#[tokio::test]
async fn the_emails_in_english() {
    let (requested, link, notice) = emails("en-GB").await;
    assert_snapshot!(without_token(&text(&requested), &link), @"
    Subject: Set a new password for Example App

    Hello,

    We received a request to reset the password for your Example App account, ada@example.com.

    Open this link to set a new password. It works once and expires after 1 hour:

    https://app.example.com/password/reset?email=ada%40example.com&token=TOKEN

    If you did not request this, you can ignore this email. Your password stays the same.

    Don't share this link: anyone who has it can set your password.
    ");
    assert_snapshot!(text(&notice), @"
    Subject: Your password for Example App was changed

    Hello,

    The password for your Example App account, ada@example.com, was changed on 23 November 2026 at 12:00 UTC.

    If this was you, you don't need to do anything.

    If this wasn't you, reset your password now from the sign-in page. Then change your email account's password: someone may have access to it.
    ");
}

#[tokio::test]
async fn the_emails_in_german() {
    let (requested, link, notice) = emails("de-AT").await;
    assert_snapshot!(without_token(&text(&requested), &link), @"
    Subject: Neues Passwort für Example App

    Guten Tag,

    Wir haben eine Anfrage erhalten, das Passwort für Ihr Konto ada@example.com bei Example App zurückzusetzen.

    Öffnen Sie diesen Link, um ein neues Passwort festzulegen. Er funktioniert nur einmal und läuft nach 1 Stunde ab:

    https://app.example.com/password/reset?email=ada%40example.com&token=TOKEN

    Wenn Sie das nicht angefordert haben, können Sie diese E-Mail ignorieren. Ihr Passwort bleibt unverändert.

    Geben Sie diesen Link nicht weiter: Wer ihn hat, kann Ihr Passwort ändern.
    ");
    assert_snapshot!(text(&notice), @"
    Subject: Ihr Passwort für Example App wurde geändert

    Guten Tag,

    Das Passwort für Ihr Konto ada@example.com bei Example App wurde am 23.11.2026 um 12:00 Uhr UTC geändert.

    Wenn Sie das selbst waren, müssen Sie nichts weiter tun.

    Wenn Sie das nicht waren, setzen Sie Ihr Passwort sofort auf der Anmeldeseite zurück. Ändern Sie danach auch das Passwort Ihres E-Mail-Kontos: Möglicherweise hat jemand Zugriff darauf.
    ");
}

/// `make pictures` draws these files.
#[tokio::test]
async fn the_emails_as_html() {
    let (requested, link, notice) = emails("en").await;
    assert_snapshot!("link_html", without_token(requested.html(), &link));
    assert_snapshot!("notice_html", notice.html());
}
