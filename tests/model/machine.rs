//! The protocol as a state machine of one user, the stream, the application, and time.
//!
//! A handler has one step for each call that other events can precede. A transaction is one step, which also reads the
//! clock. In the product, some milliseconds pass between that reading and the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stateright::{Model, Property};

use crate::action::{Action, Outcome, Recording};
use crate::application::apply_application_action;
use crate::clock::{LIFETIME, time};
use crate::dynamodb::rows::Value;
use crate::forgot::{find, send};
use crate::names::{ADA, COUNTESS, id_of, user_key};
use crate::properties;
use crate::protocol::Protocol;
use crate::reset::notify;
use crate::state::{Delivery, End, State};

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let user = [("id", "1"), ("email", ADA), ("password_hash", "old")];
        let user = user.map(|(name, value)| (name.to_owned(), Value::from_text(value)));
        vec![State {
            clock: 0,
            rows: BTreeMap::from([(user_key(), Arc::new(user.into()))]),
            request_rows: Vec::new(),
            change_rows: Vec::new(),
            failure_queue: BTreeSet::new(),
            delivery: Delivery::Idle,
            read: None,
            resets: Vec::new(),
            faults: 0,
            writes: 0,
            requests: Vec::new(),
            tokens: Vec::new(),
            changes: Vec::new(),
            flaws: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // A notice reads and writes no table, so its order among the other steps is irrelevant. Take it first.
        if !state.change_rows.is_empty() {
            return self.notice_actions(state, actions);
        }
        if state.clock < self.bounds.ticks {
            actions.push(Action::Tick);
        }
        if state.requests.len() < self.bounds.requests {
            actions.extend([Action::Request(ADA), Action::Request(COUNTESS)]);
        }
        self.stream_actions(state, actions);
        let sent_tokens = (0..state.tokens.len()).filter(|token| state.tokens[*token].is_sent);
        if state.resets.len() < self.bounds.resets {
            actions.extend(sent_tokens.map(Action::Follow));
        }
        actions.extend((0..state.resets.len()).map(Action::Change));
        if state.writes < self.bounds.writes && state.user().is_some() {
            actions.extend([Action::ChangeAddress, Action::Replace, Action::Delete]);
            match state.read {
                // A read after a change would return the current item, so it adds no state.
                None if state.changes.is_empty() => actions.push(Action::Read),
                None => {}
                Some(_) => actions.push(Action::PutBack),
            }
        }
        let now = Value::N(time(state.clock).as_millisecond());
        let expired = state.rows.iter().filter(|(_, row)| {
            row.get("expires_at")
                .is_some_and(|expires_at| *expires_at <= now)
        });
        let expired = expired.filter(|(key, _)| key.key.text().starts_with(self.bounds.expires));
        actions.extend(expired.map(|(key, _)| Action::Expire(key.clone())));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::Tick => next.clock += 1,
            Action::Request(email) => self.request(&mut next, email),
            Action::Find => find(&mut next),
            Action::Supersede => next.end(End::Superseded),
            Action::Count => self.count(&mut next),
            Action::Store => self.store(&mut next),
            Action::Send(outcome) => send(&mut next, outcome),
            Action::Record(recording) => self.record(&mut next, recording),
            Action::FailRequest => {
                let failed = next.request_rows.remove(0);
                next.failure_queue.insert(id_of(&failed).to_owned());
            }
            Action::Follow(token) => self.follow(&mut next, token),
            Action::Change(reset) => self.change(&mut next, reset),
            Action::Notify(outcome) => notify(&mut next, outcome),
            Action::FailChange => {
                let failed = next.change_rows.remove(0);
                next.failure_queue.insert(id_of(&failed).to_owned());
                next.faults += 1;
            }
            Action::ChangeAddress
            | Action::Replace
            | Action::Read
            | Action::PutBack
            | Action::Delete => apply_application_action(&mut next, &action)?,
            Action::Expire(key) => {
                next.rows.remove(&key);
            }
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Protocol {
    fn stream_actions(&self, state: &State, actions: &mut Vec<Action>) {
        match state.delivery {
            Delivery::Idle if !state.request_rows.is_empty() => {
                actions.push(Action::Find);
                if state.has_newer_than_first() {
                    actions.push(Action::Supersede);
                }
                let request = &state.requests[state.first_request()];
                if state.clock >= request.at + LIFETIME {
                    actions.push(Action::FailRequest);
                }
            }
            Delivery::Idle => {}
            Delivery::Found { .. } => actions.push(Action::Count),
            Delivery::Allowed { .. } => actions.push(Action::Store),
            Delivery::Stored { .. } => {
                actions.push(Action::Send(Outcome::Sent));
                if state.faults < self.bounds.faults {
                    actions.push(Action::Send(Outcome::Rejected));
                    actions.push(Action::Send(Outcome::SentAndCrashed));
                }
            }
            Delivery::Sent { .. } => {
                actions.push(Action::Record(Recording::Stored));
                if state.faults < self.bounds.faults {
                    actions.push(Action::Record(Recording::Rejected));
                    actions.push(Action::Record(Recording::StoredThenRedelivered));
                }
            }
        }
    }

    /// Adds the possible outcomes of a notice.
    fn notice_actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Notify(Outcome::Sent));
        if state.faults < self.bounds.faults {
            // In the product, a notice moves there after a day. The model allows it at once, which covers more orders.
            actions.push(Action::FailChange);
            actions.push(Action::Notify(Outcome::SentAndCrashed));
        }
    }
}
