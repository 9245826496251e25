//! Whether a call takes longer where there is more in the tables.

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

/// What each half takes of AWS with so many users and tokens in the tables.
#[derive(Serialize)]
pub(crate) struct Growth {
    pub(crate) rows: usize,
    pub(crate) request: Summary,
    pub(crate) deliver: Summary,
    /// Without argon2id.
    pub(crate) change: Summary,
}

/// The sizes in turn, so that what disturbs the machine disturbs all of them. Beside it, how many times as long the half
/// whose calls grow the most takes in the end.
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

/// An AWS of its own, with so much in it, and our functions on it.
struct Populated {
    rows: usize,
    aws: Aws,
    asker: Instance,
    changer: Instance,
    links: Vec<Link>,
    /// Request, deliver and change.
    halves: [Sample; 3],
}

impl Populated {
    fn open(ours: &Ours, rows: usize, rounds: usize) -> Self {
        let aws = Aws::start();
        fill(&aws, 0..rows);
        let links = links::deliver(&aws, &ours.forgot, "links", rounds);
        let asker = Instance::start(&ours.forgot, &aws.endpoint, &forgot_event("a@example.com"));
        asker.first();
        let nobody = reset_event("nobody@example.com", &"0".repeat(64));
        let changer = Instance::start(&ours.reset, &aws.endpoint, &nobody);
        changer.first();
        Self {
            rows,
            aws,
            asker,
            changer,
            links,
            halves: Default::default(),
        }
    }

    /// Calls each half once.
    fn call(&mut self, round: usize) {
        let Link { email, token } = &self.links[round];
        self.aws.take_calls();
        self.asker
            .invoke(&forgot_event(&format!("asking{round}@example.org")));
        self.halves[0].push(with_dynamodb(&self.aws));
        self.asker
            .invoke(&requested_event(std::slice::from_ref(email), now()));
        self.halves[1].push(with_dynamodb(&self.aws));
        let changed = self.changer.invoke(&reset_event(email, token));
        assert_eq!(changed.status(), 204);
        self.halves[2].push(with_dynamodb(&self.aws));
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

/// How long DynamoDB had the calls since the last look.
fn with_dynamodb(aws: &Aws) -> Duration {
    let calls = aws.take_calls();
    let calls = calls.iter().filter(|call| call.name != "SendEmail");
    calls.map(|call| call.went - call.came).sum()
}

/// Users, and a live token for each of them.
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
