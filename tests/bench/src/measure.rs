//! Measurements of Rekey's functions, and of hello world as the floor.

use std::time::{Duration, Instant};

use crate::aws::{Aws, Call, wait};
use crate::hashes;
use crate::links::{self, Link, now};
use crate::runtime_api::Instance;
use crate::stats::{Sample, Summary};
use crate::subject::{BATCH_SIZE, Subject, forgot_event, requested_event, reset_event};

/// Rekey's functions, and the floor.
pub(crate) struct Ours {
    pub(crate) hello: Subject,
    pub(crate) forgot: Subject,
    pub(crate) reset: Subject,
}

/// The times of events.
#[derive(Default)]
pub(crate) struct Times {
    /// The whole time.
    pub(crate) whole: Sample,
    /// Without the time in which calls were with AWS.
    pub(crate) itself: Sample,
}

impl Times {
    pub(crate) fn push(&mut self, took: Duration, calls: &[Call]) {
        self.whole.push(took);
        self.itself.push(took.saturating_sub(with_aws(calls)));
    }
}

/// Returns the time in which calls were with AWS.
pub(crate) fn with_aws(calls: &[Call]) -> Duration {
    let trips = round_trips(calls);
    trips
        .iter()
        .map(|(received, answered)| *answered - *received)
        .sum()
}

/// The times and the memory of a process after its start.
#[derive(Default)]
pub(crate) struct Warm {
    pub(crate) whole: Sample,
    /// Without the time in which calls were with AWS.
    pub(crate) itself: Sample,
    /// The peak memory of the process, in bytes.
    pub(crate) peak_memory: u64,
}

impl From<(Times, &Instance)> for Warm {
    fn from((times, instance): (Times, &Instance)) -> Self {
        Self {
            whole: times.whole,
            itself: times.itself,
            peak_memory: instance.peak_memory(),
        }
    }
}

/// The number of events before the measurement, which warm up connections, caches, and branch predictors.
const WARM_UP: usize = 50;

/// Measures `hello` and `forgot` in turn.
pub(crate) fn warm_forgot(aws: &Aws, ours: &Ours, rounds: usize) -> (Warm, Warm) {
    let (hello, forgot) = (&ours.hello, &ours.forgot);
    let event = |n| forgot_event(&format!("asking{n}@example.com"));
    let [hello, forgot] = [hello, forgot].map(|subject| {
        let instance = Instance::start(subject, &aws.endpoint, &event(0));
        instance.first();
        instance
    });
    let mut times = [Times::default(), Times::default()];
    for n in 0..WARM_UP + rounds {
        let answers = [&hello, &forgot].map(|instance| {
            aws.take_calls();
            let answer = instance.invoke(&event(n));
            (answer, aws.take_calls())
        });
        assert_eq!(answers[1].0.status(), 202);
        if n >= WARM_UP {
            for (times, (answer, calls)) in times.iter_mut().zip(&answers) {
                times.push(answer.took(), calls);
            }
        }
    }
    let [hello_times, forgot_times] = times;
    ((hello_times, &hello).into(), (forgot_times, &forgot).into())
}

/// The latency of `DynamoDB`: less than in a region, but more than the work that runs in parallel.
const ROUND_TRIP: Duration = Duration::from_micros(300);

/// Measures `reset`, and its time beyond argon2id.
///
/// Calls have a latency, as in a region, so that the work in parallel takes no extra time. The same hash alone is
/// measured in turn, in blocks, so that neither finds its caches full of the other's data.
pub(crate) fn warm_reset(aws: &Aws, ours: &Ours, blocks: usize) -> (Warm, Sample) {
    const BLOCK: usize = 20;
    const UNCOUNTED: usize = 5;
    let links = links::deliver(aws, &ours.forgot, "warm", blocks * BLOCK);
    let event = reset_event("nobody@example.com", &"0".repeat(64));
    let reset = Instance::start(&ours.reset, &aws.endpoint, &event);
    reset.first();
    let mut argon2 = hashes::Ours::new();
    aws.slow(ROUND_TRIP, Duration::ZERO);
    let (mut all, mut beyond) = (Times::default(), Sample::default());
    for links in links.chunks(BLOCK) {
        let (mut block, mut hashes) = (Times::default(), Sample::default());
        for (n, Link { email, token }) in links.iter().enumerate() {
            aws.take_calls();
            let answer = reset.invoke(&reset_event(email, token));
            assert_eq!(answer.status(), 204);
            if n >= UNCOUNTED {
                let calls = aws.take_calls();
                block.push(answer.took(), &calls);
                all.push(answer.took(), &calls);
            }
        }
        for n in 0..BLOCK {
            wait(2 * ROUND_TRIP);
            let took = argon2.hash();
            if n >= UNCOUNTED {
                hashes.push(took);
            }
        }
        beyond.push_milliseconds(block.itself.summary().median - hashes.summary().median);
    }
    aws.slow(Duration::ZERO, Duration::ZERO);
    ((all, &reset).into(), beyond)
}

/// Returns the number of sequential round trips of `forgot` and `reset`, once their connections are open.
pub(crate) fn turns(aws: &Aws, ours: &Ours) -> [usize; 2] {
    // Long enough for all parallel calls to begin.
    const LATENCY: Duration = Duration::from_millis(20);
    let links = links::deliver(aws, &ours.forgot, "turns", 1);
    let reset = reset_event(&links[0].email, &links[0].token);
    let rejected = reset_event("nobody@example.com", &"0".repeat(64));
    let turns = [
        (
            &ours.forgot,
            forgot_event("first@example.com"),
            forgot_event("turns@example.com"),
            202,
        ),
        (&ours.reset, rejected, reset, 204),
    ];
    aws.slow(LATENCY, Duration::ZERO);
    let turns = turns.map(|(subject, first, event, status)| {
        let instance = Instance::start(subject, &aws.endpoint, &first);
        instance.first();
        aws.take_calls();
        assert_eq!(instance.invoke(&event).status(), status);
        round_trips(&aws.take_calls()).len()
    });
    aws.slow(Duration::ZERO, Duration::ZERO);
    turns
}

/// Returns the periods in which calls were with AWS. Overlapping calls count as one.
fn round_trips(calls: &[Call]) -> Vec<(Instant, Instant)> {
    let mut spans: Vec<_> = calls
        .iter()
        .map(|call| (call.received, call.answered))
        .collect();
    spans.sort();
    let mut trips: Vec<(Instant, Instant)> = Vec::new();
    for (received, answered) in spans {
        match trips.last_mut() {
            Some(last) if received < last.1 => last.1 = last.1.max(answered),
            _ => trips.push((received, answered)),
        }
    }
    trips
}

/// The deliveries of one private half.
pub(crate) struct Delivery {
    pub(crate) links_per_second: f64,
    /// The maximum number of concurrent calls to SES.
    pub(crate) at_once: usize,
    /// The CPU time of a link. The wall time would include waiting, since batches may end later than their work.
    pub(crate) own: Summary,
    pub(crate) peak_memory: u64,
}

/// Delivers two sets of batches to new users, after a first batch that is not measured.
pub(crate) fn deliver(
    aws: &Aws,
    forgot: &Subject,
    latency_of_ses: Duration,
    batches: usize,
) -> Delivery {
    let number = batches * BATCH_SIZE;
    let emails = links::users(aws, "deliver", BATCH_SIZE + 2 * number);
    let mut events = emails
        .chunks(BATCH_SIZE)
        .map(|emails| requested_event(emails, now()));
    let instance = Instance::start(forgot, &aws.endpoint, &events.next().expect("a batch"));
    instance.first();
    let events: Vec<String> = events.collect();
    let (at_once, slow) = events.split_at(events.len() / 2);
    let mut own = Sample::default();
    for event in at_once {
        own.push(instance.invoke(event).cpu() / u32::try_from(BATCH_SIZE).expect("a few"));
    }
    aws.slow(Duration::ZERO, latency_of_ses);
    aws.take_emails();
    let started = Instant::now();
    for event in slow {
        instance.invoke(event);
    }
    let took = started.elapsed();
    aws.slow(Duration::ZERO, Duration::ZERO);
    let sent = aws.take_emails().len();
    assert_eq!(sent, number, "one email for each request");
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    Delivery {
        links_per_second: sent as f64 / took.as_secs_f64(),
        at_once: aws.max_concurrent_emails(),
        own: own.summary(),
        peak_memory: instance.peak_memory(),
    }
}
