//! The library of Rekey's two functions, `forgot` and `reset`.
//!
//! # The one idea
//!
//! **The table is the outbox.** Internet-facing functions only ever write rows. A `DynamoDB` stream delivers the rows
//! to private functions, which read users and send email.
//!
//! So the function that receives requests for links cannot read users, and no public function can send email. SES may
//! be slow or down, and no caller waits for it.
//!
//! ```text
//!              POST /password/forgot                   POST /password/reset
//!                       │                                       │
//!    public    ┌────────▼────────┐                     ┌────────▼────────┐   count the source and
//!              │ forgot: request │                     │  reset: change  │   query TokenIssued,
//!              └────────┬────────┘                     └────────┬────────┘   in parallel
//!                       │ one transaction: count                │ one transaction: delete TokenIssued,
//!                       │ the source, put                       │ put the epoch, update the user,
//!                       │ ResetRequested                        │ put PasswordChanged
//!              ═════════▼════════════ the Rekey table ══════════▼═════════
//!                       │ stream: ResetRequested                │ stream: PasswordChanged
//!    private   ┌────────▼────────┐                     ┌────────▼────────┐
//!              │ forgot: deliver │                     │  reset: notify  │◄─ SNS ◄─ SES: bounces,
//!              └────────┬────────┘                     └────────┬────────┘          complaints
//!                count the budget,                       SES: "your password was changed"
//!                read the user and links,
//!                put TokenIssued,
//!                SES: the link,
//!                put the links
//! ```
//!
//! # Glossary
//!
//! - *request*: a user asks for a link.
//! - *deliver*: Rekey sends the link.
//! - *token*: the secret in the link.
//! - *change*: Rekey replaces the password.
//! - *notify*: Rekey informs the user.
//! - *public half*, *private half*: the deployment of a binary behind HTTP, and the one behind the stream.
//! - *reset URL*: the page that a link leads to.
//! - *allow list*: the reset URLs that a deployment accepts.
//! - *epoch*: the time at which a change last ended a user's links.
//! - *source*: an IPv4 address or an IPv6 /64.
//!
//! # The modules
//!
//! No module imports one of a layer above it.
//!
//! - **Edges.** [`lambda`] dispatches events to the two halves and processes batches. [`http`] has the requests, the
//!   responses, and the RFC 9457 problems.
//! - **Services.** [`services`] has the clients that both functions share.
//! - **Stores.** [`table`] is the Rekey table, and [`directory`] the users table. [`mailer`] sends emails through SES
//!   and reads its feedback. [`telemetry`] writes the log and its metrics. [`aws`] sets up the SDK.
//! - **Values.** All other modules:
//!   - [`email`], [`given_name`], [`locale`], [`token`], [`source`], [`user`], [`request_id`], [`password_hash`], and [`times`] are
//!     parsed once;
//!   - [`field_error`] and [`fault`] describe what failed;
//!   - [`limits`] has the rate limits, and [`pace`] the times at which emails leave;
//!   - [`config`] reads and checks the environment;
//!   - [`secret`], [`digest`], [`unicode`], and [`html`] are tools for text.
//!
//! # A round trip
//!
//! A function implements [`lambda::function::Function`], and [`lambda::run`] serves it. A test passes one event to
//! [`lambda::handle`] instead:
//!
//! ```
//! use jiff::Timestamp;
//! use rekey::http::{problem::Problem, request::Request, response::Response};
//! use rekey::lambda::event::Event;
//! use rekey::lambda::function::{Clock, Function, Record, RecordError};
//! use rekey::lambda::{self, Output};
//! use rekey::pace::Pace;
//! use rekey::telemetry::Telemetry;
//!
//! struct Ping {
//!     telemetry: Telemetry,
//! }
//!
//! impl Function for Ping {
//!     const KEY_PREFIX: &'static str = "ping#";
//!     type Row = ();
//!
//!     async fn handle_request(&self, _: &Request, _: Clock<'_>) -> Result<Response, Problem> {
//!         Ok(Response::no_content())
//!     }
//!
//!     async fn handle_record(&self, _: Record<()>, _: Timestamp) -> Result<(), RecordError> {
//!         Ok(())
//!     }
//!
//!     fn telemetry(&self) -> &Telemetry {
//!         &self.telemetry
//!     }
//! }
//!
//! let ping = Ping {
//!     telemetry: Telemetry::new("example".to_owned(), Box::new(std::io::sink())),
//! };
//! // An event of an HTTP API (payload 2.0).
//! let event: Event = serde_json::from_str(
//!     r#"{
//!         "version": "2.0",
//!         "rawPath": "/password/ping",
//!         "headers": { "content-type": "application/json" },
//!         "requestContext": {
//!             "requestId": "JKJaXmPLvHcESHA=",
//!             "http": { "method": "POST", "sourceIp": "192.0.2.1" }
//!         },
//!         "body": "{}",
//!         "isBase64Encoded": false
//!     }"#,
//! )?;
//! let invocation = "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned();
//! let runtime = tokio::runtime::Builder::new_current_thread()
//!     .enable_time()
//!     .build()?;
//! let output = runtime.block_on(async {
//!     let clock = || Timestamp::UNIX_EPOCH;
//!     lambda::handle(&ping, event, invocation, clock, Pace::UNPACED).await
//! })?;
//! let Output::Http(response) = output else {
//!     panic!("a request gets a response");
//! };
//! assert_eq!(response.status(), 204);
//! # Ok::<(), lambda_http::Error>(())
//! ```

pub mod aws;
pub mod config;
pub mod digest;
pub mod directory;
pub mod email;
pub mod fault;
pub mod field_error;
pub mod given_name;
pub mod html;
pub mod http;
pub mod lambda;
pub mod limits;
pub mod locale;
pub mod mailer;
pub mod pace;
pub mod password_hash;
pub mod request_id;
pub mod secret;
pub mod services;
pub mod source;
pub mod table;
pub mod telemetry;
pub mod times;
pub mod token;
pub mod unicode;
pub mod user;
