//! A state of the system, with the history that the properties need.

use std::collections::BTreeSet;

use super::call::{ClaimId, LinkId, Settled};
use super::clock::LEASE;
use super::rows::StoredRows;

/// The state of the system, and the history that the properties need.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) clock: u8,
    /// The rows of the Rekey table.
    pub(super) rows: StoredRows,
    /// All links, by number.
    pub(super) links: Vec<Link>,
    /// All claims that were held, in order, with their public halves and invocations.
    pub(super) claims: Vec<Claimed>,
    /// The claim that may arrive after its public half has ended.
    pub(super) delayed: Option<DelayedClaim>,
    /// The number of the user's address: the application sets a new one.
    pub(super) address: u8,
    /// The last change of which a conditional directory knows.
    pub(super) changed_at: Option<u8>,
    /// The last change by the application.
    pub(super) replaced_at: Option<u8>,
    pub(super) writes: u8,
    /// The last time that the owner disowned all links.
    pub(super) disowned_at: Option<u8>,
    pub(super) disowns: u8,
    /// The violations that single steps detected.
    pub(super) flaws: BTreeSet<Flaw>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Link {
    pub(super) issued_at: u8,
    /// The number of the address that the link was sent to.
    pub(super) address: u8,
    /// A caller learned that a change has ended the link.
    pub(super) is_rejected: bool,
    /// A caller learned that another change is in progress.
    pub(super) was_busy: bool,
}

/// A claim that was sent, with the time at which its public half read the clock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DelayedClaim {
    pub(super) link: usize,
    pub(super) sent_at: u8,
}

/// A claim that was held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Claimed {
    pub(super) link: usize,
    pub(super) at: u8,
    pub(super) half: Half,
    pub(super) function: Function,
    /// The settlement that committed.
    pub(super) settled: Option<Settled>,
    /// The settlement that may arrive after the public half has ended.
    pub(super) delayed: Option<Settled>,
    /// The caller got a 422, so the change was not made.
    pub(super) is_rejected: bool,
    /// The owner received a notice that the password was changed, or it is in the stream.
    pub(super) has_notice: bool,
    /// The owner received a notice that the password may have been changed.
    pub(super) has_uncertain_notice: bool,
}

/// The state of an invocation of the directory's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Function {
    /// It does not run, or ended without an effect.
    Idle,
    /// It may replace the password.
    Running,
    /// It replaced the password.
    Replaced,
}

/// The state of a public half after its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Half {
    Claimed,
    /// It waits for the directory's function.
    Waiting,
    Responded(Response),
    /// A condition of its settlement failed: the links were ended again during the claim.
    Superseded(Response),
    Ended,
}

/// A response of the directory, or of Lambda.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Response {
    Replaced,
    /// The link is dead: the address changed, or the password was replaced since.
    Dead,
    /// The directory's own rules reject the password.
    Unacceptable,
    /// Nothing was done.
    Later,
}

/// A violation that a single step can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Flaw {
    /// A link set two passwords.
    Twice,
    /// A link set a password although a change had ended it.
    Overtaken,
    /// An older change replaced the password of a newer one.
    OlderLast,
    /// A link set a password although the application had replaced it since.
    ApplicationOvertaken,
    /// A link set a password for another address than it was sent to.
    OtherAddress,
    /// A response was untrue, or became untrue.
    Untrue,
    /// A notice said that the password was changed, but it was not.
    UntrueNotice,
    /// A change took effect after its uncertain notice.
    AfterNotice,
    /// A rejected password used up its link.
    UsedUp,
    /// A disowned link was claimed.
    Disowned,
    /// A claim that was set back had ended another link for good.
    EndedInVain,
    /// A settled claim held up a new link.
    HeldUp,
    /// A link was claimed that a caller had been told was dead.
    Revived,
    /// `DynamoDB` rejected a statement as invalid.
    Invalid,
}

impl Claimed {
    /// Returns whether the directory replaced the password.
    pub(super) fn has_effect(&self) -> bool {
        self.function == Function::Replaced
    }

    /// Returns whether the claim was set back, because no change was made.
    pub(super) fn is_undone(&self) -> bool {
        matches!(self.settled, Some(Settled::NotDone | Settled::GivenBack))
    }
}

impl State {
    pub(super) fn link(&self, number: usize) -> LinkId {
        LinkId {
            number,
            issued_at: self.links[number].issued_at,
        }
    }

    /// Returns the next claim, if it is made at this time.
    pub(super) fn next_claim(&self, at: u8) -> ClaimId {
        ClaimId {
            number: self.claims.len(),
            at,
        }
    }

    /// Returns whether a change in the history, or the owner, has ended the links issued at a time.
    pub(super) fn is_ended(&self, issued_at: u8) -> bool {
        let is_disowned = self.disowned_at.is_some_and(|at| issued_at <= at);
        let mut claims = self.claims.iter();
        is_disowned || claims.any(|claim| !claim.is_undone() && issued_at <= claim.at)
    }
}

/// Returns whether the row of a claim's change is there and open. A link that was given back and used again has another
/// change, with another time.
pub(super) fn is_open(state: &State, claimed: &Claimed) -> bool {
    let row = state.rows.changes[claimed.link];
    row.is_some_and(|row| row.settles_at == Some(claimed.at + LEASE))
}
