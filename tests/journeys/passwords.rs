//! Weak passwords are rejected without using up the link.

use proptest::prelude::*;
use rekey::config::Env;
use rekey::email::Email;
use reset::format::Format;
use reset::policy::{NewPassword, Policy};
use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::responses::{LEAKED, password_error};
use support::torture::{report, times};

#[tokio::test]
async fn a_weak_password_is_rejected_before_any_lookup_and_keeps_the_link() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.aws.take_calls();
    for (weak, reason) in [
        ("iloveyou", LEAKED),
        ("PassWord123", LEAKED),
        ("ada@example.com", CONTEXT),
        ("Example-2026!", CONTEXT),
        ("SÖHNEsöhne", CONTEXT),
    ] {
        let response = app.reset(&link, weak).await;
        assert_eq!(password_error(&response), reason, "{weak}");
        assert!(!response.body().contains(weak));
    }
    assert_eq!(app.aws.take_calls(), [""; 0]);
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    app.process_stream().await;
}

const CONTEXT: &str = "must not be based on your email address or the name of this service";

/// Returns the password policy of a product with this name.
fn policy_of(product: &str) -> Policy {
    let variable = |name: &str| (name == "PRODUCT_NAME").then(|| product.to_owned());
    Policy::read(&mut Env::new(&variable), Format::Argon2id).unwrap()
}

/// Returns whether the policy accepts a password for the user with this address.
fn accepts(product: &str, email: &str, password: &str) -> bool {
    let email = Email::parse(email).unwrap();
    NewPassword::parse(password, &policy_of(product), Some(&email)).is_ok()
}

#[tokio::test]
async fn the_users_own_address_is_rejected_and_the_link_still_works() {
    for (email, product, weak) in [
        (
            "john.doe@company.co.uk",
            "Example",
            &[
                "john.doe@company.co.uk",
                "John.Doe@Company.co.uk!",
                "johndoecompanycouk1",
                "john1doe2company3co4uk5!",
                "company.co.uk-2026",
                "co.uk/company/doe/john",
            ][..],
        ),
        (
            "me@my-site.com",
            "Go Do It",
            &[
                "me@my-site.com",
                "ME@MY-SITE.COM!!!!!!!!",
                "memysite2026",
                "me my site com 123",
                "mysite.com-me",
                "go-do-it-2026",
                "GoDoIt12345",
                "Go! Do! It! 1!2!3!4!5!",
            ][..],
        ),
        (
            "ada87@example.com",
            "ΟΔΟΣ Straße",
            &["ada1987!!!", "οδος2026", "οδοσ-strasse-1", "STRASSE 12"][..],
        ),
    ] {
        let app = TestApp::with(&[("PRODUCT_NAME", product)]).await;
        app.user("1", email).await;
        let link = app.link(email).await;
        for weak in weak {
            assert_eq!(
                password_error(&app.reset(&link, weak).await),
                CONTEXT,
                "{weak}"
            );
        }
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
        app.process_stream().await;
    }
}

#[test]
fn a_passphrase_with_a_short_part_of_the_address_is_accepted() {
    for (email, fine) in [
        ("me@my-site.com", "somewhere8"),
        ("me@my-site.com", "remember my mother's time"),
        ("me@my-site.com", "let me in, at once"),
        ("me@my-site.com", "recommend5"),
        ("me@my-site.com", "my site has seven rooms"),
        ("jo@it.co.uk", "join the committee"),
        ("a.b@c.de", "decaffeinated"),
        ("john.doe@company.co.uk", "john wrote to the queen"),
        ("john.doe@company.co.uk", "#$%&*()_+~|{}"),
    ] {
        assert!(accepts("Go Do It", email, fine), "{fine} of {email}");
    }
}

/// Returns letters and digits with separators between them, like a local part or a domain.
fn dotted(separators: &'static str, pieces: usize) -> impl Strategy<Value = String> {
    let piece = "[a-z][a-z0-9]{0,9}";
    proptest::collection::vec(
        (piece, proptest::sample::select(separators.as_bytes())),
        1..=pieces,
    )
    .prop_map(|pieces| {
        let text = pieces
            .into_iter()
            .fold(String::new(), |text, (piece, separator)| {
                format!("{text}{piece}{}", char::from(separator))
            });
        text[..text.len() - 1].to_owned()
    })
}

fn an_address() -> impl Strategy<Value = (String, String, &'static str)> {
    (
        dotted("._+-", 3),
        dotted(".-", 3),
        proptest::sample::select(&["com", "org", "de", "io", "museum", "co.uk", "com.au"][..]),
    )
}

/// Returns a variation of a text: `filler` replaces its separators, and text surrounds it.
fn spelled(
    text: &str,
    filler: &str,
    is_upper_case: &[bool],
    (before, after): (&str, &str),
) -> String {
    let spelling = text.chars().zip(is_upper_case.iter().cycle());
    let spelling: String = spelling
        .map(|(character, is_upper_case)| {
            if !character.is_alphanumeric() {
                filler.to_owned()
            } else if *is_upper_case {
                character.to_uppercase().to_string()
            } else {
                character.to_string()
            }
        })
        .collect();
    format!("{before}{spelling}{after}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(u32::try_from(times(2_000, 200_000)).unwrap()))]

    #[test]
    fn no_spelling_of_the_users_own_address_is_accepted(
        (local, domain, suffix) in an_address(),
        filler in proptest::sample::select(&["", ".", "-", "_", " ", "@", "!", "--"][..]),
        is_upper_case in proptest::collection::vec(any::<bool>(), 1..20),
        before in "[!#0-9]{0,3}",
        after in "[!?.#0-9]{0,4}",
    ) {
        let email = format!("{local}@{domain}.{suffix}");
        let texts = [
            email.clone(),
            format!("{local}@{domain}"),
            format!("{domain}.{suffix}"),
            format!("{domain}.{suffix}@{local}"),
            domain.clone(),
            local.clone(),
        ];
        // Skip texts of one or two letters. Too many words contain them, and digits around them make another password.
        let is_long = |text: &&String| text.chars().filter(|c| c.is_alphanumeric()).count() >= 3;
        for text in texts.iter().filter(is_long) {
            // Try the text itself, and with other separators.
            for spelling in [
                format!("{before}{text}{after}"),
                spelled(text, filler, &is_upper_case, (&before, &after)),
            ] {
                prop_assert!(!accepts("Example", &email, &spelling), "{} of {}", spelling, email);
            }
        }
    }

    #[test]
    fn an_address_is_accepted_beside_enough_other_letters(
        (local, domain, suffix) in an_address(),
    ) {
        let email = format!("{local}@{domain}.{suffix}");
        // No generated part has these letters.
        let password = format!("{email} ωψχφυτσρ");
        prop_assert!(accepts("Example", &email, &password), "{}", password);
    }
}

#[tokio::test]
async fn all_field_errors_are_reported_at_once() {
    let app = TestApp::with_ada().await;
    let body = json!({ "email": "nobody", "token": "0", "password": "password" });
    let response = app.post("/password/reset", &body).await;
    let body: Value = serde_json::from_str(response.body()).unwrap();
    let errors = body["errors"].as_object().unwrap();
    assert_eq!(
        errors.keys().collect::<Vec<_>>(),
        ["email", "password", "token"]
    );
}

#[test]
fn the_3_000_most_used_passwords_are_rejected() {
    let policy = Policy::read(&mut Env::new(&|_: &str| None), Format::Argon2id).unwrap();
    let used = include_str!("most_used_passwords.txt");
    let accepted: Vec<&str> = used
        .lines()
        .filter(|password| NewPassword::parse(password, &policy, None).is_ok())
        .collect();
    assert_eq!((used.lines().count(), accepted), (3000, vec![]));
}

#[test]
fn a_password_that_was_never_leaked_is_rarely_rejected() {
    let policy = Policy::read(&mut Env::new(&|_: &str| None), Format::Argon2id).unwrap();
    let tried = times(100_000, 10_000_000);
    let rejected = (0..tried)
        .filter(|n| NewPassword::parse(&format!("nobody has {n}"), &policy, None).is_err())
        .count();
    // The expected rate is one in 1.4 million. Three times that rate would not be chance.
    assert!(rejected <= 1 + tried / 450_000, "{rejected} of {tried}");
    let shown = format!("{rejected} were rejected as leaked");
    report("passwords that were never leaked", tried, &shown);
}

#[test]
fn the_common_passwords_file_has_the_digest_in_its_script() {
    let script = std::fs::read_to_string("infra/common-passwords.py").unwrap();
    let file = std::fs::read("functions/reset/src/common_passwords.bin").unwrap();
    let digest = rekey::digest::sha256_hex(&file);
    assert!(script.contains(&digest), "{digest}");
}
