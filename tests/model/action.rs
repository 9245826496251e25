//! The events that the model tries in every order.

use crate::dynamodb::rows::Key;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    /// A caller requests a link.
    Request(&'static str),
    /// `deliver` receives the first record, reads the clock, and looks up the user.
    Find,
    /// The first record is in the same batch as a newer one of its row.
    Supersede,
    /// `deliver` reads the links that were sent earlier.
    Count,
    /// `deliver` stores a token.
    Store,
    /// `deliver` sends its email through SES.
    Send(Outcome),
    /// `deliver` stores the link as sent.
    Record(Recording),
    /// The first request moves to the failure queue.
    FailRequest,
    /// A user follows a link, and `change` queries its token.
    Follow(usize),
    /// `change` runs its transaction.
    Change(usize),
    /// `notify` sends its email through SES.
    Notify(Outcome),
    /// The first change moves to the failure queue.
    FailChange,
    /// The application sets the user's other address.
    ChangeAddress,
    /// The application replaces the password and sets `password_changed_at`.
    Replace,
    /// The application reads the user.
    Read,
    /// The application writes back the item that it read, and overwrites later changes.
    PutBack,
    /// The application deletes the user.
    Delete,
    /// `DynamoDB` deletes an expired row.
    Expire(Key),
}

/// The outcome of a call to SES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    /// SES rejects the email for now, and the stream redelivers the record.
    Rejected,
    /// SES accepts the email, but Lambda ends first, and the stream redelivers the record.
    SentAndCrashed,
}

/// The outcome of the write after an email.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recording {
    Stored,
    /// `DynamoDB` rejects the write.
    Rejected,
    /// The write succeeds, but another record of the batch fails, and the stream redelivers this one.
    StoredThenRedelivered,
}
