//! At the most verbose log level, the output and the responses of both functions contain no secret.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::process::{Process, SECRET_KEY, SESSION};
use support::app::TestApp;
use support::app::stream::batch;
use support::calls::faults_of;
use support::deployment::{PAGE, PASSWORD};
use support::email::Link;
use support::faults::{EVERY, Fault, Reply};

/// An address that differs from the example in error messages.
const BEA: &str = "bea@secret.example";

/// Runs both functions as processes at the most verbose log level, and searches their output and responses.
#[tokio::test]
async fn no_log_level_makes_a_function_log_a_secret() {
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
    let mut responses = request_in_all_ways(&app, &forgot).await;
    responses.extend(deliver_in_all_ways(&app, &forgot).await);
    let link = app.aws.emails()[0].link();
    let hashes = app.rows("token#").await;
    responses.extend(reset_in_all_ways(&app, &reset, &link).await);
    responses.extend(notify_in_all_ways(&app, &reset).await);
    let written = [forgot.end().await, reset.end().await].concat();

    let hash = app.stored("1", "password_hash").await;
    assert!(hash.starts_with("$argon2id$"), "the password was changed");
    let output = format!("{}\n{}", responses.join("\n"), written.join("\n"));
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
        let at = output.find(secret);
        let before = at.map(|at| output[..at].lines().last());
        assert_eq!(before, None, "{secret}");
    }
    for row in hashes.iter().chain(&app.rows("").await) {
        let key = row["pk"]["S"].as_str().unwrap();
        let digest = key.split('#').find(|part| part.len() == 64).unwrap_or("##");
        assert!(!written.concat().contains(digest), "{key}");
    }
    assert!(responses.len() > 25 && written[0].lines().count() > 10);
    for line in written.iter().flat_map(|text| text.lines()) {
        check_fields(line);
    }
}

/// Sends valid events of a client, a gateway, and an operator, and many invalid ones.
async fn request_in_all_ways(app: &TestApp, forgot: &Process) -> Vec<String> {
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
    let mut responses = Vec::new();
    for event in events {
        responses.push(forgot.invoke(&event.to_string()).await);
    }
    responses.push(forgot.invoke(&secret).await);
    for fault in faults_of("TransactWriteItems").into_iter().step_by(3) {
        // Skip late and missing replies, which take seconds.
        if !matches!(fault.reply, Reply::Nothing | Reply::Late(_)) {
            app.aws.inject("TransactWriteItems", EVERY, fault);
            let event = app.event(path, &body("eve@secret.example"));
            responses.push(forgot.invoke(&event.to_string()).await);
            app.aws.heal();
        }
    }
    responses
}

async fn deliver_in_all_ways(app: &TestApp, forgot: &Process) -> Vec<String> {
    let rows = app.rows("request#").await;
    let mut rows: Vec<&Value> = rows.iter().collect();
    rows.sort_by_key(|row| row["email"]["S"] != BEA);
    let good = batch(&rows).to_string();
    let broken = good.replace("\"email\":{\"S\":", "\"email\":{\"N\":");
    let mut responses = vec![forgot.invoke(&broken).await];
    for code in [
        "MessageRejected",
        "BadRequestException",
        "NotFoundException",
    ] {
        app.aws.fail("SendEmail", 1, (400, code, BEA));
        responses.push(forgot.invoke(&good).await);
    }
    responses.push(forgot.invoke(&good).await);
    app.mark_processed(rows);
    responses
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
    let mut responses = Vec::new();
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
        responses.push(reset.invoke(&event).await);
    }
    for call in ["UpdateItem", "Query", "TransactWriteItems"] {
        let reply = Reply::Garbage;
        for fault in [
            Fault::rejected(400, "ValidationException", PASSWORD),
            Fault {
                is_done: false,
                reply,
            },
        ] {
            app.aws.inject(call, EVERY, fault);
            responses.push(reset.invoke(&good).await);
            app.aws.heal();
        }
    }
    responses.push(reset.invoke(&good).await);
    responses.push(reset.invoke(&good).await);
    responses
}

async fn notify_in_all_ways(app: &TestApp, reset: &Process) -> Vec<String> {
    let rows = app.rows("change#").await;
    let rows: Vec<&Value> = rows.iter().collect();
    app.aws.fail("SendEmail", 1, (400, "MessageRejected", BEA));
    let event = batch(&rows).to_string();
    let responses = vec![reset.invoke(&event).await, reset.invoke(&event).await];
    app.mark_processed(rows);
    responses
}

/// Checks that a line has the documented fields and a valid time, and a level of at least INFO.
fn check_fields(line: &str) {
    let json: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    let level = json["level"].as_str().unwrap();
    assert!(["ERROR", "WARN", "INFO"].contains(&level), "{line}");
    let time = json["timestamp"].as_str().unwrap();
    assert!(time.parse::<Timestamp>().is_ok(), "{line}");
    let Some(event) = json["event"].as_str() else {
        assert!(json["target"].is_string(), "a library's line: {line}");
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
