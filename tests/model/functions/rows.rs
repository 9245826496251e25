//! The rows of the Rekey table, as numbers.
//!
//! All states together have some hundred rows. Numbers keep states small, and let the model run the same statements on
//! the same rows only once.

use std::collections::HashMap;
use std::sync::Arc;

use rekey::table::rows::PasswordChanged;

use super::clock::tick;
use crate::dynamodb::rows::{Item, parsed};

/// The maximum number of links, and one that no state has, to try a link on a state.
pub(super) const LINKS: usize = 4;

/// The number of a row's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row(u16);

/// The row of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChangeRow {
    row: Row,
    /// The tick from which it cannot be in progress, if its outcome is open.
    pub(super) settles_at: Option<u8>,
}

/// The rows of the table. A token and its change have the number of their link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct StoredRows {
    tokens: [Option<Row>; LINKS],
    pub(super) changes: [Option<ChangeRow>; LINKS],
    epoch: Option<Row>,
}

/// The rows that the statements for one link can touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LinkRows {
    pub(super) token: Option<Row>,
    pub(super) change: Option<ChangeRow>,
    pub(super) epoch: Option<Row>,
}

impl StoredRows {
    pub(super) fn of_link(&self, link: usize) -> LinkRows {
        LinkRows {
            token: self.tokens[link],
            change: self.changes[link],
            epoch: self.epoch,
        }
    }

    pub(super) fn set(&mut self, link: usize, rows: LinkRows) {
        self.tokens[link] = rows.token;
        self.changes[link] = rows.change;
        self.epoch = rows.epoch;
    }

    pub(super) fn has_token(&self, link: usize) -> bool {
        self.tokens[link].is_some()
    }
}

/// All rows that any state has, by number.
#[derive(Debug, Default)]
pub(super) struct Contents {
    rows: Vec<Arc<Item>>,
    numbers: HashMap<Arc<Item>, Row>,
}

impl Contents {
    pub(super) fn get(&self, row: Row) -> Arc<Item> {
        Arc::clone(&self.rows[usize::from(row.0)])
    }

    pub(super) fn number(&mut self, item: &Arc<Item>) -> Row {
        if let Some(row) = self.numbers.get(item) {
            return *row;
        }
        let row = Row(self.rows.len().try_into().unwrap());
        self.rows.push(Arc::clone(item));
        self.numbers.insert(Arc::clone(item), row);
        row
    }

    pub(super) fn get_change(&self, change: ChangeRow) -> Arc<Item> {
        self.get(change.row)
    }

    pub(super) fn number_change(&mut self, item: &Arc<Item>) -> ChangeRow {
        let changed: PasswordChanged = parsed(item);
        ChangeRow {
            row: self.number(item),
            settles_at: changed.settles_at.map(tick),
        }
    }
}
