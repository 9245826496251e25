//! The steps of a public half, from its claim to its response.

use super::call::{Call, Rejected};
use super::clock::LEASE;
use super::protocol::Protocol;
use super::rows::LINKS;
use super::state::{Claimed, Flaw, Half, Response, Settled, State};
use crate::mutation::Mutation;

impl Protocol {
    /// Claims a change. The public half read the clock at `now`, and goes on as `half` if it holds the claim.
    pub(super) fn claim(&self, state: &mut State, link: usize, now: u8, half: Half) {
        let issued_at = state.links[link].issued_at;
        let call = Call::Claim {
            link,
            issued_at,
            claim: state.claims.len(),
            now,
        };
        let outcome = self.run(&mut state.rows, call);
        let asked = &mut state.links[link];
        match outcome {
            Ok(()) => {}
            // The change that uses the token may be set back, but the caller with the same link is not told so.
            Err(Rejected::Used) => return,
            Err(Rejected::Ended) => return asked.is_rejected = true,
            Err(Rejected::Busy) if self.has(Mutation::BusyIsDead) => {
                return asked.is_rejected = true;
            }
            Err(Rejected::Busy) => return asked.was_busy = true,
            Err(Rejected::Invalid) => {
                state.flaws.insert(Flaw::Invalid);
                return;
            }
            Err(Rejected::Conditions) => panic!("not the outcome of a claim"),
        }
        if asked.is_rejected {
            state.flaws.insert(Flaw::Revived);
        }
        if state.disowned_at.is_some_and(|at| issued_at <= at) {
            state.flaws.insert(Flaw::Disowned);
        }
        state.claims.push(Claimed {
            link,
            at: now,
            half,
            is_running: false,
            has_effect: false,
            delayed: None,
            is_undone: false,
            is_rejected: false,
            has_notice: false,
            has_uncertain_notice: false,
        });
    }

    /// Runs the settlement for the directory's response, and responds to the caller.
    pub(super) fn settle(&self, state: &mut State, claim: usize) {
        let (response, settled) = settlement(state.claims[claim].half);
        match self.run_settlement(state, claim, settled) {
            Ok(()) => {}
            Err(Rejected::Conditions)
                if matches!(settled, Settled::NotDone | Settled::GivenBack) =>
            {
                let is_disowned = state.disowned_at >= Some(state.claims[claim].at);
                if settled == Settled::GivenBack && !is_disowned {
                    state.flaws.insert(Flaw::UsedUp);
                }
                state.claims[claim].half = Half::Superseded(response);
                return;
            }
            Err(_) => {}
        }
        let claimed = &state.claims[claim];
        let is_given_back = settled == Settled::GivenBack;
        let flaws = [
            (
                Flaw::UsedUp,
                is_given_back && !self.works(state, claimed.link),
            ),
            (
                Flaw::EndedInVain,
                claimed.is_undone && self.has_ended_in_vain(state),
            ),
            (Flaw::HeldUp, !self.accepts_link_of(state, state.clock + 1)),
        ];
        let present = flaws.into_iter().filter(|(_, is_present)| *is_present);
        state.flaws.extend(present.map(|(flaw, _)| flaw));
        end(state, claim, response, settled);
    }

    /// Sends the settlement and ends. The response to the caller does not depend on a table that does not answer,
    /// except that a link which may not be given back is not reported as such.
    pub(super) fn lose(&self, state: &mut State, claim: usize) {
        let (response, settled) = settlement(state.claims[claim].half);
        state.claims[claim].delayed = self.bounds.delays.then_some(settled);
        let is_reported = matches!(settled, Settled::Done | Settled::NotDone);
        let response = if is_reported {
            response
        } else {
            Response::Later
        };
        end(state, claim, response, settled);
    }

    /// Runs a settlement whose public half has ended.
    pub(super) fn arrive(&self, state: &mut State, claim: usize) {
        let Some(settled) = state.claims[claim].delayed.take() else {
            panic!("{:?}", state.claims[claim])
        };
        // Nobody reads the outcome.
        let _ = self.run_settlement(state, claim, settled);
        if state.claims[claim].is_undone {
            // After the lease, a caller may have learned that this change ended a link.
            for link in &mut state.links {
                link.is_rejected = false;
            }
        }
    }

    fn run_settlement(
        &self,
        state: &mut State,
        claim: usize,
        settled: Settled,
    ) -> Result<(), Rejected> {
        let claimed = &mut state.claims[claim];
        let link = claimed.link;
        let call = Call::Settle {
            link,
            issued_at: state.links[link].issued_at,
            claim,
            claimed_at: claimed.at,
            settled,
        };
        let outcome = self.run(&mut state.rows, call);
        if outcome == Err(Rejected::Invalid) {
            state.flaws.insert(Flaw::Invalid);
        }
        outcome?;
        claimed.is_undone |= matches!(settled, Settled::NotDone | Settled::GivenBack);
        // The stream delivers the row, now without `settles_at`.
        let row = state.rows.changes[link];
        if settled == Settled::Done && row.is_some_and(|row| row.settles_at.is_none()) {
            claimed.has_notice = true;
            if !claimed.has_effect {
                state.flaws.insert(Flaw::UntrueNotice);
            }
        }
        Ok(())
    }

    /// Returns whether a link could be claimed now.
    fn works(&self, state: &State, link: usize) -> bool {
        let call = Call::Claim {
            link,
            issued_at: state.links[link].issued_at,
            claim: state.claims.len(),
            now: state.clock,
        };
        self.run(&mut state.rows.clone(), call).is_ok()
    }

    /// Returns whether a link is dead that neither a change nor the owner has ended.
    fn has_ended_in_vain(&self, state: &State) -> bool {
        let mut links = state.links.iter().enumerate();
        links.any(|(number, link)| {
            state.rows.has_token(number)
                && !state.is_ended(link.issued_at)
                && !self.works(state, number)
        })
    }

    /// Returns whether a link works that is issued after the lease of every claim so far.
    pub(super) fn has_way_back(&self, state: &State) -> bool {
        self.accepts_link_of(state, state.clock + LEASE + 1)
    }

    /// Returns whether a link works that is issued then, if nothing else happens.
    fn accepts_link_of(&self, state: &State, later: u8) -> bool {
        let mut rows = state.rows;
        let link = LINKS - 1;
        let store = Call::Store {
            link,
            issued_at: later,
        };
        let claim = Call::Claim {
            link,
            issued_at: later,
            claim: state.claims.len(),
            now: later,
        };
        self.run(&mut rows, store).is_ok() && self.run(&mut rows, claim).is_ok()
    }
}

/// Returns the directory's response, and the statements that settle the claim.
fn settlement(half: Half) -> (Response, Settled) {
    match half {
        Half::Responded(response) => {
            let settled = match response {
                Response::Replaced => Settled::Done,
                Response::Dead => Settled::NotDone,
                Response::Unacceptable | Response::Later => Settled::GivenBack,
            };
            (response, settled)
        }
        Half::Superseded(response) => (response, Settled::Disowned),
        other => panic!("{other:?}"),
    }
}

/// Ends a public half with its response to the caller: a 204, a 422, or a 503, which promises nothing.
fn end(state: &mut State, claim: usize, response: Response, settled: Settled) {
    let claimed = &mut state.claims[claim];
    claimed.half = Half::Ended;
    let is_replaced = response == Response::Replaced;
    claimed.is_rejected = match response {
        Response::Dead | Response::Unacceptable => true,
        Response::Later => settled == Settled::Disowned,
        Response::Replaced => false,
    };
    if (is_replaced && !claimed.has_effect) || (claimed.is_rejected && claimed.has_effect) {
        state.flaws.insert(Flaw::Untrue);
    }
}
