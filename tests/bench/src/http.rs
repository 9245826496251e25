//! The subset of HTTP/1.1 that Lambda's runtimes and AWS's SDKs use. The server uses threads instead of an async
//! runtime, which would use the processor during a measurement.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request on a socket.
pub(crate) struct Request {
    /// The time at which its first byte arrived.
    pub(crate) received: Instant,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A server on loopback. Dropping it stops it from accepting connections.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    threads: usize,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server that answers each request with a function. `None` closes the connection.
    ///
    /// Each thread waits for a connection, so that no thread starts during a measurement.
    pub(crate) fn start(
        threads: usize,
        tls: Option<&Arc<ServerConfig>>,
        answer: impl Fn(Request) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        for _ in 0..threads {
            let listener = listener.try_clone().unwrap();
            let (answer, ended) = (Arc::clone(&answer), Arc::clone(&ended));
            let tls = tls.cloned();
            thread::spawn(move || {
                while let Ok((socket, _)) = listener.accept() {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    converse(socket, tls.as_ref(), &*answer);
                }
            });
        }
        Self {
            address,
            threads,
            ended,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wake the threads that wait for connections.
        for _ in 0..self.threads {
            let _ = TcpStream::connect(self.address);
        }
    }
}

/// A handler of requests. `None` closes the connection.
type Handler = dyn Fn(Request) -> Option<Vec<u8>>;

fn converse(socket: TcpStream, tls: Option<&Arc<ServerConfig>>, answer: &Handler) -> Option<()> {
    socket.set_nodelay(true).ok()?;
    let Some(tls) = tls else {
        return serve(BufReader::new(socket), answer);
    };
    let tls = ServerConnection::new(Arc::clone(tls)).ok()?;
    serve(BufReader::new(StreamOwned::new(tls, socket)), answer)
}

fn serve<S: Read + Write>(mut stream: BufReader<S>, answer: &Handler) -> Option<()> {
    loop {
        let request = read(&mut stream)?;
        stream.get_mut().write_all(&answer(request)?).ok()?;
    }
}

/// Reads a request, or returns `None` if the connection was closed.
fn read<S: Read + Write>(reader: &mut BufReader<S>) -> Option<Request> {
    if reader.fill_buf().ok()?.is_empty() {
        return None;
    }
    let received = Instant::now();
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    if headers.contains_key("expect") {
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        reader.get_mut().write_all(interim).ok()?;
    }
    let body = if headers.contains_key("transfer-encoding") {
        read_chunks(reader)?
    } else {
        let length = headers.get("content-length");
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        body
    };
    Some(Request {
        received,
        path,
        headers,
        body,
    })
}

fn read_chunks(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let start = body.len();
        body.resize(start + length, 0);
        reader.read_exact(&mut body[start..]).ok()?;
        reader.read_line(&mut line).ok()?;
        if length == 0 {
            return Some(body);
        }
    }
}

/// Returns a complete response.
pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let headers = headers.concat();
    let length = body.len();
    format!("HTTP/1.1 {status} -\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}
