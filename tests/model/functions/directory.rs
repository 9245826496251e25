//! The directory, whose function replaces the password some time after its invocation.

use super::bounds::Kind;
use super::protocol::Protocol;
use super::state::{Flaw, Function, Half, Response, State};

impl Protocol {
    /// Runs the function to its end. Its response reaches a public half that still waits.
    pub(super) fn execute(&self, state: &mut State, claim: usize) {
        let claimed = &state.claims[claim];
        let link = &state.links[claimed.link];
        let has_address = link.address == state.address;
        let is_older = state.changed_at.is_none_or(|at| at < link.issued_at);
        let accepts = match self.bounds.kind {
            Kind::Sets => true,
            Kind::ChecksAddress => has_address,
            Kind::Conditional => has_address && is_older,
        };
        if accepts {
            replace(state, claim);
            if self.bounds.kind == Kind::Conditional {
                state.changed_at = Some(state.claims[claim].at);
            }
            respond(state, claim, Response::Replaced);
        } else {
            respond(state, claim, Response::Dead);
        }
    }
}

pub(super) fn respond(state: &mut State, claim: usize, response: Response) {
    let claimed = &mut state.claims[claim];
    if claimed.function == Function::Running {
        claimed.function = Function::Idle;
    }
    if claimed.half == Half::Waiting {
        claimed.half = Half::Responded(response);
    }
}

/// Replaces the password, and detects what must not happen with it.
fn replace(state: &mut State, claim: usize) {
    let claimed = &state.claims[claim];
    let link = &state.links[claimed.link];
    let others = || {
        let others = state.claims.iter().enumerate();
        let others = others.filter(|(other, one)| *other != claim && one.has_effect());
        others.map(|(_, one)| one)
    };
    let is_between = |at: u8| link.issued_at <= at && at <= claimed.at;
    let flaws = [
        (Flaw::Twice, others().any(|one| one.link == claimed.link)),
        (Flaw::Overtaken, others().any(|one| is_between(one.at))),
        (Flaw::OlderLast, others().any(|one| claimed.at < one.at)),
        (
            Flaw::ApplicationOvertaken,
            state.replaced_at.is_some_and(|at| link.issued_at <= at),
        ),
        (Flaw::OtherAddress, link.address != state.address),
        (Flaw::Untrue, claimed.is_rejected),
        (Flaw::AfterNotice, claimed.has_uncertain_notice),
    ];
    let present = flaws.into_iter().filter(|(_, is_present)| *is_present);
    state.flaws.extend(present.map(|(flaw, _)| flaw));
    state.claims[claim].function = Function::Replaced;
}
