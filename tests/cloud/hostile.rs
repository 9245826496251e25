//! Hostile requests to the deployed routes.
//!
//! No request may cause a 5xx response, an email to an address that is not stored, or a link to an unlisted page.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use reqwest::Method;
use reqwest::header::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::directory::{DISABLED, MOVED};
use crate::stack::{Stack, variable};
use support::hostile::attempts::{Attempt, attempts};
use support::hostile::inputs::{Input, inputs};
use support::hostile::{PAGES, USERS};
use support::torture::{report, times};

/// The number of requests that a source makes before the next one takes over. It is below the rate limit.
const REQUESTS: usize = 90;
/// The address in the file's requests. The desk has this user, and no other test requests links for it.
const ADA: &str = "ada@example.com";

#[tokio::test]
async fn every_hostile_input_gets_its_expected_response() {
    let stack = Stack::new();
    end_the_cooldown(&stack).await;
    let inputs = inputs();
    for inputs in inputs.chunks(REQUESTS) {
        let caller = Stack::new();
        for input in inputs {
            let before = stack.emails_to(ADA).await.len();
            let (status, body) = send_input(&caller, input).await;
            input.check_response(status, &body);
            if status == 202 {
                stack.wait_for_the_stream().await;
                end_the_cooldown(&stack).await;
            }
            let emails = stack.emails_to(ADA).await.split_off(before);
            let emails: Vec<_> = emails
                .iter()
                .map(|message| (ADA.to_owned(), message.link().url.into()))
                .collect();
            input.check_emails(&emails);
        }
    }
    assert_safe_emails(&stack).await;
}

#[tokio::test]
async fn no_attempt_causes_a_5xx_or_misdirects_a_link() {
    let cases = times(100, 1_000);
    let stack = Stack::new();
    for user in USERS {
        stack.user(user).await;
    }
    let mut runner = TestRunner::default();
    for _ in 0..cases.div_ceil(REQUESTS) {
        let caller = Stack::new();
        for _ in 0..REQUESTS {
            let attempt = attempts().new_tree(&mut runner).unwrap().current();
            let attempt = attempt.with_token(&"0".repeat(64));
            let status = send_attempt(&caller, &attempt).await;
            assert!((200..500).contains(&status), "{status}: {attempt:?}");
        }
    }
    stack.wait_for_the_stream().await;
    assert_safe_emails(&stack).await;
    report(
        "hostile requests to the deployed routes",
        cases,
        "no 5xx; emails only to stored users, links only to listed pages",
    );
}

async fn send_input(caller: &Stack, input: &Input) -> (u16, String) {
    let url = Url::parse(&variable("API_URL"))
        .unwrap()
        .join(&input.path)
        .unwrap();
    if url.path() != input.path {
        return (send_raw(&url, input).await, String::new());
    }
    let method: Method = input.method.parse().unwrap();
    let mut request = caller.client.request(method, url).body(input.body.clone());
    if !input.content_type.is_empty() {
        request = request.header("content-type", &input.content_type);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Sends a path with dots in it, which an HTTP client would normalize.
async fn send_raw(url: &Url, input: &Input) -> u16 {
    let authority = url.authority();
    let Input {
        method,
        path,
        content_type,
        body,
        ..
    } = input;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: {content_type}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(authority).await.unwrap();
    socket
        .write_all(&[head.as_bytes(), body].concat())
        .await
        .unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).await.unwrap();
    response.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Sends an attempt without the parts that HTTP cannot represent: control characters in headers, and a false length.
async fn send_attempt(caller: &Stack, attempt: &Attempt) -> u16 {
    let mut call = caller.call(attempt.path).body(attempt.body.clone());
    for (name, value) in &attempt.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            call = call.header(name, value);
        }
    }
    let mut request = call.build().unwrap();
    request.url_mut().set_query(Some(&attempt.query));
    caller
        .client
        .execute(request)
        .await
        .unwrap()
        .status()
        .as_u16()
}

/// Deletes the stored request for the address, if there is one.
async fn end_the_cooldown(stack: &Stack) {
    let table = variable("REKEY_TABLE");
    let scan = stack.dynamodb.scan().table_name(&table);
    let rows = scan.send().await.unwrap().items.unwrap();
    let email = AttributeValue::S(ADA.to_owned());
    let digest = rows
        .iter()
        .filter(|row| row.get("email") == Some(&email))
        .find_map(|row| {
            let digest = row["pk"].as_s().unwrap().strip_prefix("request#")?;
            Some(digest.to_owned())
        });
    let Some(digest) = digest else { return };
    // Delete the counters of the address, too.
    for key in rows.into_iter().map(|mut row| row.remove("pk").unwrap()) {
        if key.as_s().unwrap().contains(&digest) {
            let delete = stack.dynamodb.delete_item().table_name(&table);
            delete.key("pk", key).send().await.unwrap();
        }
    }
}

/// Asserts that only stored users have emails, and that every link leads to a listed page.
async fn assert_safe_emails(stack: &Stack) {
    let users = stack.dynamodb.scan().table_name(variable("USERS_TABLE"));
    let users = users.send().await.unwrap().items.unwrap();
    // Other tests write to users that do not exist, which creates items without an email address.
    let emails = users.iter().filter_map(|user| user.get("email"));
    let stored: HashSet<&str> = emails.map(|email| email.as_s().unwrap().as_str()).collect();
    let page = variable("PAGE_URL");
    for message in stack.emails().await {
        // The tests of the roles send the first, not the functions. The others' users have moved, or are deleted.
        let others = ["roles@example.com", MOVED, DISABLED];
        if others.iter().any(|other| message.to == [*other]) {
            continue;
        }
        let [to] = message.to.as_slice() else {
            panic!("{message:?}")
        };
        assert!(stored.contains(to.as_str()), "{message:?}");
        if let Some(line) = message.text.lines().find(|line| line.starts_with("http")) {
            let (bare, _) = line.split_once("email=").unwrap();
            let bare = &bare[..bare.len() - 1];
            assert!(PAGES.contains(&bare) || bare == page, "{message:?}");
        }
    }
}
