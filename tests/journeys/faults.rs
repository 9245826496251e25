//! Each call to AWS fails in each way. Every 2xx response is true, no operation is half done, nothing hangs, and a
//! retry succeeds.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordVerifier as _};
use jiff::SignedDuration;
use rekey::aws;
use rekey::http::response::Response;
use rekey::token::Token;
use tokio::task::JoinSet;

use support::app::TestApp;
use support::calls::{TIMEOUT_DIVISOR, faults_of};
use support::deployment::{ADA, PAGE, PASSWORD, retries};
use support::email::{Link, SentEmail};
use support::faults::{Chaos, EVERY, Fault, Reply};
use support::random::Dice;
use support::responses::is_rejected;
use support::torture::{report, times};

/// An action of a user or of the stream, which makes calls to AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Journey {
    Request,
    Deliver,
    Reset,
    Notify,
}

impl Journey {
    const ALL: [Self; 4] = [Self::Request, Self::Deliver, Self::Reset, Self::Notify];

    /// Runs the journey without a fault, to learn which calls can fail. A hand-written list would become outdated when
    /// the product changes its calls.
    async fn rehearse(self) -> Rehearsal {
        let app = TestApp::with_ada().await;
        let link = prepare(&app, self).await;
        app.aws.take_calls();
        let outcome = run(&app, self, link.as_ref()).await;
        assert!(matches!(outcome, Ok(true)), "{self:?}");
        let calls = app.aws.take_calls();
        assert!(!calls.is_empty(), "{self:?} calls AWS");
        let counters = app.rows("rate#").await.len();
        app.process_stream().await;
        Rehearsal {
            journey: self,
            calls,
            counters,
        }
    }
}

/// The calls and counters of a journey without a fault.
struct Rehearsal {
    journey: Journey,
    calls: Vec<String>,
    /// The number of counters in the table afterwards.
    counters: usize,
}

impl Rehearsal {
    /// Returns a case for each call of the journey and each fault, which fires once or every time.
    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (at, call) in self.calls.iter().enumerate() {
            let before = self.calls[..at].iter().filter(|each| *each == call);
            let preceding = before.count();
            for fault in faults_of(call) {
                for times in [1, EVERY] {
                    cases.push(Case {
                        journey: self.journey,
                        call: call.clone(),
                        preceding,
                        calls: self.calls.iter().filter(|each| *each == call).count(),
                        counters: self.counters,
                        deadline: self.deadline(),
                        fault: fault.clone(),
                        times,
                    });
                }
            }
        }
        cases
    }

    /// Returns the longest time of the journey, by the timeouts of its calls.
    fn deadline(&self) -> Duration {
        // A reset makes its first two calls in parallel.
        let parallel = usize::from(self.journey == Journey::Reset);
        let timeout = |call: &String| {
            if call == "SendEmail" {
                aws::SES_TIMEOUT
            } else {
                aws::DYNAMODB_TIMEOUT
            }
        };
        self.calls.iter().skip(parallel).map(timeout).sum()
    }
}

/// One call of one journey that fails in one way, a number of times.
#[derive(Clone, Debug)]
struct Case {
    journey: Journey,
    call: String,
    /// The number of calls with this name that succeed before the fault.
    preceding: usize,
    /// The number of calls with this name in a journey without a fault.
    calls: usize,
    /// The number of counters that a journey without a fault leaves in the table.
    counters: usize,
    deadline: Duration,
    fault: Fault,
    times: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_fails_in_each_way() {
    let mut cases = Vec::new();
    for journey in Journey::ALL {
        cases.extend(journey.rehearse().await.cases());
    }
    let cases: Vec<Case> = cases.into_iter().step_by(times(5, 1)).collect();
    let tried = cases.len();
    let mut running = JoinSet::new();
    for case in cases {
        if running.len() == 16 {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(until_the_fault_fires(case));
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    report(
        "calls to AWS that fail, one by one",
        tried,
        "no 2xx without its effect, none half done, none past its deadline, all done in the end",
    );
}

/// Tries a case on one app after another. On a busy machine, an earlier call may reach its short timeout, and the
/// journey then ends before the fault.
async fn until_the_fault_fires(case: Case) {
    for _ in 0..10 {
        if try_case(&case).await {
            return;
        }
    }
    panic!("the fault did not fire: {case:?}");
}

/// Tries a case, and returns whether the fault fired.
async fn try_case(case: &Case) -> bool {
    let mut app = TestApp::with_ada().await;
    let link = prepare(&app, case.journey).await;
    app.shorten_timeouts(TIMEOUT_DIVISOR);
    app.aws.take_calls();
    app.aws.succeed(&case.call, case.preceding);
    app.aws.inject(&case.call, case.times, case.fault.clone());
    let sent = app.aws.emails().len();

    let started = Instant::now();
    let outcome = run(&app, case.journey, link.as_ref()).await;
    let took = started.elapsed();
    if !app.aws.unfired().is_empty() {
        app.aws.allow_unfired("the case is tried again");
        app.allow_unprocessed("the case is tried again");
        return false;
    }
    let is_done = outcome.unwrap_or_else(|response| {
        check_error(&app, case, &response);
        false
    });
    // Add a second, because the processor may be busy.
    let deadline = case.deadline / TIMEOUT_DIVISOR + Duration::from_secs(1);
    assert!(took < deadline, "{took:?}: {case:?}");
    let calls = app.aws.take_calls();
    let calls = calls.iter().filter(|call| **call == case.call).count();
    // A delivery reads two rows in parallel, and each read has its own attempts.
    let is_parallel = case.journey == Journey::Deliver && case.call == "GetItem";
    let parallel = if is_parallel { 2 } else { 1 };
    let max = case.calls - parallel + parallel * aws::ATTEMPTS as usize;
    assert!(calls <= max, "{calls} calls: {case:?}");
    let is_repeated = !is_done && app.aws.emails().len() > sent;

    app.aws.heal();
    app.restart();
    check(&app, case, link.as_ref(), is_done).await;
    complete(&app, case, link, is_done).await;
    check_emails(&app, case, is_repeated);
    true
}

/// Prepares a journey, and returns the link if there is one.
async fn prepare(app: &TestApp, journey: Journey) -> Option<Link> {
    match journey {
        Journey::Request => None,
        Journey::Deliver => {
            assert_eq!(app.forgot(ADA).await.status(), 202);
            None
        }
        Journey::Reset => Some(app.link(ADA).await),
        Journey::Notify => {
            let link = app.link(ADA).await;
            assert_eq!(app.reset(&link, PASSWORD).await.status(), 204);
            Some(link)
        }
    }
}

/// Runs a journey. Returns whether the app reported it as done, or the error response.
async fn run(app: &TestApp, journey: Journey, link: Option<&Link>) -> Result<bool, Response> {
    let response = match (journey, link) {
        (Journey::Request, _) => app.forgot(ADA).await,
        (Journey::Reset, Some(link)) => app.reset(link, PASSWORD).await,
        _ => return Ok(app.try_process_stream().await.is_none()),
    };
    if (200..300).contains(&response.status()) {
        Ok(true)
    } else {
        Err(response)
    }
}

/// Checks that an error is 503 with `Retry-After`, or 500 if a retry would not help.
fn check_error(app: &TestApp, case: &Case, response: &Response) {
    let expected = if case.fault.is_denied() {
        (500, None)
    } else {
        (503, Some("2"))
    };
    let actual = (response.status(), response.header("Retry-After"));
    assert_eq!(actual, expected, "{case:?}");
    assert!(!response.body().contains(ADA) && !app.log().contains(ADA));
}

/// Checks that a journey that was reported as done is done, and that nothing is half done.
async fn check(app: &TestApp, case: &Case, link: Option<&Link>, is_done: bool) {
    let emails = app.aws.emails();
    match case.journey {
        Journey::Request => {
            let (requests, counters) = (app.rows("request#").await, app.rows("rate#").await);
            assert!(requests.len() == 1 || !is_done, "{case:?}");
            assert_eq!(counters.len(), case.counters * requests.len(), "{case:?}");
        }
        Journey::Deliver => {
            assert!(!emails.is_empty() || !is_done, "{case:?}");
            assert!(app.rows("token#").await.len() >= emails.len().min(1));
        }
        Journey::Reset => {
            assert!(is_reset(app, link.unwrap()).await || !is_done, "{case:?}");
        }
        Journey::Notify => assert!(emails.len() >= 2 || !is_done, "{case:?}"),
    }
}

/// Returns whether the password was replaced. Checks that the token is deleted and the notice is stored if it was, and
/// that neither is so if it was not.
async fn is_reset(app: &TestApp, link: &Link) -> bool {
    let is_changed = app.stored("1", "password_hash").await != "old";
    let token = Token::parse(&link.token).unwrap().hash();
    let issued = app.rows("token#").await;
    let key = format!("token#{}", token.as_str());
    let has_token = issued.iter().any(|row| row["pk"]["S"] == *key);
    let changed = app.rows("change#").await.len();
    assert_eq!((has_token, changed), (!is_changed, is_changed.into()));
    is_changed
}

/// Completes the journey, now that every call succeeds again.
async fn complete(app: &TestApp, case: &Case, link: Option<Link>, is_done: bool) {
    if case.journey == Journey::Request && !is_done {
        assert_eq!(app.forgot(ADA).await.status(), 202, "{case:?}");
    }
    assert_eq!(app.try_process_stream().await, None, "{case:?}");
    let link = link.unwrap_or_else(|| app.aws.emails().last().unwrap().link());
    let was_done_unreported = case.journey == Journey::Reset && is_reset(app, &link).await;
    if case.journey != Journey::Notify && !(case.journey == Journey::Reset && is_done) {
        let response = app.reset(&link, PASSWORD).await;
        // If the reset was done without a report, the link is used up, and the notice informs the owner.
        assert!(
            response.status() == 204 || (was_done_unreported && is_rejected(&response)),
            "{}: {case:?}: {}",
            response.status(),
            app.log()
        );
    }
    assert_eq!(app.try_process_stream().await, None, "{case:?}");
    assert!(is_reset(app, &link).await);
    let hash = app.stored("1", "password_hash").await;
    let verified = Argon2::default().verify_password(PASSWORD.as_bytes(), hash.as_str());
    assert!(verified.is_ok(), "{case:?}");
    app.process_stream().await;
}

/// Checks that there is one email of each kind. There may be more if SES accepted one and the private half received no
/// response, or failed later.
fn check_emails(app: &TestApp, case: &Case, is_repeated: bool) {
    let max = if case.call == "SendEmail" && case.fault.is_done {
        // SES may accept every attempt, and the next delivery sends one more.
        aws::ATTEMPTS as usize + 1
    } else if is_repeated {
        2
    } else {
        1
    };
    for (part, sender) in [
        ("new password", Journey::Deliver),
        ("was changed", Journey::Notify),
    ] {
        let is_this_kind = |email: &&SentEmail| email.subject().contains(part);
        let emails = app.aws.emails().iter().filter(is_this_kind).count();
        let max = if case.journey == sender { max } else { 1 };
        assert!((1..=max).contains(&emails), "{emails}: {case:?}");
    }
}

/// Every call hangs, and the timeouts are the product's.
#[tokio::test]
async fn a_caller_gets_503_in_time_while_the_table_hangs() {
    let mut app = TestApp::with_ada().await;
    app.shorten_timeouts(1);
    app.aws.inject_chaos(Box::new(|_| {
        let (is_done, reply) = (false, Reply::Nothing);
        Some(Fault { is_done, reply })
    }));
    let link = Link {
        url: PAGE.parse().unwrap(),
        email: ADA.to_owned(),
        token: "0".repeat(64),
    };
    let started = Instant::now();
    let (request, reset) = tokio::join!(app.forgot(ADA), app.reset(&link, PASSWORD));
    assert_eq!((request.status(), reset.status()), (503, 503));
    let took = started.elapsed();
    assert!(
        took >= aws::DYNAMODB_TIMEOUT && took < aws::DYNAMODB_TIMEOUT + Duration::from_secs(2),
        "{took:?}"
    );
}

/// Each call has three attempts. The pauses between them are random, so that callers do not retry together.
#[tokio::test]
async fn retries_are_bounded_and_jittered() {
    let mut pauses = Vec::new();
    for _ in 0..times(10, 100) {
        let app = TestApp::with_ada().await;
        app.aws.take_calls();
        app.aws.fail(
            "TransactWriteItems",
            EVERY,
            (500, "InternalServerError", ""),
        );
        assert_eq!(app.forgot(ADA).await.status(), 503);
        let attempts: Vec<Instant> = app
            .aws
            .take_timed_calls()
            .iter()
            .map(|(_, at)| *at)
            .collect();
        assert_eq!(attempts.len(), aws::ATTEMPTS as usize);
        pauses.push(attempts[1] - attempts[0]);
    }
    let (shortest, longest) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    // Without jitter, each pause would have the maximum length.
    let max = retries().initial_backoff();
    assert!(*shortest < max, "{shortest:?} to {longest:?}");
    report(
        "pauses before another attempt",
        pauses.len(),
        &format!("{shortest:?} to {longest:?}, at a twentieth of the product's"),
    );
}

/// Lambda can freeze an instance between signing and sending a call. AWS then rejects the call as expired, and the SDK
/// signs the next attempt again.
#[tokio::test]
async fn a_call_that_expires_while_frozen_is_signed_and_sent_again() {
    for (status, code, message) in [
        (400, "RequestExpired", "Request has expired."),
        (
            403,
            "InvalidSignatureException",
            "Signature expired: 20261125T100000Z is now earlier than 20261125T100500Z",
        ),
    ] {
        let app = TestApp::with_ada().await;
        for call in ["TransactWriteItems", "Query", "SendEmail", "UpdateItem"] {
            app.aws.fail(call, 1, (status, code, message));
        }
        let link = app.link(ADA).await;
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 204, "{code}");
        assert_eq!(app.try_process_stream().await, None, "{code}");
    }
}

/// All calls of a process share one retry budget.
#[tokio::test]
async fn an_outage_causes_no_retry_storm() {
    let app = TestApp::with_ada().await;
    app.aws.fail(
        "TransactWriteItems",
        EVERY,
        (500, "InternalServerError", ""),
    );
    app.aws.take_calls();
    let callers = 100;
    for n in 0..callers {
        app.clock.advance(SignedDuration::from_secs(4));
        assert_eq!(
            app.forgot(&format!("user{n}@example.com")).await.status(),
            503
        );
    }
    let calls = app.aws.take_calls().len();
    assert!((callers..callers * 2).contains(&calls), "{calls} calls");
    report(
        "calls to AWS of 100 callers in an outage",
        calls,
        "the retry budget held",
    );
}

/// Users request links, receive emails, and follow links, while any call may fail in any way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_faults_lose_nothing_and_leave_nothing_half_done() {
    let rounds = times(6, 300);
    for seed in 0..rounds {
        let storm = Storm::new(seed as u64);
        tokio::spawn(storm.run())
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    report(
        "journeys of 4 users with faults at random",
        rounds * Storm::STEPS,
        "no 2xx without its effect, none half done, all done in the end",
    );
}

/// Four users, and the effects that their responses promise.
struct Storm {
    dice: Dice,
    seed: u64,
    requested: BTreeSet<usize>,
    /// The latest password that a 204 confirmed, by user.
    promised: HashMap<usize, String>,
    tried: HashMap<usize, Vec<String>>,
}

impl Storm {
    const USERS: usize = 4;
    const STEPS: usize = 24;

    fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed),
            seed,
            requested: BTreeSet::new(),
            promised: HashMap::new(),
            tried: HashMap::new(),
        }
    }

    async fn run(mut self) {
        let mut app = TestApp::open().await;
        for n in 0..Self::USERS {
            app.user(&n.to_string(), &address(n)).await;
        }
        app.shorten_timeouts(TIMEOUT_DIVISOR);
        for step in 0..Self::STEPS {
            app.aws.inject_chaos(chaos(self.seed ^ (step as u64) << 32));
            app.clock.advance(SignedDuration::from_secs(30));
            self.step(&app, step).await;
        }
        app.aws.heal();
        app.restart();
        assert_eq!(app.try_process_stream().await, None);
        for n in 0..Self::USERS {
            self.check(&app, n).await;
        }
    }

    async fn step(&mut self, app: &TestApp, step: usize) {
        let n = self.dice.roll(Self::USERS);
        match self.dice.roll(3) {
            0 => {
                let response = app.forgot(&address(n)).await;
                if is_promise(&response) {
                    self.requested.insert(n);
                }
            }
            1 => {
                let _ = app.try_process_stream().await;
            }
            _ => {
                let Some(link) = last_link(app, n) else {
                    return;
                };
                let password = format!("the password of step {step}");
                self.tried.entry(n).or_default().push(password.clone());
                let response = app.reset(&link, &password).await;
                if !is_rejected(&response) && is_promise(&response) {
                    self.promised.insert(n, password);
                }
            }
        }
    }

    /// Checks that every promise to a user is kept, now that the stream is processed.
    async fn check(&self, app: &TestApp, n: usize) {
        if self.requested.contains(&n) {
            assert!(last_link(app, n).is_some(), "user {n} has no link");
        }
        let hash = app.stored(&n.to_string(), "password_hash").await;
        let is_set = |password: &String| {
            Argon2::default()
                .verify_password(password.as_bytes(), hash.as_str())
                .is_ok()
        };
        let tried = self.tried.get(&n);
        let set = tried.and_then(|tried| tried.iter().rposition(is_set));
        assert_eq!(
            hash == "old",
            set.is_none(),
            "user {n} has one of the passwords that were sent"
        );
        // A later password may have been set without a 204.
        let promised = self.promised.get(&n);
        let promised = promised.map(|promised| {
            tried
                .unwrap()
                .iter()
                .position(|one| one == promised)
                .unwrap()
        });
        assert!(set >= promised, "user {n}");

        let notices = app.aws.emails();
        let notices = notices
            .iter()
            .filter(|email| email.to() == address(n) && email.subject().contains("was changed"));
        let changed = app.rows("change#").await;
        let changed = changed
            .iter()
            .filter(|row| row["email"]["S"] == *address(n));
        let (notices, changed) = (notices.count(), changed.count());
        assert!(
            notices >= changed && (changed > 0) == set.is_some(),
            "user {n}"
        );
    }
}

/// Returns whether a response promises an effect. Any other response must be 503, or 422 for an invalid token.
fn is_promise(response: &Response) -> bool {
    match response.status() {
        202 | 204 => true,
        503 => {
            assert_eq!(response.header("Retry-After"), Some("2"));
            false
        }
        422 => {
            assert!(is_rejected(response), "{}", response.body());
            false
        }
        other => panic!("{other}"),
    }
}

fn address(n: usize) -> String {
    format!("user{n}@example.com")
}

fn last_link(app: &TestApp, n: usize) -> Option<Link> {
    let emails = app.aws.emails();
    let is_link =
        |email: &&SentEmail| email.to() == address(n) && email.subject().contains("new password");
    emails.iter().rfind(is_link).map(SentEmail::link)
}

/// Makes one call in four fail, with a transient fault.
fn chaos(seed: u64) -> Chaos {
    let mut dice = Dice(seed);
    Box::new(move |call| {
        if dice.roll(4) > 0 {
            return None;
        }
        let mut faults = faults_of(call);
        faults.retain(|fault| !fault.is_denied() && !matches!(fault.reply, Reply::Nothing));
        let at = dice.roll(faults.len());
        Some(faults.swap_remove(at))
    })
}
