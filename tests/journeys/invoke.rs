//! The client of Lambda sends a change at most once, and says whether the function may have run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_config::timeout::TimeoutConfig;
use rekey::aws::function_arn::FunctionArn;
use rekey::aws::invoke::{INVOKE_TIMEOUT, InvokeError, Invoker, READ_TIMEOUT};
use rekey::aws::{ATTEMPTS, DYNAMODB_TIMEOUT};
use rekey::fault::Fault;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use support::deployment::{long_timeouts, sdk_config};
use support::wire::Incoming;

const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:replace:live";
const PAYLOAD: &str = r#"{"password":{"plain":"hunter2"}}"#;

/// Lambda's answer to a request that it received completely.
#[derive(Clone)]
enum Answer {
    /// A status, a header or an error code, and a body.
    Http(u16, &'static str, String),
    /// A body that ends before its announced length, because the connection closes.
    Truncated,
    /// The connection closes without an answer.
    Close,
    /// The connection stays open without an answer.
    Hang,
}

impl Answer {
    fn ok(body: &str) -> Self {
        Self::Http(200, "", body.to_owned())
    }

    fn error(status: u16, code: &'static str, message: &str) -> Self {
        let body = serde_json::json!({ "Type": "User", "message": message });
        Self::Http(status, code, body.to_string())
    }
}

/// A Lambda on a socket. It gives each of its answers once, and the last one for all later requests.
struct Lambda {
    endpoint: String,
    requests: Arc<Mutex<Vec<Incoming>>>,
}

impl Lambda {
    async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::default();
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let received = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&answers), Arc::clone(&received)));
            }
        });
        Self { endpoint, requests }
    }

    fn invoker(&self) -> Invoker {
        self.invoker_with(long_timeouts())
    }

    fn invoker_with(&self, timeouts: TimeoutConfig) -> Invoker {
        Invoker::new(&sdk_config(&self.endpoint, timeouts))
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn serve(
    socket: TcpStream,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<Incoming>>>,
) -> Option<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let request = Incoming::read(&mut socket).await?;
        requests.lock().unwrap().push(request);
        let answer = {
            let mut answers = answers.lock().unwrap();
            let next = answers.pop_front().unwrap();
            if answers.is_empty() {
                answers.push_back(next.clone());
            }
            next
        };
        let response = match &answer {
            Answer::Http(status, header, body) => response(*status, header, body),
            Answer::Truncated => response(200, "", "{}").replace("length: 2", "length: 3"),
            Answer::Close => return None,
            Answer::Hang => std::future::pending().await,
        };
        socket.write_all(response.as_bytes()).await.ok()?;
        if let Answer::Truncated = answer {
            return None;
        }
    }
}

/// Returns a response. `header` is one line, or an error code.
fn response(status: u16, header: &str, body: &str) -> String {
    let header = match header {
        "" => String::new(),
        line if line.contains(": ") => format!("{line}\r\n"),
        code => format!("x-amzn-errortype: {code}\r\n"),
    };
    format!(
        "HTTP/1.1 {status} -\r\nx-amzn-requestid: R1\r\n{header}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn function() -> FunctionArn {
    FunctionArn::parse(ARN).unwrap()
}

async fn invoke_once(invoker: &Invoker) -> Result<Vec<u8>, InvokeError> {
    let payload = PAYLOAD.to_owned().into();
    invoker.invoke_once("replace", &function(), payload).await
}

async fn read(invoker: &Invoker) -> Result<Vec<u8>, Fault> {
    let payload = PAYLOAD.to_owned().into();
    invoker.read("find", &function(), payload).await
}

/// Returns the fault of an outcome that must be unknown.
fn unknown(result: Result<Vec<u8>, InvokeError>) -> Fault {
    match result {
        Err(InvokeError::Unknown(fault)) => fault,
        other => panic!("expected an unknown outcome, got {other:?}"),
    }
}

/// Returns timeouts that are a twentieth of the product's.
fn short_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_timeout(DYNAMODB_TIMEOUT / 20)
        .build()
}

#[tokio::test]
async fn an_invocation_is_a_signed_request_for_the_function() {
    let lambda = Lambda::start(vec![Answer::ok(r#"{"outcome":"replaced"}"#)]).await;
    let response = invoke_once(&lambda.invoker()).await.unwrap();
    assert_eq!(response, br#"{"outcome":"replaced"}"#);
    let requests = lambda.requests.lock().unwrap();
    let [request] = requests.as_slice() else {
        panic!("one request");
    };
    assert_eq!(
        request.line.trim_end(),
        "POST /2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Areplace%3Alive\
         /invocations HTTP/1.1"
    );
    assert_eq!(request.body, PAYLOAD.as_bytes());
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["x-amz-invocation-type"], "RequestResponse");
    let authorization = &request.headers["authorization"];
    let date = &request.headers["x-amz-date"][..8];
    // The tests' regions are numbered.
    let scope = format!("/{date}/test-");
    assert!(authorization.contains(&scope), "{authorization}");
    assert!(authorization.contains("/lambda/aws4_request, SignedHeaders="));
    assert!(authorization.contains("content-type;host;x-amz-date;x-amz-invocation-type"));
}

#[tokio::test]
async fn a_call_that_lambda_rejects_did_not_run() {
    let expired = "Signature expired: 20261125T100000Z is now earlier than 20261125T100500Z";
    for (status, code, message, is_transient) in [
        (429, "TooManyRequestsException", "Rate Exceeded.", true),
        (409, "ResourceConflictException", "Pending", true),
        (403, "AccessDeniedException", "", false),
        (403, "InvalidSignatureException", expired, true),
        (404, "ResourceNotFoundException", "", false),
        (404, "ResourceNotFoundException:http://x/", "", false),
        (413, "RequestTooLargeException", "", false),
    ] {
        let lambda = Lambda::start(vec![Answer::error(status, code, message)]).await;
        let Err(InvokeError::NotRun(fault)) = invoke_once(&lambda.invoker()).await else {
            panic!("{code}");
        };
        assert_eq!(fault.code(), code.split(':').next().unwrap());
        assert_eq!(fault.operation(), "replace");
        assert_eq!(fault.aws_request_id(), Some("R1"));
        assert_eq!(fault.is_transient(), is_transient, "{code}");
        assert_eq!(lambda.count(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_call_without_credentials_is_not_sent() {
    let lambda = Lambda::start(vec![Answer::ok("{}")]).await;
    let sdk = sdk_config(&lambda.endpoint, long_timeouts());
    let mut sdk = sdk.into_builder();
    sdk.set_credentials_provider(None);
    let result = invoke_once(&Invoker::new(&sdk.build())).await;
    assert!(matches!(result, Err(InvokeError::NotRun(_))), "{result:?}");
    assert_eq!(lambda.count(), 0);
}

#[tokio::test]
async fn a_function_may_have_run_if_it_failed_or_its_response_was_lost() {
    let trace = format!(r#"{{"errorMessage":"{ARN} hunter2"}}"#);
    let failed = Answer::Http(200, "x-amz-function-error: Unhandled", trace);
    let large = Answer::ok(&"x".repeat(64 * 1024 + 1));
    // A proxy may have given up, because Lambda's rejections have a code.
    let proxy = Answer::Http(408, "", "<html>".to_owned());
    let broken = Answer::error(500, "ServiceException", "hunter2");
    let throttled = Answer::error(502, "EC2ThrottledException", "");
    // A file system may also fail while the function runs.
    let files = Answer::error(410, "EFSIOException", "");
    for (answer, code, is_transient) in [
        (failed, "FunctionError", true),
        (large, "ResponseTooLarge", false),
        (broken, "ServiceException", true),
        (throttled, "EC2ThrottledException", true),
        (files, "EFSIOException", true),
        (proxy, "Unknown", false),
        (Answer::Truncated, "ResponseError", true),
        (Answer::Close, "DispatchFailure", true),
    ] {
        let lambda = Lambda::start(vec![answer]).await;
        let fault = unknown(invoke_once(&lambda.invoker()).await);
        assert_eq!(fault.code(), code);
        assert_eq!(fault.is_transient(), is_transient, "{code}");
        let id = (code != "DispatchFailure").then_some("R1");
        assert_eq!(fault.aws_request_id(), id, "{code}");
        assert!(!format!("{fault:?}").contains("hunter2"));
        assert_eq!(lambda.count(), 1, "{code}");
    }
}

#[tokio::test]
async fn the_longest_response_is_64_kib() {
    let longest = "x".repeat(64 * 1024);
    let lambda = Lambda::start(vec![Answer::ok(&longest)]).await;
    let response = invoke_once(&lambda.invoker()).await.unwrap();
    assert_eq!(response, longest.as_bytes());
}

#[tokio::test]
async fn a_function_that_hangs_is_invoked_once_and_read_twice() {
    let lambda = Lambda::start(vec![Answer::Hang]).await;
    let invoker = lambda.invoker_with(short_timeouts());
    let started = Instant::now();
    assert_eq!(unknown(invoke_once(&invoker).await).code(), "Timeout");
    assert!(started.elapsed() >= INVOKE_TIMEOUT / 20);
    assert_eq!(lambda.count(), 1);

    let started = Instant::now();
    let fault = read(&invoker).await.unwrap_err();
    assert_eq!((fault.operation(), fault.code()), ("find", "Timeout"));
    assert!(fault.is_transient());
    assert!(started.elapsed() >= READ_TIMEOUT / 20);
    assert_eq!(lambda.count(), 3);
}

/// The HTTP client may repeat a request on another connection if the one from its pool was closed before.
#[tokio::test]
async fn a_request_on_a_reused_connection_is_not_repeated_once_lambda_has_it() {
    let lambda = Lambda::start(vec![Answer::ok("{}"), Answer::Close]).await;
    let invoker = lambda.invoker();
    invoke_once(&invoker).await.unwrap();
    assert_eq!(
        unknown(invoke_once(&invoker).await).code(),
        "DispatchFailure"
    );
    assert_eq!(lambda.count(), 2);
}

#[tokio::test]
async fn a_read_is_retried_like_any_other_call() {
    let expired = "Signature expired: 20261125T100000Z is now earlier than 20261125T100500Z";
    for answer in [
        Answer::Close,
        Answer::error(500, "ServiceException", ""),
        Answer::error(429, "TooManyRequestsException", ""),
        Answer::error(403, "InvalidSignatureException", expired),
    ] {
        let lambda = Lambda::start(vec![answer.clone(), answer.clone(), Answer::ok("{}")]).await;
        assert_eq!(read(&lambda.invoker()).await.unwrap(), b"{}");
        assert_eq!(lambda.count(), 3);

        let lambda = Lambda::start(vec![answer]).await;
        assert!(read(&lambda.invoker()).await.unwrap_err().is_transient());
        assert_eq!(lambda.count(), ATTEMPTS as usize);
    }
}

#[tokio::test]
async fn a_read_is_not_retried_if_that_would_not_help() {
    for answer in [
        Answer::error(403, "AccessDeniedException", ""),
        Answer::error(404, "ResourceNotFoundException", ""),
        Answer::Http(200, "x-amz-function-error: Unhandled", "{}".to_owned()),
    ] {
        let lambda = Lambda::start(vec![answer]).await;
        read(&lambda.invoker()).await.unwrap_err();
        assert_eq!(lambda.count(), 1);
    }
}

/// `reset: change` has ten seconds for the function, and `forgot: deliver` waits for two attempts.
#[test]
fn the_timeouts_are_those_of_the_protocol() {
    assert_eq!(INVOKE_TIMEOUT, Duration::from_secs(10));
    assert_eq!(READ_TIMEOUT, 2 * INVOKE_TIMEOUT);
}
