//! A state of the system, with the history that the properties need.

use std::collections::BTreeSet;
use std::sync::Arc;

use rekey::table::links::SentLinks;

use crate::bounds::Bounds;
use crate::clock::{COOLDOWN, LIFETIME};
use crate::dynamodb::rows::{Item, Rows, Value};
use crate::names::{id_of, user_key};

/// The state of the system, and the history that the properties need.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) clock: u8,
    /// The rows of both tables.
    pub(crate) rows: Rows,
    /// The requests in the stream to `deliver`, in order.
    pub(crate) request_rows: Vec<Arc<Item>>,
    /// The changes in the stream to `notify`, in order.
    pub(crate) change_rows: Vec<Arc<Item>>,
    /// The request IDs of the records in the failure queue.
    pub(crate) failure_queue: BTreeSet<String>,
    /// The progress of `deliver`.
    pub(crate) delivery: Delivery,
    /// The user's item, as the application read it to write it back later.
    pub(crate) read: Option<Arc<Item>>,
    /// The resets between the check of their token and the transaction, sorted, since their order is irrelevant.
    pub(crate) resets: Vec<Reset>,
    pub(crate) faults: u8,
    pub(crate) writes: u8,
    /// The requests that were stored and got a 202.
    pub(crate) requests: Vec<StoredRequest>,
    /// All tokens, by number.
    pub(crate) tokens: Vec<MadeToken>,
    /// All changes of the password, in order.
    pub(crate) changes: Vec<Replacement>,
    /// The violations that single steps detected.
    pub(crate) flaws: BTreeSet<Flaw>,
}

/// The state of `deliver` before each of its calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Delivery {
    Idle,
    /// `deliver` read the clock and found the user.
    Found {
        now: u8,
    },
    /// The limits allow another link. `sent` are the earlier ones.
    Allowed {
        now: u8,
        sent: SentLinks,
    },
    /// `deliver` stored the token.
    Stored {
        token: usize,
        sent: SentLinks,
    },
    /// SES accepted the email.
    Sent {
        token: usize,
        sent: SentLinks,
    },
}

/// The state of a reset at the start of its transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reset {
    pub(crate) token: usize,
    pub(crate) issued: Arc<Item>,
    /// The time at which the reset started. Only a mutation uses it.
    pub(crate) began: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StoredRequest {
    pub(crate) email: &'static str,
    pub(crate) at: u8,
    pub(crate) end: Option<End>,
}

/// The end of a stored request, other than the failure queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Delivered,
    Expired,
    NoUser,
    /// The address has reached its link limit.
    Limited,
    /// A newer request for the address was in the same batch.
    Superseded,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MadeToken {
    /// The number of the token's request.
    pub(crate) request: usize,
    pub(crate) email: &'static str,
    pub(crate) issued_at: u8,
    /// Whether an email with the token was sent.
    pub(crate) is_sent: bool,
    /// Whether the link is stored as sent.
    pub(crate) is_recorded: bool,
    /// The number of times that the token set a password.
    pub(crate) uses: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Replacement {
    /// The time of the change, whatever the rows say.
    pub(crate) at: u8,
    pub(crate) by: By,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum By {
    Application,
    /// The application, which wrote back an item with this password that it had read earlier.
    PutBack(Value),
    /// Rekey, and whether the owner was notified.
    Token {
        token: usize,
        is_notified: bool,
    },
}

/// A violation that a single step can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Flaw {
    /// A token worked that was issued no later than the password was last replaced.
    Overtaken,
    /// A token worked that had expired.
    Late,
    /// A token worked for a user whose address had changed.
    OtherAddress,
    /// A token worked for a deleted user.
    Revived,
    /// A request below the rate limits was rejected.
    LimitedWithoutReason,
    /// The link limit stopped a request of a user without a valid link.
    LockedOut,
    /// A request whose link was stored as sent got another one.
    SentAgain,
}

impl State {
    pub(crate) fn user(&self) -> Option<&Item> {
        self.rows.get(&user_key()).map(AsRef::as_ref)
    }

    pub(crate) fn write_user(&mut self, attribute: &str, value: Value) {
        let row = self.rows.get_mut(&user_key()).unwrap();
        Arc::make_mut(row).insert(attribute.to_owned(), value);
    }

    /// Returns whether a request for the address must be accepted now. The cooldown must be over, and the source below
    /// its limit.
    pub(crate) fn must_accept(&self, email: &str, bounds: &Bounds) -> bool {
        let now = self.clock;
        let is_recent = |one: &&StoredRequest| one.email == email && one.at + COOLDOWN > now;
        let in_window = |one: &&StoredRequest| one.at / LIFETIME == now / LIFETIME;
        let in_this_window = self.requests.iter().filter(in_window).count();
        !self.requests.iter().any(|one| is_recent(&one)) && in_this_window < bounds.source as usize
    }

    /// Returns whether the stream has a newer request for the first one's address.
    pub(crate) fn has_newer_than_first(&self) -> bool {
        let mut emails = self.request_rows.iter().map(|row| row["email"].text());
        let first = emails.next();
        emails.any(|email| Some(email) == first)
    }

    /// Returns the number of the first request in the stream.
    pub(crate) fn first_request(&self) -> usize {
        let id = id_of(&self.request_rows[0]);
        let number = id.strip_prefix("request-").unwrap();
        number.parse().unwrap()
    }

    pub(crate) fn end(&mut self, end: End) {
        let request = self.first_request();
        self.requests[request].end = Some(end);
        self.request_rows.remove(0);
        self.delivery = Delivery::Idle;
    }
}

/// Returns whether a change has ended the links issued at a time.
///
/// If the application puts back an old item, it reverts its own change, which Rekey cannot detect. It does not revert a
/// change by a link.
pub(crate) fn is_overtaken(changes: &[Replacement], issued_at: u8) -> bool {
    let is_put_back = |one: &Replacement| matches!(one.by, By::PutBack(_));
    let last = changes.iter().rposition(is_put_back);
    changes.iter().enumerate().any(|(number, one)| {
        one.at >= issued_at
            && match one.by {
                By::Token { .. } => true,
                By::Application => last.is_none_or(|last| last < number),
                By::PutBack(_) => false,
            }
    })
}
