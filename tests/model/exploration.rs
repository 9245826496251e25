//! The exploration of every state, and the test that no state breaks a property.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker as _, Expectation, HasDiscoveries, Model, Property};

use crate::bounds::{
    DAILY_LINKS, LIMITED_LINKS, LIMITED_WITH_FAULTS, LONG, REQUESTS_ONLY, WITH_FAULTS, WITH_WRITES,
};
use crate::properties::{all, possible};
use crate::protocol::Protocol;
use support::torture::{report, times};

/// Explores every state, or stops at the first discovery of the property `until`.
///
/// Returns the number of states, and for each discovery the property and the actions that lead to it.
pub(crate) fn explore<M>(
    model: M,
    until: Option<&'static str>,
) -> (usize, BTreeMap<&'static str, String>)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send,
{
    let checker = model.checker().threads(2);
    let checker = match until {
        Some(property) => checker.finish_when(HasDiscoveries::AnyOf([property].into())),
        None => checker,
    };
    let checker = checker.spawn_bfs().join();
    let paths = checker.discoveries().into_iter();
    let discoveries =
        paths.map(|(property, path)| (property, format!("{:?}", path.into_actions())));
    (checker.unique_state_count(), discoveries.collect())
}

/// Returns the discoveries that break one of these properties.
pub(crate) fn broken<M: Model>(
    properties: &[Property<M>],
    discoveries: &BTreeMap<&'static str, String>,
) -> Vec<(&'static str, String)> {
    let always = properties.iter();
    let always = always.filter(|property| property.expectation == Expectation::Always);
    let broken = always.filter_map(|property| {
        let path = discoveries.get(property.name)?;
        Some((property.name, path.clone()))
    });
    broken.collect()
}

#[test]
fn the_protocol_holds_in_every_state() {
    let mut bounds = vec![
        REQUESTS_ONLY,
        WITH_WRITES,
        WITH_FAULTS,
        LIMITED_LINKS,
        LIMITED_WITH_FAULTS,
        DAILY_LINKS,
    ];
    if times(0, 1) == 1 {
        bounds.extend(LONG);
    }
    let (mut states, mut seen) = (0, BTreeSet::new());
    for bounds in bounds {
        let (explored, discoveries) = explore(Protocol::new(bounds, None), None);
        assert_eq!(broken(&all(), &discoveries), [], "{bounds:?}");
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
    let shown = "no state breaks a property";
    println!("{states} states of the protocol: {shown}");
    report("states of the protocol", states, shown);
}
