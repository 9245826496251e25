//! Checks the CPU time of a process before its first call to AWS.
//!
//! A TLS library that collects its own entropy spends tens of milliseconds there. A measurement over plain HTTP does
//! not include them.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::measure::Ours;
use crate::runtime_api::{Instance, TIMEOUT, cpu_time};
use crate::stats::Sample;
use crate::subject::{Subject, forgot_event, reset_event};
use crate::tls::{Authority, Endpoint};

/// The limit: twice what the functions take on the machine of `results.json`. With jitter entropy, they take five times
/// as much as they do now.
const LIMIT: Duration = Duration::from_millis(5);

const ROUNDS: usize = 5;

/// Fails if a binary exceeds the limit between its start and the first bytes of its first `ClientHello`.
///
/// The minimum of a few rounds counts, because other processes can only lengthen a round.
pub(crate) fn check(ours: &Ours) -> ExitCode {
    let events = [
        (&ours.forgot, forgot_event("asking@example.com")),
        (
            &ours.reset,
            reset_event("nobody@example.com", &"0".repeat(64)),
        ),
    ];
    let mut is_late = false;
    for (subject, event) in events {
        let mut sample = Sample::default();
        for _ in 0..ROUNDS {
            sample.push(before_client_hello(subject, &event));
        }
        let (least, limit) = (sample.least(), LIMIT.as_secs_f64() * 1000.0);
        let verdict = if least > limit { "  TOO MUCH" } else { "" };
        is_late |= least > limit;
        println!(
            "{}: {least:.2} ms of CPU time before its first ClientHello, limit {limit:.0} ms{verdict}",
            subject.name
        );
    }
    if is_late {
        println!(
            "Check that AWS_LC_SYS_NO_JITTER_ENTROPY=1 is set for the build. See .cargo/config.toml."
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Returns the CPU time of a process from its start to its first `ClientHello`.
fn before_client_hello(subject: &Subject, event: &str) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint::new(port, Authority::of_this_run());
    let instance = Instance::start(subject, &endpoint, event);
    let process = instance.process();
    let (sender, first) = channel();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut kind = [0];
        socket.read_exact(&mut kind).unwrap();
        let cpu = cpu_time(process).expect("a process that waits for an answer");
        let _ = sender.send((kind, cpu));
    });
    let ([kind], cpu) = first.recv_timeout(TIMEOUT).expect("a ClientHello in time");
    // The record type "handshake" (RFC 8446, section 5.1).
    assert_eq!(kind, 22, "{}: a TLS record", subject.name);
    cpu
}
