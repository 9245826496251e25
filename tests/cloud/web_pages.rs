//! Attacks on the local AWS by web pages in the developer's browser.
//!
//! The local AWS runs any code that a client deploys. So every port that it opens rejects requests from web pages.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::process::Command;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::stack::{Stack, variable};

const EVIL: &str = "evil.test";

#[tokio::test]
async fn a_page_cannot_call_any_port_of_the_local_aws() {
    let (gateway, ports) = (port_of("AWS_ENDPOINT_URL"), emulator_ports().await);
    for port in ports {
        for header in [
            "Origin: https://evil.test",
            "origin: null",
            "ORIGIN: http://localhost",
            "oRiGiN:",
            "Sec-Fetch-Site: cross-site",
            "sec-fetch-site: same-site",
            "SEC-FETCH-SITE: same-origin",
            "Sec-Fetch-Site: none",
        ] {
            for method in ["GET", "POST", "OPTIONS"] {
                let request = format!(
                    "{method} / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{header}\r\nContent-Length: 0\r\n\r\n"
                );
                let Some(reply) = send(port, &request).await else {
                    assert!(port != gateway, "the gateway does not respond");
                    break; // The function's process has ended, and its port is closed.
                };
                assert_eq!(reply.status, 403, "{port}: {request}");
                let allowed = reply.head.contains("access-control-allow");
                assert!(!allowed, "{port}: {request}: {}", reply.head);
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_rebinds_its_host_name_reaches_no_port() {
    let known = ["AWS_ENDPOINT_URL", "API_URL", "PAGE_URL"].map(port_of);
    let mut ports = emulator_ports().await;
    ports.extend(known);
    for port in ports {
        for (target, hosts) in foreign_requests(port) {
            let lines: Vec<String> = hosts
                .iter()
                .map(|host| format!("hOsT: {host}\r\n"))
                .collect();
            let lines = lines.concat();
            let request = format!("GET {target} HTTP/1.1\r\n{lines}\r\n");
            let Some(reply) = send(port, &request).await else {
                assert!(!known.contains(&port), "{port} does not respond");
                break;
            };
            // HTTP/1.1 itself requires exactly one Host header (RFC 9112 section 3.2).
            let statuses: &[u16] = if hosts.len() == 1 {
                &[403]
            } else {
                &[400, 403]
            };
            assert!(
                statuses.contains(&reply.status),
                "{port}: {request}: {}",
                reply.head
            );
        }
        let request = "GET / HTTP/1.0\r\n\r\n";
        if let Some(reply) = send(port, request).await {
            assert_eq!(reply.status, 403, "{port}: {request}");
        }
    }
}

/// Returns targets and Host headers that do not name this machine and the port.
fn foreign_requests(port: u16) -> Vec<(&'static str, Vec<String>)> {
    let own = format!("127.0.0.1:{port}");
    vec![
        ("/", vec![format!("{EVIL}:{port}")]),
        ("/", vec![EVIL.to_owned()]),
        ("/", vec![format!("{own}.{EVIL}")]),
        ("/", vec![format!("127.0.0.1.{EVIL}:{port}")]),
        ("/", vec![format!("localhost.{EVIL}:{port}")]),
        ("/", vec![format!("not-localhost:{port}")]),
        ("/", vec![format!("{EVIL}.execute-api.localhost:{port}")]),
        ("/", vec![format!("{EVIL}/.execute-api.localhost:{port}")]),
        ("/", vec![format!("{own}@{EVIL}:{port}")]),
        ("/", vec![format!("127.0.0.2:{port}")]),
        ("/", vec![format!("127.0.0.1:{}", port ^ 1)]),
        ("/", vec!["127.0.0.1".to_owned()]),
        ("/", vec![String::new()]),
        ("/", vec![]),
        ("/", vec![own.clone(), EVIL.to_owned()]),
        ("/", vec![EVIL.to_owned(), own.clone()]),
        ("/", vec![own.clone(), own.clone()]),
        ("http://evil.test/", vec![own.clone()]),
        ("http://evil.test/", vec![EVIL.to_owned()]),
    ]
}

/// No API of the deployed stack accepts web sockets. So this test calls the guard, with an app behind it that does.
#[test]
fn a_web_socket_from_a_page_never_reaches_the_app() {
    for (port, header, expected) in [
        ("1", "user-agent", "reached"),
        ("1", "origin", "websocket.close"),
        ("1", "sec-fetch-site", "websocket.close"),
        ("2", "user-agent", "websocket.close"), // the HTTP API's port
        ("2", "origin", "websocket.close"),
    ] {
        let output = Command::new("target/tools/desk/bin/python")
            .args(["-c", WEB_SOCKET, port, header])
            .env("PYTHONPATH", "infra/desk")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.trim(), expected, "{port} {header}: {output:?}");
    }
}

/// Prints whether a WebSocket to a port reaches the app. Port 2 is the HTTP API's.
const WEB_SOCKET: &str = r#"
import asyncio, sys
import guard
port, header = int(sys.argv[1]), sys.argv[2].encode()
async def app(scope, receive, send): await send({"type": "reached"})
async def receive(): return {"type": "websocket.connect"}
async def send(message): print(message["type"])
headers = [(b"host", f"127.0.0.1:{port}".encode()), (header, b"https://evil.test")]
scope = {"type": "websocket", "server": ("127.0.0.1", port), "raw_path": b"/", "headers": headers}
asyncio.run(guard.guarded(app, 2)(scope, receive, send))
"#;

#[test]
fn the_guard_applies_to_http_2() {
    for (port, authority, header, status) in [
        ("AWS_ENDPOINT_URL", "127.0.0.1", "origin", "403"),
        ("AWS_ENDPOINT_URL", "127.0.0.1", "sec-fetch-site", "403"),
        ("AWS_ENDPOINT_URL", EVIL, "x-none", "403"),
        ("AWS_ENDPOINT_URL", "127.0.0.1", "x-none", "200"),
        ("API_URL", EVIL, "x-none", "403"),
    ] {
        let port = port_of(port).to_string();
        let output = Command::new("target/tools/desk/bin/python")
            .args(["-c", HTTP_2, &port, authority, header])
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.trim(), status, "{authority} {header}: {output:?}");
    }
}

/// Prints the status of one HTTP/2 request with prior knowledge, through the library that the local AWS uses.
const HTTP_2: &str = r#"
import socket, sys
import h2.connection, h2.events
port, name, header = int(sys.argv[1]), sys.argv[2], sys.argv[3]
client = h2.connection.H2Connection()
client.initiate_connection()
client.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":path", "/_ministack/health"),
                        (":authority", f"{name}:{port}"), (header, "https://evil.test")], end_stream=True)
with socket.create_connection(("127.0.0.1", port), 10) as connection:
    connection.sendall(client.data_to_send())
    while data := connection.recv(65536):
        for event in client.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                sys.exit(print(dict(event.headers)[b":status"].decode()))
        connection.sendall(client.data_to_send())
"#;

#[tokio::test]
async fn only_the_page_and_people_can_read_the_mailbox() {
    let port = port_of("PAGE_URL");
    let read = async |path: &str, header: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{header}\r\nConnection: close\r\n\r\n"
        );
        send(port, &request).await.unwrap().status
    };
    for path in ["/mailbox", "/config.js"] {
        for own in [
            "X-None: 1",
            "Sec-Fetch-Site: same-origin",
            "Sec-Fetch-Site: none",
        ] {
            assert_eq!(read(path, own).await, 200, "{path} {own}");
        }
        for foreign in [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
            "Origin: https://evil.test",
            "Origin: null",
        ] {
            assert_eq!(read(path, foreign).await, 403, "{path} {foreign}");
        }
    }
    // A link in an email navigates from another site to the page.
    assert_eq!(read("/?token=0", "Sec-Fetch-Site: cross-site").await, 200);
}

#[tokio::test]
async fn clients_on_this_machine_may_use_any_of_its_names() {
    let gateway = port_of("AWS_ENDPOINT_URL");
    for (name, path) in [
        ("AWS_ENDPOINT_URL", "/_ministack/health"),
        ("PAGE_URL", "/"),
        ("API_URL", "/"),
    ] {
        let port = port_of(name);
        for host in ["127.0.0.1", "localhost", "LocalHost", "[::1]"] {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
            let status = send(port, &request).await.unwrap().status;
            let expected = if name == "API_URL" { 404 } else { 200 };
            assert_eq!(status, expected, "{request}");
        }
    }
    // The template's ApiUrl has this name on a local AWS. API Gateway responds that it has no such API.
    let request = format!(
        "GET / HTTP/1.1\r\nHost: 00000000.execute-api.localhost:{gateway}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(send(gateway, &request).await.unwrap().status, 404);
}

/// Returns the ports of the local AWS that no page may call: its gateway, and each function's Runtime API.
async fn emulator_ports() -> BTreeSet<u16> {
    assert_eq!(
        Stack::new().forgot("web-pages@example.com").await.status(),
        202
    ); // This request starts a function.
    let mut ports = BTreeSet::from([port_of("AWS_ENDPOINT_URL")]);
    if !fs::exists("/proc/net/tcp").unwrap() {
        return ports; // Only Linux lists the ports of a process in its file system.
    }
    let listening = listening_ports();
    assert!(ports.is_subset(&listening), "{listening:?}");
    ports.extend(listening);
    ports.remove(&port_of("API_URL"));
    assert!(ports.len() > 1, "no Runtime API among {ports:?}");
    ports
}

/// Returns every port on which the launcher or one of its descendants listens, from `/proc`.
fn listening_ports() -> BTreeSet<u16> {
    let processes: Vec<(String, String)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().into_string().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            Some((pid, parent.to_owned()))
        })
        .collect();
    let desk = variable("DESK_PID");
    let is_launcher = |pid: &str| {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.contains("launcher.py")
    };
    let mut family: HashSet<&str> = processes
        .iter()
        .filter(|(pid, parent)| *parent == desk && is_launcher(pid))
        .map(|(pid, _)| pid.as_str())
        .collect();
    assert_eq!(family.len(), 1, "expected one launcher");
    while let Some((pid, _)) = processes
        .iter()
        .find(|(pid, parent)| family.contains(parent.as_str()) && !family.contains(pid.as_str()))
    {
        family.insert(pid);
    }
    let sockets: HashSet<String> = family
        .iter()
        .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok())
        .flatten()
        .filter_map(|entry| Some(fs::read_link(entry.ok()?.path()).ok()?.to_str()?.to_owned()))
        .collect();
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/net/{table}")).ok())
        .flat_map(|table| table.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
            let is_listening = *state == "0A" && sockets.contains(&format!("socket:[{inode}]"));
            let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
            is_listening.then_some(port)
        })
        .collect()
}

struct Reply {
    status: u16,
    head: String,
}

/// Sends a request byte for byte and returns the reply, or `None` if the port refuses the connection.
async fn send(port: u16, request: &str) -> Option<Reply> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && connection.read_buf(&mut head).await.unwrap_or(0) > 0 {
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Some(Reply {
        status: status.unwrap_or_else(|| panic!("{request}: {head}")),
        head,
    })
}

fn port_of(name: &str) -> u16 {
    let url = Url::parse(&variable(name)).unwrap();
    url.port_or_known_default().unwrap()
}
