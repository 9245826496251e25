//! Tokens of links, as mails bring them.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::aws::Aws;
use crate::runtime_api::Instance;
use crate::subject::{BATCH_SIZE, Subject, requested_event};

/// A link's address and token.
pub(crate) struct Link {
    pub(crate) email: String,
    pub(crate) token: String,
}

/// The time now, as rows have it.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the binaries read the clock too")]
    Timestamp::now()
}

/// Makes so many users.
pub(crate) fn users(aws: &Aws, prefix: &str, number: usize) -> Vec<String> {
    let emails: Vec<String> = (0..number)
        .map(|n| format!("{prefix}{n}@example.com"))
        .collect();
    aws.fill(
        "users",
        emails.iter().map(|email| {
            json!({ "id": { "S": email }, "email": { "S": email }, "password_hash": { "S": "old" } })
        }),
    );
    emails
}

/// Has so many links delivered, to as many new users.
pub(crate) fn deliver(aws: &Aws, forgot: &Subject, prefix: &str, number: usize) -> Vec<Link> {
    let emails = users(aws, prefix, number);
    let mut events = emails
        .chunks(BATCH_SIZE)
        .map(|emails| requested_event(emails, now()));
    aws.take_mails();
    let instance = Instance::start(forgot, &aws.endpoint, &events.next().unwrap());
    let mut answers = vec![instance.first().0];
    answers.extend(events.map(|event| instance.invoke(&event)));
    for answer in answers {
        assert_eq!(answer.body, json!({ "batchItemFailures": [] }));
    }
    let links: Vec<Link> = aws.take_mails().iter().map(link).collect();
    assert_eq!(links.len(), number);
    links
}

fn link(mail: &Value) -> Link {
    let text = text(mail);
    let line = text
        .lines()
        .find(|line| line.starts_with("http"))
        .expect("a link");
    let url = url::Url::parse(line).unwrap();
    let find = |name| {
        let found = url.query_pairs().find(|(found, _)| found == name);
        found.expect(name).1.into_owned()
    };
    Link {
        email: find("email"),
        token: find("token"),
    }
}

/// The plain text of a mail.
pub(crate) fn text(mail: &Value) -> String {
    let simple = &mail["Content"]["Simple"]["Body"]["Text"]["Data"];
    simple.as_str().map_or_else(|| raw(mail), str::to_owned)
}

fn raw(mail: &Value) -> String {
    use base64::Engine as _;
    let data = mail["Content"]["Raw"]["Data"].as_str().expect("a mail");
    let bytes = base64::engine::general_purpose::STANDARD.decode(data);
    String::from_utf8(bytes.unwrap()).unwrap()
}
