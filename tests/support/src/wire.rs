//! HTTP on a socket, as far as the fake AWS needs it.

use std::collections::HashMap;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;

/// A request on a socket.
pub struct Incoming {
    pub line: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Incoming {
    /// Reads a request, or returns `None` if the connection closed.
    pub async fn read(socket: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        let read = socket.read_line(&mut line).await.ok()?;
        if read == 0 {
            return None;
        }
        let mut headers = HashMap::new();
        loop {
            let mut header = String::new();
            socket.read_line(&mut header).await.ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length");
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        socket.read_exact(&mut body).await.ok()?;
        Some(Self {
            line,
            headers,
            body,
        })
    }
}

pub(crate) fn response((status, body): &(u16, String)) -> String {
    let error: Value = serde_json::from_str(body).unwrap_or_default();
    let code = error["__type"].as_str();
    let code = code.map_or(String::new(), |code| {
        format!("x-amzn-errortype: {code}\r\n")
    });
    // The error of a function. Lambda itself answers 200.
    let failed = error["errorType"].as_str();
    let failed = failed.map_or("", |_| "x-amz-function-error: Unhandled\r\n");
    format!(
        "HTTP/1.1 {status} -\r\ncontent-type: application/x-amz-json-1.0\r\n{code}{failed}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
