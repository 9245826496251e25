//! The events that the model tries in every order.

/// An event. A number is that of a link or of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Tick,
    /// `deliver` stores a token for the user's current address.
    Issue,
    /// A public half claims a change with a link.
    Claim(usize),
    /// A public half sends its claim and ends before a response. The claim may arrive later.
    LoseClaim(usize),
    /// A claim arrives after its public half has ended.
    ArriveClaim,
    /// The public half invokes the directory's function.
    Invoke(usize),
    /// Lambda rejects the invocation, so the function does not run.
    RejectInvocation(usize),
    /// The public half ends between the claim and the invocation.
    Crash(usize),
    /// The directory's function does what its kind does.
    Execute(usize),
    /// The directory's function rejects the password by its own rules.
    RejectPassword(usize),
    /// The public half stops waiting, or ends while it waits.
    TimeOut(usize),
    /// The public half settles its claim.
    Settle(usize),
    /// The public half sends its settlement and ends before a response. The settlement may arrive later.
    Lose(usize),
    /// A settlement arrives after its public half has ended.
    Arrive(usize),
    /// `notify` reads the row of an open change again, and sends an uncertain notice.
    SendUncertain(usize),
    /// The application replaces the password.
    Replace,
    /// The application sets another address.
    ChangeAddress,
    /// The owner disowns all links.
    Disown,
}
