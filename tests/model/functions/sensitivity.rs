//! Mutation tests of the model. Each test removes a guard, and asserts that a property fails.

use rekey::table::rows::CHANGE_PREFIX;

use super::bounds::{Bounds, DELAYED, DISOWNED, SLOW, UNDISTURBED};
use super::properties::{
    DEAD, DISOWNED as STAYS_DISOWNED, FINAL, GIVEN_BACK, HONEST, NOTIFIED, OLDER, ONCE, OVERTAKEN,
    RELEASED, VALID, all,
};
use super::protocol::Protocol;
use crate::exploration::{broken, explore};
use crate::mutation::Mutation;

/// Asserts that a mutation changes a statement and breaks a property.
fn breaks(bounds: Bounds, mutation: Mutation, property: &'static str) {
    let differs = Protocol::new(bounds, Some(mutation)).differs();
    assert!(differs, "{mutation:?}");
    is_noticed(bounds, mutation, property);
}

fn is_noticed(bounds: Bounds, mutation: Mutation, property: &'static str) {
    let (_, discoveries) = explore(Protocol::new(bounds, Some(mutation)), Some(property));
    let is_noticed = discoveries.contains_key(property);
    assert!(is_noticed, "{mutation:?} went unnoticed");
}

/// Asserts that a mutation changes a statement but breaks no property, because another guard remains.
fn breaks_nothing(bounds: Bounds, mutation: Mutation) {
    let differs = Protocol::new(bounds, Some(mutation)).differs();
    assert!(differs, "{mutation:?}");
    let (_, discoveries) = explore(Protocol::new(bounds, Some(mutation)), None);
    assert_eq!(broken(&all(), &discoveries), [], "{mutation:?}");
}

#[test]
fn the_lease_keeps_an_older_change_from_landing_last() {
    let lease = " AND (attribute_not_exists(changing_until) OR changing_until < :now)";
    breaks(UNDISTURBED, Mutation::Words(lease, ""), OLDER);
    let unset = Mutation::Words(", changing_until = :until", "");
    breaks(UNDISTURBED, unset, OLDER);
}

#[test]
fn the_epochs_condition_rejects_links_that_a_change_ended() {
    let condition = "(attribute_not_exists(ended_at) OR ended_at < :issued_at) AND ";
    breaks(UNDISTURBED, Mutation::Words(condition, ""), OVERTAKEN);
    let same_time = Mutation::Words("ended_at < :issued_at", "ended_at <= :issued_at");
    breaks(UNDISTURBED, same_time, OVERTAKEN);
}

#[test]
fn the_epochs_update_ends_the_other_links() {
    let update = Mutation::Words(" ended_at = :now,", "");
    breaks(UNDISTURBED, update, OVERTAKEN);
}

#[test]
fn a_claim_stores_its_change_before_it_is_made() {
    breaks(UNDISTURBED, Mutation::NoPut(CHANGE_PREFIX), NOTIFIED);
}

#[test]
fn a_claim_is_set_back_only_if_nobody_ended_the_links_again() {
    let unchecked = Mutation::Words(" AND ended_at = :claimed_at", "");
    breaks(DISOWNED, unchecked, STAYS_DISOWNED);
    // A disown in the millisecond of a claim must have a later time, so that this condition sees it.
    is_noticed(DISOWNED, Mutation::DisownAtAnyTime, STAYS_DISOWNED);
}

#[test]
fn a_claim_is_set_back_only_by_its_own_settlement() {
    // A later claim ends the lease of this one. If the later claim is set back, too, `ended_at` is as before.
    let unchecked = Mutation::Words("changing = :id AND ", "");
    breaks(DELAYED, unchecked, VALID);
}

#[test]
fn a_late_settlement_does_not_end_the_lease_of_a_later_claim() {
    let unchecked = Mutation::Whole("changing = :id", "attribute_exists(pk)");
    breaks(DELAYED, unchecked, GIVEN_BACK);
}

#[test]
fn the_claim_on_the_epoch_implies_an_open_change() {
    let implied = Mutation::Words("attribute_exists(settles_at)", "");
    breaks_nothing(DELAYED, implied);
}

#[test]
fn an_uncertain_notice_waits_until_the_change_cannot_be_in_progress() {
    is_noticed(UNDISTURBED, Mutation::NoWait, FINAL);
}

#[test]
fn an_unknown_outcome_uses_up_the_link() {
    for property in [ONCE, OVERTAKEN, OLDER, NOTIFIED] {
        is_noticed(UNDISTURBED, Mutation::UnknownIsLater, property);
    }
    is_noticed(UNDISTURBED, Mutation::UnknownIsDead, HONEST);
}

#[test]
fn the_epoch_prevents_a_second_use_of_a_token_that_is_not_deleted() {
    breaks_nothing(UNDISTURBED, Mutation::NoDelete("token#"));
}

#[test]
fn a_claim_remembers_when_the_links_ended_before() {
    let forgotten = Mutation::Words("if_not_exists(ended_at, :never)", ":never");
    breaks(DISOWNED, forgotten, STAYS_DISOWNED);
    let missing = Mutation::Words("if_not_exists(ended_at, :never)", "ended_at");
    breaks(UNDISTURBED, missing, VALID);
}

#[test]
fn a_settlement_ends_the_lease() {
    let kept = Mutation::Words(", changing, changing_until", ", changing");
    breaks(UNDISTURBED, kept, RELEASED);
}

#[test]
fn a_link_is_not_dead_while_the_change_that_ended_it_is_in_progress() {
    is_noticed(UNDISTURBED, Mutation::BusyIsDead, DEAD);
}

/// The contract of a directory's function.
#[test]
fn a_function_that_only_sets_must_end_before_the_lease() {
    let (_, discoveries) = explore(Protocol::new(SLOW, None), Some(OLDER));
    assert!(discoveries.contains_key(OLDER));
}
