//! Mutation tests of the model. Each test breaks the protocol, and asserts that a property fails.

use rekey::table::rows::{CHANGE_PREFIX, REQUEST_PREFIX};

use crate::bounds::{
    Bounds, DAILY_LINKS, LIMITED_LINKS, LIMITED_WITH_FAULTS, REQUESTS_ONLY, UNDISTURBED,
    WITH_WRITES,
};
use crate::exploration::{broken, explore};
use crate::mutation::Mutation;
use crate::properties::{
    ADDRESS, DAILY, KEPT, LATE, LIMITED, LINKS, LOCKED_OUT, NOTIFIED, ONCE, OVERTAKEN, REVIVED,
    SENT_ONCE, STORED, UNJUSTIFIED, all,
};
use crate::protocol::Protocol;

const TOKEN_IS_THERE: &str = "attribute_exists(pk) AND expires_at > :now";
const NOT_OVERTAKEN: &str = " AND (attribute_not_exists(#changed_at) OR NOT attribute_type(#changed_at, :type) \
     OR #changed_at < :issued_at OR #changed_at > :horizon)";
const NOT_ENDED: &str = "attribute_not_exists(ended_at) OR ended_at < :issued_at";
const COOLDOWN_OVER: &str = "attribute_not_exists(pk) OR requested_at <= :cooled";
const COUNT: &str = "attribute_not_exists(requests) OR requests < :limit";

/// Asserts that a mutation changes a statement and breaks a property.
fn breaks(bounds: Bounds, mutation: Mutation, property: &'static str) {
    assert!(
        Protocol::new(bounds, Some(mutation)).differs(),
        "{mutation:?}"
    );
    is_noticed(bounds, mutation, property);
}

fn is_noticed(bounds: Bounds, mutation: Mutation, property: &'static str) {
    let (_, discoveries) = explore(Protocol::new(bounds, Some(mutation)), Some(property));
    assert!(
        discoveries.contains_key(property),
        "{mutation:?} went unnoticed"
    );
}

/// Asserts that a mutation changes a statement but breaks no property, because another guard remains.
fn breaks_nothing(bounds: Bounds, mutation: Mutation) {
    assert!(
        Protocol::new(bounds, Some(mutation)).differs(),
        "{mutation:?}"
    );
    let (_, discoveries) = explore(Protocol::new(bounds, Some(mutation)), None);
    assert_eq!(broken(&all(), &discoveries), [], "{mutation:?}");
}

#[test]
fn each_of_three_guards_prevents_a_second_use() {
    const GUARDS: [(&str, &str); 3] = [(TOKEN_IS_THERE, ""), (NOT_OVERTAKEN, ""), (NOT_ENDED, "")];
    breaks(UNDISTURBED, Mutation::All(&GUARDS), ONCE);
    for pair in [
        &[GUARDS[0], GUARDS[1]],
        &[GUARDS[1], GUARDS[2]],
        &[GUARDS[0], GUARDS[2]],
    ] {
        let guarded = Protocol::new(UNDISTURBED, Some(Mutation::All(pair)));
        let (_, discoveries) = explore(guarded, None);
        assert!(!discoveries.contains_key(ONCE), "{pair:?}");
    }
    breaks(UNDISTURBED, Mutation::NoDelete("token#"), ONCE);
}

#[test]
fn a_missing_token_fails_the_expiry_condition() {
    let implied = Mutation::Words("attribute_exists(pk) AND ", "");
    breaks_nothing(UNDISTURBED, implied);
}

#[test]
fn the_check_before_hashing_only_saves_work() {
    let (_, discoveries) = explore(Protocol::new(UNDISTURBED, Some(Mutation::NoPrecheck)), None);
    assert_eq!(broken(&all(), &discoveries), []);
}

#[test]
fn a_change_ends_tokens_issued_before_or_with_it() {
    const EITHER: [(&str, &str); 2] = [(NOT_OVERTAKEN, ""), (NOT_ENDED, "")];
    breaks(UNDISTURBED, Mutation::All(&EITHER), OVERTAKEN);
    let unset = Mutation::Words(", #changed_at = :now", "");
    breaks(UNDISTURBED, unset, STORED);
}

#[test]
fn an_application_change_ends_tokens_issued_before_or_with_it() {
    breaks(WITH_WRITES, Mutation::Words(NOT_OVERTAKEN, ""), OVERTAKEN);
    let same_time = Mutation::Words("#changed_at < :issued_at", "#changed_at <= :issued_at");
    breaks(WITH_WRITES, same_time, OVERTAKEN);
}

#[test]
fn the_epoch_ends_links_if_the_application_restores_an_item() {
    breaks(WITH_WRITES, Mutation::Words(NOT_ENDED, ""), OVERTAKEN);
    let same_time = Mutation::Words("ended_at < :issued_at", "ended_at <= :issued_at");
    breaks(WITH_WRITES, same_time, OVERTAKEN);
    let unset = Mutation::Words("SET ended_at = :now, ", "SET ");
    breaks(WITH_WRITES, unset, OVERTAKEN);
    let expiring = Bounds {
        expires: "epoch#",
        ..WITH_WRITES
    };
    breaks(expiring, Mutation::NotKept, OVERTAKEN);
}

#[test]
fn a_user_without_an_epoch_can_use_a_link() {
    let mutation = Mutation::Words("attribute_not_exists(ended_at) OR ", "");
    let (_, discoveries) = explore(Protocol::new(UNDISTURBED, Some(mutation)), None);
    assert!(!discoveries.contains_key("a link sets a password"));
}

#[test]
fn only_live_links_that_were_sent_count_toward_the_limit() {
    is_noticed(LIMITED_LINKS, Mutation::NoLimit, LINKS);
    is_noticed(LIMITED_LINKS, Mutation::LimitByWindow, LOCKED_OUT);
    is_noticed(LIMITED_LINKS, Mutation::LimitWithoutEpoch, LOCKED_OUT);
    is_noticed(LIMITED_WITH_FAULTS, Mutation::LimitBeforeEmail, LOCKED_OUT);
    is_noticed(DAILY_LINKS, Mutation::NoDailyLimit, DAILY);
}

#[test]
fn a_link_stored_as_sent_is_not_sent_again() {
    let unlimited = Bounds {
        live: 5,
        ..LIMITED_WITH_FAULTS
    };
    is_noticed(unlimited, Mutation::NoSkip, SENT_ONCE);
}

#[test]
fn a_change_dated_at_its_request_misses_newer_links() {
    let protocol = Protocol::new(UNDISTURBED, Some(Mutation::TimeOfRequest));
    let (_, discoveries) = explore(protocol, Some(OVERTAKEN));
    let path = discoveries
        .get(OVERTAKEN)
        .expect("the bug of an earlier version");
    assert!(path.contains("Follow") && path.contains("Tick"), "{path}");
}

#[test]
fn a_token_expires_at_its_expiry_time() {
    let endless = Mutation::Words(" AND expires_at > :now", "");
    breaks(UNDISTURBED, endless, LATE);
    let same_time = Mutation::Words("expires_at > :now", "expires_at >= :now");
    breaks(UNDISTURBED, same_time, LATE);
}

#[test]
fn a_token_requires_the_users_current_address() {
    let unchecked = Mutation::Words("#email = :email AND ", "");
    breaks(WITH_WRITES, unchecked, ADDRESS);
    breaks(WITH_WRITES, unchecked, REVIVED);
}

#[test]
fn a_change_is_stored_with_its_notice() {
    breaks(UNDISTURBED, Mutation::NoPut(CHANGE_PREFIX), NOTIFIED);
    let unset = Mutation::Words("#password = :hash, ", "");
    breaks(UNDISTURBED, unset, STORED);
}

#[test]
fn a_user_without_password_changed_at_can_use_a_link() {
    // A missing attribute also fails the type check, so either condition accepts such a user.
    const NEITHER: [(&str, &str); 2] = [
        ("attribute_not_exists(#changed_at) OR ", ""),
        ("NOT attribute_type(#changed_at, :type) OR ", ""),
    ];
    let mutation = Mutation::All(&NEITHER);
    let (_, discoveries) = explore(Protocol::new(UNDISTURBED, Some(mutation)), None);
    assert!(!discoveries.contains_key("a link sets a password"));
}

#[test]
fn requests_are_stored_exactly_up_to_the_limits() {
    breaks(REQUESTS_ONLY, Mutation::NoPut(REQUEST_PREFIX), KEPT);
    breaks(UNDISTURBED, Mutation::Words(COOLDOWN_OVER, ""), LIMITED);
    let longer = Mutation::Words("requested_at <= :cooled", "requested_at < :cooled");
    breaks(UNDISTURBED, longer, UNJUSTIFIED);
    let first = Mutation::Words("attribute_not_exists(pk) OR ", "");
    breaks(UNDISTURBED, first, UNJUSTIFIED);
    breaks(REQUESTS_ONLY, Mutation::Words(COUNT, ""), LIMITED);
    let one_more = Mutation::Words("requests < :limit", "requests <= :limit");
    breaks(REQUESTS_ONLY, one_more, LIMITED);
    let uncounted = Mutation::Words(" ADD requests :one", "");
    breaks(REQUESTS_ONLY, uncounted, LIMITED);
}
