//! The bounds of the explorations.

use super::clock::LEASE;

/// What a directory's function does with a password that it may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It sets whatever it receives.
    Sets,
    /// It checks that the user still has the address.
    ChecksAddress,
    /// It checks the address, and that its own last change is older than the link, in one statement.
    Conditional,
}

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) kind: Kind,
    /// The last tick of the clock.
    pub(super) ticks: u8,
    /// The maximum number of links.
    pub(super) links: usize,
    /// The maximum number of claims.
    pub(super) claims: usize,
    /// The maximum number of changes by the application.
    pub(super) writes: u8,
    /// The maximum number of times that the owner disowns the links.
    pub(super) disowns: u8,
    /// Whether a settlement may reach the table after its public half has ended, at any time.
    pub(super) delays: bool,
    /// The ticks after a claim in which the directory's function may replace the password.
    pub(super) function: u8,
}

/// The base of the other bounds. A function that only sets leaves every guard to the table.
pub(super) const UNDISTURBED: Bounds = Bounds {
    kind: Kind::Sets,
    ticks: 3,
    links: 2,
    claims: 2,
    writes: 0,
    disowns: 0,
    delays: false,
    function: LEASE,
};
pub(super) const DISOWNED: Bounds = Bounds {
    disowns: 1,
    ..UNDISTURBED
};
pub(super) const THREE_CLAIMS: Bounds = Bounds {
    ticks: 4,
    claims: 3,
    ..DISOWNED
};
pub(super) const DELAYED: Bounds = Bounds {
    delays: true,
    ..UNDISTURBED
};
pub(super) const DELAYED_AND_DISOWNED: Bounds = Bounds {
    disowns: 1,
    ..DELAYED
};
pub(super) const CHECKS_ADDRESS: Bounds = Bounds {
    kind: Kind::ChecksAddress,
    writes: 1,
    ..UNDISTURBED
};
pub(super) const CONDITIONAL: Bounds = Bounds {
    kind: Kind::Conditional,
    writes: 1,
    ..DISOWNED
};
/// A function that may replace the password after the lease, against its contract.
pub(super) const SLOW: Bounds = Bounds {
    function: LEASE + 3,
    ..UNDISTURBED
};
pub(super) const SLOW_CONDITIONAL: Bounds = Bounds {
    kind: Kind::Conditional,
    writes: 1,
    ..SLOW
};

/// The additional bounds of `make torture`.
pub(super) const LONG: [Bounds; 4] = [
    Bounds {
        links: 3,
        disowns: 0,
        ..THREE_CLAIMS
    },
    Bounds {
        delays: true,
        disowns: 0,
        ..THREE_CLAIMS
    },
    Bounds {
        ticks: 4,
        writes: 2,
        disowns: 0,
        ..CONDITIONAL
    },
    Bounds {
        delays: true,
        ..CONDITIONAL
    },
];
