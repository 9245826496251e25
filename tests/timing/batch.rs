//! Compares known and unknown addresses at the private half of `forgot`, by when emails of other records reach SES.
//!
//! An outsider can place a suspect's address next to their own addresses, in one batch of the stream or in consecutive
//! ones. Their own emails then show when each of them left. These tests send such batches through
//! `lambda::handle`, as `lambda::run` does, and compare the times for known and unknown suspects.
//!
//! A difference counts only if it is found twice in the same direction, for the reason that [`crate::dudect`] gives. It
//! must also exceed [`MARGIN`].
//!
//! Each instance has its own thread, as in Lambda. AWS has another and responds from memory, so its work and its locks
//! do not count. Several instances run at once, because a probe mostly waits.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use forgot::Forgot;
use jiff::{SignedDuration, Timestamp};
use rekey::http::problem::Problem;
use rekey::http::request::Request;
use rekey::http::response::Response;
use rekey::lambda;
use rekey::lambda::Output;
use rekey::lambda::batch::Checkpoint;
use rekey::lambda::function::{Clock, Function, Record, RecordError};
use rekey::pace::Pace;
use rekey::table::rows::ResetRequested;
use rekey::telemetry::Telemetry;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use crate::bench::{addresses, alone, random, runtime, shuffle};
use crate::dudect::{Finding, Samples, Verdict};
use crate::record;
use support::app::stream::batch;
use support::deployment::{PAGE, environment, long_timeouts, sdk_config};
use support::torture::times;
use support::wire::Incoming;

/// The number of instances that probe at the same time.
const INSTANCES: usize = 16;
/// The factor by which the pace is slower than the product's, SES included. Code without optimization takes many times
/// as long to prepare emails.
const SLOWER: u32 = 2;
/// The latency of SES, at the product's pace.
const SES: Duration = Duration::from_millis(50);
/// The difference of the mean departures that is ignored, in microseconds.
///
/// An instance that has just sent the suspect's email sends the next one up to 0.2 ms sooner, probably because the
/// processor is still warm. No schedule hides that, and enough samples always find it. An outsider has too few. Their
/// own mail server can time arrivals, but only behind SES's queue and the network. If these add noise of no more than
/// 10 ms, 0.5 ms at the same |t| takes 16,000 emails of each kind. A suspect is sent at most 20 links in a day, and
/// after that at most one for each lifetime of a link.
const MARGIN: f64 = 500.0;
/// The number of invented addresses in a batch.
const INVENTED: usize = 2;
/// The number of pairs of probes in an instance that have cold connections and do not count.
const COLD: usize = 2;
/// The number of suspects of each kind.
const POOL: usize = 20;

/// The settings of a lookup that reads more than the key.
const FULL_READ: [(&str, &str); 4] = [
    ("USERS_STATUS_ATTRIBUTE", "status"),
    ("USERS_STATUS_ACTIVE", "ACTIVE"),
    ("USERS_LOCALE_ATTRIBUTE", "language"),
    ("USERS_NAME_ATTRIBUTE", "name"),
];

/// The places of the outsider's own addresses.
const PLACES: [&str; 3] = [
    "next to the suspect",
    "at the end of its batch",
    "in the batch after the suspect's",
];

/// The difference from the product.
#[derive(Clone, Copy, Debug)]
enum Plant {
    Nothing,
    /// The settings name a status, a language, and a name.
    FullRead,
    /// One record is processed after another.
    OneByOne,
    /// Emails leave and batches end without waiting.
    Unpaced,
    /// SES takes longer than the quantum.
    SlowSes,
}

#[test]
fn other_emails_leave_independently_of_whether_a_suspect_is_known() {
    let _alone = alone();
    // Each pair gives one sample for each place.
    let pairs = times(2_000, 10_000);
    let verdicts = Verdict::of_each(|| departures(pairs, Plant::Nothing));
    for (place, verdict) in PLACES.iter().zip(&verdicts) {
        let what = format!("departure of an email {place}, known and unknown suspects");
        record(&what, pairs, verdict);
    }
    for (place, verdict) in PLACES.iter().zip(&verdicts) {
        assert!(!verdict.is_difference(), "{place}: {verdict}");
    }
}

/// A lookup that also reads the user's status, language, and name makes one more call for a known address.
#[test]
fn a_full_read_of_known_users_delays_no_other_email() {
    let _alone = alone();
    let pairs = times(500, 2_500);
    let verdicts = Verdict::of_each(|| departures(pairs, Plant::FullRead));
    for (place, verdict) in PLACES.iter().zip(&verdicts) {
        let what = format!("departure of an email {place}, with a full read of known suspects");
        record(&what, pairs, verdict);
    }
    for (place, verdict) in PLACES.iter().zip(&verdicts) {
        assert!(!verdict.is_difference(), "{place}: {verdict}");
    }
}

#[test]
fn a_record_that_delays_others_is_found() {
    let _alone = alone();
    let pairs = times(48, 1_024);
    for (plant, delayed) in [
        (Plant::OneByOne, 0),
        (Plant::Unpaced, 2),
        (Plant::SlowSes, 2),
    ] {
        let verdicts = Verdict::of_each(|| departures(pairs, plant));
        let (verdict, place) = (&verdicts[delayed], PLACES[delayed]);
        let what = format!("departure of an email {place} with {plant:?} planted");
        record(&what, pairs, verdict);
        assert!(verdict.is_difference(), "{plant:?}, {place}: {verdict}");
    }
}

/// Measures the departures and returns the finding for each place.
fn departures(pairs: usize, plant: Plant) -> [Finding; PLACES.len()] {
    measure(pairs, plant).map(|samples| samples.compare_beyond(MARGIN))
}

/// Measures when emails leave, in microseconds from the start of a probe: known suspects left, unknown ones right.
fn measure(pairs: usize, plant: Plant) -> [Samples; PLACES.len()] {
    let amazon = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let pairs = pairs.div_ceil(INSTANCES);
    let instance = |index: u32| {
        // Stagger the instances. Those that start a batch at the same time would wait for a processor, not the pace.
        let offset = SLOWER * Pace::STEADY.quantum * index / u32::try_from(INSTANCES).unwrap();
        runtime().block_on(async {
            tokio::time::sleep(offset).await;
            probe(&amazon, pairs, plant).await
        })
    };
    thread::scope(|scope| {
        let instances: Vec<_> = (0..)
            .take(INSTANCES)
            .map(|index| scope.spawn(move || instance(index)))
            .collect();
        let mut all: [Samples; PLACES.len()] = Default::default();
        for instance in instances {
            for (all, samples) in all.iter_mut().zip(instance.join().unwrap()) {
                all.left.extend(samples.left);
                all.right.extend(samples.right);
            }
        }
        all
    })
}

/// Runs the probes of one instance.
async fn probe(amazon: &Runtime, pairs: usize, plant: Plant) -> [Samples; PLACES.len()] {
    let (mut known, unknown) = (addresses(POOL + PLACES.len()), addresses(POOL));
    let latency = match plant {
        Plant::SlowSes => Pace::STEADY.quantum,
        Plant::Nothing | Plant::FullRead | Plant::OneByOne | Plant::Unpaced => SES,
    };
    let aws = Amazon::start(known.iter().cloned().collect(), SLOWER * latency);
    let aws = amazon.spawn(aws).await.unwrap();
    let own = known.split_off(POOL);
    let settings = environment(match plant {
        Plant::FullRead => &FULL_READ,
        Plant::Nothing | Plant::OneByOne | Plant::Unpaced | Plant::SlowSes => &[],
    });
    let sdk = sdk_config(&aws.endpoint, long_timeouts());
    let variable = |name: &str| settings.get(name).cloned();
    let instance = Instance {
        forgot: Forgot::new(&sdk, &variable, Box::new(io::sink())).unwrap(),
        turn: tokio::sync::Mutex::default(),
        plant,
    };
    let mut probes = Vec::new();
    let mut now: Timestamp = "2026-11-23T12:00:00.250Z".parse().unwrap();
    for pair in 0..pairs + COLD {
        let mut suspects = [(true, &known[pair % POOL]), (false, &unknown[pair % POOL])];
        shuffle(&mut suspects);
        for (is_known, suspect) in suspects {
            // Advance by more than a day, so that no limit is reached.
            now += SignedDuration::from_hours(25);
            let start = Instant::now();
            for emails in batches(suspect, &own) {
                instance.deliver(&emails, now).await;
            }
            probes.push((is_known, start));
        }
    }
    let departures = aws.departures.lock().unwrap();
    let mut samples: [Samples; PLACES.len()] = Default::default();
    for (own, samples) in own.iter().zip(&mut samples) {
        let departures = departures.iter().filter(|(to, _)| to == own);
        for ((is_known, start), (_, left)) in probes.iter().zip(departures).skip(2 * COLD) {
            samples.add(*is_known, (*left - *start).as_secs_f64() * 1e6);
        }
        assert_eq!(samples.left.len(), pairs, "one email for each probe");
        assert_eq!(samples.right.len(), pairs, "one email for each probe");
    }
    samples
}

/// Returns an outsider's batches: the suspect's address alone, and then between the outsider's own addresses.
fn batches(suspect: &str, own: &[String]) -> [Vec<String>; 2] {
    let invented = || addresses(INVENTED);
    let first = [vec![suspect.to_owned()], invented()].concat();
    let beside = [own[2].as_str(), suspect, own[0].as_str()];
    let mut second: Vec<String> = beside.map(str::to_owned).into();
    second.extend(invented());
    second.push(own[1].clone());
    [first, second]
}

/// An instance of the private half, with a plant.
struct Instance {
    forgot: Forgot,
    turn: tokio::sync::Mutex<()>,
    plant: Plant,
}

impl Instance {
    async fn deliver(&self, emails: &[String], now: Timestamp) {
        let row = |email: &String| {
            json!({
                "pk": { "S": format!("request#{email}") },
                "email": { "S": email },
                "reset_url": { "S": PAGE },
                "request_id": { "S": format!("{:016x}", random()) },
                "requested_at": { "N": now.as_second().to_string() },
            })
        };
        let rows: Vec<Value> = emails.iter().map(row).collect();
        let rows: Vec<&Value> = rows.iter().collect();
        let event = serde_json::from_value(batch(&rows)).unwrap();
        let Pace {
            preparation,
            spacing,
            quantum,
        } = match self.plant {
            Plant::Unpaced => Pace::UNPACED,
            Plant::Nothing | Plant::FullRead | Plant::OneByOne | Plant::SlowSes => Pace::STEADY,
        };
        let pace = Pace {
            preparation: preparation * SLOWER,
            spacing: spacing * SLOWER,
            quantum: quantum * SLOWER,
        };
        let output = lambda::handle(self, event, String::new(), || now, pace).await;
        match output.unwrap() {
            Output::Stream(checkpoint) => assert_eq!(checkpoint, Checkpoint::default()),
            Output::Http(_) => panic!("expected a response to a stream"),
        }
    }
}

impl Function for Instance {
    const KEY_PREFIX: &'static str = Forgot::KEY_PREFIX;
    type Row = ResetRequested;

    async fn handle_request(
        &self,
        request: &Request,
        clock: Clock<'_>,
    ) -> Result<Response, Problem> {
        self.forgot.handle_request(request, clock).await
    }

    async fn handle_record(
        &self,
        record: Record<ResetRequested>,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let turn = match self.plant {
            Plant::OneByOne => Some(self.turn.lock().await),
            Plant::Nothing | Plant::FullRead | Plant::Unpaced | Plant::SlowSes => None,
        };
        let outcome = self.forgot.handle_record(record, now).await;
        drop(turn);
        outcome
    }

    fn telemetry(&self) -> &Telemetry {
        self.forgot.telemetry()
    }
}

/// An AWS that knows some users and records when each email arrives.
struct Amazon {
    endpoint: String,
    known: HashSet<String>,
    latency: Duration,
    departures: Mutex<Vec<(String, Instant)>>,
}

impl Amazon {
    async fn start(known: HashSet<String>, latency: Duration) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let aws = Arc::new(Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            known,
            latency,
            departures: Mutex::default(),
        });
        let state = Arc::clone(&aws);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(Self::serve(Arc::clone(&state), socket));
            }
        });
        aws
    }

    async fn serve(self: Arc<Self>, socket: TcpStream) -> Option<()> {
        let mut socket = BufReader::new(socket);
        loop {
            let incoming = Incoming::read(&mut socket).await?;
            let body = self.respond(&incoming).await.to_string();
            let head = "HTTP/1.1 200 -\r\ncontent-type: application/x-amz-json-1.0\r\n";
            let response = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            socket.write_all(response.as_bytes()).await.ok()?;
        }
    }

    async fn respond(&self, incoming: &Incoming) -> Value {
        let arrived = Instant::now();
        let body: Value = serde_json::from_slice(&incoming.body).unwrap();
        let target = incoming.headers.get("x-amz-target");
        match target.and_then(|target| target.rsplit('.').next()) {
            None => {
                let to = body["Destination"]["ToAddresses"][0].as_str().unwrap();
                let departure = (to.to_owned(), arrived);
                self.departures.lock().unwrap().push(departure);
                tokio::time::sleep(self.latency).await;
                json!({ "MessageId": "1" })
            }
            Some("UpdateItem") => json!({ "Attributes": { "requests": { "N": "1" } } }),
            Some("Query") => json!({ "Items": self.users(&body) }),
            Some(_) => json!({}),
        }
    }

    /// Returns the users that a query selects. Their keys are their addresses.
    fn users(&self, query: &Value) -> Vec<Value> {
        let values = query["ExpressionAttributeValues"].as_object().unwrap();
        let emails = values.values().filter_map(|value| value["S"].as_str());
        let text = |text: &str| json!({ "S": text });
        emails
            .filter(|email| self.known.contains(*email))
            .map(|email| {
                json!({
                    "id": text(email), "email": text(email), "status": text("ACTIVE"), "language": text("de"),
                    "name": text("Ada"),
                })
            })
            .collect()
    }
}
