//! The same journeys through the deployed stack.
