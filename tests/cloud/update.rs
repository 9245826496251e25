//! The update of a deployed stack from the last release, and the rollback to it.
//!
//! `make test` starts a stack of the last release for this, on a separate local AWS: `infra/desk/release.py`. SES is
//! down while the stack is updated, so links and notices are waiting.

use std::collections::BTreeMap;
use std::process::Command;

use aws_sdk_sesv2::Client as Ses;
use jiff::Timestamp;
use serde::Deserialize;
use support::deployment::PASSWORD;
use support::email::Link;

use crate::logs::wait_for_line;
use crate::stack::{Stack, is_rejected, sdk_config};

/// The verified identity of the sender.
const SENDER: &str = "example.com";
/// The default of `AddressLimit`.
const ADDRESS_LIMIT: usize = 5;

#[tokio::test]
#[ignore = "it needs a stack of the last release, which `make test` starts for it"]
async fn an_update_and_a_rollback_complete_what_is_in_flight() {
    let stack = Stack::new();
    let release = Deployed::describe();

    let in_flight = InFlight::begin(&stack, "update").await;
    let current = Deployed::update("current");
    current.assert_same_resources(&release);
    for (function, digest) in &release.code {
        assert_ne!(current.code[function], *digest, "{function} is the old one");
    }
    in_flight.complete(&stack).await;

    let in_flight = InFlight::begin(&stack, "rollback").await;
    let rolled_back = Deployed::update("release");
    rolled_back.assert_same_resources(&current);
    assert_eq!(rolled_back.code, release.code);
    in_flight.complete(&stack).await;
}

/// The resources of the deployed stack.
#[derive(Debug, Deserialize)]
struct Deployed {
    /// The physical ID of each resource.
    resources: BTreeMap<String, String>,
    /// The digest of each function's code.
    code: BTreeMap<String, String>,
}

impl Deployed {
    fn describe() -> Self {
        Self::run(&["describe"])
    }

    /// Updates the stack to the `current` sources, or to those of the last `release`.
    fn update(version: &str) -> Self {
        Self::run(&["deploy", version])
    }

    fn run(arguments: &[&str]) -> Self {
        let output = Command::new("target/tools/desk/bin/python")
            .args(["-B", "infra/desk/release.py"])
            .args(arguments)
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{printed}{errors}");
        serde_json::from_str(printed.lines().last().unwrap()).unwrap()
    }

    /// Checks that an update has replaced no resource: no table, queue, log group, or API.
    fn assert_same_resources(&self, before: &Self) {
        for (name, id) in &before.resources {
            assert_eq!(self.resources.get(name), Some(id), "{name} was replaced");
        }
    }
}

/// What one version has begun, for another version to complete.
struct InFlight {
    /// A link in a mailbox.
    link: Link,
    /// A link that was used. The notice of the change is waiting.
    used: Link,
    /// Another link of that user, which the change ended.
    ended: Link,
    /// The address of a stored request, whose link is waiting.
    requested: String,
    /// The address of a user who has as many live links as the limit allows.
    limited: String,
}

impl InFlight {
    async fn begin(stack: &Stack, name: &str) -> Self {
        let [linked, changed, requested, limited] = ["linked", "changed", "requested", "limited"]
            .map(|it| format!("{it}-{name}@example.com"));
        for email in [&linked, &changed, &requested, &limited] {
            stack.user(email).await;
        }
        let link = stack.link(&linked).await;
        let ended = stack.link(&changed).await;
        let used = another_link(stack, &changed).await;
        stack.link(&limited).await;
        for _ in 1..ADDRESS_LIMIT {
            another_link(stack, &limited).await;
        }

        let (since, ses) = (Timestamp::now(), Ses::new(&sdk_config()));
        let outage = ses.delete_email_identity().email_identity(SENDER);
        outage.send().await.unwrap();
        assert_eq!(stack.forgot(&requested).await.status(), 202);
        assert_eq!(stack.reset(&used, PASSWORD).await.status(), 204);
        for function in ["forgot-deliver", "reset-notify"] {
            let has_failed = |line: &serde_json::Value| line["detail"] == "mailer.send";
            wait_for_line(stack, function, since, has_failed).await;
        }
        Self {
            link,
            used,
            ended,
            requested,
            limited,
        }
    }

    /// Ends the outage, and checks that what was begun completes.
    async fn complete(self, stack: &Stack) {
        assert!(stack.emails_to(&self.requested).await.is_empty());
        let changed = &self.used.email;
        assert_eq!(stack.emails_to(changed).await.len(), 2, "no notice yet");
        let end = Ses::new(&sdk_config()).create_email_identity();
        end.email_identity(SENDER).send().await.unwrap();

        let emails = stack.wait_for_emails(changed, 3).await;
        assert!(emails[2].subject.starts_with("Your password for"));
        assert!(stack.accepts(changed, PASSWORD).await);
        // If the application restores its item of the user, only Rekey's rows show that the links have ended.
        stack.user(changed).await;
        for dead in [&self.used, &self.ended] {
            assert!(is_rejected(stack.reset(dead, PASSWORD).await).await);
        }
        let emails = stack.wait_for_emails(&self.requested, 1).await;
        for link in [&self.link, &emails[0].link()] {
            assert_eq!(stack.reset(link, PASSWORD).await.status(), 204);
            assert!(is_rejected(stack.reset(link, PASSWORD).await).await);
            assert!(stack.accepts(&link.email, PASSWORD).await);
            stack.wait_for_emails(&link.email, 2).await;
        }

        stack
            .set_time(&self.limited, "request#", "requested_at", 1)
            .await;
        assert_eq!(stack.forgot(&self.limited).await.status(), 202);
        stack.wait_for_the_stream().await;
        assert_eq!(stack.emails_to(&self.limited).await.len(), ADDRESS_LIMIT);
    }
}

/// Requests one more link, after the cooldown of the last one.
async fn another_link(stack: &Stack, email: &str) -> Link {
    stack.set_time(email, "request#", "requested_at", 1).await;
    stack.link(email).await
}
