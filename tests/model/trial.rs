//! Compares the model's `DynamoDB` with one in this process, for the same rows and statements.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, CancellationReason, Delete, KeySchemaElement,
    KeyType, Put, ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TransactWriteItem,
    Update,
};
use tokio::net::TcpListener;

use crate::bounds::UNDISTURBED;
use crate::clock::time;
use crate::dynamodb::rows::{Item, Key, Rows, Value, attributes, item};
use crate::dynamodb::statement::{Statement, Write};
use crate::dynamodb::{Reason, transact};
use crate::names::{ADA, COUNTESS, token_key, user_key};
use crate::protocol::{Protocol, issued};

const TABLES: [(&str, &str); 2] = [("rekey", "pk"), ("users", "id")];

pub(crate) async fn dynamodb() -> Client {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_on(socket, database));
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .build();
    let client = Client::new(&sdk);
    for (table, key) in TABLES {
        let attribute = AttributeDefinition::builder().attribute_name(key);
        let attribute = attribute.attribute_type(ScalarAttributeType::S).build();
        let schema = KeySchemaElement::builder().attribute_name(key);
        let schema = schema.key_type(KeyType::Hash).build();
        let create = client.create_table().table_name(table);
        let create = create.billing_mode(BillingMode::PayPerRequest);
        let create = create.attribute_definitions(attribute.unwrap());
        create.key_schema(schema.unwrap()).send().await.unwrap();
    }
    client
}

/// Replaces all rows with these.
async fn fill(client: &Client, rows: &Rows) {
    for (key, _) in stored(client).await {
        let (_, name) = TABLES
            .iter()
            .find(|(table, _)| *table == key.table)
            .unwrap();
        let delete = client.delete_item().table_name(key.table);
        let delete = delete.key(*name, key.key.to_attribute());
        delete.send().await.unwrap();
    }
    for (key, row) in rows {
        let put = client.put_item().table_name(key.table);
        let put = put.set_item(Some(attributes(row)));
        put.send().await.unwrap();
    }
}

async fn stored(client: &Client) -> Rows {
    let mut rows = Rows::new();
    for (table, key) in TABLES {
        let scan = client.scan().table_name(table).send().await.unwrap();
        for row in scan.items() {
            let row = item(row);
            let key = row[key].clone();
            rows.insert(Key { table, key }, Arc::new(row));
        }
    }
    rows
}

/// Converts a statement to the SDK's type.
fn to_sdk(statement: &Statement) -> TransactWriteItem {
    let (table, condition) = (statement.key.table, statement.condition.clone());
    let names = Some(statement.names.clone()).filter(|names| !names.is_empty());
    let values = Some(statement.values.clone()).filter(|values| !values.is_empty());
    let key = HashMap::from([(
        statement.key_name.to_owned(),
        statement.key.key.to_attribute(),
    )]);
    let returned = statement
        .returns_row
        .then_some(ReturnValuesOnConditionCheckFailure::AllOld);
    let one = TransactWriteItem::builder();
    let one = match &statement.write {
        Write::Put(row) => {
            let put = Put::builder()
                .table_name(table)
                .set_item(Some(attributes(row)));
            let put = put.set_condition_expression(condition);
            let put = put.set_return_values_on_condition_check_failure(returned);
            let put = put.set_expression_attribute_names(names);
            one.put(put.set_expression_attribute_values(values).build().unwrap())
        }
        Write::Update(expression) => {
            let update = Update::builder().table_name(table).set_key(Some(key));
            let update = update.update_expression(expression);
            let update = update.set_condition_expression(condition);
            let update = update.set_return_values_on_condition_check_failure(returned);
            let update = update.set_expression_attribute_names(names);
            one.update(
                update
                    .set_expression_attribute_values(values)
                    .build()
                    .unwrap(),
            )
        }
        Write::Delete => {
            let delete = Delete::builder().table_name(table).set_key(Some(key));
            let delete = delete.set_condition_expression(condition);
            let delete = delete.set_return_values_on_condition_check_failure(returned);
            let delete = delete.set_expression_attribute_names(names);
            one.delete(
                delete
                    .set_expression_attribute_values(values)
                    .build()
                    .unwrap(),
            )
        }
    };
    one.build()
}

/// Asserts that both have the same outcome, and returns whether they ran the statements.
pub(crate) async fn agree(client: &Client, before: &Rows, statements: &[Statement]) -> bool {
    fill(client, before).await;
    let sent = client.transact_write_items();
    let sent = sent.set_transact_items(Some(statements.iter().map(to_sdk).collect()));
    let actual = sent.send().await.map(drop).map_err(|error| {
        let TransactWriteItemsError::TransactionCanceledException(canceled) =
            error.into_service_error()
        else {
            panic!("{statements:?}")
        };
        let reasons = canceled.cancellation_reasons().iter();
        reasons.map(reason).collect::<Vec<Reason>>()
    });
    let mut after = before.clone();
    let modeled = transact(&mut after, statements);
    assert_eq!(modeled, actual, "{statements:?} on {before:?}");
    assert_eq!(after, stored(client).await, "{statements:?} on {before:?}");
    modeled.is_ok()
}

fn reason(reason: &CancellationReason) -> Reason {
    match reason.code() {
        Some("None") => Reason::None,
        Some("ConditionalCheckFailed") => {
            Reason::ConditionFailed(reason.item().map(|row| Arc::new(item(row))))
        }
        Some("ValidationError") => Reason::Invalid,
        other => panic!("{other:?}"),
    }
}

fn rows_of(statements: &[Statement]) -> Rows {
    let mut rows = Rows::new();
    transact(&mut rows, statements).unwrap();
    rows
}

fn user(email: &str, changed_at: Option<Value>) -> (Key, Arc<Item>) {
    let row = [("id", "1"), ("email", email), ("password_hash", "old")];
    let row = row.map(|(name, value)| (name.to_owned(), Value::from_text(value)));
    let mut row = Item::from(row);
    row.extend(changed_at.map(|value| ("password_changed_at".to_owned(), value)));
    (user_key(), Arc::new(row))
}

#[tokio::test]
async fn the_products_statements_have_the_same_outcome() {
    let client = dynamodb().await;
    let protocol = Protocol::new(UNDISTURBED, None);
    let mut done = Vec::new();
    for later in 0..3 {
        let before = rows_of(&protocol.request_statements(ADA, 0, 0));
        let again = protocol.request_statements(ADA, 1, later);
        done.push(agree(&client, &before, &again).await);
    }
    assert_eq!(done, [false, true, true]);

    let token = rows_of(&protocol.token_statement(0, &issued(1, ADA)));
    assert_eq!(token.keys().collect::<Vec<_>>(), [&token_key(0)]);
    let at = |tick| Value::N(time(tick).as_millisecond());
    let a_day_ahead = Value::N(time(2).as_millisecond() + 86_400_000);
    let users = [
        None,
        Some(user(COUNTESS, None)),
        Some(user(ADA, None)),
        Some(user(ADA, Some(at(0)))),
        Some(user(ADA, Some(at(1)))),
        Some(user(ADA, Some(at(2)))),
        Some(user(ADA, Some(a_day_ahead))),
        Some(user(ADA, Some(Value::from_text("2026-11-23T12:00:00Z")))),
    ];
    let mut done = Vec::new();
    for user in users {
        for tokens in [&token, &Rows::new()] {
            for now in [2, 3] {
                let mut before = tokens.clone();
                before.extend(user.clone());
                let redemption = protocol.redemption_statements(0, &issued(1, ADA), 0, now);
                done.push(agree(&client, &before, &redemption).await);
            }
        }
    }
    let succeeded = done.iter().filter(|is_done| **is_done).count();
    assert_eq!((done.len(), succeeded), (32, 4));
}

/// Conditions on a row's attribute `#a` and the number ten.
const CONDITIONS: [&str; 12] = [
    "#a = :ten",
    "#a < :ten",
    "#a <= :ten",
    "#a > :ten",
    "#a >= :ten",
    ":ten > #a",
    "NOT #a < :ten",
    "NOT (#a < :ten OR #a > :ten)",
    "attribute_exists(#a) AND NOT #a = :ten",
    "attribute_not_exists(#a) OR #a < :ten AND #a > :ten",
    "(attribute_not_exists(#a) OR #a < :ten) AND #a < :ten",
    "NOT attribute_exists(#a) AND attribute_exists(pk) OR #a = :ten",
];

/// Every operator and precedence, for rows with and without the attribute, and with another type.
#[tokio::test]
async fn conditions_have_the_same_outcome() {
    let client = dynamodb().await;
    let key = Key {
        table: "rekey",
        key: Value::from_text("row"),
    };
    let row = |value: Option<Value>| {
        let row = [("pk".to_owned(), key.key.clone())];
        let row = row
            .into_iter()
            .chain(value.map(|value| ("a".to_owned(), value)));
        (key.clone(), Arc::new(row.collect::<Item>()))
    };
    let values = [
        Value::N(9000),
        Value::N(10_000),
        Value::N(10_250),
        Value::from_text("10"),
    ];
    let mut rows = vec![Rows::new(), Rows::from([row(None)])];
    rows.extend(values.map(|value| Rows::from([row(Some(value))])));
    let mut done = 0;
    for before in &rows {
        for condition in CONDITIONS {
            let mut statement = Statement {
                key: key.clone(),
                key_name: "pk",
                write: Write::Update("SET b = :ten, #a = :ten ADD c :more".to_owned()),
                condition: Some(condition.to_owned()),
                names: [("#a".to_owned(), "a".to_owned())].into(),
                values: BTreeMap::from([(":ten", "10"), (":more", "0.5")])
                    .into_iter()
                    .map(|(name, number)| (name.to_owned(), AttributeValue::N(number.to_owned())))
                    .collect(),
                returns_row: true,
            };
            done += usize::from(agree(&client, before, &[statement.clone()]).await);
            statement.write = Write::Delete;
            statement.values.remove(":more");
            agree(&client, before, &[statement]).await;
        }
    }
    let tried = rows.len() * CONDITIONS.len();
    assert!(0 < done && done < tried, "{done} of {tried}");
}
