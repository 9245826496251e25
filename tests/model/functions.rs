//! A model of the function protocol: a directory of two functions that cannot join a transaction.
//!
//! It executes the product's statements, and the product's decision on a claim. The state has a user's links, the
//! changes with their public halves and their invocations, the epoch row, the directory, the application, the owner who
//! disowns links, and time.

mod action;
mod bounds;
mod call;
mod clock;
mod directory;
mod exploration;
mod half;
mod machine;
mod properties;
mod protocol;
mod rows;
mod sensitivity;
mod state;
mod transactions;
mod trial;
