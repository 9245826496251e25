//! The protocol as a state machine: one user, who asks and follows links; the stream; the application; time.
//!
//! A handler is as many steps as it has calls that others can come between. A transaction is one step, and the clock
//! is read in it: between that reading and the commit lie some milliseconds, and here nothing.

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

/// A tick of the clock: the longest that makes both the cooldown and the lifetime whole.
const TICK: SignedDuration = SignedDuration::from_mins(30);
/// The cooldown, in ticks.
pub(crate) const COOLDOWN: u8 = 1;
/// How long a link lives, in ticks: an hour, as by default. A record of the stream is given up at the same age.
pub(crate) const LIFETIME: u8 = 2;

/// How far to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The last tick of the clock.
    pub(crate) ticks: u8,
    /// Requests that are written down.
    pub(crate) requests: usize,
    /// Resets at the same time.
    pub(crate) resets: usize,
    /// Crashes and refusals that leave something behind.
    pub(crate) troubles: u8,
    /// Writes of the application to the user.
    pub(crate) writes: u8,
    /// How the keys begin of rows that `DynamoDB` may delete when they have expired.
    pub(crate) expires: &'static str,
    /// How many links to an address may be alive at a time.
    pub(crate) live: u32,
    /// After how many links in a day only one may be.
    pub(crate) daily: u32,
    /// How often a source may ask in an hour.
    pub(crate) source: u32,
}

/// How the protocol differs from the product's, to see that this is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A part of a condition or of an update has other words.
    Words(&'static str, &'static str),
    /// Several of these.
    All(&'static [(&'static str, &'static str)]),
    /// A transaction has no put of rows whose keys begin so.
    NoPut(&'static str),
    /// A token is not deleted.
    NoDelete,
    /// A token that is found is not looked at before the transaction.
    NoLook,
    /// A change has the time at which its request began, as it once was.
    TimeOfRequest,
    /// The epoch row is gone as soon as `DynamoDB` may delete it, and that is at once.
    NotKept,
    /// The limit of an address does not know that a change ended links.
    LimitWithoutEpoch,
    /// The limit of an address counts a link before SES has its email.
    LimitBeforeEmail,
    /// The limit of an address counts no link.
    NoLimit,
    /// An address has no daily limit.
    NoDailyLimit,
    /// A request that has its link gets another one.
    NoSkip,
    /// The limit of an address counts links in fixed windows, live or not, as it once did.
    LimitByWindow,
}

/// The model: the product's statements, and how far to look.
pub(crate) struct Protocol {
    table: Table,
    users: Directory,
    pub(crate) bounds: Bounds,
    mutation: Option<Mutation>,
    /// Statements that were built before: building is most of the work.
    admissions: Memo<(&'static str, usize, u8)>,
    redemptions: Memo<(Reset, usize, u8)>,
}

type Memo<K> = Mutex<HashMap<K, Arc<[Statement]>>>;

fn remembered<K: Eq + Hash>(
    memo: &Memo<K>,
    key: K,
    build: impl FnOnce() -> Vec<Statement>,
) -> Arc<[Statement]> {
    let mut memo = memo.lock().unwrap();
    Arc::clone(memo.entry(key).or_insert_with(|| build().into()))
}

/// Everything that is, and what of the past the properties speak of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) clock: u8,
    /// Both tables.
    pub(crate) rows: Rows,
    /// Requests on their way to `deliver`, in order.
    pub(crate) asked: Vec<Arc<Item>>,
    /// Changes on their way to `notify`, in order.
    pub(crate) changed: Vec<Arc<Item>>,
    /// Request ids of what was given up.
    pub(crate) failures: BTreeSet<String>,
    /// Where `deliver` is.
    pub(crate) delivery: Delivery,
    /// The user's item, as the application read it to write it back later.
    pub(crate) read: Option<Arc<Item>>,
    /// Resets between the look at their token and the transaction, sorted: which is which does not matter.
    pub(crate) resets: Vec<Reset>,
    pub(crate) troubles: u8,
    pub(crate) writes: u8,
    /// What was written down and answered with 202.
    pub(crate) requests: Vec<Admitted>,
    /// All tokens that were made, by number.
    pub(crate) tokens: Vec<Made>,
    /// All replacements of the password, in order.
    pub(crate) changes: Vec<Replaced>,
    /// What must never happen, and did.
    pub(crate) flaws: BTreeSet<Flaw>,
}

/// What `deliver` knows at each of its calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Delivery {
    Idle,
    /// The user is found; the time was read before.
    Found {
        now: u8,
    },
    /// Another link may be sent. These were sent before.
    Allowed {
        now: u8,
        sent: SentLinks,
    },
    /// The token is stored.
    Stored {
        token: usize,
        sent: SentLinks,
    },
    /// SES has the email.
    Sent {
        token: usize,
        sent: SentLinks,
    },
}

/// What a reset knows when it begins its transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reset {
    token: usize,
    issued: Arc<Item>,
    /// When it began. Only a mutation looks at it.
    began: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Admitted {
    pub(crate) email: &'static str,
    pub(crate) at: u8,
    pub(crate) end: Option<End>,
}

/// How a request that was written down can end, besides in the failure queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Delivered,
    Expired,
    Nobodys,
    /// The address has enough live links.
    HeldBack,
    /// A newer request for the address was in the same batch.
    Superseded,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Made {
    /// The number of the request that it answers.
    request: usize,
    pub(crate) email: &'static str,
    pub(crate) issued_at: u8,
    /// Whether a mail with it has left.
    pub(crate) is_mailed: bool,
    /// Whether it is stored that the link was sent.
    is_recorded: bool,
    pub(crate) worked: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Replaced {
    /// When it happened, whatever was written down of it.
    pub(crate) at: u8,
    pub(crate) by: By,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum By {
    Application,
    /// The application, which wrote back an item that it had read before, with this password.
    PutBack(Value),
    /// Rekey, and whether the owner was told.
    Token {
        token: usize,
        is_told: bool,
    },
}

/// What a single step can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Flaw {
    /// A token worked that was issued no later than the password was last replaced.
    Overtaken,
    /// A token worked that had expired.
    Late,
    /// A token worked for a user who had another address by then.
    OtherAddress,
    /// A token worked for a user who was no more.
    Revived,
    /// Somebody was held back without reason.
    HeldBack,
    /// A user was held back who has no link that works.
    LockedOut,
    /// A request whose link was stored as sent got another one.
    SentAgain,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    /// Somebody asks for a link.
    Ask(&'static str),
    /// `deliver` gets the first record, reads the clock, and looks the user up.
    Find,
    /// The first record is in one batch with a newer one of its row.
    Supersede,
    /// `deliver` reads which links were sent before.
    Count,
    /// `deliver` stores a token.
    Store,
    /// `deliver` hands its mail to SES.
    Mail(Outcome),
    /// `deliver` adds the link to those that were sent.
    Record(Recording),
    /// The stream gives the first request up.
    GiveUpRequest,
    /// Somebody follows a link: `change` looks its token up.
    Follow(usize),
    /// `change` does its transaction.
    Change(usize),
    /// `notify` hands its mail to SES.
    Notify(Outcome),
    /// The stream gives the first change up.
    GiveUpChange,
    /// The application gives the user the other address.
    Readdress,
    /// The application replaces the password, and says so.
    Replace,
    /// The application reads the user.
    Read,
    /// The application writes back what it read, whatever has changed since.
    PutBack,
    /// The application deletes the user.
    Delete,
    /// DynamoDB deletes an expired row.
    Expire(Key),
}

/// How a call to SES can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    /// It does not work now: the record comes again.
    Refused,
    /// It worked, and Lambda ends before the stream knows: the record comes again.
    SentAndCrashed,
}

/// How the write after an email can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recording {
    Stored,
    /// `DynamoDB` refuses.
    Refused,
    /// It worked, and another record of the batch failed: this one comes again.
    StoredAndAgain,
}

pub(crate) const ADA: &str = "ada@example.com";
/// The address that the application gives to Ada. It is nobody's before.
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
            admissions: Memo::default(),
            redemptions: Memo::default(),
        }
    }

    /// Whether the mutation of this protocol does change a statement.
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

    /// The statements of somebody asking.
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

    /// The statements of a token being used, for the change of this number.
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

    /// The statement of a token being stored.
    pub(crate) fn token_statement(&self, token: usize, issued: &TokenIssued) -> Vec<Statement> {
        let put = self
            .table
            .token_statement(&secret(token).hash(), issued)
            .build()
            .unwrap();
        vec![Statement::of_put(put)]
    }

    fn mutated(
        &self,
        statements: impl IntoIterator<Item = rekey::table::Statement>,
    ) -> Vec<Statement> {
        let built = statements
            .into_iter()
            .map(|statement| statement.build().unwrap());
        let mut statements: Vec<Statement> = built.map(Statement::of).collect();
        match self.mutation {
            None
            | Some(
                Mutation::NoLook
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

/// What `deliver` writes down for a token, at a tick.
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
    format!("the hash of the password that came with token {token}")
}

pub(crate) fn token_key(token: usize) -> Key {
    rekey_key(&format!("token#{}", secret(token).hash().as_str()))
}

fn rekey_key(key: &str) -> Key {
    Key {
        table: "rekey",
        key: Value::text_of(key),
    }
}

pub(crate) fn user_key() -> Key {
    Key {
        table: "users",
        key: Value::text_of("1"),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(item: &Item) -> T {
    serde_dynamo::from_item(dynamodb::attributes(item)).unwrap()
}

/// The request id of a row that the stream brings.
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

    /// Whether a request for the address has a right to be written down now: none is cooling, and the source has not asked
    /// too often.
    fn may_ask(&self, email: &str, bounds: &Bounds) -> bool {
        let now = self.clock;
        let cools = |one: &&Admitted| one.email == email && one.at + COOLDOWN > now;
        let in_window = |one: &&Admitted| one.at / LIFETIME == now / LIFETIME;
        let of_all = self.requests.iter().filter(in_window).count();
        !self.requests.iter().any(|one| cools(&one)) && of_all < bounds.source as usize
    }

    /// Whether a newer request for the first one's address is on its way.
    fn is_first_asked_again(&self) -> bool {
        let mut asked = self.asked.iter().map(|row| row["email"].text());
        let first = asked.next();
        asked.any(|email| Some(email) == first)
    }

    /// The number of the first request on its way.
    fn first_asked(&self) -> usize {
        let id = id_of(&self.asked[0]);
        let number = id.strip_prefix("request-").unwrap();
        number.parse().unwrap()
    }

    fn end(&mut self, end: End) {
        let request = self.first_asked();
        self.requests[request].end = Some(end);
        self.asked.remove(0);
        self.delivery = Delivery::Idle;
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let user = [("id", "1"), ("email", ADA), ("password_hash", "old")];
        let user = user.map(|(name, value)| (name.to_owned(), Value::text_of(value)));
        vec![State {
            clock: 0,
            rows: BTreeMap::from([(user_key(), Arc::new(user.into()))]),
            asked: Vec::new(),
            changed: Vec::new(),
            failures: BTreeSet::new(),
            delivery: Delivery::Idle,
            read: None,
            resets: Vec::new(),
            troubles: 0,
            writes: 0,
            requests: Vec::new(),
            tokens: Vec::new(),
            changes: Vec::new(),
            flaws: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // A notice reads no table and writes none. So its place among the other steps does not matter: it is the next.
        if !state.changed.is_empty() {
            return self.actions_of_a_notice(state, actions);
        }
        if state.clock < self.bounds.ticks {
            actions.push(Action::Tick);
        }
        if state.requests.len() < self.bounds.requests {
            actions.extend([Action::Ask(ADA), Action::Ask(COUNTESS)]);
        }
        self.actions_of_the_stream(state, actions);
        let mailed = (0..state.tokens.len()).filter(|token| state.tokens[*token].is_mailed);
        if state.resets.len() < self.bounds.resets {
            actions.extend(mailed.map(Action::Follow));
        }
        actions.extend((0..state.resets.len()).map(Action::Change));
        if state.writes < self.bounds.writes && state.user().is_some() {
            actions.extend([Action::Readdress, Action::Replace, Action::Delete]);
            match state.read {
                // What it reads after a change has no more in it than what is there.
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
            Action::Ask(email) => self.ask(&mut next, email),
            Action::Find => find(&mut next),
            Action::Supersede => next.end(End::Superseded),
            Action::Count => self.count(&mut next),
            Action::Store => self.store(&mut next),
            Action::Mail(outcome) => mail(&mut next, outcome),
            Action::Record(recording) => self.record(&mut next, recording),
            Action::GiveUpRequest => {
                let given_up = next.asked.remove(0);
                next.failures.insert(id_of(&given_up).to_owned());
            }
            Action::Follow(token) => self.follow(&mut next, token),
            Action::Change(reset) => self.change(&mut next, reset),
            Action::Notify(outcome) => notify(&mut next, outcome),
            Action::GiveUpChange => {
                let given_up = next.changed.remove(0);
                next.failures.insert(id_of(&given_up).to_owned());
                next.troubles += 1;
            }
            Action::Readdress
            | Action::Replace
            | Action::Read
            | Action::PutBack
            | Action::Delete => act_of_the_application(&mut next, &action)?,
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

/// None, if there is nothing to write to.
fn act_of_the_application(state: &mut State, action: &Action) -> Option<()> {
    match action {
        Action::Readdress => {
            let is_ada = state.user()?["email"].text() == ADA;
            let other = if is_ada { COUNTESS } else { ADA };
            state.write_user("email", Value::text_of(other));
            state.writes += 1;
        }
        Action::Replace => {
            state.write_user("password_hash", Value::text_of("the application's"));
            state.write_user(CHANGED_AT, Value::N(time(state.clock).as_millisecond()));
            state.changes.push(Replaced {
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
            state.changes.push(Replaced {
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
    fn actions_of_the_stream(&self, state: &State, actions: &mut Vec<Action>) {
        match state.delivery {
            Delivery::Idle if !state.asked.is_empty() => {
                actions.push(Action::Find);
                if state.is_first_asked_again() {
                    actions.push(Action::Supersede);
                }
                let request = &state.requests[state.first_asked()];
                if state.clock >= request.at + LIFETIME {
                    actions.push(Action::GiveUpRequest);
                }
            }
            Delivery::Idle => {}
            Delivery::Found { .. } => actions.push(Action::Count),
            Delivery::Allowed { .. } => actions.push(Action::Store),
            Delivery::Stored { .. } => {
                actions.push(Action::Mail(Outcome::Sent));
                if state.troubles < self.bounds.troubles {
                    actions.push(Action::Mail(Outcome::Refused));
                    actions.push(Action::Mail(Outcome::SentAndCrashed));
                }
            }
            Delivery::Sent { .. } => {
                actions.push(Action::Record(Recording::Stored));
                if state.troubles < self.bounds.troubles {
                    actions.push(Action::Record(Recording::Refused));
                    actions.push(Action::Record(Recording::StoredAndAgain));
                }
            }
        }
    }

    /// What can come of a notice.
    fn actions_of_a_notice(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Notify(Outcome::Sent));
        if state.troubles < self.bounds.troubles {
            // Its age would be a day; here it comes at once, which is more.
            actions.push(Action::GiveUpChange);
            actions.push(Action::Notify(Outcome::SentAndCrashed));
        }
    }

    fn ask(&self, state: &mut State, email: &'static str) {
        let (now, number) = (state.clock, state.requests.len());
        let statements = remembered(&self.admissions, (email, number, now), || {
            self.request_statements(email, number, now)
        });
        if dynamodb::transact(&mut state.rows, &statements).is_err() {
            if state.may_ask(email, &self.bounds) {
                state.flaws.insert(Flaw::HeldBack);
            }
            return;
        }
        state.asked.extend(streamed(&statements, REQUEST_PREFIX));
        state.requests.push(Admitted {
            email,
            at: state.clock,
            end: None,
        });
    }

    /// `deliver` reads the two rows in parallel. Only `deliver` writes one of them, so this is one step.
    fn count(&self, state: &mut State) {
        let Delivery::Found { now } = state.delivery else {
            panic!("{:?}", state.delivery)
        };
        let requested: ResetRequested = parsed(&state.asked[0]);
        let email = requested.email.as_str();
        let read = |key: String| state.rows.get(&rekey_key(&key)).map(AsRef::as_ref);
        let links = read(links_key(&ada(), &requested.email));
        let links = links.filter(|_| !self.has(Mutation::NoLimit));
        let epoch = read(epoch_key(&ada()));
        let epoch = epoch.filter(|_| !self.has(Mutation::LimitWithoutEpoch));
        let sent: SentLinks = links.map(parsed).unwrap_or_default();
        // As in the product, a row that cannot be read counts as none.
        let epoch = epoch.and_then(|row| serde_dynamo::from_item(dynamodb::attributes(row)).ok());
        let sent = sent.since(epoch);
        if sent.has_link_for(requested.requested_at) && !self.has(Mutation::NoSkip) {
            return state.end(End::Delivered);
        }
        let is_allowed = if self.has(Mutation::LimitByWindow) {
            let window = |at: u8| at / LIFETIME;
            let of_now =
                |made: &&Made| made.email == email && window(made.issued_at) == window(now);
            state.tokens.iter().filter(of_now).count() < self.bounds.live as usize
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
            state.end(End::HeldBack);
        }
    }

    /// Whether a link that was sent to the address can set a password at this tick: the product's own statements decide.
    ///
    /// What the application did to the user is left out, since Rekey does not read it: links that the application ended
    /// count as live until they expire.
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
        let mut mailed = tokens.filter(|(_, made)| made.is_mailed && made.email == email);
        mailed.any(|(token, made)| {
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
        let requested: ResetRequested = parsed(&state.asked[0]);
        let email = address(requested.email.as_str());
        let issued = issued(now, email);
        let token = state.tokens.len();
        dynamodb::transact(&mut state.rows, &self.token_statement(token, &issued)).unwrap();
        if self.has(Mutation::LimitBeforeEmail) {
            let sent = sent.with(&issued, requested.requested_at);
            dynamodb::transact(&mut state.rows, &self.links_statement(&issued, &sent)).unwrap();
        }
        let request = state.first_asked();
        let is_again = |made: &Made| made.request == request && made.is_recorded;
        if state.tokens.iter().any(is_again) {
            state.flaws.insert(Flaw::SentAgain);
        }
        state.tokens.push(Made {
            request,
            email,
            issued_at: now,
            is_mailed: false,
            is_recorded: false,
            worked: 0,
        });
        state.delivery = Delivery::Stored { token, sent };
    }

    /// The link counts from now on. If that cannot be stored, the link is out all the same.
    fn record(&self, state: &mut State, recording: Recording) {
        let Delivery::Sent { token, sent } = std::mem::replace(&mut state.delivery, Delivery::Idle)
        else {
            panic!("{:?}", state.delivery)
        };
        if recording == Recording::Refused {
            state.troubles += 1;
            return state.end(End::Delivered);
        }
        let made = &mut state.tokens[token];
        made.is_recorded = true;
        let issued = issued(made.issued_at, made.email);
        let requested: ResetRequested = parsed(&state.asked[0]);
        let sent = sent.with(&issued, requested.requested_at);
        dynamodb::transact(&mut state.rows, &self.links_statement(&issued, &sent)).unwrap();
        if recording == Recording::StoredAndAgain {
            state.troubles += 1;
        } else {
            state.end(End::Delivered);
        }
    }

    /// The statement of a link being added to those that were sent.
    fn links_statement(&self, issued: &TokenIssued, sent: &SentLinks) -> Vec<Statement> {
        let put = self.table.links_statement(issued, sent).build().unwrap();
        vec![Statement::of_put(put)]
    }

    fn follow(&self, state: &mut State, token: usize) {
        let Some(row) = state.rows.get(&token_key(token)) else {
            return;
        };
        let issued: TokenIssued = parsed(row);
        // The link carries the address that it was sent to.
        let is_good = issued.is_valid_for(&issued.email, time(state.clock));
        if !is_good && !self.has(Mutation::NoLook) {
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
        let statements = remembered(&self.redemptions, (reset, number, now), || {
            self.redemption_statements(token, &issued, number, now)
        });
        let before = state.user().cloned();
        if dynamodb::transact(&mut state.rows, &statements).is_err() {
            return;
        }
        let made = &mut state.tokens[token];
        made.worked += 1;
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
        let found = flaws.into_iter().filter(|(_, is_found)| *is_found);
        state.flaws.extend(found.map(|(flaw, _)| flaw));
        state.changed.extend(streamed(&statements, CHANGE_PREFIX));
        state.changes.push(Replaced {
            at: state.clock,
            by: By::Token {
                token,
                is_told: false,
            },
        });
    }
}

/// Whether a change has ended the links of a time.
///
/// If the application puts back an item, it takes back what it wrote itself, which Rekey cannot know. It does not take
/// back a change by a link.
pub(crate) fn is_overtaken(changes: &[Replaced], issued_at: u8) -> bool {
    let is_put_back = |one: &Replaced| matches!(one.by, By::PutBack(_));
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

/// The new rows that the stream brings to the half that waits for such keys.
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
    let requested: ResetRequested = parsed(&state.asked[0]);
    let now = state.clock;
    if requested.has_expired(TICK * LIFETIME.into(), time(now)) {
        return state.end(End::Expired);
    }
    let is_owner = |user: &Item| user["email"].text() == requested.email.as_str();
    if state.user().is_some_and(is_owner) {
        state.delivery = Delivery::Found { now };
    } else {
        state.end(End::Nobodys);
    }
}

fn mail(state: &mut State, outcome: Outcome) {
    let Delivery::Stored { token, sent } = std::mem::replace(&mut state.delivery, Delivery::Idle)
    else {
        panic!("{:?}", state.delivery)
    };
    state.tokens[token].is_mailed = outcome != Outcome::Refused;
    if outcome == Outcome::Sent {
        state.delivery = Delivery::Sent { token, sent };
    } else {
        state.troubles += 1;
    }
}

fn notify(state: &mut State, outcome: Outcome) {
    let change = id_of(&state.changed[0]).strip_prefix("change-").unwrap();
    let change: usize = change.parse().unwrap();
    if let By::Token { is_told, .. } = &mut state.changes[change].by {
        *is_told = true;
    }
    if outcome == Outcome::Sent {
        state.changed.remove(0);
    } else {
        state.troubles += 1;
    }
}
