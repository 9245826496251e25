//! The measured functions: Rekey's two binaries, a hello world, and the peers, each with its events.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::repository::root;
use crate::tls::Authority;

/// A function, and how to start its processes.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) folder: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
}

impl Subject {
    /// Returns the same function, run under a tool.
    pub(crate) fn under(&self, tool: &[&str]) -> Self {
        let tool = tool.iter().map(|&argument| argument.to_owned());
        Self {
            command: tool.chain(self.command.clone()).collect(),
            ..self.clone()
        }
    }

    /// Returns one of Rekey's binaries, from the folder of `make bench`.
    pub(crate) fn ours(binaries: &Path, name: &str) -> Self {
        let environment = if name == "hello" {
            Vec::new()
        } else {
            settings()
        };
        Self {
            name: name.to_owned(),
            command: vec![binaries.join(name).join("bootstrap").display().to_string()],
            folder: root().to_owned(),
            environment,
        }
    }
}

/// Copies Rekey's binaries to a folder, so that they trust the local AWS as they trust Amazon.
pub(crate) fn trusting(binaries: &Path, authority: &Authority) -> PathBuf {
    let trusting = binaries.join("trusting");
    for name in ["forgot", "reset"] {
        let (from, to) = (binaries.join(name), trusting.join(name));
        fs::create_dir_all(&to).unwrap();
        // The copy keeps the permission to run.
        fs::copy(from.join("bootstrap"), to.join("bootstrap")).unwrap();
        let binary = fs::read(from.join("bootstrap")).unwrap();
        fs::write(to.join("bootstrap"), authority.trusted_by(&binary)).unwrap();
    }
    trusting
}

pub(crate) const PAGE: &str = "https://app.example.com/password/reset";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Returns the template's settings, with rate limits that no measurement reaches.
fn settings() -> Vec<(String, String)> {
    let settings = [
        ("STACK_NAME", "rekey"),
        ("REKEY_TABLE", "rekey"),
        ("RESET_URLS", PAGE),
        ("RESET_URL_ORIGINS", "https://app.example.com"),
        ("PRODUCT_NAME", "Example"),
        ("MAIL_FROM_ADDRESS", "no-reply@example.com"),
        ("MAIL_FROM_NAME", "Example"),
        ("SES_CONFIGURATION_SET", "rekey-mail"),
        ("USERS_TABLE", "users"),
        ("USERS_KEY_ATTRIBUTE", "id"),
        ("USERS_EMAIL_ATTRIBUTE", "email"),
        ("USERS_EMAIL_INDEX", "email-index"),
        ("USERS_PASSWORD_ATTRIBUTE", "password_hash"),
        ("SOURCE_LIMIT", "100000"),
        ("ADDRESS_LIMIT", "1000"),
        ("ADDRESS_DAILY_LIMIT", "1000"),
        ("DAILY_MAIL_BUDGET", "100000000"),
        ("LOG_LEVEL", "INFO"),
    ];
    settings
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// Returns a realistic event of API Gateway's HTTP API (payload 2.0), with the headers of a browser and a CDN.
pub(crate) fn event(path: &str, headers: &HashMap<String, String>, body: &str) -> String {
    let mut all = json!({
        "accept": "application/json",
        "accept-encoding": "gzip, deflate, br, zstd",
        "accept-language": "en-GB,en;q=0.9,de;q=0.8",
        "content-length": body.len().to_string(),
        "content-type": "application/json",
        "host": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
        "origin": "https://app.example.com",
        "referer": "https://app.example.com/",
        "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "x-amzn-trace-id": "Root=1-5759e988-bd862e3fe1be46a994272793",
        "x-forwarded-for": "192.0.2.1",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    });
    for (name, value) in headers {
        all[name.to_ascii_lowercase()] = json!(value);
    }
    json!({
        "version": "2.0",
        "routeKey": format!("POST {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": all,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "a1b2c3d4e5",
            "domainName": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            },
            "requestId": format!("JKJaXmPLvHcESHA{:x}", unique()),
            "routeKey": format!("POST {path}"),
            "stage": "$default",
            "time": "24/Nov/2026:12:00:00 +0000",
            "timeEpoch": 1_795_521_600_000_u64,
        },
        "body": body,
        "isBase64Encoded": false,
    })
    .to_string()
}

/// Returns a unique number. Request IDs must differ, because the row of a change is stored under its request's ID.
fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Returns the event of a request for a link.
pub(crate) fn forgot_event(email: &str) -> String {
    let body = json!({ "email": email, "reset_url": PAGE });
    event("/password/forgot", &HashMap::new(), &body.to_string())
}

/// Returns the event of a request to set a password.
pub(crate) fn reset_event(email: &str, token: &str) -> String {
    let body = json!({ "email": email, "token": token, "password": PASSWORD });
    event("/password/reset", &HashMap::new(), &body.to_string())
}

/// The maximum batch size, as in the template.
pub(crate) const BATCH_SIZE: usize = 16;

/// Returns an event of the stream for `forgot`'s private half.
pub(crate) fn requested_event(emails: &[String], now: Timestamp) -> String {
    let records = emails.iter().enumerate().map(|(n, email)| {
        let image = json!({
            "pk": { "S": format!("request#{n}") },
            "email": { "S": email },
            "reset_url": { "S": PAGE },
            "locale": { "S": "en" },
            "request_id": { "S": format!("JKJaXmPLvHcESHA{n:x}") },
            "requested_at": { "N": now.as_second().to_string() },
            "expires_at": { "N": (now.as_second() + 3600).to_string() },
        });
        record(&image, n)
    });
    json!({ "Records": records.collect::<Vec<_>>() }).to_string()
}

fn record(image: &Value, n: usize) -> Value {
    json!({
        "eventID": format!("{n:032x}"),
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_521_600,
            "Keys": { "pk": image["pk"] },
            "NewImage": image,
            "SequenceNumber": format!("{:021}", n + 1),
            "SizeBytes": 400,
            "StreamViewType": "NEW_IMAGE",
        },
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/rekey/stream/2026-11-24T00:00:00.000",
    })
}

/// An alternative to Rekey, from `infra/bench/peers/peers.json`.
#[derive(Deserialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    cwd: String,
    prepare: Option<Vec<String>>,
    command: Vec<String>,
    environment: HashMap<String, String>,
    forgot: Call,
    reset: Call,
    /// The regular expression that matches the token and the user in the email.
    pub(crate) link: String,
    pub(crate) forgot_status: u64,
    pub(crate) reset_status: u64,
}

#[derive(Deserialize)]
struct Call {
    path: String,
    #[serde(default)]
    headers: HashMap<String, String>,
    body: String,
}

impl Peer {
    /// Returns all peers.
    pub(crate) fn all() -> Vec<Self> {
        let list = fs::read_to_string(root().join("infra/bench/peers/peers.json")).unwrap();
        serde_json::from_str(&list).unwrap()
    }

    /// Creates the peer's database in a folder, and returns the function.
    pub(crate) fn prepare(&self, state: &Path) -> Subject {
        let filled = |text: &String| {
            text.replace("{root}", &root().display().to_string())
                .replace("{state}", &state.display().to_string())
        };
        let located = |command: &Vec<String>| -> Vec<String> {
            let mut command: Vec<String> = command.iter().map(filled).collect();
            let program = root().join(&command[0]);
            if program.exists() {
                command[0] = program.display().to_string();
            }
            command
        };
        let folder = root().join(&self.cwd);
        let environment: Vec<(String, String)> = self
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), filled(value)))
            .chain([("LAMBDA_TASK_ROOT".to_owned(), folder.display().to_string())])
            .collect();
        if let Some(prepare) = &self.prepare {
            let prepare = located(prepare);
            let status = Command::new(&prepare[0])
                .args(&prepare[1..])
                .current_dir(&folder)
                .envs(environment.iter().cloned())
                .status()
                .unwrap();
            assert!(status.success(), "{}: {prepare:?}", self.name);
        }
        Subject {
            name: self.name.clone(),
            command: located(&self.command),
            folder,
            environment,
        }
    }

    pub(crate) fn forgot_event(&self) -> String {
        event(&self.forgot.path, &self.forgot.headers, &self.forgot.body)
    }

    pub(crate) fn reset_event(&self, token: &str, user: &str) -> String {
        let filled = |text: &str| {
            text.replace("{token}", token)
                .replace("{uid}", user)
                .replace("{password}", PASSWORD)
        };
        event(
            &filled(&self.reset.path),
            &self.reset.headers,
            &filled(&self.reset.body),
        )
    }
}
