//! The exploration of every state, and the test that no state breaks a property.

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::Model as _;

use super::bounds::{
    Bounds, CHECKS_ADDRESS, CONDITIONAL, DELAYED, DISOWNED, SETS, SLOW, SLOW_CONDITIONAL,
};
use super::properties::{APPLICATION, possible};
use super::protocol::Protocol;
use crate::exploration::{broken, explore};
use support::torture::report;

#[test]
fn try_it() {
    let mut seen = BTreeSet::new();
    for bounds in [
        SETS,
        DISOWNED,
        DELAYED,
        CHECKS_ADDRESS,
        CONDITIONAL,
        SLOW,
        SLOW_CONDITIONAL,
    ] {
        let start = Instant::now();
        let protocol = Protocol::new(bounds, None);
        let properties = protocol.properties();
        let (explored, discoveries) = explore(protocol, None);
        println!("{bounds:?}: {explored} in {:?}", start.elapsed());
        for (name, path) in broken(&properties, &discoveries) {
            println!("   {name}: {path}");
        }
        seen.extend(discoveries.into_keys());
    }
    for property in possible() {
        if !seen.contains(property.name) {
            println!("never: {}", property.name);
        }
    }
    report("states", 0, "");
}
