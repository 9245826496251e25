//! The functions as Lambda runs them: as processes, with a fake Runtime API.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use support::app::TestApp;
use support::wire::Incoming;

/// One function in its own process.
pub(crate) struct Process {
    child: Child,
    events: mpsc::Sender<String>,
    responses: Mutex<mpsc::Receiver<String>>,
    output: [JoinHandle<String>; 2],
}

impl Process {
    /// Starts a function on an app's AWS, with variables in addition to the deployment's.
    pub(crate) async fn start(function: &str, app: &TestApp, variables: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (events, next_events) = mpsc::channel(1);
        let (sender, responses) = mpsc::channel(1);
        let next_events = Arc::new(Mutex::new(next_events));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&next_events), sender.clone()));
            }
        });
        let lambda = [
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", function),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", function),
            ("AWS_LAMBDA_LOG_STREAM_NAME", function),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_SESSION_TOKEN", SESSION),
            ("AWS_ENDPOINT_URL", app.aws.endpoint.as_str()),
        ];
        let variables: HashMap<&str, &str> = lambda.iter().chain(variables).copied().collect();
        let mut child = Command::new(build(function).await)
            .env_clear()
            .envs(&app.settings)
            .envs(variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = [
            tokio::spawn(read(child.stdout.take().unwrap())),
            tokio::spawn(read(child.stderr.take().unwrap())),
        ];
        Self {
            child,
            events,
            responses: Mutex::new(responses),
            output,
        }
    }

    /// Sends an event, and returns the function's response or error.
    pub(crate) async fn invoke(&self, event: &str) -> String {
        self.events.send(event.to_owned()).await.unwrap();
        self.responses.lock().await.recv().await.unwrap()
    }

    /// Ends the process, and returns its standard output and standard error.
    pub(crate) async fn end(mut self) -> [String; 2] {
        self.child.kill().await.unwrap();
        let [out, err] = self.output;
        [out.await.unwrap(), err.await.unwrap()]
    }
}

async fn read(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).await.unwrap();
    text
}

pub(crate) const SECRET_KEY: &str = "the key that signs calls to AWS";
pub(crate) const SESSION: &str = "the-session-of-the-role";

/// Serves the Runtime API (AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes").
async fn serve(
    socket: TcpStream,
    events: Arc<Mutex<mpsc::Receiver<String>>>,
    responses: mpsc::Sender<String>,
) -> Option<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let request = Incoming::read(&mut socket).await?;
        let (status, body) = if request.line.contains("/invocation/next ") {
            (200, events.lock().await.recv().await?)
        } else {
            let response = String::from_utf8(request.body).unwrap();
            responses.send(response).await.ok()?;
            (202, String::new())
        };
        let response = format!(
            "HTTP/1.1 {status} -\r\nlambda-runtime-aws-request-id: invocation\r\n\
             lambda-runtime-deadline-ms: 4102444800000\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:000000000000:function:rekey\r\n\
             lambda-runtime-trace-id: Root=1-00000000-000000000000000000000000\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(response.as_bytes()).await.ok()?;
    }
}

/// Returns the profile of this test's build. The folder names it: `target/debug/deps` or `target/long/deps`.
fn profile() -> String {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).and_then(Path::file_name).unwrap();
    match folder.to_str().unwrap() {
        "debug" => "dev".to_owned(),
        profile => profile.to_owned(),
    }
}

/// Builds a function's binary, and returns its path. `cargo test` does not build binaries of other packages.
async fn build(function: &str) -> String {
    let build = Command::new(env!("CARGO"))
        .args([
            "build",
            "--locked",
            "--quiet",
            "--message-format=json",
            "--profile",
            &profile(),
            "--package",
            function,
        ])
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    assert!(build.status.success());
    let messages = String::from_utf8(build.stdout).unwrap();
    let mut messages = messages
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let executable = messages.find_map(|message| message["executable"].as_str().map(str::to_owned));
    executable.expect("a binary")
}
