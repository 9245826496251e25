//! The steps of a public half, from its claim to its response.

use super::call::{Call, ClaimId, LinkId, Rejected, Settled};
use super::clock::LEASE;
use super::protocol::Protocol;
use super::rows::LINKS;
use super::state::{Claimed, Flaw, Function, Half, Response, State};
use crate::mutation::Mutation;

impl Protocol {
    /// Claims a change. The public half read the clock at `now`, and goes on as `half` if it holds the claim.
    pub(super) fn claim(&self, state: &mut State, link: usize, now: u8, half: Half) {
        let issued_at = state.links[link].issued_at;
        let call = Call::Claim(state.link(link), state.next_claim(now));
        let outcome = self.run(&mut state.rows, call);
        let asked = &mut state.links[link];
        match outcome {
            Ok(()) => {}
            // This says nothing about later attempts: the claim that used the token may give it back.
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
            function: Function::Idle,
            settled: None,
            delayed: None,
            is_rejected: false,
            has_notice: false,
            has_uncertain_notice: false,
        });
    }

    /// Runs the settlement for the directory's response, and responds to the caller.
    pub(super) fn settle(&self, state: &mut State, claim: usize) {
        let (response, settled) = settlement(state.claims[claim].half);
        let outcome = self.run_settlement(state, claim, settled);
        let can_be_superseded = matches!(settled, Settled::NotDone | Settled::GivenBack);
        if can_be_superseded && outcome == Err(Rejected::Conditions) {
            return supersede(state, claim, response, settled);
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
                claimed.is_undone() && self.has_ended_in_vain(state),
            ),
            (Flaw::HeldUp, !self.accepts_link_of(state, state.clock + 1)),
        ];
        let present = flaws.into_iter().filter(|(_, is_present)| *is_present);
        state.flaws.extend(present.map(|(flaw, _)| flaw));
        let answer = match response {
            Response::Replaced => Answer::Changed,
            Response::Dead | Response::Unacceptable => Answer::Rejected,
            // A link that was ended again is reported like any dead link.
            Response::Later if settled == Settled::Disowned => Answer::Rejected,
            Response::Later => Answer::Unavailable,
        };
        end(state, claim, answer);
    }

    /// Sends the settlement, and ends without its outcome.
    pub(super) fn lose(&self, state: &mut State, claim: usize) {
        let (response, settled) = settlement(state.claims[claim].half);
        state.claims[claim].delayed = self.bounds.delays.then_some(settled);
        let answer = match response {
            Response::Replaced => Answer::Changed,
            Response::Dead => Answer::Rejected,
            // The link may not be given back.
            Response::Unacceptable | Response::Later => Answer::Unavailable,
        };
        end(state, claim, answer);
    }

    /// Runs a settlement whose public half has ended.
    pub(super) fn arrive(&self, state: &mut State, claim: usize) {
        let Some(settled) = state.claims[claim].delayed.take() else {
            panic!("{:?}", state.claims[claim])
        };
        // The public half has ended, so nothing depends on the outcome.
        let _ = self.run_settlement(state, claim, settled);
        if state.claims[claim].is_undone() {
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
        let id = ClaimId {
            number: claim,
            at: state.claims[claim].at,
        };
        let link = state.claims[claim].link;
        let call = Call::Settle(state.link(link), id, settled);
        let outcome = self.run(&mut state.rows, call);
        if outcome == Err(Rejected::Invalid) {
            state.flaws.insert(Flaw::Invalid);
        }
        outcome?;
        let claimed = &mut state.claims[claim];
        claimed.settled = Some(settled);
        // The stream delivers the row, now without `settles_at`.
        let row = state.rows.changes[link];
        if settled == Settled::Done && row.is_some_and(|row| row.settles_at.is_none()) {
            claimed.has_notice = true;
            if !claimed.has_effect() {
                state.flaws.insert(Flaw::UntrueNotice);
            }
        }
        Ok(())
    }

    /// Returns whether a link could be claimed now.
    fn works(&self, state: &State, link: usize) -> bool {
        let call = Call::Claim(state.link(link), state.next_claim(state.clock));
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
        let link = LinkId {
            number: LINKS - 1,
            issued_at: later,
        };
        let claim = Call::Claim(link, state.next_claim(later));
        self.run(&mut rows, Call::Store(link)).is_ok() && self.run(&mut rows, claim).is_ok()
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

/// Handles a settlement that would set the claim back, but the links were ended again.
fn supersede(state: &mut State, claim: usize, response: Response, settled: Settled) {
    let claimed = &mut state.claims[claim];
    claimed.half = Half::Superseded(response);
    let is_disowned = state.disowned_at.is_some_and(|at| claimed.at <= at);
    if !is_disowned && settled == Settled::GivenBack {
        state.flaws.insert(Flaw::UsedUp);
    } else if !is_disowned {
        state.flaws.insert(Flaw::EndedInVain);
    }
}

/// The response to a caller.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// 204.
    Changed,
    /// 422.
    Rejected,
    /// 503, which promises nothing.
    Unavailable,
}

/// Ends a public half with its response to the caller.
fn end(state: &mut State, claim: usize, answer: Answer) {
    let claimed = &mut state.claims[claim];
    claimed.half = Half::Ended;
    claimed.is_rejected = answer == Answer::Rejected;
    let is_untrue = match answer {
        Answer::Changed => !claimed.has_effect(),
        Answer::Rejected => claimed.has_effect(),
        Answer::Unavailable => false,
    };
    if is_untrue {
        state.flaws.insert(Flaw::Untrue);
    }
}
