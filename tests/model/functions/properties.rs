//! The properties of the model: some must hold in every state, and others in some state.

use stateright::Property;

use super::protocol::Protocol;
use super::state::{Flaw, Half, State, is_open};

pub(super) const ONCE: &str = "a link sets at most one password";
pub(super) const OVERTAKEN: &str = "no link works that was issued before or with a change";
pub(super) const OLDER: &str = "an older change never replaces the password of a newer one";
pub(super) const APPLICATION: &str =
    "no link works that was issued before or with a change by the application";
pub(super) const ADDRESS: &str = "no link works for a user whose address changed";
pub(super) const DISOWNED: &str = "no link works that the owner disowned";
pub(super) const NOTIFIED: &str = "each change has a notice: in the stream, or sent";
pub(super) const TRUE_NOTICE: &str = "a notice of a change is true";
pub(super) const FINAL: &str = "no change takes effect after its uncertain notice";
pub(super) const HONEST: &str = "a 204 is true, and a 422 stays true";
pub(super) const DEAD: &str = "no link works that was reported as ended";
pub(super) const GIVEN_BACK: &str = "a rejected password does not use up its link";
pub(super) const UNDONE: &str = "a claim without a change ends no other link";
pub(super) const LOCKED_OUT: &str = "a new link works after the lease";
pub(super) const RELEASED: &str = "a settled claim holds up no new link";
pub(super) const VALID: &str = "every statement is valid for its row";

pub(super) fn all() -> Vec<Property<Protocol>> {
    let always = Property::always;
    let mut all = vec![
        always(ONCE, |_: &Protocol, state: &State| {
            !state.flaws.contains(&Flaw::Twice)
        }),
        always(OVERTAKEN, |_, state| {
            !state.flaws.contains(&Flaw::Overtaken)
        }),
        always(OLDER, |_, state| !state.flaws.contains(&Flaw::OlderLast)),
        always(APPLICATION, |_, state| {
            !state.flaws.contains(&Flaw::ApplicationOvertaken)
        }),
        always(ADDRESS, |_, state| {
            !state.flaws.contains(&Flaw::OtherAddress)
        }),
        always(DISOWNED, |_, state| !state.flaws.contains(&Flaw::Disowned)),
        always(NOTIFIED, |_, state| is_notified(state)),
        always(TRUE_NOTICE, |_, state| {
            !state.flaws.contains(&Flaw::UntrueNotice)
        }),
        always(FINAL, |_, state| !state.flaws.contains(&Flaw::AfterNotice)),
        always(HONEST, |_, state| !state.flaws.contains(&Flaw::Untrue)),
        always(DEAD, |_, state| !state.flaws.contains(&Flaw::Revived)),
        always(GIVEN_BACK, |_, state| !state.flaws.contains(&Flaw::UsedUp)),
        always(UNDONE, |_, state| !state.flaws.contains(&Flaw::EndedInVain)),
        always(RELEASED, |_, state| !state.flaws.contains(&Flaw::HeldUp)),
        always(LOCKED_OUT, Protocol::has_way_back),
        always(VALID, |_, state| !state.flaws.contains(&Flaw::Invalid)),
    ];
    all.extend(possible());
    all
}

fn is_notified(state: &State) -> bool {
    let mut changes = state.claims.iter().filter(|claim| claim.has_effect());
    changes.all(|claim| claim.has_notice || claim.has_uncertain_notice || is_open(state, claim))
}

/// Events that must be possible. A model in which nothing happens would satisfy every other property.
pub(super) fn possible() -> Vec<Property<Protocol>> {
    let sometimes = Property::sometimes;
    vec![
        sometimes("a change is settled", |_: &Protocol, state: &State| {
            state.claims.iter().any(|claim| claim.has_notice)
        }),
        sometimes("a link that was given back sets a password", |_, state| {
            let given_back = |claim: &usize| {
                state
                    .claims
                    .iter()
                    .any(|one| one.is_undone() && one.link == *claim)
            };
            let mut changes = state.claims.iter().filter(|claim| claim.has_effect());
            changes.any(|claim| given_back(&claim.link))
        }),
        sometimes(
            "two links set a password, one after the other",
            |_, state| {
                state
                    .claims
                    .iter()
                    .filter(|claim| claim.has_effect())
                    .count()
                    == 2
            },
        ),
        sometimes("an uncertain notice is about a change", |_, state| {
            let mut claims = state.claims.iter();
            claims.any(|claim| claim.has_uncertain_notice && claim.has_effect())
        }),
        sometimes("an uncertain notice is about no change", |_, state| {
            let mut claims = state.claims.iter();
            claims.any(|claim| claim.has_uncertain_notice && !claim.has_effect())
        }),
        sometimes("a link works after it was busy", |_, state| {
            let mut claims = state.claims.iter();
            claims.any(|claim| claim.has_effect() && state.links[claim.link].was_busy)
        }),
        sometimes("the owner disowns a link during its claim", |_, state| {
            let is_superseded = |half: &Half| matches!(half, Half::Superseded(_));
            state.claims.iter().any(|claim| is_superseded(&claim.half))
        }),
        sometimes("a settlement arrives after the lease", |_, state| {
            let mut claims = state.claims.iter();
            claims
                .any(|claim| claim.has_uncertain_notice && (claim.has_notice || claim.is_undone()))
        }),
    ]
}
