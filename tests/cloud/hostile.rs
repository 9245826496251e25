//! Requests from hell at the deployed routes: never a 5xx, never a mail to who is not stored, never a link to what is
//! not in the list.

#[path = "../journeys/hostile/attempts.rs"]
#[expect(dead_code, reason = "the journeys use the rest of it")]
mod attempts;
#[path = "../journeys/hostile/inputs.rs"]
#[expect(dead_code, reason = "the journeys use the rest of it")]
mod inputs;

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use reqwest::Method;
use reqwest::header::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use self::attempts::{Attempt, PAGES, USERS, attempts};
use self::inputs::{Input, inputs};
use crate::stack::{Stack, variable};
use crate::torture::{report, times};

/// Of one source, before it has to be another one.
const REQUESTS: usize = 90;
/// Whom the file writes to. The desk has this user; no other test asks for the address.
const ADA: &str = "ada@example.com";

#[tokio::test]
async fn every_hostile_input_is_answered_as_it_should_be() {
    let stack = Stack::new();
    end_the_cooldown(&stack).await;
    let inputs = inputs();
    for inputs in inputs.chunks(REQUESTS) {
        let caller = Stack::new();
        for input in inputs {
            let before = stack.mails_to(ADA).await.len();
            let (status, body) = send_input(&caller, input).await;
            input.check_answer(status, &body);
            if status == 202 {
                stack.wait_for_the_stream().await;
                end_the_cooldown(&stack).await;
            }
            let mails = stack.mails_to(ADA).await.split_off(before);
            let mails: Vec<_> = mails
                .iter()
                .map(|mail| (ADA.to_owned(), mail.link().url.into()))
                .collect();
            input.check_mails(&mails);
        }
    }
    only_stored_users_have_mail_with_links_to_listed_pages(&stack).await;
}

#[tokio::test]
async fn no_attempt_is_a_fault_or_leads_astray() {
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
    only_stored_users_have_mail_with_links_to_listed_pages(&stack).await;
    report(
        "attempts at the deployed routes",
        cases,
        "no 5xx, no mail but to stored users, no link but to listed pages",
    );
}

async fn send_input(caller: &Stack, input: &Input) -> (u16, String) {
    let url = Url::parse(&variable("API_URL"))
        .unwrap()
        .join(&input.path)
        .unwrap();
    if url.path() != input.path {
        return (send_as_it_is(&url, input).await, String::new());
    }
    let method: Method = input.method.parse().unwrap();
    let mut call = caller.client.request(method, url).body(input.body.clone());
    if !input.content_type.is_empty() {
        call = call.header("content-type", &input.content_type);
    }
    let response = call.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Sends a path that a client would tidy up: with dots in it.
async fn send_as_it_is(url: &Url, input: &Input) -> u16 {
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
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// What cannot be sent over HTTP at all is left out: control characters in headers, the length.
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

/// Forgets that the address was asked for, if it was.
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
    // The request, and how often there was one.
    for key in rows.into_iter().map(|mut row| row.remove("pk").unwrap()) {
        if key.as_s().unwrap().contains(&digest) {
            let delete = stack.dynamodb.delete_item().table_name(&table);
            delete.key("pk", key).send().await.unwrap();
        }
    }
}

async fn only_stored_users_have_mail_with_links_to_listed_pages(stack: &Stack) {
    let users = stack.dynamodb.scan().table_name(variable("USERS_TABLE"));
    let users = users.send().await.unwrap().items.unwrap();
    // Other tests put attributes where no user is.
    let emails = users.iter().filter_map(|user| user.get("email"));
    let stored: HashSet<&str> = emails.map(|email| email.as_s().unwrap().as_str()).collect();
    let page = variable("PAGE_URL");
    for mail in stack.mails().await {
        if mail.to == ["roles@example.com"] {
            // Not by the functions: by who has their roles.
            continue;
        }
        let [to] = mail.to.as_slice() else {
            panic!("{mail:?}")
        };
        assert!(stored.contains(to.as_str()), "{mail:?}");
        if let Some(line) = mail.text.lines().find(|line| line.starts_with("http")) {
            let (bare, _) = line.split_once("email=").unwrap();
            let bare = &bare[..bare.len() - 1];
            assert!(PAGES.contains(&bare) || bare == page, "{mail:?}");
        }
    }
}
