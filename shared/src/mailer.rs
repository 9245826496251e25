//! Sends emails through SES.

pub mod feedback;

use std::sync::OnceLock;

use aws_config::SdkConfig;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::Builder;
use aws_sdk_sesv2::error::ProvideErrorMetadata as _;
use aws_sdk_sesv2::types::{
    Body, Content, Destination, EmailContent, Message, MessageHeader, MessageTag,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::TryRng as _;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret as _, SecretString};

use self::feedback::REQUEST_TAG;
use crate::aws::{self, RetryFrozen};
use crate::config::Env;
use crate::digest::hex;
use crate::email::Email;
use crate::fault::Fault;
use crate::request_id::RequestId;

/// A rendered email. It may hold a link, so `Debug` does not print it.
#[derive(Debug)]
pub struct RenderedEmail {
    /// The subject line.
    pub subject: String,
    /// The plain text.
    pub text: SecretString,
    /// The text as HTML.
    pub html: SecretString,
}

/// SES's verdict on an email.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// SES accepted it.
    Accepted,
    /// SES rejected it because of its recipient, so a retry would fail too.
    Rejected(Fault),
}

/// The sender of the emails.
#[derive(Clone, Debug)]
pub struct Sender {
    address: Email,
    from: String,
    configuration_set: Option<String>,
}

impl Sender {
    /// Reads `MAIL_FROM_ADDRESS`, `MAIL_FROM_NAME`, and `SES_CONFIGURATION_SET`.
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let address = env.required("MAIL_FROM_ADDRESS", |value| {
            // IAM compares the sender with the template's parameter, character by character.
            Email::parse(value)
                .ok()
                .filter(|address| address.as_str() == value)
                .ok_or("one email address in lower case, like no-reply@example.com".to_owned())
        });
        let name = env.optional("MAIL_FROM_NAME", None, |value| {
            parse_single_line(value).map(Some)
        });
        let configuration_set = env.optional("SES_CONFIGURATION_SET", None, |value| {
            Ok(Some(value.to_owned()))
        });
        let (address, name) = (address?, name?);
        let from = match name {
            Some(name) => format!("{} <{}>", encoded_words(&name), address.as_str()),
            None => address.as_str().to_owned(),
        };
        Some(Self {
            address,
            from,
            configuration_set: configuration_set?,
        })
    }

    /// Returns whether the sender is, or may be, among the identities that SES says are not verified.
    ///
    /// SES has the same error for the sender and, in the sandbox, for the recipient. Only its message differs (SES
    /// Developer Guide, "Amazon SES email sending errors"): "Email address is not verified. The following identities
    /// failed the check in region EU-WEST-1: Ada <ada@example.com>, example.com". An ellipsis stands for identities
    /// that are not shown.
    ///
    /// Identities are compared whole: anyone can own an address that contains the sender's.
    fn is_among(&self, message: &str) -> bool {
        let message = message.to_ascii_lowercase();
        let list = message.split_once("failed the check");
        let Some((_, identities)) = list.and_then(|(_, list)| list.split_once(':')) else {
            return false;
        };
        let domain = self.address.as_str().split_once('@');
        identities.split(',').map(str::trim).any(|identity| {
            let address = identity
                .split_once('<')
                .map_or(identity, |(_, address)| address.trim_end_matches('>'));
            address == self.address.as_str()
                || domain.is_some_and(|(_, domain)| address == domain)
                || identity.ends_with("...")
                || identity.ends_with('…')
        })
    }
}

/// Parses a text for one line of an email: 1 to 64 characters without control characters.
///
/// # Errors
/// Returns what is expected.
pub fn parse_single_line(text: &str) -> Result<String, String> {
    if (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 characters on one line".to_owned())
    }
}

/// Encodes a name for a header, in encoded words of at most 75 characters (RFC 2047 section 2).
fn encoded_words(name: &str) -> String {
    let mut words = vec![String::new()];
    for character in name.chars() {
        if words
            .last()
            .is_some_and(|word| word.len() + character.len_utf8() > 45)
        {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(character);
        }
    }
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("=?UTF-8?B?{}?=", BASE64.encode(word)))
        .collect();
    words.join(" ")
}

/// A client of SES.
#[derive(Debug)]
pub struct Mailer {
    sdk: SdkConfig,
    client: OnceLock<Client>,
    sender: Sender,
}

impl Mailer {
    /// Creates a client that sends in this sender's name.
    pub fn new(sdk: &SdkConfig, sender: Sender) -> Self {
        Self {
            sdk: sdk.clone(),
            client: OnceLock::new(),
            sender,
        }
    }

    /// Returns the SDK's client. It is created for the first email, so the public halves never create it.
    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let settings = Builder::from(&self.sdk)
                .timeout_config(aws::ses_timeouts(&self.sdk))
                .retry_classifier(RetryFrozen);
            Client::from_conf(settings.build())
        })
    }

    /// Sends an email to one address. SES's events about the email will name the request `id`.
    ///
    /// The errors of `SendEmail` (SES API Reference v2), and what happens to the email:
    ///
    /// | error | cause | the email |
    /// |---|---|---|
    /// | `MessageRejected` | the recipient (unverified in sandbox, or suppressed), or content | discarded, counted |
    /// | `MessageRejected` that names the sender | the sender is not verified | waits, logged as an error |
    /// | `AccountSuspendedException`, `SendingPausedException` | the account may not send | waits, logged as an error |
    /// | `BadRequestException` | Rekey: SES cannot read the request | waits, logged as an error |
    /// | `MailFromDomainNotVerifiedException` | the MX record of the MAIL FROM domain | waits, logged as an error |
    /// | `NotFoundException` | the configuration set is gone | waits, logged as an error |
    /// | any other 4xx, such as `AccessDeniedException` | the deployment | waits, logged as an error |
    /// | `LimitExceededException`, `TooManyRequestsException` | the rate or the quota | waits, logged as a warning |
    /// | `ThrottlingException` | the rate or the quota | waits, logged as a warning |
    /// | 5xx, no answer | an outage | waits, logged as a warning |
    ///
    /// An email that waits is sent when the stream retries its record. If no retry succeeds in time, Lambda moves the
    /// record to the failure queue, which has an alarm.
    ///
    /// Sending cannot be undone, so call this last.
    ///
    /// # Errors
    /// Returns a [`Fault`] if the email must wait.
    pub async fn send(
        &self,
        to: &Email,
        email: &RenderedEmail,
        id: &RequestId,
    ) -> Result<SendOutcome, Fault> {
        let tag = MessageTag::builder().name(REQUEST_TAG).value(id.to_tag());
        let sending = self
            .client()
            .send_email()
            .from_email_address(&self.sender.from)
            .destination(Destination::builder().to_addresses(to.as_str()).build())
            .content(EmailContent::builder().simple(message(email)?).build())
            .email_tags(tag.build().map_err(unbuilt)?)
            .set_configuration_set_name(self.sender.configuration_set.clone());
        let Err(error) = sending.send().await else {
            return Ok(SendOutcome::Accepted);
        };
        let fault = Fault::from_sdk("mailer.send", &error);
        let is_recipients_fault = error.as_service_error().is_some_and(|error| {
            error.is_message_rejected()
                && !self.sender.is_among(error.message().unwrap_or_default())
        });
        if is_recipients_fault {
            Ok(SendOutcome::Rejected(fault))
        } else {
            Err(fault)
        }
    }
}

fn message(email: &RenderedEmail) -> Result<Message, Fault> {
    let content = |data: &str| {
        Content::builder()
            .data(data)
            .charset("UTF-8")
            .build()
            .map_err(unbuilt)
    };
    let header = |name: &str, value: &str| {
        MessageHeader::builder()
            .name(name)
            .value(value)
            .build()
            .map_err(unbuilt)
    };
    let body = Body::builder()
        .text(content(email.text.expose_secret())?)
        .html(content(email.html.expose_secret())?)
        .build();
    Ok(Message::builder()
        .subject(content(&email.subject)?)
        .body(body)
        // Automatic replies must not answer an automatic email (RFC 3834 section 5). Exchange reads the second header.
        .headers(header("Auto-Submitted", "auto-generated")?)
        .headers(header("X-Auto-Response-Suppress", "All")?)
        // Without distinct values here, Gmail groups emails with the same subject and hides the newer link. The
        // request's ID would not be distinct: a request that is delivered twice has two links.
        .headers(header("X-Entity-Ref-ID", &random_id()?)?)
        .build())
}

fn random_id() -> Result<String, Fault> {
    let mut bytes = [0; 16];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_| Fault::internal("mailer.send", "NoRandomness"))?;
    Ok(hex(&bytes))
}

fn unbuilt(_: aws_sdk_sesv2::error::BuildError) -> Fault {
    Fault::internal("mailer.send", "BuildError")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_word_holds_45_bytes() {
        let name = format!("{}a", "é".repeat(22));
        assert_eq!(encoded_words(&name).split(' ').count(), 1);
        assert_eq!(encoded_words(&format!("{name}a")).split(' ').count(), 2);
    }

    #[test]
    fn a_name_is_encoded_in_words_of_at_most_75_characters() {
        assert_eq!(encoded_words("Ada"), "=?UTF-8?B?QWRh?=");
        let long = encoded_words(&"é😀\"<".repeat(16));
        assert!(
            long.split(' ')
                .all(|word| word.len() <= 75 && word.starts_with("=?UTF-8?B?")),
            "{long}"
        );
    }
}
