//! The bounds of the explorations.

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The last tick of the clock.
    pub(crate) ticks: u8,
    /// The maximum number of stored requests.
    pub(crate) requests: usize,
    /// The maximum number of concurrent resets.
    pub(crate) resets: usize,
    /// The maximum number of crashes and rejected calls.
    pub(crate) faults: u8,
    /// The maximum number of writes of the application to the user.
    pub(crate) writes: u8,
    /// The prefix of the keys whose expired rows `DynamoDB` may delete.
    pub(crate) expires: &'static str,
    /// The maximum number of live links of an address.
    pub(crate) live: u32,
    /// The number of links in a day after which only one may be live.
    pub(crate) daily: u32,
    /// The maximum number of requests of a source in an hour.
    pub(crate) source: u32,
}

/// The base of the other bounds: no writes of the application, and no faults.
///
/// `make test` adds one of them at a time. `make torture` combines them.
pub(crate) const UNDISTURBED: Bounds = Bounds {
    ticks: 3,
    requests: 2,
    resets: 2,
    faults: 0,
    writes: 0,
    expires: "token#",
    live: 5,
    daily: 20,
    source: 100,
};
pub(crate) const WITH_WRITES: Bounds = Bounds {
    writes: 1,
    ..UNDISTURBED
};
pub(crate) const WITH_FAULTS: Bounds = Bounds {
    resets: 1,
    faults: 1,
    ..UNDISTURBED
};
/// Requests only, up to the limit of a source.
pub(crate) const REQUESTS_ONLY: Bounds = Bounds {
    requests: 4,
    resets: 0,
    expires: "request#",
    source: 2,
    ..UNDISTURBED
};
/// Requests up to the link limit of an address, with changes between them.
pub(crate) const LIMITED_LINKS: Bounds = Bounds {
    requests: 3,
    resets: 1,
    live: 1,
    expires: "links#",
    ..UNDISTURBED
};
/// The same, with faults.
pub(crate) const LIMITED_WITH_FAULTS: Bounds = Bounds {
    requests: 2,
    faults: 1,
    ..LIMITED_LINKS
};
/// Requests beyond the daily limit of an address.
pub(crate) const DAILY_LINKS: Bounds = Bounds {
    live: 2,
    daily: 2,
    ticks: 4,
    ..LIMITED_LINKS
};

/// The additional bounds of `make torture`.
pub(crate) const LONG: [Bounds; 3] = [
    Bounds {
        ticks: 4,
        requests: 3,
        writes: 1,
        ..UNDISTURBED
    },
    Bounds {
        faults: 1,
        writes: 1,
        ..UNDISTURBED
    },
    Bounds {
        writes: 2,
        ..UNDISTURBED
    },
];
