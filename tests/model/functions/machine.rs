//! The function protocol as a state machine of one user.
//!
//! A public half has one step for each call that other events can precede. It also reads its token before it claims a
//! change. The claim checks the token again, so the model omits that read.
//!
//! Three decisions are not statements, and the model repeats them: the fallback of `Table::settle`, the settlement for
//! each response of the directory (`Reset::redeem_under_claim`), and the wait of `Reset::notify`.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use super::action::Action;
use super::bounds::Kind;
use super::call::{Call, DisownedAt, LinkId};
use super::clock::{HALF, LEASE};
use super::directory::respond;
use super::properties;
use super::protocol::Protocol;
use super::rows::StoredRows;
use super::state::{Claimed, DelayedClaim, Function, Half, Link, Response, State, is_open};
use crate::mutation::Mutation;

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            clock: 0,
            rows: StoredRows::default(),
            links: Vec::new(),
            claims: Vec::new(),
            delayed: None,
            address: 0,
            changed_at: None,
            replaced_at: None,
            writes: 0,
            disowned_at: None,
            disowns: 0,
            flaws: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.clock < self.bounds.ticks {
            actions.push(Action::Tick);
        }
        if state.links.len() < self.bounds.links {
            actions.push(Action::Issue);
        }
        if state.claims.len() < self.bounds.claims {
            actions.extend((0..state.links.len()).map(Action::Claim));
            if state.delayed.is_some() {
                actions.push(Action::ArriveClaim);
            } else if self.bounds.delays {
                actions.extend((0..state.links.len()).map(Action::LoseClaim));
            }
        }
        for (number, claimed) in state.claims.iter().enumerate() {
            self.claim_actions(state, number, claimed, actions);
        }
        if state.writes < self.bounds.writes {
            actions.extend([Action::ChangeAddress, Action::Replace]);
        }
        if state.disowns < self.bounds.disowns && !state.links.is_empty() {
            actions.push(Action::Disown);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::Tick => self.tick(&mut next),
            Action::Issue => self.issue(&mut next),
            Action::Claim(link) => self.claim(&mut next, link, last.clock, Half::Claimed),
            Action::LoseClaim(link) => {
                let sent_at = last.clock;
                next.delayed = Some(DelayedClaim { link, sent_at });
            }
            Action::ArriveClaim => {
                let DelayedClaim { link, sent_at } = next.delayed.take()?;
                self.claim(&mut next, link, sent_at, Half::Ended);
            }
            Action::Invoke(claim) => {
                next.claims[claim].half = Half::Waiting;
                next.claims[claim].function = Function::Running;
            }
            Action::RejectInvocation(claim) => {
                next.claims[claim].half = Half::Responded(Response::Later);
            }
            Action::Crash(claim) => next.claims[claim].half = Half::Ended,
            Action::Execute(claim) => self.execute(&mut next, claim),
            Action::RejectPassword(claim) => respond(&mut next, claim, Response::Unacceptable),
            Action::TimeOut(claim) => next.claims[claim].half = self.after_timeout(),
            Action::Settle(claim) => self.settle(&mut next, claim),
            Action::Lose(claim) => self.lose(&mut next, claim),
            Action::Arrive(claim) => self.arrive(&mut next, claim),
            Action::SendUncertain(claim) => next.claims[claim].has_uncertain_notice = true,
            Action::Replace => {
                next.replaced_at = Some(next.clock);
                // No other directory looks at the time of its last change.
                if self.bounds.kind == Kind::Conditional {
                    next.changed_at = Some(next.clock);
                }
                next.writes += 1;
            }
            Action::ChangeAddress => {
                next.address += 1;
                next.writes += 1;
            }
            Action::Disown => self.disown(&mut next),
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Protocol {
    fn claim_actions(
        &self,
        state: &State,
        number: usize,
        claimed: &Claimed,
        actions: &mut Vec<Action>,
    ) {
        match claimed.half {
            Half::Claimed => actions.extend([
                Action::Invoke(number),
                Action::RejectInvocation(number),
                Action::Crash(number),
            ]),
            Half::Waiting => actions.push(Action::TimeOut(number)),
            Half::Responded(_) | Half::Superseded(_) => {
                actions.extend([Action::Settle(number), Action::Lose(number)]);
            }
            Half::Ended => {}
        }
        if claimed.function == Function::Running {
            actions.push(Action::Execute(number));
            // A rejection has no effect unless the public half waits for it.
            if claimed.half == Half::Waiting {
                actions.push(Action::RejectPassword(number));
            }
        }
        if claimed.delayed.is_some() {
            actions.push(Action::Arrive(number));
        }
        if !claimed.has_uncertain_notice && self.has_stayed_open(state, claimed) {
            actions.push(Action::SendUncertain(number));
        }
    }

    /// Returns whether `notify` finds the change of a claim open at the time from which it cannot be in progress.
    fn has_stayed_open(&self, state: &State, claimed: &Claimed) -> bool {
        let settles_at = claimed.at + LEASE;
        is_open(state, claimed) && (settles_at <= state.clock || self.has(Mutation::NoWait))
    }

    /// Returns the state of a public half that does not learn the outcome of its change.
    fn after_timeout(&self) -> Half {
        if self.has(Mutation::UnknownIsLater) {
            Half::Responded(Response::Later)
        } else if self.has(Mutation::UnknownIsDead) {
            Half::Responded(Response::Dead)
        } else {
            Half::Ended
        }
    }

    fn tick(&self, state: &mut State) {
        state.clock += 1;
        for claimed in &mut state.claims {
            if claimed.at + HALF < state.clock {
                claimed.half = Half::Ended;
            }
            let has_ended = claimed.at + self.bounds.function <= state.clock;
            if has_ended && claimed.function == Function::Running {
                claimed.function = Function::Idle;
            }
        }
    }

    /// Ends all links, at a later time than any change has.
    fn disown(&self, state: &mut State) {
        let now = state.clock;
        for end in [DisownedAt::Tick(now), DisownedAt::After(now)] {
            if self.run(&mut state.rows, Call::Disown(end)).is_ok() {
                break;
            }
        }
        state.disowned_at = Some(now);
        state.disowns += 1;
    }

    fn issue(&self, state: &mut State) {
        let link = LinkId {
            number: state.links.len(),
            issued_at: state.clock,
        };
        self.run(&mut state.rows, Call::Store(link)).unwrap();
        state.links.push(Link {
            issued_at: state.clock,
            address: state.address,
            is_rejected: false,
            was_busy: false,
        });
    }
}
