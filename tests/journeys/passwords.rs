//! Weak passwords are refused, and burn no link.

use std::sync::{Arc, Mutex};

use rekey::config::Env;
use rekey::http::Response;
use reset::password::{NewPassword, Policy};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::desk::{ADA, Desk, PASSWORD};
use crate::torture::{report, times};

/// Why a password was refused.
fn complaint(response: &Response) -> String {
    assert_eq!(response.status(), 422);
    let body: Value = serde_json::from_str(response.body()).unwrap();
    let errors = body["errors"].as_object().unwrap();
    assert_eq!(errors.keys().collect::<Vec<_>>(), ["password"]);
    errors["password"][0].as_str().unwrap().to_owned()
}

const LEAKED: &str = "is known from data leaks, so that attackers try it first: choose another one";

#[tokio::test]
async fn a_weak_password_burns_no_link_and_looks_nothing_up() {
    let desk = Desk::with_ada().await;
    let link = desk.link(ADA).await;
    desk.aws.take_calls();
    let context = "must not be made of your e-mail address or of the name of this service";
    for (weak, reason) in [
        ("iloveyou", LEAKED),
        ("PassWord123", LEAKED),
        ("ada@example.com", context),
        ("Example-2026!", context),
        ("SÖHNEsöhne", context),
    ] {
        let response = desk.reset(&link, weak).await;
        assert_eq!(complaint(&response), reason, "{weak}");
        assert!(!response.body().contains(weak));
    }
    assert_eq!(desk.aws.take_calls(), [""; 0]);
    assert_eq!(desk.reset(&link, PASSWORD).await.status(), 204);
    desk.drain().await;
}

#[tokio::test]
async fn every_complaint_is_told_at_once() {
    let desk = Desk::with_ada().await;
    let body = json!({ "email": "nobody", "token": "0", "password": "password" });
    let response = desk.post("/password/reset", &body).await;
    let body: Value = serde_json::from_str(response.body()).unwrap();
    let errors = body["errors"].as_object().unwrap();
    assert_eq!(
        errors.keys().collect::<Vec<_>>(),
        ["email", "password", "token"]
    );
}

#[test]
fn the_3_000_that_are_used_most_are_all_refused() {
    let policy = Policy::read(&mut Env::new(&|_: &str| None)).unwrap();
    let used = include_str!("most_used_passwords.txt");
    let taken: Vec<&str> = used
        .lines()
        .filter(|password| NewPassword::parse(password, &policy, None).is_ok())
        .collect();
    assert_eq!((used.lines().count(), taken), (3000, vec![]));
}

#[test]
fn a_password_that_nobody_has_is_hardly_ever_taken_for_a_leaked_one() {
    let policy = Policy::read(&mut Env::new(&|_: &str| None)).unwrap();
    let tried = times(100_000, 10_000_000);
    let refused = (0..tried)
        .filter(|n| NewPassword::parse(&format!("nobody has {n}"), &policy, None).is_err())
        .count();
    // One in 1.4 million is meant. Three times as many of these would be no chance any more.
    assert!(refused <= 1 + tried / 450_000, "{refused} of {tried}");
    let shown = format!("{refused} were taken for leaked ones");
    report("passwords that were never leaked", tried, &shown);
}

/// What the script says that it makes is what is here.
#[test]
fn the_file_of_common_passwords_is_the_scripts() {
    let script = std::fs::read_to_string("infra/common-passwords.py").unwrap();
    let file = std::fs::read("functions/reset/src/common_passwords.bin").unwrap();
    let digest = rekey::digest::sha256_hex(&file);
    assert!(script.contains(&digest), "{digest}");
}

/// A range endpoint like that of Have I Been Pwned.
struct Range {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Range {
    /// One that always gives the same answer, or none.
    async fn answering(answer: Option<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/range/", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer_one(socket, Arc::clone(&heard), answer.clone()));
            }
        });
        Self { url, asked }
    }

    async fn desk(&self, unanswered: &str) -> Desk {
        let settings = [
            ("BREACH_CHECK_URL", self.url.as_str()),
            ("BREACH_CHECK_UNANSWERED", unanswered),
        ];
        let desk = Desk::with(&settings).await;
        desk.user("1", ADA).await;
        desk
    }
}

async fn answer_one(
    socket: TcpStream,
    heard: Arc<Mutex<Vec<String>>>,
    answer: Option<(u16, String)>,
) {
    let mut socket = BufReader::new(socket);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        assert!(socket.read_line(&mut request).await.unwrap() > 0);
    }
    heard.lock().unwrap().push(request);
    match answer {
        Some((status, body)) => {
            let answer = format!(
                "HTTP/1.1 {status} -\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            socket.write_all((answer + &body).as_bytes()).await.unwrap();
        }
        None => std::future::pending().await,
    }
}

// The SHA-1 of "correct horse battery staple" is ABF7A + AD6438836DBE526AA231ABDE2D0EEF74D42.
const SUFFIX: &str = "AD6438836DBE526AA231ABDE2D0EEF74D42";

#[tokio::test]
async fn a_password_that_the_endpoint_knows_is_refused_and_burns_no_link() {
    let padding = "0000000000000000000000000000000000A:0";
    let known = Range::answering(Some((200, format!("{padding}\r\n{SUFFIX}:216\r\n")))).await;
    let desk = known.desk("accept").await;
    let link = desk.link(ADA).await;
    assert_eq!(complaint(&desk.reset(&link, PASSWORD).await), LEAKED);
    assert_eq!(desk.stored("1", "password_hash").await, "old");
    assert_eq!(
        desk.reset(&link, "a password of nobody else")
            .await
            .status(),
        204
    );

    let asked = known.asked.lock().unwrap()[0].to_ascii_lowercase();
    assert!(
        asked.starts_with("get /range/abf7a http/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.contains("add-padding: true\r\n") && asked.contains("user-agent: rekey\r\n"));
    let rest = asked.replacen("abf7a", "", 1);
    assert!(
        !rest.contains(&SUFFIX.to_ascii_lowercase()[..5]),
        "five digits leave: {asked}"
    );
    desk.drain().await;
}

#[tokio::test]
async fn padding_is_no_leak() {
    let padded = Range::answering(Some((200, format!("{SUFFIX}:0\r\n")))).await;
    let desk = padded.desk("refuse").await;
    let link = desk.link(ADA).await;
    assert_eq!(desk.reset(&link, PASSWORD).await.status(), 204);
    desk.drain().await;
}

#[tokio::test]
async fn strangers_cannot_make_us_ask() {
    let range = Range::answering(Some((200, String::new()))).await;
    let desk = range.desk("refuse").await;
    let mut link = desk.link(ADA).await;
    link.token = "0".repeat(64);
    assert_eq!(desk.reset(&link, PASSWORD).await.status(), 422);
    assert_eq!(range.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_lets_the_password_pass_or_not_as_the_deployment_wants() {
    let answers = [
        None,
        Some((500, String::new())),
        Some((200, "A".repeat(300 * 1024))),
        Some((404, format!("{SUFFIX}:5"))),
    ];
    for answer in answers {
        let range = Range::answering(answer).await;

        let desk = range.desk("refuse").await;
        let link = desk.link(ADA).await;
        let response = desk.reset(&link, PASSWORD).await;
        assert_eq!(response.status(), 503);
        assert!(response.header("Retry-After").is_some());
        assert_eq!(desk.stored("1", "password_hash").await, "old");
        assert_eq!(desk.rows("token#").await.len(), 1, "the link is still good");

        let desk = range.desk("accept").await;
        let link = desk.link(ADA).await;
        assert_eq!(desk.reset(&link, PASSWORD).await.status(), 204);
        assert!(
            desk.events().contains(&"Fault".to_owned()),
            "the operator is told"
        );
        desk.drain().await;
    }
}
