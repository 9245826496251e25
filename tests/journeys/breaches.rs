//! A password that a breached-password API knows is rejected without using up the link.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use support::app::TestApp;
use support::deployment::{ADA, PASSWORD};
use support::responses::{LEAKED, password_error};

/// A breached-password range API like that of Have I Been Pwned.
struct RangeApi {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl RangeApi {
    /// Starts an API that always returns the same response, or never responds.
    async fn start(response: Option<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/range/", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let received = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(respond(socket, Arc::clone(&received), response.clone()));
            }
        });
        Self { url, requests }
    }

    async fn app(&self, unanswered: &str) -> TestApp {
        let settings = [
            ("BREACH_CHECK_URL", self.url.as_str()),
            ("BREACH_CHECK_UNANSWERED", unanswered),
        ];
        let app = TestApp::with(&settings).await;
        app.user("1", ADA).await;
        app
    }
}

async fn respond(
    socket: TcpStream,
    received: Arc<Mutex<Vec<String>>>,
    response: Option<(u16, String)>,
) {
    let mut socket = BufReader::new(socket);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        assert!(socket.read_line(&mut request).await.unwrap() > 0);
    }
    received.lock().unwrap().push(request);
    match response {
        Some((status, body)) => {
            let head = format!(
                "HTTP/1.1 {status} -\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            socket
                .write_all(format!("{head}{body}").as_bytes())
                .await
                .unwrap();
        }
        None => std::future::pending().await,
    }
}

// The SHA-1 of "correct horse battery staple" is ABF7A + AD6438836DBE526AA231ABDE2D0EEF74D42.
const SUFFIX: &str = "AD6438836DBE526AA231ABDE2D0EEF74D42";

#[tokio::test]
async fn a_breached_password_is_rejected_and_keeps_the_link() {
    let padding = "0000000000000000000000000000000000A:0";
    let known = RangeApi::start(Some((200, format!("{padding}\r\n{SUFFIX}:216\r\n")))).await;
    let app = known.app("accept").await;
    let link = app.link(ADA).await;
    assert_eq!(password_error(&app.reset(&link, PASSWORD).await), LEAKED);
    assert_eq!(app.stored("1", "password_hash").await, "old");
    assert_eq!(
        app.reset(&link, "a password without a breach")
            .await
            .status(),
        204
    );

    let request = known.requests.lock().unwrap()[0].to_ascii_lowercase();
    assert!(
        request.starts_with("get /range/abf7a http/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("add-padding: true\r\n") && request.contains("user-agent: rekey\r\n"));
    let rest = request.replacen("abf7a", "", 1);
    assert!(
        !rest.contains(&SUFFIX.to_ascii_lowercase()[..5]),
        "only five digits are sent: {request}"
    );
    app.process_stream().await;
}

#[tokio::test]
async fn a_padding_entry_does_not_count_as_a_breach() {
    let padded = RangeApi::start(Some((200, format!("{SUFFIX}:0\r\n")))).await;
    let app = padded.app("refuse").await;
    let link = app.link(ADA).await;
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
    app.process_stream().await;
}

#[tokio::test]
async fn an_invalid_token_causes_no_request_to_the_breach_api() {
    let range = RangeApi::start(Some((200, String::new()))).await;
    let app = range.app("refuse").await;
    let mut link = app.link(ADA).await;
    link.token = "0".repeat(64);
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 422);
    assert_eq!(range.requests.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_failed_breach_check_accepts_or_rejects_as_configured() {
    let responses = [
        None,
        Some((500, String::new())),
        Some((200, "A".repeat(300 * 1024))),
        Some((404, format!("{SUFFIX}:5"))),
    ];
    for response in responses {
        let range = RangeApi::start(response).await;

        let app = range.app("refuse").await;
        let link = app.link(ADA).await;
        let response = app.reset(&link, PASSWORD).await;
        assert_eq!(response.status(), 503);
        assert!(response.header("Retry-After").is_some());
        assert_eq!(app.stored("1", "password_hash").await, "old");
        assert_eq!(app.rows("token#").await.len(), 1, "the link still works");

        let app = range.app("accept").await;
        let link = app.link(ADA).await;
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
        assert!(
            app.events().contains(&"Fault".to_owned()),
            "the operator sees the fault"
        );
        app.process_stream().await;
    }
}
