//! The outcomes of calls, by the product's statements and its decision on a claim.

use rekey::table::claims::{Claim, claim_of};

use super::call::{Call, Rejected};
use super::clock::time;
use super::protocol::{Protocol, issued};
use super::rows::{LinkRows, StoredRows};
use crate::dynamodb::rows::{Rows, attributes};
use crate::dynamodb::statement::Statement;
use crate::dynamodb::{Reason, transact};

impl Protocol {
    /// Runs a transaction on these rows.
    pub(super) fn run(&self, rows: &mut StoredRows, call: Call) -> Result<(), Rejected> {
        let link = call.link();
        let after = self.outcome(call, rows.of_link(link))?;
        rows.set(link, after);
        Ok(())
    }

    /// Returns the outcome of a transaction, which depends only on its statements and these rows.
    fn outcome(&self, call: Call, before: LinkRows) -> Result<LinkRows, Rejected> {
        let key = (call, before);
        if let Some(outcome) = self.outcomes.read().unwrap().get(&key) {
            return *outcome;
        }
        let mut rows = self.stored(call.link(), before);
        let outcome = match transact(&mut rows, &self.statements(call)) {
            Ok(()) => Ok(self.numbered(call.link(), &rows)),
            Err(reasons) => Err(rejected(call, &reasons)),
        };
        self.outcomes.write().unwrap().insert(key, outcome);
        outcome
    }

    fn statements(&self, call: Call) -> Vec<Statement> {
        match call {
            Call::Store(link) => self.token_statement(link),
            Call::Claim(link, claim) => self.claim_statements(link, claim),
            Call::Settle(link, claim, settled) => self.settlement_statements(link, claim, settled),
            Call::Disown(end) => vec![self.disown_statement(end)],
        }
    }

    fn stored(&self, link: usize, rows: LinkRows) -> Rows {
        let contents = self.contents.read().unwrap();
        let keys = self.keys(link);
        let items = [
            rows.token.map(|row| contents.get(row)),
            rows.change.map(|row| contents.get_change(row)),
            rows.epoch.map(|row| contents.get(row)),
        ];
        let items = keys.into_iter().zip(items);
        items.filter_map(|(key, item)| Some((key, item?))).collect()
    }

    fn numbered(&self, link: usize, rows: &Rows) -> LinkRows {
        let mut contents = self.contents.write().unwrap();
        let [token, change, epoch] = self.keys(link);
        LinkRows {
            token: rows.get(&token).map(|item| contents.number(item)),
            change: rows.get(&change).map(|item| contents.number_change(item)),
            epoch: rows.get(&epoch).map(|item| contents.number(item)),
        }
    }
}

/// Decides as `Table::claim` and `Table::settle` do.
fn rejected(call: Call, reasons: &[Reason]) -> Rejected {
    let has_failed = |reason: &Reason| matches!(reason, Reason::ConditionFailed(_));
    if !reasons.iter().any(has_failed) {
        return Rejected::Invalid;
    }
    let Call::Claim(link, claim) = call else {
        return Rejected::Conditions;
    };
    if has_failed(&reasons[0]) {
        return Rejected::Used;
    }
    let Reason::ConditionFailed(epoch) = &reasons[1] else {
        panic!("{reasons:?}")
    };
    let epoch = epoch.as_deref().map(attributes);
    match claim_of(epoch.as_ref(), &issued(link), time(claim.at)) {
        Claim::Dead => Rejected::Ended,
        Claim::Busy { .. } => Rejected::Busy,
        Claim::Held => panic!("{reasons:?}"),
    }
}
