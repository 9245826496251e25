//! The protocol as a state machine of one user, the stream, the application, and time.
//!
//! A handler has one step for each call that other events can precede. A transaction is one step, which also reads the
//! clock. In the product, some milliseconds pass between that reading and the commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use rekey::aws;
use rekey::config::Env;
use rekey::directory::{CHANGED_AT, Directory, Schema};
use rekey::email::Email;
use rekey::limits::{AddressLimits, Limit, Limits};
use rekey::locale::Locale;
use rekey::password_hash::PasswordHash;
use rekey::request_id::RequestId;
use rekey::source::Source;
use rekey::table::Table;
use rekey::table::epochs::epoch_key;
use rekey::table::links::{SentLinks, links_key};
use rekey::table::rows::{
    CHANGE_PREFIX, PasswordChanged, REQUEST_PREFIX, ResetRequested, TokenIssued,
};
use rekey::token::Token;
use rekey::user::UserKey;
use stateright::{Model, Property};

use crate::dynamodb::{self, Item, Key, Rows, Statement, Value, Write};
use crate::properties;

/// A tick of the clock: the longest of which the cooldown and the lifetime are multiples.
const TICK: SignedDuration = SignedDuration::from_mins(30);
/// The cooldown, in ticks.
pub(crate) const COOLDOWN: u8 = 1;
/// The lifetime of a link, in ticks: an hour, the default. At the same age, a record moves to the failure queue.
pub(crate) const LIFETIME: u8 = 2;

/// The bounds of the exploration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The last tick of the clock.
    pub(crate) ticks: u8,
    /// The maximum number of stored requests.
    pub(crate) requests: usize,
    /// The maximum number of concurrent resets.
    pub(crate) resets: usize,
    /// The maximum number of crashes and rejected calls.
    pub(crate) faults: u8,
    /// The maximum number of writes of the application to the user.
    pub(crate) writes: u8,
    /// The prefix of the keys whose expired rows `DynamoDB` may delete.
    pub(crate) expires: &'static str,
    /// The maximum number of live links of an address.
    pub(crate) live: u32,
    /// The number of links in a day after which only one may be live.
    pub(crate) daily: u32,
    /// The maximum number of requests of a source in an hour.
    pub(crate) source: u32,
}

/// A deliberate defect in the protocol, which a property must detect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Replaces a part of a condition or an update.
    Words(&'static str, &'static str),
    /// Replaces several parts.
    All(&'static [(&'static str, &'static str)]),
    /// Removes the puts of rows with this key prefix.
    NoPut(&'static str),
    /// Keeps a used token.
    NoDelete,
    /// Skips the check of the token before the transaction.
    NoPrecheck,
    /// Dates a change at the start of its request, as an earlier version did.
    TimeOfRequest,
    /// Lets the epoch row expire at once.
    NotKept,
    /// Counts links that a change ended toward the link limit.
    LimitWithoutEpoch,
    /// Counts a link toward the link limit before SES accepts its email.
    LimitBeforeEmail,
    /// Removes the link limit.
    NoLimit,
    /// Removes the daily limit of an address.
    NoDailyLimit,
    /// Sends another link for a request that already has one.
    NoSkip,
    /// Counts links in fixed windows, live or not, as an earlier version did.
    LimitByWindow,
}

/// The model: the product's statements, and the bounds of the exploration.
pub(crate) struct Protocol {
    table: Table,
    users: Directory,
    pub(crate) bounds: Bounds,
    mutation: Option<Mutation>,
    /// Caches of statements, because building them is most of the work.
    request_memo: Memo<(&'static str, usize, u8)>,
    redemption_memo: Memo<(Reset, usize, u8)>,
}

type Memo<K> = Mutex<HashMap<K, Arc<[Statement]>>>;

fn memoized<K: Eq + Hash>(
    memo: &Memo<K>,
    key: K,
    build: impl FnOnce() -> Vec<Statement>,
) -> Arc<[Statement]> {
    let mut memo = memo.lock().unwrap();
    Arc::clone(memo.entry(key).or_insert_with(|| build().into()))
}

/// The state of the system, and the history that the properties need.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) clock: u8,
    /// The rows of both tables.
    pub(crate) rows: Rows,
    /// The requests in the stream to `deliver`, in order.
    pub(crate) request_rows: Vec<Arc<Item>>,
    /// The changes in the stream to `notify`, in order.
    pub(crate) change_rows: Vec<Arc<Item>>,
    /// The request IDs of the records in the failure queue.
    pub(crate) failure_queue: BTreeSet<String>,
    /// The progress of `deliver`.
    pub(crate) delivery: Delivery,
    /// The user's item, as the application read it to write it back later.
    pub(crate) read: Option<Arc<Item>>,
    /// The resets between the check of their token and the transaction, sorted, since their order is irrelevant.
    pub(crate) resets: Vec<Reset>,
    pub(crate) faults: u8,
    pub(crate) writes: u8,
    /// The requests that were stored and got a 202.
    pub(crate) requests: Vec<StoredRequest>,
    /// All tokens, by number.
    pub(crate) tokens: Vec<MadeToken>,
    /// All changes of the password, in order.
    pub(crate) changes: Vec<Replacement>,
    /// The violations that single steps detected.
    pub(crate) flaws: BTreeSet<Flaw>,
}

/// The state of `deliver` before each of its calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Delivery {
    Idle,
    /// `deliver` read the clock and found the user.
    Found {
        now: u8,
    },
    /// The limits allow another link. `sent` are the earlier ones.
    Allowed {
        now: u8,
        sent: SentLinks,
    },
    /// `deliver` stored the token.
    Stored {
        token: usize,
        sent: SentLinks,
    },
    /// SES accepted the email.
    Sent {
        token: usize,
        sent: SentLinks,
    },
}

/// The state of a reset at the start of its transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reset {
    token: usize,
    issued: Arc<Item>,
    /// The time at which the reset started. Only a mutation uses it.
    began: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StoredRequest {
    pub(crate) email: &'static str,
    pub(crate) at: u8,
    pub(crate) end: Option<End>,
}

/// The end of a stored request, other than the failure queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Delivered,
    Expired,
    NoUser,
    /// The address has reached its link limit.
    Limited,
    /// A newer request for the address was in the same batch.
    Superseded,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MadeToken {
    /// The number of the token's request.
    request: usize,
    pub(crate) email: &'static str,
    pub(crate) issued_at: u8,
    /// Whether an email with the token was sent.
    pub(crate) is_sent: bool,
    /// Whether the link is stored as sent.
    is_recorded: bool,
    /// The number of times that the token set a password.
    pub(crate) uses: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Replacement {
    /// The time of the change, whatever the rows say.
    pub(crate) at: u8,
    pub(crate) by: By,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum By {
    Application,
    /// The application, which wrote back an item with this password that it had read earlier.
    PutBack(Value),
    /// Rekey, and whether the owner was notified.
    Token {
        token: usize,
        is_notified: bool,
    },
}

/// A violation that a single step can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Flaw {
    /// A token worked that was issued no later than the password was last replaced.
    Overtaken,
    /// A token worked that had expired.
    Late,
    /// A token worked for a user whose address had changed.
    OtherAddress,
    /// A token worked for a deleted user.
    Revived,
    /// A request below the rate limits was rejected.
    LimitedWithoutReason,
    /// The link limit stopped a request of a user without a valid link.
    LockedOut,
    /// A request whose link was stored as sent got another one.
    SentAgain,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    /// A caller requests a link.
    Request(&'static str),
    /// `deliver` receives the first record, reads the clock, and looks up the user.
    Find,
    /// The first record is in the same batch as a newer one of its row.
    Supersede,
    /// `deliver` reads the links that were sent earlier.
    Count,
    /// `deliver` stores a token.
    Store,
    /// `deliver` sends its email through SES.
    Send(Outcome),
    /// `deliver` stores the link as sent.
    Record(Recording),
    /// The first request moves to the failure queue.
    FailRequest,
    /// A user follows a link, and `change` queries its token.
    Follow(usize),
    /// `change` runs its transaction.
    Change(usize),
    /// `notify` sends its email through SES.
    Notify(Outcome),
    /// The first change moves to the failure queue.
    FailChange,
    /// The application sets the user's other address.
    ChangeAddress,
    /// The application replaces the password and sets `password_changed_at`.
    Replace,
    /// The application reads the user.
    Read,
    /// The application writes back the item that it read, and overwrites later changes.
    PutBack,
    /// The application deletes the user.
    Delete,
    /// `DynamoDB` deletes an expired row.
    Expire(Key),
}

/// The outcome of a call to SES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    /// SES rejects the email for now, and the stream redelivers the record.
    Rejected,
    /// SES accepts the email, but Lambda ends first, and the stream redelivers the record.
    SentAndCrashed,
}

/// The outcome of the write after an email.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recording {
    Stored,
    /// `DynamoDB` rejects the write.
    Rejected,
    /// The write succeeds, but another record of the batch fails, and the stream redelivers this one.
    StoredThenRedelivered,
}

pub(crate) const ADA: &str = "ada@example.com";
/// The address that the application sets for Ada. No user has it at first.
pub(crate) const COUNTESS: &str = "countess@example.com";

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
                _ => "password_hash",
            };
            Some(value.to_owned())
        };
        let schema = Schema::read(&mut Env::new(&schema)).unwrap();
        let dynamodb = aws::dynamodb(&sdk);
        Self {
            table: Table::new(dynamodb.clone(), "rekey".to_owned(), limits),
            users: Directory::new(dynamodb, schema),
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

    fn has(&self, mutation: Mutation) -> bool {
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

    fn mutated(
        &self,
        statements: impl IntoIterator<Item = rekey::table::Statement>,
    ) -> Vec<Statement> {
        let built = statements
            .into_iter()
            .map(|statement| statement.build().unwrap());
        let mut statements: Vec<Statement> = built.map(Statement::from_sdk).collect();
        match self.mutation {
            None
            | Some(
                Mutation::NoPrecheck
                | Mutation::TimeOfRequest
                | Mutation::LimitWithoutEpoch
                | Mutation::LimitBeforeEmail
                | Mutation::NoLimit
                | Mutation::NoDailyLimit
                | Mutation::NoSkip
                | Mutation::LimitByWindow,
            ) => {}
            Some(Mutation::NotKept) => {
                for statement in &mut statements {
                    if let Some(kept) = statement.values.get_mut(":kept") {
                        *kept = AttributeValue::N("0".to_owned());
                    }
                }
            }
            Some(Mutation::Words(from, to)) => reword(&mut statements, from, to),
            Some(Mutation::All(words)) => {
                for (from, to) in words {
                    reword(&mut statements, from, to);
                }
            }
            Some(Mutation::NoPut(prefix)) => statements.retain(|one| {
                let is_put = matches!(one.write, Write::Put(_));
                !(is_put && one.key.key.text().starts_with(prefix))
            }),
            Some(Mutation::NoDelete) => {
                statements.retain(|one| !matches!(one.write, Write::Delete));
            }
        }
        statements
    }
}

fn reword(statements: &mut [Statement], from: &str, to: &str) {
    for statement in statements {
        if let Some(condition) = &statement.condition {
            let condition = condition.replace(from, to);
            statement.condition = Some(condition).filter(|condition| !condition.is_empty());
        }
        if let Write::Update(update) = &statement.write {
            statement.write = Write::Update(update.replace(from, to));
        }
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

fn ada() -> UserKey {
    UserKey::Text("1".to_owned())
}

fn address(email: &str) -> &'static str {
    if email == ADA { ADA } else { COUNTESS }
}

pub(crate) fn time(tick: u8) -> Timestamp {
    let noon: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    noon + TICK * tick.into()
}

pub(crate) fn secret(token: usize) -> Token {
    Token::parse(&format!("{token:064x}")).unwrap()
}

pub(crate) fn hash_of(token: usize) -> String {
    format!("hash of the password for token {token}")
}

pub(crate) fn token_key(token: usize) -> Key {
    rekey_key(&format!("token#{}", secret(token).hash().as_str()))
}

fn rekey_key(key: &str) -> Key {
    Key {
        table: "rekey",
        key: Value::from_text(key),
    }
}

pub(crate) fn user_key() -> Key {
    Key {
        table: "users",
        key: Value::from_text("1"),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(item: &Item) -> T {
    serde_dynamo::from_item(dynamodb::attributes(item)).unwrap()
}

/// Returns the request ID of a row in the stream.
pub(crate) fn id_of(item: &Item) -> &str {
    item["request_id"].text()
}

pub(crate) fn request_id(request: usize) -> String {
    format!("request-{request}")
}

pub(crate) fn change_id(change: usize) -> String {
    format!("change-{change}")
}

impl State {
    pub(crate) fn user(&self) -> Option<&Item> {
        self.rows.get(&user_key()).map(AsRef::as_ref)
    }

    fn write_user(&mut self, attribute: &str, value: Value) {
        let row = self.rows.get_mut(&user_key()).unwrap();
        Arc::make_mut(row).insert(attribute.to_owned(), value);
    }

    /// Returns whether a request for the address must be accepted now. The cooldown must be over, and the source below
    /// its limit.
    fn must_accept(&self, email: &str, bounds: &Bounds) -> bool {
        let now = self.clock;
        let is_recent = |one: &&StoredRequest| one.email == email && one.at + COOLDOWN > now;
        let in_window = |one: &&StoredRequest| one.at / LIFETIME == now / LIFETIME;
        let in_this_window = self.requests.iter().filter(in_window).count();
        !self.requests.iter().any(|one| is_recent(&one)) && in_this_window < bounds.source as usize
    }

    /// Returns whether the stream has a newer request for the first one's address.
    fn has_newer_than_first(&self) -> bool {
        let mut emails = self.request_rows.iter().map(|row| row["email"].text());
        let first = emails.next();
        emails.any(|email| Some(email) == first)
    }

    /// Returns the number of the first request in the stream.
    fn first_request(&self) -> usize {
        let id = id_of(&self.request_rows[0]);
        let number = id.strip_prefix("request-").unwrap();
        number.parse().unwrap()
    }

    fn end(&mut self, end: End) {
        let request = self.first_request();
        self.requests[request].end = Some(end);
        self.request_rows.remove(0);
        self.delivery = Delivery::Idle;
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let user = [("id", "1"), ("email", ADA), ("password_hash", "old")];
        let user = user.map(|(name, value)| (name.to_owned(), Value::from_text(value)));
        vec![State {
            clock: 0,
            rows: BTreeMap::from([(user_key(), Arc::new(user.into()))]),
            request_rows: Vec::new(),
            change_rows: Vec::new(),
            failure_queue: BTreeSet::new(),
            delivery: Delivery::Idle,
            read: None,
            resets: Vec::new(),
            faults: 0,
            writes: 0,
            requests: Vec::new(),
            tokens: Vec::new(),
            changes: Vec::new(),
            flaws: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // A notice reads and writes no table, so its order among the other steps is irrelevant. Take it first.
        if !state.change_rows.is_empty() {
            return self.notice_actions(state, actions);
        }
        if state.clock < self.bounds.ticks {
            actions.push(Action::Tick);
        }
        if state.requests.len() < self.bounds.requests {
            actions.extend([Action::Request(ADA), Action::Request(COUNTESS)]);
        }
        self.stream_actions(state, actions);
        let sent_tokens = (0..state.tokens.len()).filter(|token| state.tokens[*token].is_sent);
        if state.resets.len() < self.bounds.resets {
            actions.extend(sent_tokens.map(Action::Follow));
        }
        actions.extend((0..state.resets.len()).map(Action::Change));
        if state.writes < self.bounds.writes && state.user().is_some() {
            actions.extend([Action::ChangeAddress, Action::Replace, Action::Delete]);
            match state.read {
                // A read after a change would return the current item, so it adds no state.
                None if state.changes.is_empty() => actions.push(Action::Read),
                None => {}
                Some(_) => actions.push(Action::PutBack),
            }
        }
        let now = Value::N(time(state.clock).as_millisecond());
        let expired = state.rows.iter().filter(|(_, row)| {
            row.get("expires_at")
                .is_some_and(|expires_at| *expires_at <= now)
        });
        let expired = expired.filter(|(key, _)| key.key.text().starts_with(self.bounds.expires));
        actions.extend(expired.map(|(key, _)| Action::Expire(key.clone())));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::Tick => next.clock += 1,
            Action::Request(email) => self.request(&mut next, email),
            Action::Find => find(&mut next),
            Action::Supersede => next.end(End::Superseded),
            Action::Count => self.count(&mut next),
            Action::Store => self.store(&mut next),
            Action::Send(outcome) => send(&mut next, outcome),
            Action::Record(recording) => self.record(&mut next, recording),
            Action::FailRequest => {
                let failed = next.request_rows.remove(0);
                next.failure_queue.insert(id_of(&failed).to_owned());
            }
            Action::Follow(token) => self.follow(&mut next, token),
            Action::Change(reset) => self.change(&mut next, reset),
            Action::Notify(outcome) => notify(&mut next, outcome),
            Action::FailChange => {
                let failed = next.change_rows.remove(0);
                next.failure_queue.insert(id_of(&failed).to_owned());
                next.faults += 1;
            }
            Action::ChangeAddress
            | Action::Replace
            | Action::Read
            | Action::PutBack
            | Action::Delete => apply_application_action(&mut next, &action)?,
            Action::Expire(key) => {
                next.rows.remove(&key);
            }
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

/// Applies an action of the application. Returns `None` if the item to write to is missing.
fn apply_application_action(state: &mut State, action: &Action) -> Option<()> {
    match action {
        Action::ChangeAddress => {
            let is_ada = state.user()?["email"].text() == ADA;
            let other = if is_ada { COUNTESS } else { ADA };
            state.write_user("email", Value::from_text(other));
            state.writes += 1;
        }
        Action::Replace => {
            state.write_user("password_hash", Value::from_text("the application's"));
            state.write_user(CHANGED_AT, Value::N(time(state.clock).as_millisecond()));
            state.changes.push(Replacement {
                at: state.clock,
                by: By::Application,
            });
            state.writes += 1;
        }
        Action::Read => state.read = state.rows.get(&user_key()).cloned(),
        Action::PutBack => {
            let item = state.read.take()?;
            let password = item["password_hash"].clone();
            state.rows.insert(user_key(), item);
            state.changes.push(Replacement {
                at: state.clock,
                by: By::PutBack(password),
            });
            state.writes += 1;
        }
        Action::Delete => {
            state.rows.remove(&user_key());
            state.writes += 1;
        }
        other => panic!("{other:?}"),
    }
    Some(())
}

impl Protocol {
    fn stream_actions(&self, state: &State, actions: &mut Vec<Action>) {
        match state.delivery {
            Delivery::Idle if !state.request_rows.is_empty() => {
                actions.push(Action::Find);
                if state.has_newer_than_first() {
                    actions.push(Action::Supersede);
                }
                let request = &state.requests[state.first_request()];
                if state.clock >= request.at + LIFETIME {
                    actions.push(Action::FailRequest);
                }
            }
            Delivery::Idle => {}
            Delivery::Found { .. } => actions.push(Action::Count),
            Delivery::Allowed { .. } => actions.push(Action::Store),
            Delivery::Stored { .. } => {
                actions.push(Action::Send(Outcome::Sent));
                if state.faults < self.bounds.faults {
                    actions.push(Action::Send(Outcome::Rejected));
                    actions.push(Action::Send(Outcome::SentAndCrashed));
                }
            }
            Delivery::Sent { .. } => {
                actions.push(Action::Record(Recording::Stored));
                if state.faults < self.bounds.faults {
                    actions.push(Action::Record(Recording::Rejected));
                    actions.push(Action::Record(Recording::StoredThenRedelivered));
                }
            }
        }
    }

    /// Adds the possible outcomes of a notice.
    fn notice_actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Notify(Outcome::Sent));
        if state.faults < self.bounds.faults {
            // In the product, a notice moves there after a day. The model allows it at once, which covers more orders.
            actions.push(Action::FailChange);
            actions.push(Action::Notify(Outcome::SentAndCrashed));
        }
    }

    fn request(&self, state: &mut State, email: &'static str) {
        let (now, number) = (state.clock, state.requests.len());
        let statements = memoized(&self.request_memo, (email, number, now), || {
            self.request_statements(email, number, now)
        });
        if dynamodb::transact(&mut state.rows, &statements).is_err() {
            if state.must_accept(email, &self.bounds) {
                state.flaws.insert(Flaw::LimitedWithoutReason);
            }
            return;
        }
        state
            .request_rows
            .extend(streamed(&statements, REQUEST_PREFIX));
        state.requests.push(StoredRequest {
            email,
            at: state.clock,
            end: None,
        });
    }

    /// Reads the links and the epoch. Both are one step, because only `deliver` writes the links.
    fn count(&self, state: &mut State) {
        let Delivery::Found { now } = state.delivery else {
            panic!("{:?}", state.delivery)
        };
        let requested: ResetRequested = parsed(&state.request_rows[0]);
        let email = requested.email.as_str();
        let read = |key: String| state.rows.get(&rekey_key(&key)).map(AsRef::as_ref);
        let links = read(links_key(&ada(), &requested.email));
        let links = links.filter(|_| !self.has(Mutation::NoLimit));
        let epoch = read(epoch_key(&ada()));
        let epoch = epoch.filter(|_| !self.has(Mutation::LimitWithoutEpoch));
        let sent: SentLinks = links.map(parsed).unwrap_or_default();
        // As in the product, an unreadable row counts as missing.
        let epoch = epoch.and_then(|row| serde_dynamo::from_item(dynamodb::attributes(row)).ok());
        let sent = sent.since(epoch);
        if sent.has_link_for(requested.requested_at) && !self.has(Mutation::NoSkip) {
            return state.end(End::Delivered);
        }
        let is_allowed = if self.has(Mutation::LimitByWindow) {
            let window = |at: u8| at / LIFETIME;
            let is_in_window =
                |made: &&MadeToken| made.email == email && window(made.issued_at) == window(now);
            state.tokens.iter().filter(is_in_window).count() < self.bounds.live as usize
        } else {
            let mut limits = self.table.limits().address;
            if self.has(Mutation::NoDailyLimit) {
                limits.daily = u32::MAX;
            }
            sent.allow_another(&limits, time(now))
        };
        if is_allowed {
            state.delivery = Delivery::Allowed { now, sent };
        } else {
            if !self.has_working_link(state, email, now) {
                state.flaws.insert(Flaw::LockedOut);
            }
            state.end(End::Limited);
        }
    }

    /// Returns whether a link that was sent to the address can set a password now, by the product's statements.
    ///
    /// This ignores what the application did to the user, since `deliver` does not read it. Links that the application
    /// ended count as live until they expire.
    fn has_working_link(&self, state: &State, email: &str, now: u8) -> bool {
        let has_application_ended_links = state
            .changes
            .iter()
            .any(|one| matches!(one.by, By::Application));
        let has_address = state
            .user()
            .is_some_and(|user| user["email"].text() == email);
        if has_application_ended_links || !has_address {
            return true;
        }
        let tokens = state.tokens.iter().enumerate();
        let mut sent_tokens = tokens.filter(|(_, made)| made.is_sent && made.email == email);
        sent_tokens.any(|(token, made)| {
            let issued = issued(made.issued_at, email);
            let redemption = self.redemption_statements(token, &issued, state.changes.len(), now);
            dynamodb::transact(&mut state.rows.clone(), &redemption).is_ok()
        })
    }

    fn store(&self, state: &mut State) {
        let Delivery::Allowed { now, sent } =
            std::mem::replace(&mut state.delivery, Delivery::Idle)
        else {
            panic!("{:?}", state.delivery)
        };
        let requested: ResetRequested = parsed(&state.request_rows[0]);
        let email = address(requested.email.as_str());
        let issued = issued(now, email);
        let token = state.tokens.len();
        dynamodb::transact(&mut state.rows, &self.token_statement(token, &issued)).unwrap();
        if self.has(Mutation::LimitBeforeEmail) {
            let sent = sent.with(&issued, requested.requested_at);
            dynamodb::transact(&mut state.rows, &self.links_statement(&issued, &sent)).unwrap();
        }
        let request = state.first_request();
        let is_recorded = |made: &MadeToken| made.request == request && made.is_recorded;
        if state.tokens.iter().any(is_recorded) {
            state.flaws.insert(Flaw::SentAgain);
        }
        state.tokens.push(MadeToken {
            request,
            email,
            issued_at: now,
            is_sent: false,
            is_recorded: false,
            uses: 0,
        });
        state.delivery = Delivery::Stored { token, sent };
    }

    /// Stores the link as sent, so that it counts. If the write fails, the user has the link all the same.
    fn record(&self, state: &mut State, recording: Recording) {
        let Delivery::Sent { token, sent } = std::mem::replace(&mut state.delivery, Delivery::Idle)
        else {
            panic!("{:?}", state.delivery)
        };
        if recording == Recording::Rejected {
            state.faults += 1;
            return state.end(End::Delivered);
        }
        let made = &mut state.tokens[token];
        made.is_recorded = true;
        let issued = issued(made.issued_at, made.email);
        let requested: ResetRequested = parsed(&state.request_rows[0]);
        let sent = sent.with(&issued, requested.requested_at);
        dynamodb::transact(&mut state.rows, &self.links_statement(&issued, &sent)).unwrap();
        if recording == Recording::StoredThenRedelivered {
            state.faults += 1;
        } else {
            state.end(End::Delivered);
        }
    }

    /// Returns the statement that stores the links that were sent.
    fn links_statement(&self, issued: &TokenIssued, sent: &SentLinks) -> Vec<Statement> {
        let put = self.table.links_statement(issued, sent).build().unwrap();
        vec![Statement::from_put(put)]
    }

    fn follow(&self, state: &mut State, token: usize) {
        let Some(row) = state.rows.get(&token_key(token)) else {
            return;
        };
        let issued: TokenIssued = parsed(row);
        // The link contains the address that it was sent to.
        let is_valid = issued.is_valid_for(&issued.email, time(state.clock));
        if !is_valid && !self.has(Mutation::NoPrecheck) {
            return;
        }
        let began = self.has(Mutation::TimeOfRequest).then_some(state.clock);
        state.resets.push(Reset {
            token,
            issued: Arc::clone(row),
            began,
        });
        state.resets.sort();
    }

    fn change(&self, state: &mut State, reset: usize) {
        let reset = state.resets.remove(reset);
        let (token, number) = (reset.token, state.changes.len());
        let now = reset.began.unwrap_or(state.clock);
        let issued: TokenIssued = parsed(&reset.issued);
        let address = issued.email.as_str().to_owned();
        let statements = memoized(&self.redemption_memo, (reset, number, now), || {
            self.redemption_statements(token, &issued, number, now)
        });
        let before = state.user().cloned();
        if dynamodb::transact(&mut state.rows, &statements).is_err() {
            return;
        }
        let made = &mut state.tokens[token];
        made.uses += 1;
        let flaws = [
            (Flaw::Late, made.issued_at + LIFETIME <= state.clock),
            (
                Flaw::Overtaken,
                is_overtaken(&state.changes, made.issued_at),
            ),
            (Flaw::Revived, before.is_none()),
            (
                Flaw::OtherAddress,
                before.is_some_and(|user| user["email"].text() != address),
            ),
        ];
        let present = flaws.into_iter().filter(|(_, is_present)| *is_present);
        state.flaws.extend(present.map(|(flaw, _)| flaw));
        state
            .change_rows
            .extend(streamed(&statements, CHANGE_PREFIX));
        state.changes.push(Replacement {
            at: state.clock,
            by: By::Token {
                token,
                is_notified: false,
            },
        });
    }
}

/// Returns whether a change has ended the links issued at a time.
///
/// If the application puts back an old item, it reverts its own change, which Rekey cannot detect. It does not revert a
/// change by a link.
pub(crate) fn is_overtaken(changes: &[Replacement], issued_at: u8) -> bool {
    let is_put_back = |one: &Replacement| matches!(one.by, By::PutBack(_));
    let last = changes.iter().rposition(is_put_back);
    changes.iter().enumerate().any(|(number, one)| {
        one.at >= issued_at
            && match one.by {
                By::Token { .. } => true,
                By::Application => last.is_none_or(|last| last < number),
                By::PutBack(_) => false,
            }
    })
}

/// Returns the new rows that the stream delivers to the half with this key prefix.
fn streamed(statements: &[Statement], prefix: &str) -> Vec<Arc<Item>> {
    let images = statements.iter().filter_map(|statement| {
        let is_of_half =
            statement.key.table == "rekey" && statement.key.key.text().starts_with(prefix);
        match &statement.write {
            Write::Put(item) if is_of_half => Some(Arc::clone(item)),
            _ => None,
        }
    });
    images.collect()
}

fn find(state: &mut State) {
    let requested: ResetRequested = parsed(&state.request_rows[0]);
    let now = state.clock;
    if requested.has_expired(TICK * LIFETIME.into(), time(now)) {
        return state.end(End::Expired);
    }
    let is_owner = |user: &Item| user["email"].text() == requested.email.as_str();
    if state.user().is_some_and(is_owner) {
        state.delivery = Delivery::Found { now };
    } else {
        state.end(End::NoUser);
    }
}

fn send(state: &mut State, outcome: Outcome) {
    let Delivery::Stored { token, sent } = std::mem::replace(&mut state.delivery, Delivery::Idle)
    else {
        panic!("{:?}", state.delivery)
    };
    state.tokens[token].is_sent = outcome != Outcome::Rejected;
    if outcome == Outcome::Sent {
        state.delivery = Delivery::Sent { token, sent };
    } else {
        state.faults += 1;
    }
}

fn notify(state: &mut State, outcome: Outcome) {
    let change = id_of(&state.change_rows[0])
        .strip_prefix("change-")
        .unwrap();
    let change: usize = change.parse().unwrap();
    if let By::Token { is_notified, .. } = &mut state.changes[change].by {
        *is_notified = true;
    }
    if outcome == Outcome::Sent {
        state.change_rows.remove(0);
    } else {
        state.faults += 1;
    }
}
