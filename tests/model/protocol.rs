//! The product's statements, with a mutation.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, SdkConfig};
use jiff::SignedDuration;
use rekey::aws;
use rekey::config::Env;
use rekey::directory::schema::Schema;
use rekey::directory::users_table::UsersTable;
use rekey::email::Email;
use rekey::limits::{AddressLimits, Limit, Limits};
use rekey::locale::Locale;
use rekey::password_hash::PasswordHash;
use rekey::request_id::RequestId;
use rekey::source::Source;
use rekey::table::Table;
use rekey::table::links::SentLinks;
use rekey::table::rows::{PasswordChanged, ResetRequested, TokenIssued};

use crate::bounds::Bounds;
use crate::clock::{COOLDOWN, LIFETIME, TICK, time};
use crate::dynamodb::statement::Statement;
use crate::mutation::Mutation;
use crate::names::{ADA, ada, change_id, hash_of, request_id, secret};
use crate::state::Reset;

/// The model: the product's statements, and the bounds of the exploration.
pub(crate) struct Protocol {
    pub(crate) table: Table,
    users: UsersTable,
    pub(crate) bounds: Bounds,
    mutation: Option<Mutation>,
    /// Caches of statements, because building them is most of the work.
    pub(crate) request_memo: Memo<(&'static str, usize, u8)>,
    pub(crate) redemption_memo: Memo<(Reset, usize, u8)>,
}

pub(crate) type Memo<K> = Mutex<HashMap<K, Arc<[Statement]>>>;

pub(crate) fn memoized<K: Eq + Hash>(
    memo: &Memo<K>,
    key: K,
    build: impl FnOnce() -> Vec<Statement>,
) -> Arc<[Statement]> {
    let mut memo = memo.lock().unwrap();
    Arc::clone(memo.entry(key).or_insert_with(|| build().into()))
}

impl Protocol {
    pub(crate) fn new(bounds: Bounds, mutation: Option<Mutation>) -> Self {
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .build();
        let limits = Limits {
            cooldown: TICK * COOLDOWN.into(),
            source: Limit {
                max: bounds.source,
                window: SignedDuration::from_hours(1),
            },
            address: AddressLimits {
                live: bounds.live,
                daily: bounds.daily,
            },
            daily_emails: Limit {
                max: 1000,
                window: SignedDuration::from_hours(24),
            },
        };
        let schema = |name: &str| {
            let value = match name {
                "USERS_TABLE" => "users",
                "USERS_KEY_ATTRIBUTE" => "id",
                "USERS_EMAIL_ATTRIBUTE" => "email",
                "USERS_EMAIL_INDEX" => "email-index",
                "USERS_PASSWORD_ATTRIBUTE" => "password_hash",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let schema = Schema::read(&mut Env::new(&schema)).unwrap();
        let dynamodb = aws::dynamodb(&sdk);
        Self {
            table: Table::new(dynamodb.clone(), "rekey".to_owned(), limits),
            users: UsersTable::new(dynamodb, schema),
            bounds,
            mutation,
            request_memo: Memo::default(),
            redemption_memo: Memo::default(),
        }
    }

    /// Returns whether the mutation of this protocol changes a statement.
    pub(crate) fn differs(&self) -> bool {
        let issued = issued(0, ADA);
        let statements = |protocol: &Self| {
            let mut statements = protocol.request_statements(ADA, 0, 0);
            statements.extend(protocol.redemption_statements(0, &issued, 0, 0));
            let words = |one: Statement| {
                let values: BTreeMap<_, _> = one.values.into_iter().collect();
                format!("{:?} {:?} {values:?}", one.condition, one.write)
            };
            statements.into_iter().map(words).collect::<Vec<_>>()
        };
        statements(self) != statements(&Self::new(self.bounds, None))
    }

    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Returns the statements of a request.
    pub(crate) fn request_statements(&self, email: &str, number: usize, now: u8) -> Vec<Statement> {
        let requested = ResetRequested {
            email: Email::parse(email).unwrap(),
            reset_url: "https://app.example.com/password/reset".to_owned(),
            locale: Locale::default(),
            request_id: RequestId::parse(&request_id(number)).unwrap(),
            requested_at: time(now),
        };
        let source = Source::parse(Some("192.0.2.1"));
        let statements = self
            .table
            .request_statements(&requested, &source, time(now));
        self.mutated(statements)
    }

    /// Returns the statements that use a token, for the change with this number.
    pub(crate) fn redemption_statements(
        &self,
        token: usize,
        issued: &TokenIssued,
        number: usize,
        now: u8,
    ) -> Vec<Statement> {
        let (users, now) = (&self.users, time(now));
        let hash = PasswordHash::new(hash_of(token));
        let password = users.password_statement(issued, &hash, now);
        let id = RequestId::parse(&change_id(number)).unwrap();
        let changed = PasswordChanged::new(issued, id, now);
        let token = secret(token).hash();
        let statements = self
            .table
            .redemption_statements(&token, issued, password, &changed);
        self.mutated(statements)
    }

    /// Returns the statement that stores a token.
    pub(crate) fn token_statement(&self, token: usize, issued: &TokenIssued) -> Vec<Statement> {
        let put = self
            .table
            .token_statement(&secret(token).hash(), issued)
            .build()
            .unwrap();
        vec![Statement::from_put(put)]
    }

    /// Returns the statement that stores the links that were sent.
    pub(crate) fn links_statement(&self, issued: &TokenIssued, sent: &SentLinks) -> Vec<Statement> {
        let put = self.table.links_statement(issued, sent).build().unwrap();
        vec![Statement::from_put(put)]
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
pub(crate) fn issued(now: u8, email: &str) -> TokenIssued {
    TokenIssued {
        user: ada(),
        email: Email::parse(email).unwrap(),
        issued_at: time(now),
        expires_at: time(now) + TICK * LIFETIME.into(),
        locale: Locale::default(),
    }
}
