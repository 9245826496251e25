//! The calls to `DynamoDB`, each of which is a step of the model.

/// The part of a link that its statements contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LinkId {
    pub(super) number: usize,
    pub(super) issued_at: u8,
}

/// The part of a claim that its statements contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClaimId {
    pub(super) number: usize,
    pub(super) at: u8,
}

/// The statements of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Settled {
    Done,
    NotDone,
    GivenBack,
    Disowned,
}

/// A transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    /// `deliver` stores a token.
    Store(LinkId),
    Claim(LinkId, ClaimId),
    Settle(LinkId, ClaimId, Settled),
    /// The owner ends all links.
    Disown(DisownedAt),
}

/// The time to which a disown sets the end of the links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum DisownedAt {
    Tick(u8),
    /// A millisecond after this tick, because the links have an end at the tick.
    After(u8),
}

/// The reason for which a transaction did not commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// The token of a claim is missing.
    Used,
    /// The links were ended.
    Ended,
    /// Another claim is in progress.
    Busy,
    /// A condition of another call failed.
    Conditions,
    /// A statement is invalid for its row.
    Invalid,
}

impl Call {
    /// Returns the number of the only link whose rows the statements touch. A disown touches the rows of none.
    pub(super) fn link(self) -> usize {
        match self {
            Self::Store(link) | Self::Claim(link, _) | Self::Settle(link, ..) => link.number,
            Self::Disown(_) => 0,
        }
    }
}
