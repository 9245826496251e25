//! What must hold in every state, and what must be possible.

use std::collections::{BTreeMap, BTreeSet};

use rekey::directory::CHANGED_AT;
use stateright::{Checker as _, Expectation, HasDiscoveries, Model as _, Property};

use crate::dynamodb::Value;
use crate::protocol::{
    ADA, Bounds, By, COOLDOWN, COUNTESS, Delivery, End, Flaw, LIFETIME, Made, Protocol, Replaced,
    State, change_id, hash_of, id_of, is_overtaken, request_id, time, token_key,
};
use crate::torture::{report, times};

pub(crate) const ONCE: &str = "a token works at most once, and is gone";
pub(crate) const OVERTAKEN: &str =
    "after a change no token works that was issued before or with it";
pub(crate) const LATE: &str = "no token works after its time";
pub(crate) const ADDRESS: &str = "no token works for who has another address by now";
pub(crate) const REVIVED: &str = "no token brings a deleted user back";
pub(crate) const TOLD: &str =
    "each change by a token has a notice: on its way, sent, or in the failure queue";
pub(crate) const STORED: &str = "the password is the one that was set last";
pub(crate) const KEPT: &str = "each request that was written down is on its way, delivered, expired, held back, superseded, nobody's, or in the failure queue";
pub(crate) const LIMITED: &str = "no address and no source is written down too often";
pub(crate) const HELD_BACK: &str = "nobody is held back without reason";
pub(crate) const LINKS: &str = "no address has more live links than its limit";
pub(crate) const DAILY: &str = "past its daily limit, an address has one live link at a time";
pub(crate) const SENT_ONCE: &str = "a request whose link is stored as sent gets no other";
pub(crate) const LOCKED_OUT: &str = "a user who asked and was held back holds a live link";

pub(crate) fn all() -> Vec<Property<Protocol>> {
    let always = Property::always;
    let mut all = vec![
        always(ONCE, |_: &Protocol, state: &State| {
            state.tokens.iter().enumerate().all(|(token, made)| {
                made.worked == 0
                    || (made.worked == 1 && !state.rows.contains_key(&token_key(token)))
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
        always(HELD_BACK, |_, state| !state.flaws.contains(&Flaw::HeldBack)),
        always(LOCKED_OUT, |_, state| {
            !state.flaws.contains(&Flaw::LockedOut)
        }),
        always(LINKS, has_few_links),
        always(DAILY, has_one_link_past_the_daily_limit),
        always(SENT_ONCE, |_, state| {
            !state.flaws.contains(&Flaw::SentAgain)
        }),
        always(TOLD, |_, state| is_told(state)),
        always(STORED, |_, state| is_stored(state)),
        always(KEPT, |_, state| is_kept(state)),
        always(LIMITED, is_limited),
    ];
    all.extend(possible());
    all
}

fn is_told(state: &State) -> bool {
    let mut changes = state.changes.iter().enumerate();
    changes.all(|(change, replaced)| match replaced.by {
        By::Application | By::PutBack(_) => true,
        By::Token { is_told, .. } => {
            let id = change_id(change);
            is_told
                || state.failures.contains(&id)
                || state.changed.iter().any(|row| id_of(row) == id)
        }
    })
}

fn is_stored(state: &State) -> bool {
    let last = state.changes.last();
    let expected = match last.map(|replaced| &replaced.by) {
        None => Value::text_of("old"),
        Some(By::Application) => Value::text_of("the application's"),
        Some(By::PutBack(password)) => password.clone(),
        Some(By::Token { token, .. }) => Value::text_of(&hash_of(*token)),
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

/// If DynamoDB refused to add a link to those that were sent, or Lambda ended before it could, the link did not count.
fn has_few_links(protocol: &Protocol, state: &State) -> bool {
    let live = |email: &str| {
        let is_live = |made: &&Made| {
            made.is_mailed
                && made.email == email
                && made.issued_at + LIFETIME > state.clock
                && !is_overtaken(&state.changes, made.issued_at)
        };
        state.tokens.iter().filter(is_live).count()
    };
    let uncounted: usize = state.troubles.into();
    let max = protocol.bounds.live as usize + uncounted;
    live(ADA) <= max && live(COUNTESS) <= max
}

/// Nothing is on its way for ever: the stream brings the first request until it ends, or gives it up by its age.
fn is_kept(state: &State) -> bool {
    let mut requests = state.requests.iter().enumerate();
    requests.all(|(request, admitted)| {
        let id = request_id(request);
        admitted.end.is_some()
            || state.failures.contains(&id)
            || state.asked.iter().any(|row| id_of(row) == id)
    })
}

fn is_limited(protocol: &Protocol, state: &State) -> bool {
    let requests = &state.requests;
    let cools = requests.iter().enumerate().all(|(n, one)| {
        let later = requests[n + 1..].iter();
        later
            .filter(|other| other.email == one.email)
            .all(|other| one.at + COOLDOWN <= other.at)
    });
    cools
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

/// Crashes leave links that do not count, so they are left out.
fn has_one_link_past_the_daily_limit(protocol: &Protocol, state: &State) -> bool {
    let mailed = |tokens: &[Made], email: &str| -> Vec<u8> {
        let mailed = tokens
            .iter()
            .filter(|made| made.is_mailed && made.email == email);
        mailed.map(|made| made.issued_at).collect()
    };
    let has_others = |number: usize, made: &Made| {
        let before = mailed(&state.tokens[..number], made.email);
        let changes = state.changes.iter().filter(|one| one.at <= made.issued_at);
        let changes: Vec<Replaced> = changes.cloned().collect();
        let is_alive = |at: &u8| at + LIFETIME > made.issued_at && !is_overtaken(&changes, *at);
        before.len() >= protocol.bounds.daily as usize && before.iter().any(is_alive)
    };
    // A change that came while a link was made has ended that link, too.
    let is_alive = |made: &Made| made.is_mailed && !is_overtaken(&state.changes, made.issued_at);
    let mut tokens = state.tokens.iter().enumerate();
    state.troubles > 0 || !tokens.any(|(number, made)| is_alive(made) && has_others(number, made))
}

/// What a model that cannot do anything would not show.
fn possible() -> Vec<Property<Protocol>> {
    let sometimes = Property::sometimes;
    vec![
        sometimes("a link sets a password", |_: &Protocol, state: &State| {
            state.tokens.iter().any(|made| made.worked == 1)
        }),
        sometimes(
            "two links of one user set a password, one after the other",
            |_, state| state.tokens.iter().filter(|made| made.worked == 1).count() == 2,
        ),
        sometimes("a link is sent twice", |_, state| {
            let delivered = state
                .requests
                .iter()
                .filter(|one| one.end == Some(End::Delivered));
            state.tokens.iter().filter(|made| made.is_mailed).count() > delivered.count()
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
        sometimes("a request is nobody's", |_: &Protocol, state: &State| {
            state
                .requests
                .iter()
                .any(|one| one.end == Some(End::Nobodys))
        }),
        sometimes("a request is held back", |_, state| {
            let held_back = Some(End::HeldBack);
            state.requests.iter().any(|one| one.end == held_back)
        }),
        sometimes("a newer request supersedes one", |_, state| {
            let superseded = Some(End::Superseded);
            state.requests.iter().any(|one| one.end == superseded)
        }),
        sometimes(
            "the application puts back what a link changed",
            |_, state| {
                let is_by_token = |one: &Replaced| matches!(one.by, By::Token { .. });
                let last = state.changes.last();
                last.is_some_and(|one| matches!(one.by, By::PutBack(_)))
                    && state.changes.iter().any(is_by_token)
            },
        ),
        sometimes("a request is given up", |_, state| {
            state.failures.contains(&request_id(0))
        }),
        sometimes("a notice is given up", |_, state| {
            state.failures.contains(&change_id(0))
        }),
        sometimes("an owner is told", |_, state| {
            let told = |replaced: &_| matches!(replaced, By::Token { is_told: true, .. });
            state.changes.iter().any(|replaced| told(&replaced.by))
        }),
        sometimes("the application is first", |_, state| {
            let is_applications = |replaced: &_| matches!(replaced, By::Application);
            state.changes.len() == 2 && is_applications(&state.changes[0].by)
        }),
        sometimes(
            "a delivery is under way while the password is replaced",
            |_, state| {
                matches!(state.delivery, Delivery::Stored { .. }) && !state.changes.is_empty()
            },
        ),
    ]
}

/// What `make test` looks at: asking up to the limits; the application, without crashes; crashes, without the application.
pub(crate) const UNDISTURBED: Bounds = Bounds {
    ticks: 3,
    requests: 2,
    resets: 2,
    troubles: 0,
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
const WITH_TROUBLES: Bounds = Bounds {
    resets: 1,
    troubles: 1,
    ..UNDISTURBED
};
/// Asking alone, up to the limit of a source.
pub(crate) const ASKING: Bounds = Bounds {
    requests: 4,
    resets: 0,
    expires: "request#",
    source: 2,
    ..UNDISTURBED
};
/// Up to the limit of an address, with changes between.
pub(crate) const LIMITED_LINKS: Bounds = Bounds {
    requests: 3,
    resets: 1,
    live: 1,
    expires: "links#",
    ..UNDISTURBED
};
/// The same, with crashes and refusals.
pub(crate) const LIMITED_AND_TROUBLED: Bounds = Bounds {
    requests: 2,
    troubles: 1,
    ..LIMITED_LINKS
};
/// Past the daily limit of an address.
pub(crate) const DAILY_LINKS: Bounds = Bounds {
    live: 2,
    daily: 2,
    ticks: 4,
    ..LIMITED_LINKS
};

/// Looks at every state, or at those up to the first one that breaks the property. Says how many, and what was found.
pub(crate) fn look(
    protocol: Protocol,
    until: Option<&'static str>,
) -> (usize, BTreeMap<&'static str, String>) {
    let checker = protocol.checker().threads(2);
    let checker = match until {
        Some(property) => checker.finish_when(HasDiscoveries::AnyOf([property].into())),
        None => checker,
    };
    let checker = checker.spawn_bfs().join();
    let paths = checker.discoveries().into_iter();
    let found = paths.map(|(property, path)| (property, format!("{:?}", path.into_actions())));
    (checker.unique_state_count(), found.collect())
}

/// The properties that must hold always, of what was found.
pub(crate) fn broken(found: &BTreeMap<&'static str, String>) -> Vec<(&'static str, String)> {
    let always = all().into_iter();
    let always = always.filter(|property| property.expectation == Expectation::Always);
    let broken = always.filter_map(|property| {
        let path = found.get(property.name)?;
        Some((property.name, path.clone()))
    });
    broken.collect()
}

#[test]
fn the_protocol_holds_in_every_state() {
    let mut bounds = vec![
        ASKING,
        WITH_WRITES,
        WITH_TROUBLES,
        LIMITED_LINKS,
        LIMITED_AND_TROUBLED,
        DAILY_LINKS,
    ];
    if times(0, 1) == 1 {
        bounds.extend(LONG);
    }
    let (mut states, mut seen) = (0, BTreeSet::new());
    for bounds in bounds {
        let (looked_at, found) = look(Protocol::new(bounds, None), None);
        assert_eq!(broken(&found), [], "{bounds:?}");
        states += looked_at;
        seen.extend(found.into_keys());
    }
    for property in possible() {
        assert!(seen.contains(property.name), "never: {}", property.name);
    }
    let shown = "no state breaks a property";
    report("states of the protocol", states, shown);
}

/// What `make torture` looks at besides.
const LONG: [Bounds; 3] = [
    Bounds {
        ticks: 4,
        requests: 3,
        writes: 1,
        ..UNDISTURBED
    },
    Bounds {
        troubles: 1,
        writes: 1,
        ..UNDISTURBED
    },
    Bounds {
        writes: 2,
        ..UNDISTURBED
    },
];
