//! A protocol that is broken, to see that the model notices: each condition is taken away once.

use rekey::table::rows::{CHANGE_PREFIX, REQUEST_PREFIX};

use crate::properties::{
    ADDRESS, ASKING, DAILY, DAILY_LINKS, HELD_BACK, KEPT, LATE, LIMITED, LIMITED_AND_TROUBLED,
    LIMITED_LINKS, LINKS, LOCKED_OUT, ONCE, OVERTAKEN, REVIVED, SENT_ONCE, STORED, TOLD,
    UNDISTURBED, WITH_WRITES, broken, look,
};
use crate::protocol::{Bounds, Mutation, Protocol};

const TOKEN_IS_THERE: &str = "attribute_exists(pk) AND expires_at > :now";
const NOT_OVERTAKEN: &str = " AND (attribute_not_exists(#changed_at) OR NOT attribute_type(#changed_at, :type) \
     OR #changed_at < :issued_at OR #changed_at > :horizon)";
const NOT_ENDED: &str = "attribute_not_exists(ended_at) OR ended_at < :issued_at";
const COOLED: &str = "attribute_not_exists(pk) OR requested_at <= :cooled";
const COUNT: &str = "attribute_not_exists(requests) OR requests < :limit";

/// Asserts that a mutation is one, and that it breaks a property.
fn breaks(bounds: Bounds, mutation: Mutation, property: &'static str) {
    assert!(
        Protocol::new(bounds, Some(mutation)).differs(),
        "{mutation:?}"
    );
    is_noticed(bounds, mutation, property);
}

fn is_noticed(bounds: Bounds, mutation: Mutation, property: &'static str) {
    let (_, found) = look(Protocol::new(bounds, Some(mutation)), Some(property));
    assert!(found.contains_key(property), "{mutation:?} went unnoticed");
}

/// Asserts that a mutation is one, and breaks nothing: there is another guard.
fn breaks_nothing(bounds: Bounds, mutation: Mutation) {
    assert!(
        Protocol::new(bounds, Some(mutation)).differs(),
        "{mutation:?}"
    );
    let (_, found) = look(Protocol::new(bounds, Some(mutation)), None);
    assert_eq!(broken(&found), [], "{mutation:?}");
}

#[test]
fn any_one_of_three_guards_stops_a_second_use_of_a_token() {
    const GUARDS: [(&str, &str); 3] = [(TOKEN_IS_THERE, ""), (NOT_OVERTAKEN, ""), (NOT_ENDED, "")];
    breaks(UNDISTURBED, Mutation::All(&GUARDS), ONCE);
    for pair in [
        &[GUARDS[0], GUARDS[1]],
        &[GUARDS[1], GUARDS[2]],
        &[GUARDS[0], GUARDS[2]],
    ] {
        let guarded = Protocol::new(UNDISTURBED, Some(Mutation::All(pair)));
        let (_, found) = look(guarded, None);
        assert!(!found.contains_key(ONCE), "{pair:?}");
    }
    breaks(UNDISTURBED, Mutation::NoDelete, ONCE);
}

#[test]
fn what_is_not_there_has_not_expired_either() {
    let implied = Mutation::Words("attribute_exists(pk) AND ", "");
    breaks_nothing(UNDISTURBED, implied);
}

#[test]
fn the_look_before_hashing_is_for_speed_alone() {
    let (_, found) = look(Protocol::new(UNDISTURBED, Some(Mutation::NoLook)), None);
    assert_eq!(broken(&found), []);
}

#[test]
fn a_change_ends_older_tokens_and_those_of_its_own_time() {
    const EITHER: [(&str, &str); 2] = [(NOT_OVERTAKEN, ""), (NOT_ENDED, "")];
    breaks(UNDISTURBED, Mutation::All(&EITHER), OVERTAKEN);
    let unwritten = Mutation::Words(", #changed_at = :now", "");
    breaks(UNDISTURBED, unwritten, STORED);
}

#[test]
fn a_change_by_the_application_ends_older_tokens_and_those_of_its_own_time() {
    breaks(WITH_WRITES, Mutation::Words(NOT_OVERTAKEN, ""), OVERTAKEN);
    let with_it = Mutation::Words("#changed_at < :issued_at", "#changed_at <= :issued_at");
    breaks(WITH_WRITES, with_it, OVERTAKEN);
}

#[test]
fn the_epoch_ends_links_even_if_the_application_puts_back_an_old_item() {
    breaks(WITH_WRITES, Mutation::Words(NOT_ENDED, ""), OVERTAKEN);
    let with_it = Mutation::Words("ended_at < :issued_at", "ended_at <= :issued_at");
    breaks(WITH_WRITES, with_it, OVERTAKEN);
    let unwritten = Mutation::Words("SET ended_at = :now, ", "SET ");
    breaks(WITH_WRITES, unwritten, OVERTAKEN);
    let expiring = Bounds {
        expires: "epoch#",
        ..WITH_WRITES
    };
    breaks(expiring, Mutation::NotKept, OVERTAKEN);
}

#[test]
fn a_user_without_an_epoch_can_use_a_link() {
    let mutation = Mutation::Words("attribute_not_exists(ended_at) OR ", "");
    let (_, found) = look(Protocol::new(UNDISTURBED, Some(mutation)), None);
    assert!(!found.contains_key("a link sets a password"));
}

#[test]
fn only_live_links_that_were_sent_hold_back_another_one() {
    is_noticed(LIMITED_LINKS, Mutation::NoLimit, LINKS);
    is_noticed(LIMITED_LINKS, Mutation::LimitByWindow, LOCKED_OUT);
    is_noticed(LIMITED_LINKS, Mutation::LimitWithoutEpoch, LOCKED_OUT);
    is_noticed(LIMITED_AND_TROUBLED, Mutation::LimitBeforeEmail, LOCKED_OUT);
    is_noticed(DAILY_LINKS, Mutation::NoDailyLimit, DAILY);
}

#[test]
fn a_link_that_was_stored_as_sent_is_not_sent_again() {
    let unlimited = Bounds {
        live: 5,
        ..LIMITED_AND_TROUBLED
    };
    is_noticed(unlimited, Mutation::NoSkip, SENT_ONCE);
}

#[test]
fn a_change_that_has_the_time_of_its_request_spares_a_link_made_while_it_hashed() {
    let protocol = Protocol::new(UNDISTURBED, Some(Mutation::TimeOfRequest));
    let (_, found) = look(protocol, Some(OVERTAKEN));
    let path = found.get(OVERTAKEN).expect("the bug that was");
    assert!(path.contains("Follow") && path.contains("Tick"), "{path}");
}

#[test]
fn a_token_ends_at_its_time() {
    let ever = Mutation::Words(" AND expires_at > :now", "");
    breaks(UNDISTURBED, ever, LATE);
    let with_it = Mutation::Words("expires_at > :now", "expires_at >= :now");
    breaks(UNDISTURBED, with_it, LATE);
}

#[test]
fn a_token_is_for_one_address_of_a_user_who_is_there() {
    let anybodys = Mutation::Words("#email = :email AND ", "");
    breaks(WITH_WRITES, anybodys, ADDRESS);
    breaks(WITH_WRITES, anybodys, REVIVED);
}

#[test]
fn a_change_is_written_down_with_its_notice() {
    breaks(UNDISTURBED, Mutation::NoPut(CHANGE_PREFIX), TOLD);
    let unwritten = Mutation::Words("#password = :hash, ", "");
    breaks(UNDISTURBED, unwritten, STORED);
}

#[test]
fn a_user_without_a_time_of_change_can_use_a_link() {
    // What is missing has no type either, so each of the two lets such a user pass.
    const NEITHER: [(&str, &str); 2] = [
        ("attribute_not_exists(#changed_at) OR ", ""),
        ("NOT attribute_type(#changed_at, :type) OR ", ""),
    ];
    let mutation = Mutation::All(&NEITHER);
    let (_, found) = look(Protocol::new(UNDISTURBED, Some(mutation)), None);
    assert!(!found.contains_key("a link sets a password"));
}

#[test]
fn asking_is_written_down_limited_and_not_held_back_without_reason() {
    breaks(ASKING, Mutation::NoPut(REQUEST_PREFIX), KEPT);
    breaks(UNDISTURBED, Mutation::Words(COOLED, ""), LIMITED);
    let longer = Mutation::Words("requested_at <= :cooled", "requested_at < :cooled");
    breaks(UNDISTURBED, longer, HELD_BACK);
    let first = Mutation::Words("attribute_not_exists(pk) OR ", "");
    breaks(UNDISTURBED, first, HELD_BACK);
    breaks(ASKING, Mutation::Words(COUNT, ""), LIMITED);
    let one_more = Mutation::Words("requests < :limit", "requests <= :limit");
    breaks(ASKING, one_more, LIMITED);
    let uncounted = Mutation::Words(" ADD requests :one", "");
    breaks(ASKING, uncounted, LIMITED);
}
