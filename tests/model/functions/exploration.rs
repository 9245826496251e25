//! The exploration of every state, and the test that no state breaks a property.

use std::collections::BTreeSet;

use super::bounds::{
    CHECKS_ADDRESS, CONDITIONAL, DELAYED_AND_DISOWNED, LONG, SLOW_CONDITIONAL, THREE_CLAIMS,
};
use super::properties::{APPLICATION, FINAL, all, possible};
use super::protocol::Protocol;
use crate::exploration::{broken, explore};
use support::torture::{report, times};

/// The minimum number of states. With fewer, the model has lost an event.
const STATES: usize = 1_000_000;

#[test]
fn the_function_protocol_holds_in_every_state() {
    let mut explorations = vec![
        (THREE_CLAIMS, vec![]),
        (DELAYED_AND_DISOWNED, vec![]),
        (CONDITIONAL, vec![]),
        // This directory does not know of changes by the application.
        (CHECKS_ADDRESS, vec![APPLICATION]),
        // Its condition keeps the order of changes, but the owner's uncertain notice comes too early.
        (SLOW_CONDITIONAL, vec![FINAL]),
    ];
    if times(0, 1) == 1 {
        explorations.extend(LONG.map(|bounds| (bounds, vec![])));
    }
    let (mut states, mut seen) = (0, BTreeSet::new());
    for (bounds, expected) in explorations {
        let (explored, discoveries) = explore(Protocol::new(bounds, None), None);
        let mut found = broken(&all(), &discoveries);
        found.retain(|(property, _)| !expected.contains(property));
        assert_eq!(found, [], "{bounds:?}");
        for property in expected {
            assert!(discoveries.contains_key(property), "{bounds:?}");
        }
        states += explored;
        seen.extend(discoveries.into_keys());
    }
    for property in possible() {
        assert!(
            seen.contains(property.name),
            "never happens: {}",
            property.name
        );
    }
    assert!(states >= STATES, "{states}");
    let shown = "no state breaks a property";
    println!("{states} states of the function protocol: {shown}");
    report("states of the function protocol", states, shown);
}
