//! The steps of `forgot`: a request, and the delivery of its link.

use rekey::table::epochs::epoch_key;
use rekey::table::links::{SentLinks, links_key};
use rekey::table::rows::{REQUEST_PREFIX, ResetRequested};

use crate::action::{Outcome, Recording};
use crate::clock::{LIFETIME, TICK, time};
use crate::dynamodb::rows::{Item, attributes, parsed};
use crate::dynamodb::{streamed, transact};
use crate::mutation::Mutation;
use crate::names::{ada, address, rekey_key};
use crate::protocol::{Protocol, issued, memoized};
use crate::state::{By, Delivery, End, Flaw, MadeToken, State, StoredRequest};

impl Protocol {
    pub(crate) fn request(&self, state: &mut State, email: &'static str) {
        let (now, number) = (state.clock, state.requests.len());
        let statements = memoized(&self.request_memo, (email, number, now), || {
            self.request_statements(email, number, now)
        });
        if transact(&mut state.rows, &statements).is_err() {
            if state.must_accept(email, &self.bounds) {
                state.flaws.insert(Flaw::LimitedWithoutReason);
            }
            return;
        }
        state
            .request_rows
            .extend(streamed(&statements, REQUEST_PREFIX));
        state.requests.push(StoredRequest {
            email,
            at: state.clock,
            end: None,
        });
    }

    /// Reads the links and the epoch. Both are one step, because only `deliver` writes the links.
    pub(crate) fn count(&self, state: &mut State) {
        let Delivery::Found { now } = state.delivery else {
            panic!("{:?}", state.delivery)
        };
        let requested: ResetRequested = parsed(&state.request_rows[0]);
        let email = requested.email.as_str();
        let read = |key: String| state.rows.get(&rekey_key(&key)).map(AsRef::as_ref);
        let links = read(links_key(&ada(), &requested.email));
        let links = links.filter(|_| !self.has(Mutation::NoLimit));
        let epoch = read(epoch_key(&ada()));
        let epoch = epoch.filter(|_| !self.has(Mutation::LimitWithoutEpoch));
        let sent: SentLinks = links.map(parsed).unwrap_or_default();
        // As in the product, an unreadable row counts as missing.
        let epoch = epoch.and_then(|row| serde_dynamo::from_item(attributes(row)).ok());
        let sent = sent.since(epoch);
        if sent.has_link_for(requested.requested_at) && !self.has(Mutation::NoSkip) {
            return state.end(End::Delivered);
        }
        let is_allowed = if self.has(Mutation::LimitByWindow) {
            let window = |at: u8| at / LIFETIME;
            let is_in_window =
                |made: &&MadeToken| made.email == email && window(made.issued_at) == window(now);
            state.tokens.iter().filter(is_in_window).count() < self.bounds.live as usize
        } else {
            let mut limits = self.table.limits().address;
            if self.has(Mutation::NoDailyLimit) {
                limits.daily = u32::MAX;
            }
            sent.allow_another(&limits, time(now))
        };
        if is_allowed {
            state.delivery = Delivery::Allowed { now, sent };
        } else {
            if !self.has_working_link(state, email, now) {
                state.flaws.insert(Flaw::LockedOut);
            }
            state.end(End::Limited);
        }
    }

    /// Returns whether a link that was sent to the address can set a password now, by the product's statements.
    ///
    /// This ignores what the application did to the user, since `deliver` does not read it. Links that the application
    /// ended count as live until they expire.
    fn has_working_link(&self, state: &State, email: &str, now: u8) -> bool {
        let has_application_ended_links = state
            .changes
            .iter()
            .any(|one| matches!(one.by, By::Application));
        let has_address = state
            .user()
            .is_some_and(|user| user["email"].text() == email);
        if has_application_ended_links || !has_address {
            return true;
        }
        let tokens = state.tokens.iter().enumerate();
        let mut sent_tokens = tokens.filter(|(_, made)| made.is_sent && made.email == email);
        sent_tokens.any(|(token, made)| {
            let issued = issued(made.issued_at, email);
            let redemption = self.redemption_statements(token, &issued, state.changes.len(), now);
            transact(&mut state.rows.clone(), &redemption).is_ok()
        })
    }

    pub(crate) fn store(&self, state: &mut State) {
        let Delivery::Allowed { now, sent } =
            std::mem::replace(&mut state.delivery, Delivery::Idle)
        else {
            panic!("{:?}", state.delivery)
        };
        let requested: ResetRequested = parsed(&state.request_rows[0]);
        let email = address(requested.email.as_str());
        let issued = issued(now, email);
        let token = state.tokens.len();
        transact(&mut state.rows, &self.token_statement(token, &issued)).unwrap();
        if self.has(Mutation::LimitBeforeEmail) {
            let sent = sent.with(&issued, requested.requested_at);
            transact(&mut state.rows, &self.links_statement(&issued, &sent)).unwrap();
        }
        let request = state.first_request();
        let is_recorded = |made: &MadeToken| made.request == request && made.is_recorded;
        if state.tokens.iter().any(is_recorded) {
            state.flaws.insert(Flaw::SentAgain);
        }
        state.tokens.push(MadeToken {
            request,
            email,
            issued_at: now,
            is_sent: false,
            is_recorded: false,
            uses: 0,
        });
        state.delivery = Delivery::Stored { token, sent };
    }

    /// Stores the link as sent, so that it counts. If the write fails, the user has the link all the same.
    pub(crate) fn record(&self, state: &mut State, recording: Recording) {
        let Delivery::Sent { token, sent } = std::mem::replace(&mut state.delivery, Delivery::Idle)
        else {
            panic!("{:?}", state.delivery)
        };
        if recording == Recording::Rejected {
            state.faults += 1;
            return state.end(End::Delivered);
        }
        let made = &mut state.tokens[token];
        made.is_recorded = true;
        let issued = issued(made.issued_at, made.email);
        let requested: ResetRequested = parsed(&state.request_rows[0]);
        let sent = sent.with(&issued, requested.requested_at);
        transact(&mut state.rows, &self.links_statement(&issued, &sent)).unwrap();
        if recording == Recording::StoredThenRedelivered {
            state.faults += 1;
        } else {
            state.end(End::Delivered);
        }
    }
}

pub(crate) fn find(state: &mut State) {
    let requested: ResetRequested = parsed(&state.request_rows[0]);
    let now = state.clock;
    if requested.has_expired(TICK * LIFETIME.into(), time(now)) {
        return state.end(End::Expired);
    }
    let is_owner = |user: &Item| user["email"].text() == requested.email.as_str();
    if state.user().is_some_and(is_owner) {
        state.delivery = Delivery::Found { now };
    } else {
        state.end(End::NoUser);
    }
}

pub(crate) fn send(state: &mut State, outcome: Outcome) {
    let Delivery::Stored { token, sent } = std::mem::replace(&mut state.delivery, Delivery::Idle)
    else {
        panic!("{:?}", state.delivery)
    };
    state.tokens[token].is_sent = outcome != Outcome::Rejected;
    if outcome == Outcome::Sent {
        state.delivery = Delivery::Sent { token, sent };
    } else {
        state.faults += 1;
    }
}
