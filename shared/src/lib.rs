//! What Rekey's two functions share.
//!
//! # The one idea
//!
//! The table is the outbox. The halves that the internet can reach only ever write a row; a `DynamoDB` stream
//! carries the row to halves that nobody can reach, and those read users and send mail.
//!
//! ```text
//!          POST /password/forgot                   POST /password/reset
//!                   │                                       │
//! public   ┌────────▼────────┐                     ┌────────▼────────┐
//!          │ forgot: request │                     │  reset: change  │
//!          └────────┬────────┘                     └────────┬────────┘
//!                   │ put ResetRequested                         │ one transaction: delete TokenIssued, put the epoch,
//!                   │ (conditional: throttle)               │ update the user, put PasswordChanged
//!          ═════════▼════════════ the Rekey table ══════════▼═════════
//!                   │ stream: ResetRequested                     │ stream: PasswordChanged
//! private  ┌────────▼────────┐                     ┌────────▼────────┐
//!          │ forgot: deliver │                     │  reset: notify  │
//!          └────────┬────────┘                     └────────┬────────┘
//!            read the user,                          mail: "your password was changed"
//!            put TokenIssued,
//!            mail: the link
//! ```
//!
//! # The words
//!
//! *request* (somebody asked), *deliver* (send the link), *token* (the secret in the link), *change* (the password
//! was replaced), *notify* (tell the owner); *public half*, *private half*.
//!
//! # Where things are
//!
//! - [`lambda`] takes an event in and hands it to a half; [`http`] and [`problem`] are what callers see.
//! - [`email`], [`locale`], [`source`], [`token`] are values, parsed once.
//! - [`unicode`] knows which characters are invisible.
//! - [`secret`] is text that is wiped.
//! - [`limits`] says how often is too often, and [`pace`] when emails leave.
//! - [`table`], [`users`] and [`mail`] are the effects; [`deployment`] holds them together, and [`fault`] is what can
//!   go wrong with them. [`html`] escapes the text of emails.
//! - [`feedback`] is what SES says later of a mail.
//! - [`config`] reads the environment, [`aws`] and [`tls`] set the SDK up, [`telemetry`] writes the log.

pub mod aws;
pub mod config;
pub mod digest;
pub mod directory;
pub mod email;
pub mod fault;
pub mod field_error;
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
