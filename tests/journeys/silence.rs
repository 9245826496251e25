//! Nothing secret is said.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::app::{ADA, Link, PAGE, PASSWORD, TestApp, batch};
use crate::aws::{Answer, EVERY, Wrong};
use crate::faults::wrongs;
use crate::process::{Process, SECRET_KEY, SESSION};

#[tokio::test]
async fn a_whole_journeys_log_holds_no_address_token_password_or_hash_and_follows_one_id() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    app.forgot("eve@example.com").await;
    app.reset(&link, "short").await;
    app.reset(&link, PASSWORD).await;
    app.reset(&link, PASSWORD).await;
    app.aws.fail(
        "SendEmail",
        1,
        (400, "MessageRejected", "ada@example.com is bad"),
    );
    app.stream().await;
    app.later(SignedDuration::from_mins(2));
    app.aws.fail(
        "TransactWriteItems",
        3,
        (400, "ThrottlingException", "ada@example.com"),
    );
    app.forgot(ADA).await;

    let log = app.log();
    let hash = app.stored("1", "password_hash").await;
    let stored = link.token.as_str();
    for secret in [
        ADA,
        "eve@",
        "example.com",
        stored,
        PASSWORD,
        "short",
        hash.as_str(),
        "argon2",
        "192.0.2.1",
    ] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    for row in app.rows("").await {
        let key = row["pk"]["S"].as_str().unwrap();
        let digest = key.split('#').find(|part| part.len() == 64).unwrap_or("#");
        assert!(!log.contains(digest), "{key} in {log}");
    }
    // The public half's line and the private half's carry the same id.
    assert_eq!(id_of(&log, "RequestsAccepted"), id_of(&log, "LinksSent"));
    assert_eq!(
        id_of(&log, "PasswordsChanged"),
        id_of(&log, "EmailsRejected")
    );
}

/// The request id of the first such event.
fn id_of(log: &str, event: &str) -> Value {
    let mut lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.find(|line| line["event"] == event).unwrap();
    line["request_id"].clone()
}

#[tokio::test]
async fn what_happens_is_counted_in_cloudwatchs_embedded_format() {
    let app = TestApp::with_ada().await;
    let link = app.link(ADA).await;
    let dead = Link {
        token: "0".repeat(64),
        ..link
    };
    app.reset(&dead, PASSWORD).await;
    for written in app.log().lines() {
        let json: Value = serde_json::from_str(written).unwrap();
        let metrics = &json["_aws"]["CloudWatchMetrics"][0];
        let name = metrics["Metrics"][0]["Name"].as_str().unwrap();
        assert_eq!(metrics["Namespace"], "Rekey");
        assert_eq!(metrics["Dimensions"], serde_json::json!([["Stack"]]));
        assert_eq!((&json[name], &json["Stack"]), (&1.into(), &"rekey".into()));
        assert!(json["_aws"]["Timestamp"].is_i64());
    }
    assert_eq!(
        app.events(),
        ["RequestsAccepted", "LinksSent", "TokensRejected"]
    );
}

/// Not the address that answers give as an example.
const BEA: &str = "bea@secret.example";

/// The log of a deployment that is told to say all it can: what both functions, as processes, write and answer.
#[tokio::test]
async fn no_log_level_makes_a_function_tell_a_secret() {
    let app = TestApp::open().await;
    app.user("1", BEA).await;
    let verbose = [
        ("LOG_LEVEL", "TRACE"),
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
        ("RUST_LOG", "trace"),
        ("RUST_BACKTRACE", "full"),
    ];
    let forgot = Process::start("forgot", &app, &verbose).await;
    let reset = Process::start("reset", &app, &verbose).await;
    app.aws.take_calls();
    let mut answers = ask_in_all_ways(&app, &forgot).await;
    answers.extend(deliver_in_all_ways(&app, &forgot).await);
    let link = app.aws.mails()[0].link();
    let hashes = app.rows("token#").await;
    answers.extend(reset_in_all_ways(&app, &reset, &link).await);
    answers.extend(notify_in_all_ways(&app, &reset).await);
    let written = [forgot.end().await, reset.end().await].concat();

    let hash = app.stored("1", "password_hash").await;
    assert!(hash.starts_with("$argon2id$"), "the password was changed");
    let said = answers.join("\n") + &written.join("\n");
    let mut secrets = vec![
        BEA,
        "eve@",
        "secret.example",
        PASSWORD,
        "horse",
        "192.0.2.1",
        "argon2",
    ];
    secrets.extend([link.token.as_str(), hash.as_str(), SECRET_KEY, SESSION]);
    for secret in secrets {
        let at = said.find(secret);
        let told = at.map(|at| said[..at].lines().last());
        assert_eq!(told, None, "{secret}");
    }
    for row in hashes.iter().chain(&app.rows("").await) {
        let key = row["pk"]["S"].as_str().unwrap();
        let digest = key.split('#').find(|part| part.len() == 64).unwrap_or("##");
        assert!(!written.concat().contains(digest), "{key}");
    }
    assert!(answers.len() > 25 && written[0].lines().count() > 10);
    for line in written.iter().flat_map(|text| text.lines()) {
        check_fields(line);
    }
}

/// Hands over what a client, a gateway or an operator may, and much that they may not.
async fn ask_in_all_ways(app: &TestApp, forgot: &Process) -> Vec<String> {
    let path = "/password/forgot";
    let body = |email: &str| json!({ "email": email, "reset_url": PAGE }).to_string();
    let secret = format!("{BEA} {PASSWORD}");
    let mut odd = app.event(path, &body(BEA));
    odd["isBase64Encoded"] = true.into();
    let mut headers = app.event(path, &body(BEA));
    headers["headers"] = json!({ "content-type": secret, "cookie": [secret] });
    let events = [
        app.event(path, &body(BEA)),
        app.event(path, &body("eve@secret.example")),
        app.event(path, &body(&secret)),
        app.event(path, &secret),
        app.event(path, &json!([secret]).to_string()),
        app.event(
            path,
            &json!({ "email": [secret], "reset_url": secret }).to_string(),
        ),
        app.event(
            path,
            &format!("{{\"email\":\"{BEA}\",\"email\":\"{BEA}\"}}"),
        ),
        app.event(&format!("/{BEA}"), &body(BEA)),
        odd,
        headers,
        json!({ "Records": secret }),
        json!({ "Records": [{ "dynamodb": { "SequenceNumber": [secret] } }] }),
        json!({ "body": { "password": PASSWORD }, "requestContext": { "http": secret } }),
        json!({ "password": PASSWORD }),
        json!(secret),
    ];
    let mut answers = Vec::new();
    for event in events {
        answers.push(forgot.invoke(&event.to_string()).await);
    }
    answers.push(forgot.invoke(&secret).await);
    for wrong in wrongs("TransactWriteItems").into_iter().step_by(3) {
        // One that is never answered takes seconds.
        if !matches!(wrong.answer, Answer::Nothing | Answer::Late(_)) {
            app.aws.inject("TransactWriteItems", EVERY, wrong);
            let event = app.event(path, &body("eve@secret.example"));
            answers.push(forgot.invoke(&event.to_string()).await);
            app.aws.heal();
        }
    }
    answers
}

async fn deliver_in_all_ways(app: &TestApp, forgot: &Process) -> Vec<String> {
    let rows = app.rows("request#").await;
    let mut rows: Vec<&Value> = rows.iter().collect();
    rows.sort_by_key(|row| row["email"]["S"] != BEA);
    let good = batch(&rows).to_string();
    let broken = good.replace("\"email\":{\"S\":", "\"email\":{\"N\":");
    let mut answers = vec![forgot.invoke(&broken).await];
    for code in [
        "MessageRejected",
        "BadRequestException",
        "NotFoundException",
    ] {
        app.aws.fail("SendEmail", 1, (400, code, BEA));
        answers.push(forgot.invoke(&good).await);
    }
    answers.push(forgot.invoke(&good).await);
    app.mark_processed(rows);
    answers
}

async fn reset_in_all_ways(app: &TestApp, reset: &Process, link: &Link) -> Vec<String> {
    let path = "/password/reset";
    let body = |token: &str, password: &str, confirmation: &str| {
        let body = json!({
            "email": BEA, "token": token, "password": password, "password_confirmation": confirmation,
        });
        app.event(path, &body.to_string()).to_string()
    };
    let token = link.token.as_str();
    let good = body(token, PASSWORD, PASSWORD);
    let mut answers = Vec::new();
    for event in [
        body(token, "horse", "horse"),
        body(token, PASSWORD, "another horse"),
        body(&token[1..], PASSWORD, PASSWORD),
        body(&token.replace(|c| c != '0', "1"), PASSWORD, PASSWORD),
        app.event(
            path,
            &format!("{{\"password\":\"{PASSWORD}\" \"{token}\"}}"),
        )
        .to_string(),
    ] {
        answers.push(reset.invoke(&event).await);
    }
    for call in ["UpdateItem", "Query", "TransactWriteItems"] {
        let answer = Answer::Garbage;
        for wrong in [
            Wrong::refused(400, "ValidationException", PASSWORD),
            Wrong {
                is_done: false,
                answer,
            },
        ] {
            app.aws.inject(call, EVERY, wrong);
            answers.push(reset.invoke(&good).await);
            app.aws.heal();
        }
    }
    answers.push(reset.invoke(&good).await);
    answers.push(reset.invoke(&good).await);
    answers
}

async fn notify_in_all_ways(app: &TestApp, reset: &Process) -> Vec<String> {
    let rows = app.rows("change#").await;
    let rows: Vec<&Value> = rows.iter().collect();
    app.aws.fail("SendEmail", 1, (400, "MessageRejected", BEA));
    let event = batch(&rows).to_string();
    let answers = vec![reset.invoke(&event).await, reset.invoke(&event).await];
    app.mark_processed(rows);
    answers
}

/// A line has the fields that the operator's handbook lists, a time, and nothing below INFO.
fn check_fields(line: &str) {
    let json: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    let level = json["level"].as_str().unwrap();
    assert!(["ERROR", "WARN", "INFO"].contains(&level), "{line}");
    let time = json["timestamp"].as_str().unwrap();
    assert!(time.parse::<Timestamp>().is_ok(), "{line}");
    let Some(event) = json["event"].as_str() else {
        assert!(json["target"].is_string(), "a library's: {line}");
        return;
    };
    let mut fields: Vec<&str> = json
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    let mut documented = vec!["detail", "event", "level", "request_id", "timestamp"];
    if event == "Fault" {
        documented.extend(["aws_request_id", "code"]);
        if fields.contains(&"RequestsFailed") {
            documented.extend(["Stack", "_aws", "RequestsFailed"]);
        }
    } else {
        documented.extend(["Stack", "_aws", event]);
    }
    documented.sort_unstable();
    assert_eq!(fields, documented);
    let id = json["request_id"].as_str().unwrap();
    assert!(id == "unknown" || id.starts_with("request-"), "{line}");
}

/// Who has a copy of the table has no link: nothing in it works as a token (and no password is in it).
#[tokio::test]
async fn a_copy_of_the_table_opens_nothing() {
    let app = TestApp::with_ada().await;
    let used = app.link(ADA).await;
    app.reset(&used, PASSWORD).await;
    app.later(SignedDuration::from_mins(2));
    let link = app.link(ADA).await;
    let hash = app.stored("1", "password_hash").await;
    let rows = app.rows("").await;
    let copy = json!(rows).to_string();
    for secret in [&link.token, &used.token, PASSWORD, &hash, "argon2"] {
        assert!(!copy.contains(secret), "{secret}");
    }
    for row in &rows {
        let key = row["pk"]["S"].as_str().unwrap();
        let may_hold = ["request#", "token#", "change#"]
            .iter()
            .any(|prefix| key.starts_with(prefix));
        assert!(
            may_hold || !row.to_string().contains("example.com"),
            "{row}"
        );
    }
    let is_digit = |c: char| c.is_ascii_hexdigit();
    let words: BTreeSet<&str> = copy
        .split(|c| !is_digit(c))
        .filter(|word| word.len() >= 8)
        .collect();
    assert!(words.len() >= 4, "{words:?}");
    for word in words {
        let padded = format!("{word:0>64}");
        for token in [word, &padded] {
            let tried = Link {
                token: token.to_owned(),
                ..link.clone()
            };
            assert_eq!(app.reset(&tried, PASSWORD).await.status(), 422, "{word}");
        }
    }
    assert_eq!(
        app.reset(&link, PASSWORD).await.status(),
        204,
        "the link itself does"
    );
    app.drain().await;
}
