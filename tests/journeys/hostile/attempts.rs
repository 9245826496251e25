//! No near miss of a valid request, and no lookalike of a stored address, causes a fault or a wrong email.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::payload::Payload;
use super::siege::{SIEGE, Siege};
use support::deployment::{ADA, PAGE};
use support::hostile::USERS;
use support::hostile::addresses::{addresses, lookalikes};
use support::hostile::attempts::{Attempt, attempts, plain};
use support::hostile::json::{Spelling, json_texts, object, spellings};
use support::torture::{report, times};

#[test]
fn no_attempt_causes_a_fault_or_a_wrong_email() {
    let cases = times(400, 50_000);
    for _ in 0..cases.div_ceil(SIEGE) {
        Siege::with_users(&USERS).withstand(&payloads(attempts()));
    }
    let shown =
        "no fault, emails only to stored users, links only to allowed pages, nothing echoed";
    report("attempts at both routes", cases, shown);
}

fn payloads(attempts: impl Strategy<Value = Attempt>) -> impl Strategy<Value = (Payload, Attempt)> {
    let payloads = [
        Payload::One,
        Payload::OneBase64,
        Payload::Two,
        Payload::TwoBase64,
    ];
    (select(payloads.to_vec()), attempts)
}

#[test]
fn a_repeated_field_is_rejected_in_every_spelling() {
    Siege::with_users(&USERS).each(
        times(200, 10_000),
        &bodies_with_twins(),
        &async |siege, body| {
            let event = siege.app.event("/password/forgot", &body);
            prop_assert_eq!(siege.app.send(event).await.status(), 400);
            prop_assert_eq!(siege.new_emails().await.len(), 0);
            Ok(())
        },
    );
}

/// Returns valid requests with one field repeated, under the same name or its alias.
fn bodies_with_twins() -> impl Strategy<Value = String> {
    let names = select(vec![
        "email",
        "reset_url",
        "locale",
        "x",
        "",
        "é",
        "__proto__",
    ]);
    let values = prop_oneof![
        addresses().prop_map(|text| json!(text).to_string()),
        Just(json!(PAGE).to_string()),
        Just("null".to_owned())
    ];
    let bodies = (
        names,
        values,
        vec(spellings(), 5),
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    bodies.prop_map(|(name, value, spellings, at, is_alias)| {
        let twin = if name == "reset_url" && is_alias {
            "reseturl"
        } else {
            name
        };
        let valid = [
            ("email", json!(ADA)),
            ("reset_url", json!(PAGE)),
            (name, json!(PAGE)),
        ];
        let count = if ["email", "reset_url"].contains(&name) {
            2
        } else {
            3
        };
        let fields = valid
            .into_iter()
            .take(count)
            .map(|(name, value)| (name, value.to_string()));
        let mut fields: Vec<_> = fields.collect();
        fields.insert(at.index(count + 1), (twin, value));
        let fields = fields.iter().zip(spellings);
        let fields: Vec<String> = fields
            .map(|((name, value), spelling)| format!("{}:{value}", spelling.of(name)))
            .collect();
        format!("{{{}}}", fields.join(" , "))
    })
}

#[test]
fn an_address_that_is_not_a_string_is_rejected() {
    let bodies =
        json_texts().prop_filter("not a string", |json| !json.trim_start().starts_with('"'));
    Siege::with_users(&USERS).each(times(200, 10_000), &bodies, &async |siege, json| {
        let page = json!(PAGE).to_string();
        let fields = [("email".to_owned(), json), ("reset_url".to_owned(), page)];
        let body = object(&fields, Spelling::Plain);
        let status = siege
            .app
            .send(siege.app.event("/password/forgot", &body))
            .await
            .status();
        // The status may also be 413, because deep nesting may exceed 8 KiB.
        prop_assert!([400, 413, 422].contains(&status), "{}", status);
        prop_assert_eq!(siege.new_emails().await.len(), 0);
        Ok(())
    });
}

/// CVE-2019-19844: a lookup that folds case, and an email to the typed address.
#[test]
fn addresses_that_unicode_would_fold_together_are_never_the_same_user() {
    let cases = times(200, 10_000);
    Siege::with_users(&USERS).each(cases, &lookalikes(USERS.to_vec()), &async |siege, typed| {
        if !USERS.contains(&plain(&typed).as_str()) {
            siege.app.forgot(&typed).await;
            prop_assert_eq!(siege.new_emails().await.len(), 0);
        }
        Ok(())
    });
    // Also store the lookalikes, and request links for the originals.
    let stored = [
        "m\u{131}ke@example.org",
        "mike@example.or\u{ff47}",
        "\u{212a}iss.it@sub.example.com",
        "MIKE@EXAMPLE.ORG",
        "ann\u{e1}@example.com",
        "anna@ex\u{430}mple.com",
    ];
    let originals = [
        "mike@example.org",
        "kiss.it@sub.example.com",
        "anna@example.com",
        "Kiss.It@Sub.Example.Com",
    ];
    let requested = prop_oneof![
        select(originals.to_vec()).prop_map(str::to_owned),
        select(stored.to_vec()).prop_map(str::to_owned),
        lookalikes(USERS.to_vec())
    ];
    Siege::with_users(&stored).each(cases, &requested, &async |siege, typed| {
        siege.app.forgot(&typed).await;
        prop_assert_eq!(siege.new_emails().await.len(), 0);
        Ok(())
    });
    report(
        "addresses that Unicode would fold together",
        2 * cases,
        "no email",
    );
}
