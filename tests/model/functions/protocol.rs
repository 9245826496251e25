//! The product's statements, with a mutation.

use std::collections::{BTreeMap, HashMap};
use std::sync::RwLock;

use jiff::SignedDuration;
use rekey::email::Email;
use rekey::locale::Locale;
use rekey::request_id::RequestId;
use rekey::table::Table;
use rekey::table::claims::Settlement;
use rekey::table::epochs::epoch_key;
use rekey::table::rows::{CHANGE_PREFIX, PasswordChanged, TokenIssued};

use super::bounds::Bounds;
use super::call::{Call, ClaimId, DisownedAt, LinkId, Rejected, Settled};
use super::clock::{TICK, time};
use super::rows::{Contents, LinkRows};
use crate::dynamodb::rows::{Key, Value};
use crate::dynamodb::statement::{Statement, Write};
use crate::mutation::Mutation;
use crate::names::{ADA, ada, change_id, rekey_key, secret, token_key};

/// The model: the product's statements, and the bounds of the exploration.
pub(super) struct Protocol {
    table: Table,
    pub(super) bounds: Bounds,
    mutation: Option<Mutation>,
    pub(super) contents: RwLock<Contents>,
    pub(super) outcomes: RwLock<HashMap<(Call, LinkRows), Result<LinkRows, Rejected>>>,
}

impl Protocol {
    pub(super) fn new(bounds: Bounds, mutation: Option<Mutation>) -> Self {
        Self {
            table: crate::protocol::Protocol::new(crate::bounds::UNDISTURBED, None).table,
            bounds,
            mutation,
            contents: RwLock::default(),
            outcomes: RwLock::default(),
        }
    }

    pub(super) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Returns whether the mutation of this protocol changes a statement.
    pub(super) fn differs(&self) -> bool {
        let link = LinkId {
            number: 0,
            issued_at: 0,
        };
        let claim = ClaimId { number: 0, at: 0 };
        let statements = |protocol: &Self| {
            let mut statements = protocol.claim_statements(link, claim);
            for settled in [
                Settled::Done,
                Settled::NotDone,
                Settled::GivenBack,
                Settled::Disowned,
            ] {
                statements.extend(protocol.settlement_statements(link, claim, settled));
            }
            let words = |one: Statement| {
                let values: BTreeMap<_, _> = one.values.into_iter().collect();
                format!("{:?} {:?} {values:?}", one.condition, one.write)
            };
            statements.into_iter().map(words).collect::<Vec<_>>()
        };
        statements(self) != statements(&Self::new(self.bounds, None))
    }

    /// Returns the keys of a link's token, its change, and the user's epoch.
    #[expect(clippy::unused_self, reason = "the keys belong to the statements")]
    pub(super) fn keys(&self, link: usize) -> [Key; 3] {
        let change = format!("{CHANGE_PREFIX}{}", secret(link).hash().as_str());
        [
            token_key(link),
            rekey_key(&change),
            rekey_key(&epoch_key(&ada())),
        ]
    }

    pub(super) fn token_statement(&self, link: LinkId) -> Vec<Statement> {
        let token = secret(link.number).hash();
        let put = self.table.token_statement(&token, &issued(link));
        vec![Statement::from_put(put.build().unwrap())]
    }

    pub(super) fn claim_statements(&self, link: LinkId, claim: ClaimId) -> Vec<Statement> {
        let (token, issued) = (secret(link.number).hash(), issued(link));
        let changed = changed(&issued, claim);
        self.mutated(self.table.claim_statements(&token, &issued, &changed))
    }

    pub(super) fn settlement_statements(
        &self,
        link: LinkId,
        claim: ClaimId,
        settled: Settled,
    ) -> Vec<Statement> {
        let (token, issued) = (secret(link.number).hash(), issued(link));
        let changed = changed(&issued, claim);
        let settlement = match settled {
            Settled::Done => Settlement::Done,
            Settled::NotDone => Settlement::NotDone,
            Settled::GivenBack => Settlement::GivenBack,
            Settled::Disowned => {
                return self.mutated(self.table.disowned_statements(&token, &issued));
            }
        };
        let table = &self.table;
        self.mutated(table.settlement_statements(&token, &issued, &changed, settlement))
    }

    /// Returns the statement with which the owner ends all links.
    ///
    /// The product has no such statement yet. The end must be later than the one that a claim in the same millisecond
    /// has set. Otherwise the undoing of that claim would take back the disown, too.
    pub(super) fn disown_statement(&self, end: DisownedAt) -> Statement {
        let [_, _, key] = self.keys(0);
        let end = match end {
            DisownedAt::Tick(tick) => time(tick).as_millisecond(),
            DisownedAt::After(tick) => time(tick).as_millisecond() + 1,
        };
        let is_later = "attribute_not_exists(ended_at) OR ended_at < :end";
        let is_unconditional = self.has(Mutation::DisownAtAnyTime);
        Statement {
            key,
            key_name: "pk",
            write: Write::Update("SET ended_at = :end".to_owned()),
            condition: (!is_unconditional).then(|| is_later.to_owned()),
            names: HashMap::new(),
            values: HashMap::from([(":end".to_owned(), Value::N(end).to_attribute())]),
            returns_row: false,
        }
    }

    fn mutated(
        &self,
        statements: impl IntoIterator<Item = rekey::table::Statement>,
    ) -> Vec<Statement> {
        let built = statements
            .into_iter()
            .map(|statement| statement.build().unwrap());
        let mut statements: Vec<Statement> = built.map(Statement::from_sdk).collect();
        if let Some(mutation) = self.mutation {
            mutation.apply(&mut statements);
        }
        statements
    }
}

/// Returns the row of a token that `deliver` issues at a tick.
///
/// The address is irrelevant here: the directory checks it, not the table.
pub(super) fn issued(link: LinkId) -> TokenIssued {
    TokenIssued {
        user: ada(),
        email: Email::parse(ADA).unwrap(),
        issued_at: time(link.issued_at),
        expires_at: time(link.issued_at) + SignedDuration::from_hours(1),
        locale: Locale::default(),
    }
}

fn changed(issued: &TokenIssued, claim: ClaimId) -> PasswordChanged {
    let id = RequestId::parse(&change_id(claim.number)).unwrap();
    PasswordChanged::new(issued, id, time(claim.at)).unsettled()
}

#[test]
fn links_outlive_the_explorations() {
    assert!(TICK * 10 < SignedDuration::from_hours(1));
}
