//! The journeys that call AWS. A rehearsal of each shows which calls can fail.

use std::time::Duration;

use rekey::aws;
use rekey::http::response::Response;

use support::app::TestApp;
use support::calls::faults_of;
use support::deployment::{ADA, PASSWORD};
use support::email::Link;
use support::faults::{EVERY, Fault};

/// An action of a user or of the stream, which makes calls to AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Journey {
    Request,
    Deliver,
    Reset,
    Notify,
}

impl Journey {
    pub(super) const ALL: [Self; 4] = [Self::Request, Self::Deliver, Self::Reset, Self::Notify];

    /// Runs the journey without a fault, to learn which calls can fail. A hand-written list would become outdated when
    /// the product changes its calls.
    pub(super) async fn rehearse(self) -> Rehearsal {
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

/// Prepares a journey, and returns the link if there is one.
pub(super) async fn prepare(app: &TestApp, journey: Journey) -> Option<Link> {
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
pub(super) async fn run(
    app: &TestApp,
    journey: Journey,
    link: Option<&Link>,
) -> Result<bool, Response> {
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

/// The calls and counters of a journey without a fault.
pub(super) struct Rehearsal {
    journey: Journey,
    calls: Vec<String>,
    /// The number of counters in the table afterwards.
    counters: usize,
}

impl Rehearsal {
    /// Returns a case for each call of the journey and each fault, which fires once or every time.
    pub(super) fn cases(&self) -> Vec<Case> {
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
pub(super) struct Case {
    pub(super) journey: Journey,
    pub(super) call: String,
    /// The number of calls with this name that succeed before the fault.
    pub(super) preceding: usize,
    /// The number of calls with this name in a journey without a fault.
    pub(super) calls: usize,
    /// The number of counters that a journey without a fault leaves in the table.
    pub(super) counters: usize,
    pub(super) deadline: Duration,
    pub(super) fault: Fault,
    pub(super) times: usize,
}
