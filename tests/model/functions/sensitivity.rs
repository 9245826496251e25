//! Mutation tests of the model. Each removes a guard, and asserts that a property fails.

use rekey::table::rows::CHANGE_PREFIX;

use super::bounds::{Bounds, DELAYED, DISOWNED, SLOW, UNDISTURBED};
use super::properties::{
    DEAD, DISOWNED as STAYS_DISOWNED, FINAL, GIVEN_BACK, HONEST, NOTIFIED, OLDER, ONCE, OVERTAKEN,
    RELEASED, VALID, all,
};
use super::protocol::Protocol;
use crate::exploration::{broken, explore};
use crate::mutation::Mutation;

/// The name of a guard, its removal, and the property that the guard keeps, within these bounds.
type Guard = (&'static str, Mutation, Bounds, &'static str);

const GUARDS: [Guard; 9] = [
    (
        "the lease of a claim",
        Mutation::Words(
            " AND (attribute_not_exists(changing_until) OR changing_until < :now)",
            "",
        ),
        UNDISTURBED,
        OLDER,
    ),
    (
        "the epoch's condition",
        Mutation::Words(
            "(attribute_not_exists(ended_at) OR ended_at < :issued_at) AND ",
            "",
        ),
        UNDISTURBED,
        OVERTAKEN,
    ),
    (
        "the epoch's update",
        Mutation::Words(" ended_at = :now,", ""),
        UNDISTURBED,
        OVERTAKEN,
    ),
    (
        "the change that a claim stores before it is made",
        Mutation::NoPut(CHANGE_PREFIX),
        UNDISTURBED,
        NOTIFIED,
    ),
    (
        "a settlement sets back only its own claim",
        // A later claim ends this one's lease. If the later one is set back, `ended_at` is as before.
        Mutation::Words("changing = :id AND ", ""),
        DELAYED,
        VALID,
    ),
    (
        "a settlement sets a claim back only if the links were not ended again",
        Mutation::Words(" AND ended_at = :claimed_at", ""),
        DISOWNED,
        STAYS_DISOWNED,
    ),
    (
        "a settlement ends only its own lease",
        Mutation::Whole("changing = :id", "attribute_exists(pk)"),
        DELAYED,
        GIVEN_BACK,
    ),
    (
        "an uncertain notice waits until the change cannot be in progress",
        Mutation::NoWait,
        UNDISTURBED,
        FINAL,
    ),
    (
        "an unknown outcome uses up the link",
        Mutation::UnknownIsLater,
        UNDISTURBED,
        ONCE,
    ),
];

#[test]
fn each_of_nine_removed_guards_is_noticed() {
    for (guard, removal, bounds, property) in GUARDS {
        assert!(breaks(bounds, removal, property), "{guard}: {removal:?}");
    }
}

/// Returns whether a mutation breaks a property.
fn breaks(bounds: Bounds, mutation: Mutation, property: &'static str) -> bool {
    let (_, discoveries) = explore(Protocol::new(bounds, Some(mutation)), Some(property));
    discoveries.contains_key(property)
}

/// Asserts that a mutation changes a statement but breaks no property, because another guard remains.
fn breaks_nothing(bounds: Bounds, mutation: Mutation) {
    let differs = Protocol::new(bounds, Some(mutation)).differs();
    assert!(differs, "{mutation:?}");
    let (_, discoveries) = explore(Protocol::new(bounds, Some(mutation)), None);
    assert_eq!(broken(&all(), &discoveries), [], "{mutation:?}");
}

#[test]
fn an_unknown_outcome_is_neither_later_nor_dead() {
    for property in [OVERTAKEN, OLDER, NOTIFIED] {
        assert!(breaks(UNDISTURBED, Mutation::UnknownIsLater, property));
    }
    assert!(breaks(UNDISTURBED, Mutation::UnknownIsDead, HONEST));
}

#[test]
fn a_claim_ends_links_issued_at_the_same_time() {
    let same_time = Mutation::Words("ended_at < :issued_at", "ended_at <= :issued_at");
    assert!(breaks(UNDISTURBED, same_time, OVERTAKEN));
}

#[test]
fn a_claim_stores_the_end_of_its_lease() {
    let unset = Mutation::Words(", changing_until = :until", "");
    assert!(breaks(UNDISTURBED, unset, OLDER));
}

#[test]
fn a_settlement_removes_the_lease() {
    let kept = Mutation::Words(", changing, changing_until", ", changing");
    assert!(breaks(UNDISTURBED, kept, RELEASED));
}

#[test]
fn a_claim_stores_the_previous_end_of_the_links() {
    let forgotten = Mutation::Words("if_not_exists(ended_at, :never)", ":never");
    assert!(breaks(DISOWNED, forgotten, STAYS_DISOWNED));
    let missing = Mutation::Words("if_not_exists(ended_at, :never)", "ended_at");
    assert!(breaks(UNDISTURBED, missing, VALID));
}

/// Otherwise, setting the claim back would take back the disown as well.
#[test]
fn a_disown_ends_the_links_later_than_a_claim_of_the_same_millisecond() {
    assert!(breaks(DISOWNED, Mutation::DisownAtAnyTime, STAYS_DISOWNED));
}

#[test]
fn a_link_is_not_reported_as_dead_if_the_change_in_progress_ended_it() {
    assert!(breaks(UNDISTURBED, Mutation::BusyIsDead, DEAD));
}

/// `changing` and `settles_at` appear and disappear in the same transactions.
#[test]
fn a_claim_on_the_epoch_implies_an_open_change() {
    let implied = Mutation::Words("attribute_exists(settles_at)", "");
    breaks_nothing(DELAYED, implied);
}

#[test]
fn the_epoch_prevents_a_second_use_of_a_token_that_is_not_deleted() {
    breaks_nothing(DISOWNED, Mutation::NoDelete("token#"));
}

/// The contract of a directory's function: it ends a minute after the claim.
#[test]
fn a_function_that_only_sets_ends_before_the_lease() {
    let (_, discoveries) = explore(Protocol::new(SLOW, None), Some(OLDER));
    assert!(discoveries.contains_key(OLDER));
}
