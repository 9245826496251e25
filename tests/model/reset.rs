//! The steps of `reset`: a change of the password, and its notice.

use std::sync::Arc;

use rekey::table::rows::{CHANGE_PREFIX, TokenIssued};

use crate::action::Outcome;
use crate::clock::{LIFETIME, time};
use crate::dynamodb::rows::parsed;
use crate::dynamodb::{streamed, transact};
use crate::mutation::Mutation;
use crate::names::{id_of, token_key};
use crate::protocol::{Protocol, memoized};
use crate::state::{By, Flaw, Replacement, Reset, State, is_overtaken};

impl Protocol {
    pub(crate) fn follow(&self, state: &mut State, token: usize) {
        let Some(row) = state.rows.get(&token_key(token)) else {
            return;
        };
        let issued: TokenIssued = parsed(row);
        // The link contains the address that it was sent to.
        let is_valid = issued.is_valid_for(&issued.email, time(state.clock));
        if !is_valid && !self.has(Mutation::NoPrecheck) {
            return;
        }
        let began = self.has(Mutation::TimeOfRequest).then_some(state.clock);
        state.resets.push(Reset {
            token,
            issued: Arc::clone(row),
            began,
        });
        state.resets.sort();
    }

    pub(crate) fn change(&self, state: &mut State, reset: usize) {
        let reset = state.resets.remove(reset);
        let (token, number) = (reset.token, state.changes.len());
        let now = reset.began.unwrap_or(state.clock);
        let issued: TokenIssued = parsed(&reset.issued);
        let address = issued.email.as_str().to_owned();
        let statements = memoized(&self.redemption_memo, (reset, number, now), || {
            self.redemption_statements(token, &issued, number, now)
        });
        let before = state.user().cloned();
        if transact(&mut state.rows, &statements).is_err() {
            return;
        }
        let made = &mut state.tokens[token];
        made.uses += 1;
        let flaws = [
            (Flaw::Late, made.issued_at + LIFETIME <= state.clock),
            (
                Flaw::Overtaken,
                is_overtaken(&state.changes, made.issued_at),
            ),
            (Flaw::Revived, before.is_none()),
            (
                Flaw::OtherAddress,
                before.is_some_and(|user| user["email"].text() != address),
            ),
        ];
        let present = flaws.into_iter().filter(|(_, is_present)| *is_present);
        state.flaws.extend(present.map(|(flaw, _)| flaw));
        state
            .change_rows
            .extend(streamed(&statements, CHANGE_PREFIX));
        state.changes.push(Replacement {
            at: state.clock,
            by: By::Token {
                token,
                is_notified: false,
            },
        });
    }
}

pub(crate) fn notify(state: &mut State, outcome: Outcome) {
    let change = id_of(&state.change_rows[0])
        .strip_prefix("change-")
        .unwrap();
    let change: usize = change.parse().unwrap();
    if let By::Token { is_notified, .. } = &mut state.changes[change].by {
        *is_notified = true;
    }
    if outcome == Outcome::Sent {
        state.change_rows.remove(0);
    } else {
        state.faults += 1;
    }
}
