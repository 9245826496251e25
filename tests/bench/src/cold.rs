//! Cold starts: processes that answer one request, at the CPU shares of Lambda.

use std::time::Duration;

use serde::Serialize;

use crate::aws::{Aws, Call};
use crate::links;
use crate::measure::{Ours, with_aws};
use crate::runtime_api::{Answer, Instance};
use crate::share::Share;
use crate::stats::{Sample, Summary};
use crate::subject::{Subject, forgot_event, reset_event};

/// The times of the first requests of several processes.
#[derive(Default)]
pub(crate) struct ColdStarts {
    /// The time from the start of the process to its first answer.
    pub(crate) whole: Sample,
    /// The same, without the time in which calls were with AWS.
    pub(crate) itself: Sample,
    /// The time from the event to the answer, at the process's share.
    pub(crate) request: Sample,
    /// The CPU time of the process up to its first answer.
    pub(crate) cpu: Sample,
}

impl ColdStarts {
    fn push(&mut self, first: &First, excluded: Duration) {
        let took = first.took.saturating_sub(excluded);
        let request = first.answer.took().saturating_sub(excluded);
        self.whole.push(took);
        self.itself
            .push(took.saturating_sub(with_aws(&first.calls)));
        self.request.push(request);
        self.cpu.push(first.answer.taken.cpu);
    }

    pub(crate) fn at(&self, share: Share) -> AtShare {
        AtShare {
            share,
            first_answer: self.whole.summary(),
            itself: self.itself.summary(),
            request: self.request.summary(),
            cpu: self.cpu.summary(),
        }
    }
}

/// Cold starts at one share, in milliseconds.
#[derive(Clone, Serialize)]
pub(crate) struct AtShare {
    pub(crate) share: Share,
    /// The time from the start of the process to its first answer.
    pub(crate) first_answer: Summary,
    /// The same, without the time in which calls were with AWS.
    pub(crate) itself: Summary,
    /// The time from the event to the answer, at the process's share.
    pub(crate) request: Summary,
    /// The CPU time of the process up to its first answer.
    pub(crate) cpu: Summary,
}

/// The cold starts of Rekey's functions and the floor at one share.
pub(crate) struct Cold {
    pub(crate) share: Share,
    pub(crate) hello: ColdStarts,
    pub(crate) forgot: ColdStarts,
    /// The times exclude argon2id, that is, the time between the token's row and the transaction. The CPU time includes
    /// it.
    pub(crate) reset: ColdStarts,
}

/// Measures each function at each share, in turn.
pub(crate) fn ours(aws: &Aws, ours: &Ours, rounds: usize) -> (Vec<Cold>, &'static str) {
    let mut links =
        links::deliver(aws, &ours.forgot, "cold", Share::ALL.len() * rounds).into_iter();
    let mut means = "nothing";
    let mut all = Share::ALL.map(|share| Cold {
        share,
        hello: ColdStarts::default(),
        forgot: ColdStarts::default(),
        reset: ColdStarts::default(),
    });
    for n in 0..rounds {
        for cold in &mut all {
            let event = forgot_event(&format!("stranger{n}@example.com"));
            let hello = first(aws, &ours.hello, cold.share, &event);
            assert_eq!(hello.answer.status(), 200);
            cold.hello.push(&hello, Duration::ZERO);
            let forgot = first(aws, &ours.forgot, cold.share, &event);
            assert_eq!(forgot.answer.status(), 202);
            cold.forgot.push(&forgot, Duration::ZERO);
            let link = links.next().expect("a link for each");
            let reset = reset_event(&link.email, &link.token);
            let reset = first(aws, &ours.reset, cold.share, &reset);
            assert_eq!(reset.answer.status(), 204);
            cold.reset.push(&reset, hashing(&reset.calls));
            means = reset.throttled_by.unwrap_or(means);
        }
    }
    (all.into(), means)
}

/// Measures a peer at each share.
pub(crate) fn peer(
    aws: &Aws,
    subject: &Subject,
    event: &str,
    status: u64,
    all: &mut [ColdStarts; Share::ALL.len()],
) {
    for (share, cold) in Share::ALL.into_iter().zip(all) {
        let first = first(aws, subject, share, event);
        let answer = &first.answer;
        assert_eq!(answer.status(), status, "{}: {}", subject.name, answer.body);
        cold.push(&first, Duration::ZERO);
    }
}

/// The first answer of a process.
struct First {
    answer: Answer,
    /// The time from the start of the process.
    took: Duration,
    calls: Vec<Call>,
    throttled_by: Option<&'static str>,
}

fn first(aws: &Aws, subject: &Subject, share: Share, event: &str) -> First {
    aws.take_calls();
    let instance = Instance::start_with(subject, &aws.endpoint, share, event);
    let (answer, took) = instance.first();
    First {
        answer,
        took,
        calls: aws.take_calls(),
        throttled_by: instance.throttled_by(),
    }
}

/// Returns the time between the response with the token's row and the transaction.
fn hashing(calls: &[Call]) -> Duration {
    let is_transaction = |call: &&Call| call.name == "TransactWriteItems";
    let transaction = calls.iter().find(is_transaction).expect("a transaction");
    let before = calls.iter().filter(|call| !is_transaction(call));
    let answered = before
        .map(|call| call.answered)
        .max()
        .expect("a token's row");
    transaction.received.saturating_duration_since(answered)
}
