//! Compares the model's `DynamoDB` with one in this process, for the statements of the function protocol.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use super::bounds::UNDISTURBED;
use super::call::{ClaimId, DisownedAt, LinkId, Settled};
use super::clock::{LEASE, time};
use super::protocol::Protocol;
use crate::dynamodb::rows::{Item, Key, Rows, Value};
use crate::dynamodb::statement::{Statement, Write};
use crate::dynamodb::{Reason, transact};
use crate::names::{rekey_key, secret};
use crate::trial::{agree, dynamodb};

const LINK: LinkId = LinkId {
    number: 0,
    issued_at: 1,
};
const CLAIM: ClaimId = ClaimId { number: 0, at: 2 };

/// Returns epoch rows without a claim, and with a claim of link 0 or of another one.
fn epochs(key: &Key) -> Vec<Option<(Key, Arc<Item>)>> {
    let at = |tick: u8| Value::N(time(tick).as_millisecond());
    let row = |attributes: &[(&str, Value)]| {
        let mut row = Item::from([("pk".to_owned(), key.key.clone())]);
        row.extend(
            attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        Some((key.clone(), Arc::new(row)))
    };
    let claimed = |link: usize, ended_at: u8, previous_end: Option<u8>, until: u8| {
        let mut attributes = vec![
            ("ended_at", at(ended_at)),
            ("changing", Value::from_text(secret(link).hash().as_str())),
            ("changing_until", at(until)),
        ];
        attributes.extend(previous_end.map(|tick| ("previous_end", at(tick))));
        row(&attributes)
    };
    let until = CLAIM.at + LEASE;
    vec![
        None,
        row(&[]),
        row(&[("ended_at", at(0))]),
        row(&[("ended_at", at(LINK.issued_at))]),
        row(&[("ended_at", Value::from_text("2026-11-23T12:00:00Z"))]),
        claimed(0, CLAIM.at, Some(0), until),
        claimed(0, CLAIM.at, None, until),
        claimed(0, CLAIM.at + 1, Some(0), until),
        claimed(1, CLAIM.at, Some(LINK.issued_at), until),
        claimed(1, 0, Some(0), CLAIM.at),
    ]
}

fn statements(protocol: &Protocol) -> Vec<Vec<Statement>> {
    let claim = |at: u8| protocol.claim_statements(LINK, ClaimId { number: 0, at });
    let settled = [
        Settled::Done,
        Settled::NotDone,
        Settled::GivenBack,
        Settled::Disowned,
    ];
    let settlements = settled.map(|settled| protocol.settlement_statements(LINK, CLAIM, settled));
    let disowns = [DisownedAt::Tick(CLAIM.at), DisownedAt::After(CLAIM.at)];
    let disowns = disowns.map(|end| vec![protocol.disown_statement(end)]);
    let after_lease = CLAIM.at + LEASE + 1;
    let claims = [claim(CLAIM.at), claim(after_lease)].into_iter();
    claims.chain(settlements).chain(disowns).collect()
}

#[tokio::test]
async fn claims_and_settlements_have_the_same_outcome() {
    let client = dynamodb().await;
    let protocol = Protocol::new(UNDISTURBED, None);
    let [token, change, epoch] = protocol.keys(0);
    let mut stored = Rows::new();
    transact(&mut stored, &protocol.token_statement(LINK)).unwrap();
    let issued = stored[&token].clone();
    let claim = protocol.claim_statements(LINK, CLAIM);
    transact(&mut stored, &claim).unwrap();
    let open = stored[&change].clone();
    let mut settled = Item::clone(&open);
    settled.remove("settles_at").unwrap();
    let changes = [None, Some(open), Some(Arc::new(settled))];
    let (mut done, mut tried) = (0, 0);
    for epoch in epochs(&epoch) {
        for change_row in &changes {
            for token_row in [None, Some(issued.clone())] {
                let mut before = Rows::from_iter(epoch.clone());
                before.extend(change_row.clone().map(|row| (change.clone(), row)));
                before.extend(token_row.map(|row| (token.clone(), row)));
                for statements in statements(&protocol) {
                    done += usize::from(agree(&client, &before, &statements).await);
                    tried += 1;
                }
            }
        }
    }
    assert!(0 < done && done < tried, "{done} of {tried}");
}

/// Updates of a row's attributes `a` and `b`.
const UPDATES: [&str; 9] = [
    "SET b = a",
    "SET a = b, b = a",
    "SET a = if_not_exists(a, :ten)",
    "SET a = if_not_exists(b, a)",
    "SET b = if_not_exists(b, :ten), a = :ten",
    "SET a = :ten REMOVE b, c",
    "SET a = b REMOVE b",
    "SET c = :ten REMOVE a ADD b :ten",
    "REMOVE a, b",
];

/// Every form of an update, for rows with and without the attributes.
#[tokio::test]
async fn updates_have_the_same_outcome() {
    let client = dynamodb().await;
    let key = rekey_key("row");
    let row = |numbers: &[(&str, i64)]| {
        let mut row = Item::from([("pk".to_owned(), key.key.clone())]);
        row.extend(
            numbers
                .iter()
                .map(|(name, number)| ((*name).to_owned(), Value::N(*number))),
        );
        Rows::from([(key.clone(), Arc::new(row))])
    };
    let rows = [
        Rows::new(),
        row(&[]),
        row(&[("a", 1000)]),
        row(&[("b", 2000)]),
        row(&[("a", 1000), ("b", 2000), ("c", 3000)]),
    ];
    let mut invalid = 0;
    for before in &rows {
        for update in UPDATES {
            let uses_value = update.contains(":ten");
            let value = (":ten".to_owned(), AttributeValue::N("10".to_owned()));
            let statement = Statement {
                key: key.clone(),
                key_name: "pk",
                write: Write::Update(update.to_owned()),
                condition: None,
                names: HashMap::new(),
                values: uses_value.then_some(value).into_iter().collect(),
                returns_row: false,
            };
            agree(&client, before, std::slice::from_ref(&statement)).await;
            let outcome = transact(&mut before.clone(), &[statement]);
            invalid += usize::from(outcome == Err(vec![Reason::Invalid]));
        }
    }
    assert!(invalid > 0);
}
