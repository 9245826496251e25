//! Links, read from delivered emails.

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

/// Returns the current time, as the rows store it.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the binaries read the clock too")]
    Timestamp::now()
}

/// Creates users.
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

/// Delivers one link to each of `number` new users, and returns the links.
pub(crate) fn deliver(aws: &Aws, forgot: &Subject, prefix: &str, number: usize) -> Vec<Link> {
    let emails = users(aws, prefix, number);
    let mut events = emails
        .chunks(BATCH_SIZE)
        .map(|emails| requested_event(emails, now()));
    aws.take_emails();
    let instance = Instance::start(forgot, &aws.endpoint, &events.next().unwrap());
    let mut answers = vec![instance.first().0];
    answers.extend(events.map(|event| instance.invoke(&event)));
    for answer in answers {
        assert_eq!(answer.body, json!({ "batchItemFailures": [] }));
    }
    let links: Vec<Link> = aws.take_emails().iter().map(link).collect();
    assert_eq!(links.len(), number);
    links
}

fn link(email: &Value) -> Link {
    let text = text(email);
    let line = text
        .lines()
        .find(|line| line.starts_with("http"))
        .expect("a link");
    let url = url::Url::parse(line).unwrap();
    let find = |name| {
        let pair = url.query_pairs().find(|(key, _)| key == name);
        pair.expect(name).1.into_owned()
    };
    Link {
        email: find("email"),
        token: find("token"),
    }
}

/// Returns the plain text of an email.
pub(crate) fn text(email: &Value) -> String {
    let simple = &email["Content"]["Simple"]["Body"]["Text"]["Data"];
    simple.as_str().map_or_else(|| raw(email), str::to_owned)
}

fn raw(email: &Value) -> String {
    use base64::Engine as _;
    let data = email["Content"]["Raw"]["Data"].as_str().expect("an email");
    let bytes = base64::engine::general_purpose::STANDARD.decode(data);
    String::from_utf8(bytes.unwrap()).unwrap()
}
