//! Four users request and follow links while calls to AWS fail at random.

use std::collections::{BTreeSet, HashMap};

use argon2::{Argon2, PasswordVerifier as _};
use jiff::SignedDuration;
use rekey::http::response::Response;

use support::app::TestApp;
use support::calls::{TIMEOUT_DIVISOR, faults_of};
use support::email::{Link, SentEmail};
use support::faults::{Chaos, Reply};
use support::random::Dice;
use support::responses::is_rejected;
use support::torture::{report, times};

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
