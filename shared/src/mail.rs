//! Mail, handed to SES.

use std::sync::OnceLock;

use aws_config::SdkConfig;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::Builder;
use aws_sdk_sesv2::error::ProvideErrorMetadata as _;
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{
    Body, Content, Destination, EmailContent, Message, MessageHeader, MessageTag,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret as _, SecretString};

use crate::aws;
use crate::config::Env;
use crate::email::Email;
use crate::fault::Fault;
use crate::feedback::REQUEST_TAG;
use crate::http::RequestId;

/// A mail, rendered. It may hold a link, so it does not print.
#[derive(Debug)]
pub struct Mail {
    /// The subject line.
    pub subject: String,
    /// The plain text.
    pub text: SecretString,
    /// The same as HTML.
    pub html: SecretString,
}

/// What SES said to a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posting {
    /// It has it.
    Sent,
    /// It will never take it: the address is bad, or the account may not write to it.
    Refused(Fault),
}

/// Who the mails come from.
#[derive(Clone, Debug)]
pub struct Sender {
    address: Email,
    from: String,
    configuration_set: Option<String>,
}

impl Sender {
    /// Reads `MAIL_FROM_ADDRESS`, `MAIL_FROM_NAME` and `SES_CONFIGURATION_SET`.
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let address = env.required("MAIL_FROM_ADDRESS", |found| {
            // IAM compares the sender letter by letter, with the template's.
            Email::parse(found)
                .ok()
                .filter(|address| address.as_str() == found)
                .ok_or("one e-mail address in lower case, like no-reply@example.com".to_owned())
        });
        let name = env.optional("MAIL_FROM_NAME", None, |found| line(found).map(Some));
        let configuration_set = env.optional("SES_CONFIGURATION_SET", None, |found| {
            Ok(Some(found.to_owned()))
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
}

/// A text for one line of a mail: 1 to 64 characters, none of them a control character.
///
/// # Errors
/// What is wanted instead.
pub fn line(text: &str) -> Result<String, String> {
    if (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 characters on one line".to_owned())
    }
}

/// A name for a header, whatever characters it has (RFC 2047 section 2: words of at most 75 characters).
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

/// SES.
#[derive(Debug)]
pub struct Mailer {
    sdk: SdkConfig,
    client: OnceLock<Client>,
    sender: Sender,
}

impl Mailer {
    /// Mail in a sender's name.
    pub fn new(sdk: &SdkConfig, sender: Sender) -> Self {
        Self {
            sdk: sdk.clone(),
            client: OnceLock::new(),
            sender,
        }
    }

    /// Made for the first mail: the public halves send none, and do not wait for it.
    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let settings = Builder::from(&self.sdk).timeout_config(aws::mail_timeouts(&self.sdk));
            Client::from_conf(settings.build())
        })
    }

    /// Sends a mail to one address, for a request: what becomes of it is told by that id. This cannot be undone, so it
    /// comes last.
    ///
    /// # Errors
    /// A fault where SES may take it later. All such faults are passing: the stream brings the record again.
    pub async fn send(&self, to: &Email, mail: &Mail, id: &RequestId) -> Result<Posting, Fault> {
        let tag = MessageTag::builder().name(REQUEST_TAG).value(id.to_tag());
        let sending = self
            .client()
            .send_email()
            .from_email_address(&self.sender.from)
            .destination(Destination::builder().to_addresses(to.as_str()).build())
            .content(EmailContent::builder().simple(message(mail)?).build())
            .email_tags(tag.build().map_err(unbuilt)?)
            .set_configuration_set_name(self.sender.configuration_set.clone());
        let Err(error) = sending.send().await else {
            return Ok(Posting::Sent);
        };
        let fault = Fault::of_call("mail.send", &error);
        if error
            .as_service_error()
            .is_some_and(|error| self.is_final(error))
        {
            Ok(Posting::Refused(fault))
        } else {
            Err(fault.passing())
        }
    }

    /// What SES will say again, however often it is asked. That the *sender* is not verified is for the operator to
    /// mend, and the mails wait meanwhile; SES tells the two apart only in words.
    fn is_final(&self, error: &SendEmailError) -> bool {
        let words = error.message().unwrap_or_default().to_ascii_lowercase();
        let is_about_the_sender =
            words.contains("not verified") && words.contains(self.sender.address.as_str());
        error.is_bad_request_exception() || (error.is_message_rejected() && !is_about_the_sender)
    }
}

fn message(mail: &Mail) -> Result<Message, Fault> {
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
        .text(content(mail.text.expose_secret())?)
        .html(content(mail.html.expose_secret())?)
        .build();
    Ok(Message::builder()
        .subject(content(&mail.subject)?)
        .body(body)
        // RFC 3834 section 5: a program wrote this; no program shall answer. The second is Exchange's word for it.
        .headers(header("Auto-Submitted", "auto-generated")?)
        .headers(header("X-Auto-Response-Suppress", "All")?)
        .build())
}

fn unbuilt(_: aws_sdk_sesv2::error::BuildError) -> Fault {
    Fault::of_our_own("mail.send", "BuildError")
}

#[cfg(test)]
mod tests {
    use super::*;

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
