//! Measures whether calls take longer when the tables have more rows.

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::aws::Aws;
use crate::links::{self, Link, now};
use crate::measure::Ours;
use crate::runtime_api::Instance;
use crate::stats::{Sample, Summary};
use crate::subject::{forgot_event, requested_event, reset_event};

/// The time that each half spends in `DynamoDB`, with this number of users and tokens.
#[derive(Serialize)]
pub(crate) struct Growth {
    pub(crate) rows: usize,
    pub(crate) request: Summary,
    pub(crate) deliver: Summary,
    /// The time of a change, without argon2id.
    pub(crate) change: Summary,
}

/// Measures the sizes in turn, so that a disturbance of the machine affects all of them.
///
/// Also returns the ratio of the last size to the first, for the half whose calls grow the most.
pub(crate) fn growth(ours: &Ours, sizes: &[usize], rounds: usize) -> (Vec<Growth>, Summary) {
    let mut databases: Vec<Populated> = sizes
        .iter()
        .map(|&rows| Populated::open(ours, rows, rounds))
        .collect();
    for round in 0..rounds {
        for database in &mut databases {
            database.call(round);
        }
    }
    let (first, last) = (&databases[0], &databases[databases.len() - 1]);
    let grown = [0, 1, 2].map(|half: usize| last.halves[half].over(&first.halves[half]).summary());
    let most = grown
        .into_iter()
        .max_by(|a, b| a.median.total_cmp(&b.median));
    let growth = databases.iter().map(Populated::growth).collect();
    (growth, most.expect("three halves"))
}

/// A separate AWS with many rows, and Rekey's functions on it.
struct Populated {
    rows: usize,
    aws: Aws,
    requester: Instance,
    changer: Instance,
    links: Vec<Link>,
    /// The times of request, deliver, and change.
    halves: [Sample; 3],
}

impl Populated {
    fn open(ours: &Ours, rows: usize, rounds: usize) -> Self {
        let aws = Aws::start();
        fill(&aws, 0..rows);
        let links = links::deliver(&aws, &ours.forgot, "links", rounds);
        let requester =
            Instance::start(&ours.forgot, &aws.endpoint, &forgot_event("a@example.com"));
        requester.first();
        let rejected = reset_event("nobody@example.com", &"0".repeat(64));
        let changer = Instance::start(&ours.reset, &aws.endpoint, &rejected);
        changer.first();
        Self {
            rows,
            aws,
            requester,
            changer,
            links,
            halves: Default::default(),
        }
    }

    /// Calls each half once.
    fn call(&mut self, round: usize) {
        let Link { email, token } = &self.links[round];
        self.aws.take_calls();
        self.requester
            .invoke(&forgot_event(&format!("asking{round}@example.org")));
        self.halves[0].push(take_dynamodb_time(&self.aws));
        self.requester
            .invoke(&requested_event(std::slice::from_ref(email), now()));
        self.halves[1].push(take_dynamodb_time(&self.aws));
        let response = self.changer.invoke(&reset_event(email, token));
        assert_eq!(response.status(), 204);
        self.halves[2].push(take_dynamodb_time(&self.aws));
    }

    fn growth(&self) -> Growth {
        let [request, deliver, change] = [0, 1, 2].map(|half: usize| self.halves[half].summary());
        Growth {
            rows: self.rows,
            request,
            deliver,
            change,
        }
    }
}

/// Returns the time that `DynamoDB` took for the calls since the last call of this function.
fn take_dynamodb_time(aws: &Aws) -> Duration {
    let calls = aws.take_calls();
    let calls = calls.iter().filter(|call| call.name != "SendEmail");
    calls.map(|call| call.answered - call.received).sum()
}

/// Adds users, and a live token for each of them.
fn fill(aws: &Aws, range: Range<usize>) {
    let users = range.clone().map(|n| {
        let email = format!("user{n}@example.com");
        json!({ "id": { "S": n.to_string() }, "email": { "S": email }, "password_hash": { "S": "old" } })
    });
    aws.fill("users", users);
    let now = now().as_second();
    let tokens = range.map(|n| {
        json!({
            "pk": { "S": format!("token#{n:064x}") },
            "user": { "S": n.to_string() },
            "email": { "S": format!("user{n}@example.com") },
            "issued_at": { "N": now.to_string() },
            "expires_at": { "N": (now + 3600).to_string() },
            "locale": { "S": "en" },
        })
    });
    aws.fill("rekey", tokens);
}
