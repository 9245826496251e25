//! What whoever takes over one of the four functions may do, and what not: with the template's roles, enforced.

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use aws_sdk_sesv2::Client as Ses;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use serde_json::Value;

use crate::stack::{Stack, variable};

#[tokio::test]
async fn forgots_public_half_may_only_write_requests() {
    assert_eq!(allowed("forgot-request").await, ["put request#"]);
}

#[tokio::test]
async fn forgots_private_half_may_look_addresses_up_write_tokens_and_send_from_one_address() {
    let allowed = allowed("forgot-deliver").await;
    assert_eq!(
        allowed,
        [
            "put token#",
            "put token# in a transaction",
            "find a user's key",
            "send"
        ]
    );
}

#[tokio::test]
async fn resets_public_half_may_read_tokens_write_notices_and_set_passwords() {
    let allowed = allowed("reset-change").await;
    assert_eq!(allowed, ["put change#", "find token#", "set a password"]);
}

#[tokio::test]
async fn resets_private_half_may_only_send_from_one_address() {
    assert_eq!(allowed("reset-notify").await, ["send"]);
}

/// Tries everything that an attacker would want, under a function's role. What is left was denied.
async fn allowed(function: &str) -> Vec<&'static str> {
    let sdk = sdk_config_of(function).await;
    let mut tried = try_rows(&DynamoDb::new(&sdk)).await;
    tried.extend(try_users(&DynamoDb::new(&sdk)).await);
    let ses = Ses::new(&sdk);
    tried.push(("send", send(&ses, "no-reply@example.com").await));
    tried.push(("send from elsewhere", send(&ses, "eve@example.com").await));
    tried
        .into_iter()
        .filter(|(_, is_allowed)| *is_allowed)
        .map(|(act, _)| act)
        .collect()
}

async fn try_rows(dynamodb: &DynamoDb) -> Vec<(&'static str, bool)> {
    let table = variable("REKEY_TABLE");
    let row = |prefix: &str| text(&format!("{prefix}of nobody"));
    let put = |prefix| {
        dynamodb
            .put_item()
            .table_name(&table)
            .item("pk", row(prefix))
            .send()
    };
    let get = |prefix| {
        dynamodb
            .get_item()
            .table_name(&table)
            .key("pk", row(prefix))
            .send()
    };
    let delete = |prefix| {
        dynamodb
            .delete_item()
            .table_name(&table)
            .key("pk", row(prefix))
            .send()
    };
    let find = |prefix| {
        let query = dynamodb.query().table_name(&table);
        let query = query.key_condition_expression("pk = :pk");
        query.expression_attribute_values(":pk", row(prefix)).send()
    };
    let in_transaction = Put::builder().table_name(&table).item("pk", row("token#"));
    let in_transaction = TransactWriteItem::builder().put(in_transaction.build().unwrap());
    let transaction = dynamodb
        .transact_write_items()
        .transact_items(in_transaction.build());
    vec![
        ("put request#", is_allowed(put("request#").await)),
        ("put token#", is_allowed(put("token#").await)),
        (
            "put token# in a transaction",
            is_allowed(transaction.send().await),
        ),
        ("put change#", is_allowed(put("change#").await)),
        ("put rate#", is_allowed(put("rate#forgot#").await)),
        ("get token#", is_allowed(get("token#").await)),
        ("get request#", is_allowed(get("request#").await)),
        ("find token#", is_allowed(find("token#").await)),
        ("find request#", is_allowed(find("request#").await)),
        ("delete request#", is_allowed(delete("request#").await)),
        ("delete rate#", is_allowed(delete("rate#reset#").await)),
        (
            "scan",
            is_allowed(dynamodb.scan().table_name(&table).send().await),
        ),
    ]
}

async fn try_users(dynamodb: &DynamoDb) -> Vec<(&'static str, bool)> {
    let table = variable("USERS_TABLE");
    let query = || {
        let query = dynamodb
            .query()
            .table_name(&table)
            .index_name("email-index");
        let query = query.key_condition_expression("email = :email");
        query.expression_attribute_values(":email", text("roles@example.com"))
    };
    let get = dynamodb
        .get_item()
        .table_name(&table)
        .key("id", text("roles"));
    let set = |attribute: &str| {
        let update = dynamodb
            .update_item()
            .table_name(&table)
            .key("id", text("roles"));
        let update = update.update_expression(format!("SET {attribute} = :value"));
        update
            .expression_attribute_values(":value", text("x"))
            .send()
    };
    let delete = dynamodb
        .delete_item()
        .table_name(&table)
        .key("id", text("roles"));
    vec![
        (
            "find a user's key",
            is_allowed(query().projection_expression("id, email").send().await),
        ),
        ("find all of a user", is_allowed(query().send().await)),
        ("get a user", is_allowed(get.send().await)),
        (
            "scan users",
            is_allowed(dynamodb.scan().table_name(&table).send().await),
        ),
        ("set a password", is_allowed(set("password_hash").await)),
        ("set another attribute", is_allowed(set("is_admin").await)),
        ("delete a user", is_allowed(delete.send().await)),
    ]
}

async fn send(ses: &Ses, from: &str) -> bool {
    let content = || Content::builder().data("x").build().unwrap();
    let body = Body::builder().text(content()).build();
    let message = Message::builder().subject(content()).body(body).build();
    let to = Destination::builder()
        .to_addresses("roles@example.com")
        .build();
    let send = ses.send_email().from_email_address(from).destination(to);
    let sent = send
        .content(EmailContent::builder().simple(message).build())
        .send()
        .await;
    is_allowed(sent)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// Any refusal but one of access would be a mistake of the test.
fn is_allowed<T, E, R>(result: Result<T, SdkError<E, R>>) -> bool
where
    E: ProvideErrorMetadata + std::fmt::Debug,
    R: std::fmt::Debug,
{
    let Err(error) = result else { return true };
    assert_eq!(error.code(), Some("AccessDeniedException"), "{error:?}");
    false
}

/// The credentials that the function runs with.
async fn sdk_config_of(function: &str) -> SdkConfig {
    let operator = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let provider = AssumeRoleProvider::builder(role_of(function).await).session_name("roles");
    let provider = provider.configure(&operator).build().await;
    let provider = SharedCredentialsProvider::new(provider);
    operator
        .into_builder()
        .credentials_provider(provider)
        .build()
}

/// One call of Lambda, which is not worth an SDK crate.
async fn role_of(function: &str) -> String {
    let (key, region) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_REGION"));
    let name = format!("{}-{function}", variable("STACK_NAME"));
    let url = format!(
        "{}/2015-03-31/functions/{name}",
        variable("AWS_ENDPOINT_URL")
    );
    let call = Stack::new().client.get(url).header(
        "authorization",
        format!("AWS4-HMAC-SHA256 Credential={key}/20261123/{region}/lambda/aws4_request, SignedHeaders=host, Signature=0"),
    );
    let told: Value = call.send().await.unwrap().json().await.unwrap();
    told["Configuration"]["Role"].as_str().unwrap().to_owned()
}
