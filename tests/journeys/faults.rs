//! Each call to AWS goes wrong in each way. What was answered 2xx is done, nothing is done by half, nothing hangs, and
//! trying again helps.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordVerifier as _};
use jiff::SignedDuration;
use rekey::aws;
use rekey::http::response::Response;
use rekey::token::Token;
use tokio::task::JoinSet;

use crate::app::{self, ADA, Link, Mail, PAGE, PASSWORD, TestApp};
use crate::aws::{Answer, Chaos, EVERY, Wrong};
use crate::torture::{report, times};

/// How many times as short the product's time-outs are here.
const HASTE: u32 = 4;

/// What a user or the stream sets off, and the calls to AWS that it makes in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Journey {
    Ask,
    Deliver,
    Reset,
    Notify,
}

impl Journey {
    const ALL: [Self; 4] = [Self::Ask, Self::Deliver, Self::Reset, Self::Notify];

    /// Runs the journey without a fault, to learn which calls can fail. A list kept by hand would go stale when the
    /// product changes its calls.
    async fn rehearse(self) -> Rehearsal {
        let app = TestApp::with_ada().await;
        let link = prepare(&app, self).await;
        app.aws.take_calls();
        let outcome = act(&app, self, link.as_ref()).await;
        assert!(matches!(outcome, Ok(true)), "{self:?}");
        let calls = app.aws.take_calls();
        assert!(!calls.is_empty(), "{self:?} calls AWS");
        let counters = app.rows("rate#").await.len();
        app.drain().await;
        Rehearsal {
            journey: self,
            calls,
            counters,
        }
    }
}

/// What a journey does when nothing goes wrong.
struct Rehearsal {
    journey: Journey,
    calls: Vec<String>,
    /// The counters in the table afterwards.
    counters: usize,
}

impl Rehearsal {
    /// Every call of the journey that goes wrong, in each way, once and every time.
    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (at, call) in self.calls.iter().enumerate() {
            let before = self.calls[..at].iter().filter(|each| *each == call);
            let spared = before.count();
            for wrong in wrongs(call) {
                for times in [1, EVERY] {
                    cases.push(Case {
                        journey: self.journey,
                        call: call.clone(),
                        spared,
                        calls: self.calls.iter().filter(|each| *each == call).count(),
                        counters: self.counters,
                        deadline: self.deadline(),
                        wrong: wrong.clone(),
                        times,
                    });
                }
            }
        }
        cases
    }

    /// How long the journey may take, by the time-outs of its calls.
    fn deadline(&self) -> Duration {
        // The first two calls of a reset go out at the same time.
        let at_once = usize::from(self.journey == Journey::Reset);
        let of = |call: &String| {
            if call == "SendEmail" {
                aws::SES_TIMEOUT
            } else {
                aws::DYNAMODB_TIMEOUT
            }
        };
        self.calls.iter().skip(at_once).map(of).sum()
    }
}

/// The ways in which a call goes wrong.
pub(crate) fn wrongs(call: &str) -> Vec<Wrong> {
    let mut wrongs: Vec<Wrong> = [
        (400, "ThrottlingException"),
        (429, "TooManyRequestsException"),
        (400, "ProvisionedThroughputExceededException"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
        (400, "AccessDeniedException"),
        (400, "RequestExpired"),
    ]
    .map(|(status, code)| Wrong::refused(status, code, ADA))
    .into();
    let expired = format!("Signature expired: {ADA}");
    wrongs.push(Wrong::refused(403, "InvalidSignatureException", &expired));
    let timeout = if call == "SendEmail" {
        aws::SES_TIMEOUT
    } else {
        aws::DYNAMODB_TIMEOUT / 2
    } / HASTE;
    for is_done in [true, false] {
        let error = Wrong::refused(500, "InternalServerError", ADA).answer;
        for answer in [
            error,
            Answer::Nothing,
            Answer::Closed,
            Answer::Garbage,
            Answer::Half,
        ] {
            wrongs.push(Wrong { is_done, answer });
        }
    }
    for late in [timeout / 4, timeout * 2] {
        wrongs.push(Wrong {
            is_done: true,
            answer: Answer::Late(late),
        });
    }
    if call == "TransactWriteItems" {
        wrongs.push(Wrong::conflict());
        wrongs.push(Wrong::cancelled("ThrottlingError"));
        wrongs.push(Wrong::cancelled("ProvisionedThroughputExceeded"));
    }
    wrongs
}

/// One call of one journey that goes wrong in one way, so many times.
#[derive(Clone, Debug)]
struct Case {
    journey: Journey,
    call: String,
    /// How many calls of this name work before the one that goes wrong.
    spared: usize,
    /// How many calls of this name a journey without a fault makes.
    calls: usize,
    /// How many counters a journey without a fault leaves in the table.
    counters: usize,
    deadline: Duration,
    wrong: Wrong,
    times: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_goes_wrong_in_each_way() {
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
        "calls to AWS that go wrong, one by one",
        tried,
        "no 2xx without its effect, nothing by half, none past its deadline, all done in the end",
    );
}

/// Tries a case on one app after another. On a busy machine an earlier call may run into its short time-out, and the
/// journey ends before the call that is to go wrong.
async fn until_the_fault_fires(case: Case) {
    for _ in 0..10 {
        if go_wrong(&case).await {
            return;
        }
    }
    panic!("the fault did not fire: {case:?}");
}

/// Returns whether the fault fired.
async fn go_wrong(case: &Case) -> bool {
    let mut app = TestApp::with_ada().await;
    let link = prepare(&app, case.journey).await;
    app.hurry(HASTE);
    app.aws.take_calls();
    app.aws.spare(&case.call, case.spared);
    app.aws.inject(&case.call, case.times, case.wrong.clone());
    let sent = app.aws.mails().len();

    let started = Instant::now();
    let outcome = act(&app, case.journey, link.as_ref()).await;
    let took = started.elapsed();
    if !app.aws.unfired().is_empty() {
        app.aws.allow_unfired("the case is tried again");
        app.allow_unprocessed("the case is tried again");
        return false;
    }
    let is_done = outcome.unwrap_or_else(|response| {
        check_refusal(&app, case, &response);
        false
    });
    // A second for a processor that is busy with something else.
    let deadline = case.deadline / HASTE + Duration::from_secs(1);
    assert!(took < deadline, "{took:?}: {case:?}");
    let calls = app.aws.take_calls();
    let calls = calls.iter().filter(|call| **call == case.call).count();
    // A delivery reads two rows at the same time, and each read has its attempts.
    let is_parallel = case.journey == Journey::Deliver && case.call == "GetItem";
    let at_once = if is_parallel { 2 } else { 1 };
    let most = case.calls - at_once + at_once * aws::ATTEMPTS as usize;
    assert!(calls <= most, "{calls} calls: {case:?}");
    let is_repeated = !is_done && app.aws.mails().len() > sent;

    app.aws.heal();
    app.calm_down();
    check(&app, case, link.as_ref(), is_done).await;
    complete(&app, case, link, is_done).await;
    check_mails(&app, case, is_repeated);
    true
}

/// Everything that comes before.
async fn prepare(app: &TestApp, journey: Journey) -> Option<Link> {
    match journey {
        Journey::Ask => None,
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

/// Whether it is said to be done, or the response that says that it is not.
async fn act(app: &TestApp, journey: Journey, link: Option<&Link>) -> Result<bool, Response> {
    let response = match (journey, link) {
        (Journey::Ask, _) => app.forgot(ADA).await,
        (Journey::Reset, Some(link)) => app.reset(link, PASSWORD).await,
        _ => return Ok(app.stream().await.is_none()),
    };
    if (200..300).contains(&response.status()) {
        Ok(true)
    } else {
        Err(response)
    }
}

/// What is not done is 503 and when to come back, or 500 where that would not help.
fn check_refusal(app: &TestApp, case: &Case, response: &Response) {
    let expected = if is_denied(&case.wrong) {
        (500, None)
    } else {
        (503, Some("2"))
    };
    let told = (response.status(), response.header("Retry-After"));
    assert_eq!(told, expected, "{case:?}");
    assert!(!response.body().contains(ADA) && !app.log().contains(ADA));
}

fn is_denied(wrong: &Wrong) -> bool {
    matches!(&wrong.answer, Answer::Refusal(_, body) if body.contains("AccessDenied"))
}

/// What is said to be done is, and nothing is done by half.
async fn check(app: &TestApp, case: &Case, link: Option<&Link>, is_done: bool) {
    let mails = app.aws.mails();
    match case.journey {
        Journey::Ask => {
            let (asked, counted) = (app.rows("request#").await, app.rows("rate#").await);
            assert!(asked.len() == 1 || !is_done, "{case:?}");
            assert_eq!(counted.len(), case.counters * asked.len(), "{case:?}");
        }
        Journey::Deliver => {
            assert!(!mails.is_empty() || !is_done, "{case:?}");
            assert!(app.rows("token#").await.len() >= mails.len().min(1));
        }
        Journey::Reset => {
            assert!(is_reset(app, link.unwrap()).await || !is_done, "{case:?}");
        }
        Journey::Notify => assert!(mails.len() >= 2 || !is_done, "{case:?}"),
    }
}

/// Whether the password is replaced. If so the token is gone and the notice written down, and else neither.
async fn is_reset(app: &TestApp, link: &Link) -> bool {
    let is_changed = app.stored("1", "password_hash").await != "old";
    let token = Token::parse(&link.token).unwrap().hash();
    let issued = app.rows("token#").await;
    let key = format!("token#{}", token.as_str());
    let is_there = issued.iter().any(|row| row["pk"]["S"] == *key);
    let changed = app.rows("change#").await.len();
    assert_eq!((is_there, changed), (!is_changed, is_changed.into()));
    is_changed
}

/// Now that all works again, whoever tries again gets there.
async fn complete(app: &TestApp, case: &Case, link: Option<Link>, is_done: bool) {
    if case.journey == Journey::Ask && !is_done {
        assert_eq!(app.forgot(ADA).await.status(), 202, "{case:?}");
    }
    assert_eq!(app.stream().await, None, "{case:?}");
    let link = link.unwrap_or_else(|| app.aws.mails().last().unwrap().link());
    let was_done_unheard = case.journey == Journey::Reset && is_reset(app, &link).await;
    if case.journey != Journey::Notify && !(case.journey == Journey::Reset && is_done) {
        let response = app.reset(&link, PASSWORD).await;
        // Done, and nobody said so: the link is used up, and the notice tells.
        assert!(
            response.status() == 204 || (was_done_unheard && is_refused(&response)),
            "{}: {case:?}: {}",
            response.status(),
            app.log()
        );
    }
    assert_eq!(app.stream().await, None, "{case:?}");
    assert!(is_reset(app, &link).await);
    let hash = app.stored("1", "password_hash").await;
    let is_right = Argon2::default().verify_password(PASSWORD.as_bytes(), hash.as_str());
    assert!(is_right.is_ok(), "{case:?}");
    app.drain().await;
}

/// There is one email of each kind, unless SES accepted one and the private half did not learn of it or failed after it.
fn check_mails(app: &TestApp, case: &Case, is_repeated: bool) {
    let most = if case.call == "SendEmail" && case.wrong.is_done {
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
        let of_this = |mail: &&Mail| mail.subject().contains(part);
        let mails = app.aws.mails().iter().filter(of_this).count();
        let most = if case.journey == sender { most } else { 1 };
        assert!((1..=most).contains(&mails), "{mails}: {case:?}");
    }
}

/// Where everything hangs, at the product's own time-outs.
#[tokio::test]
async fn a_caller_is_answered_in_time_while_the_table_hangs() {
    let mut app = TestApp::with_ada().await;
    app.hurry(1);
    app.aws.stir(Box::new(|_| {
        let (is_done, answer) = (false, Answer::Nothing);
        Some(Wrong { is_done, answer })
    }));
    let link = Link {
        url: PAGE.parse().unwrap(),
        email: ADA.to_owned(),
        token: "0".repeat(64),
    };
    let started = Instant::now();
    let (asked, reset) = tokio::join!(app.forgot(ADA), app.reset(&link, PASSWORD));
    assert_eq!((asked.status(), reset.status()), (503, 503));
    let took = started.elapsed();
    assert!(
        took >= aws::DYNAMODB_TIMEOUT && took < aws::DYNAMODB_TIMEOUT + Duration::from_secs(2),
        "{took:?}"
    );
}

/// Three attempts of each call, and pauses between them that no two callers share.
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
    // Without jitter, each would be as long as the longest may be.
    let most = app::retries().initial_backoff();
    assert!(*shortest < most, "{shortest:?} to {longest:?}");
    report(
        "pauses before another attempt",
        pauses.len(),
        &format!("{shortest:?} to {longest:?}, at a twentieth of the product's"),
    );
}

/// Lambda can freeze an instance between signing and sending, and AWS then refuses the call as too old. The next attempt
/// is signed anew, so nobody notices.
#[tokio::test]
async fn a_call_frozen_on_its_way_is_signed_and_sent_again() {
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
        assert_eq!(app.stream().await, None, "{code}");
    }
}

/// A storm in which much fails brings no storm of retries: their budget is the process's.
#[tokio::test]
async fn a_storm_of_failures_brings_no_storm_of_retries() {
    let app = TestApp::with_ada().await;
    app.aws.fail(
        "TransactWriteItems",
        EVERY,
        (500, "InternalServerError", ""),
    );
    app.aws.take_calls();
    let callers = 100;
    for n in 0..callers {
        app.later(SignedDuration::from_secs(4));
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
        "the budget of retries held",
    );
}

fn is_refused(response: &Response) -> bool {
    response.status() == 422 && response.body().contains("This link is not valid")
}

/// Users ask, mails come, links are followed, and at any call anything may go wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_at_random_nothing_is_lost_or_done_by_half() {
    let rounds = times(6, 300);
    for seed in 0..rounds {
        let storm = Storm::new(seed as u64);
        tokio::spawn(storm.rage())
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    report(
        "journeys of 4 users with faults at random",
        rounds * Storm::STEPS,
        "no 2xx without its effect, nothing by half, all done in the end",
    );
}

/// Four users, and what the answers to them promise.
struct Storm {
    dice: Dice,
    seed: u64,
    asked: BTreeSet<usize>,
    /// The password that a 204 said is set.
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
            asked: BTreeSet::new(),
            promised: HashMap::new(),
            tried: HashMap::new(),
        }
    }

    async fn rage(mut self) {
        let mut app = TestApp::open().await;
        for n in 0..Self::USERS {
            app.user(&n.to_string(), &address(n)).await;
        }
        app.hurry(HASTE);
        for step in 0..Self::STEPS {
            app.aws.stir(chaos(self.seed ^ (step as u64) << 32));
            app.later(SignedDuration::from_secs(30));
            self.step(&app, step).await;
        }
        app.aws.heal();
        app.calm_down();
        assert_eq!(app.stream().await, None);
        for n in 0..Self::USERS {
            self.settle(&app, n).await;
        }
    }

    async fn step(&mut self, app: &TestApp, step: usize) {
        let n = self.dice.roll(Self::USERS);
        match self.dice.roll(3) {
            0 => {
                let response = app.forgot(&address(n)).await;
                if is_promise(&response) {
                    self.asked.insert(n);
                }
            }
            1 => {
                let _ = app.stream().await;
            }
            _ => {
                let Some(link) = last_link(app, n) else {
                    return;
                };
                let password = format!("the password of step {step}");
                self.tried.entry(n).or_default().push(password.clone());
                let response = app.reset(&link, &password).await;
                if !is_refused(&response) && is_promise(&response) {
                    self.promised.insert(n, password);
                }
            }
        }
    }

    /// What was promised to a user is there, now that the stream has caught up.
    async fn settle(&self, app: &TestApp, n: usize) {
        if self.asked.contains(&n) {
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
            "user {n} has one of the passwords that were tried"
        );
        // A later one may have been set without a word.
        let promised = self.promised.get(&n);
        let promised = promised.map(|promised| {
            tried
                .unwrap()
                .iter()
                .position(|one| one == promised)
                .unwrap()
        });
        assert!(set >= promised, "user {n}");

        let notices = app.aws.mails();
        let notices = notices
            .iter()
            .filter(|mail| mail.to() == address(n) && mail.subject().contains("was changed"));
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

/// Whether something is said to be done. Else it is 503, or what the rules say to this caller.
fn is_promise(response: &Response) -> bool {
    match response.status() {
        202 | 204 => true,
        503 => {
            assert_eq!(response.header("Retry-After"), Some("2"));
            false
        }
        422 => {
            assert!(is_refused(response), "{}", response.body());
            false
        }
        other => panic!("{other}"),
    }
}

fn address(n: usize) -> String {
    format!("user{n}@example.com")
}

fn last_link(app: &TestApp, n: usize) -> Option<Link> {
    let mails = app.aws.mails();
    let of_this = |mail: &&Mail| mail.to() == address(n) && mail.subject().contains("new password");
    mails.iter().rfind(of_this).map(Mail::link)
}

/// One call in four goes wrong, in one of the ways that pass.
fn chaos(seed: u64) -> Chaos {
    let mut dice = Dice(seed);
    Box::new(move |call| {
        if dice.roll(4) > 0 {
            return None;
        }
        let mut wrongs = wrongs(call);
        wrongs.retain(|wrong| !is_denied(wrong) && !matches!(wrong.answer, Answer::Nothing));
        let at = dice.roll(wrongs.len());
        Some(wrongs.swap_remove(at))
    })
}

/// Numbers that are the same for the same seed (splitmix64, after Steele, Lea and Flood, 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }
}
