//! The properties of the model: some must hold in every state, and others in some state.

use rekey::directory::schema::CHANGED_AT;
use stateright::Property;

use crate::clock::{COOLDOWN, LIFETIME, time};
use crate::dynamodb::rows::Value;
use crate::names::{ADA, COUNTESS, change_id, hash_of, id_of, request_id, token_key};
use crate::protocol::Protocol;
use crate::state::{By, Delivery, End, Flaw, MadeToken, Replacement, State, is_overtaken};

pub(crate) const ONCE: &str = "a token works at most once, and is then deleted";
pub(crate) const OVERTAKEN: &str = "no token works that was issued before or with a change";
pub(crate) const LATE: &str = "no expired token works";
pub(crate) const ADDRESS: &str = "no token works for a user whose address changed";
pub(crate) const REVIVED: &str = "no token re-creates a deleted user";
pub(crate) const NOTIFIED: &str =
    "each change by a token has a notice: in the stream, sent, or in the failure queue";
pub(crate) const STORED: &str = "the password is the last one that was set";
pub(crate) const KEPT: &str = "each stored request is in the stream, delivered, expired, limited, superseded, without a user, or in the failure queue";
pub(crate) const LIMITED: &str = "no address and no source exceeds its rate limit";
pub(crate) const UNJUSTIFIED: &str = "no request below the rate limits is rejected";
pub(crate) const LINKS: &str = "no address has more live links than its limit";
pub(crate) const DAILY: &str = "past its daily limit, an address has one live link at a time";
pub(crate) const SENT_ONCE: &str = "a request whose link is stored as sent gets no second link";
pub(crate) const LOCKED_OUT: &str = "a user who reaches the link limit has a live link";

pub(crate) fn all() -> Vec<Property<Protocol>> {
    let always = Property::always;
    let mut all = vec![
        always(ONCE, |_: &Protocol, state: &State| {
            state.tokens.iter().enumerate().all(|(token, made)| {
                made.uses == 0 || (made.uses == 1 && !state.rows.contains_key(&token_key(token)))
            })
        }),
        always(OVERTAKEN, |_, state| {
            !state.flaws.contains(&Flaw::Overtaken)
        }),
        always(LATE, |_, state| !state.flaws.contains(&Flaw::Late)),
        always(ADDRESS, |_, state| {
            !state.flaws.contains(&Flaw::OtherAddress)
        }),
        always(REVIVED, |_, state| !state.flaws.contains(&Flaw::Revived)),
        always(UNJUSTIFIED, |_, state| {
            !state.flaws.contains(&Flaw::LimitedWithoutReason)
        }),
        always(LOCKED_OUT, |_, state| {
            !state.flaws.contains(&Flaw::LockedOut)
        }),
        always(LINKS, has_few_links),
        always(DAILY, has_one_link_past_the_daily_limit),
        always(SENT_ONCE, |_, state| {
            !state.flaws.contains(&Flaw::SentAgain)
        }),
        always(NOTIFIED, |_, state| is_notified(state)),
        always(STORED, |_, state| is_stored(state)),
        always(KEPT, |_, state| is_kept(state)),
        always(LIMITED, is_limited),
    ];
    all.extend(possible());
    all
}

fn is_notified(state: &State) -> bool {
    let mut changes = state.changes.iter().enumerate();
    changes.all(|(change, replaced)| match replaced.by {
        By::Application | By::PutBack(_) => true,
        By::Token { is_notified, .. } => {
            let id = change_id(change);
            is_notified
                || state.failure_queue.contains(&id)
                || state.change_rows.iter().any(|row| id_of(row) == id)
        }
    })
}

fn is_stored(state: &State) -> bool {
    let last = state.changes.last();
    let expected = match last.map(|replaced| &replaced.by) {
        None => Value::from_text("old"),
        Some(By::Application) => Value::from_text("the application's"),
        Some(By::PutBack(password)) => password.clone(),
        Some(By::Token { token, .. }) => Value::from_text(&hash_of(*token)),
    };
    let changed_at = last.and_then(|last| match last.by {
        By::PutBack(_) => None,
        By::Application | By::Token { .. } => Some(Value::N(time(last.at).as_millisecond())),
    });
    state.user().is_none_or(|user| {
        user["password_hash"] == expected
            && changed_at.is_none_or(|changed_at| user.get(CHANGED_AT) == Some(&changed_at))
    })
}

/// Returns whether the live links of each address are within the limit.
///
/// A sent link does not count if `DynamoDB` rejected the write of the links, or if Lambda ended before it.
fn has_few_links(protocol: &Protocol, state: &State) -> bool {
    let live = |email: &str| {
        let is_live = |made: &&MadeToken| {
            made.is_sent
                && made.email == email
                && made.issued_at + LIFETIME > state.clock
                && !is_overtaken(&state.changes, made.issued_at)
        };
        state.tokens.iter().filter(is_live).count()
    };
    let uncounted: usize = state.faults.into();
    let max = protocol.bounds.live as usize + uncounted;
    live(ADA) <= max && live(COUNTESS) <= max
}

/// Returns whether no stored request is lost.
///
/// No request stays in the stream forever: it redelivers the first one until it ends or is too old.
fn is_kept(state: &State) -> bool {
    let mut requests = state.requests.iter().enumerate();
    requests.all(|(request, admitted)| {
        let id = request_id(request);
        admitted.end.is_some()
            || state.failure_queue.contains(&id)
            || state.request_rows.iter().any(|row| id_of(row) == id)
    })
}

fn is_limited(protocol: &Protocol, state: &State) -> bool {
    let requests = &state.requests;
    let respects_cooldown = requests.iter().enumerate().all(|(n, one)| {
        let later = requests[n + 1..].iter();
        later
            .filter(|other| other.email == one.email)
            .all(|other| one.at + COOLDOWN <= other.at)
    });
    respects_cooldown
        && requests.iter().all(|one| {
            let in_window = || {
                let window = one.at / LIFETIME;
                requests
                    .iter()
                    .filter(move |other| other.at / LIFETIME == window)
            };
            in_window().count() <= protocol.bounds.source as usize
        })
}

/// Returns whether each address beyond its daily limit has one live link at a time.
///
/// States with faults are excluded, because a crash leaves a link that does not count.
fn has_one_link_past_the_daily_limit(protocol: &Protocol, state: &State) -> bool {
    let sent = |tokens: &[MadeToken], email: &str| -> Vec<u8> {
        let sent = tokens
            .iter()
            .filter(|made| made.is_sent && made.email == email);
        sent.map(|made| made.issued_at).collect()
    };
    let has_others = |number: usize, made: &MadeToken| {
        let before = sent(&state.tokens[..number], made.email);
        let changes = state.changes.iter().filter(|one| one.at <= made.issued_at);
        let changes: Vec<Replacement> = changes.cloned().collect();
        let is_alive = |at: &u8| at + LIFETIME > made.issued_at && !is_overtaken(&changes, *at);
        before.len() >= protocol.bounds.daily as usize && before.iter().any(is_alive)
    };
    // A change during the delivery of a link ends that link, too.
    let is_alive = |made: &MadeToken| made.is_sent && !is_overtaken(&state.changes, made.issued_at);
    let mut tokens = state.tokens.iter().enumerate();
    state.faults > 0 || !tokens.any(|(number, made)| is_alive(made) && has_others(number, made))
}

/// Events that must be possible. A model in which nothing happens would satisfy every other property.
pub(crate) fn possible() -> Vec<Property<Protocol>> {
    let sometimes = Property::sometimes;
    vec![
        sometimes("a link sets a password", |_: &Protocol, state: &State| {
            state.tokens.iter().any(|made| made.uses == 1)
        }),
        sometimes(
            "two links of one user set a password, one after the other",
            |_, state| state.tokens.iter().filter(|made| made.uses == 1).count() == 2,
        ),
        sometimes("a link is sent twice", |_, state| {
            let delivered = state
                .requests
                .iter()
                .filter(|one| one.end == Some(End::Delivered));
            state.tokens.iter().filter(|made| made.is_sent).count() > delivered.count()
        }),
        sometimes("two resets run at the same time", |_, state| {
            state.resets.len() == 2
        }),
        sometimes("a request expires", |_, state| {
            state
                .requests
                .iter()
                .any(|one| one.end == Some(End::Expired))
        }),
    ]
    .into_iter()
    .chain(possible_ends())
    .collect()
}

fn possible_ends() -> Vec<Property<Protocol>> {
    let sometimes = Property::sometimes;
    vec![
        sometimes("a request has no user", |_: &Protocol, state: &State| {
            state
                .requests
                .iter()
                .any(|one| one.end == Some(End::NoUser))
        }),
        sometimes("a request reaches the link limit", |_, state| {
            let limited = Some(End::Limited);
            state.requests.iter().any(|one| one.end == limited)
        }),
        sometimes("a newer request supersedes another", |_, state| {
            let superseded = Some(End::Superseded);
            state.requests.iter().any(|one| one.end == superseded)
        }),
        sometimes(
            "the application overwrites a change by a link",
            |_, state| {
                let is_by_token = |one: &Replacement| matches!(one.by, By::Token { .. });
                let last = state.changes.last();
                last.is_some_and(|one| matches!(one.by, By::PutBack(_)))
                    && state.changes.iter().any(is_by_token)
            },
        ),
        sometimes("a request ends in the failure queue", |_, state| {
            state.failure_queue.contains(&request_id(0))
        }),
        sometimes("a notice ends in the failure queue", |_, state| {
            state.failure_queue.contains(&change_id(0))
        }),
        sometimes("an owner is notified", |_, state| {
            let notified = |by: &By| matches!(by, By::Token { is_notified, .. } if *is_notified);
            state.changes.iter().any(|change| notified(&change.by))
        }),
        sometimes("the application changes the password first", |_, state| {
            let is_by_application = |by: &By| matches!(by, By::Application);
            state.changes.len() == 2 && is_by_application(&state.changes[0].by)
        }),
        sometimes("the password changes during a delivery", |_, state| {
            matches!(state.delivery, Delivery::Stored { .. }) && !state.changes.is_empty()
        }),
    ]
}
