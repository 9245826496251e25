//! `make redrive`, as an operator runs it.

use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::stack::{PASSWORD, Stack, variable};

/// The stack has one failure queue, and `make redrive` goes through all of it.
static QUEUE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn notices_that_were_given_up_are_sent_after_all() {
    let _queue = QUEUE.lock().await;
    let email = "redrive@example.com";
    let stack = Stack::new();
    let before = Timestamp::now();
    let mails = change_password(&stack, email).await;

    let message = failure(&variable("RESET_NOTIFY_FUNCTION"), 1, before);
    stack.put_into_failure_queue("{}").await;
    stack.put_into_failure_queue(&message.to_string()).await;

    let told = redrive();
    assert!(told.contains("notices were sent."), "{told}");
    assert!(told.contains("that Lambda did not write"), "{told}");
    assert!(told.ends_with("no more messages for now.\n"), "{told}");
    assert!(stack.wait_for_mails(email, mails + 1).await.len() > mails);
    let told = redrive();
    assert!(
        !told.contains("notices were sent."),
        "the queue is empty now: {told}"
    );
}

/// Lambda may count the records that its filter drops, of which the table has no row.
#[tokio::test]
async fn a_batch_size_above_the_rows_found_does_not_hold_notices_back() {
    let _queue = QUEUE.lock().await;
    let email = "redrive-batch-size@example.com";
    let stack = Stack::new();
    let before = Timestamp::now();
    let mails = change_password(&stack, email).await;
    // A row may be 30 seconds older than its record. Almost all of that here, so that no other test's users get a second
    // email.
    let arrived = before + SignedDuration::from_secs(29);
    let message = failure(&variable("RESET_NOTIFY_FUNCTION"), 10_000, arrived);
    stack.put_into_failure_queue(&message.to_string()).await;

    let told = redrive();
    assert!(told.contains("notices were sent."), "{told}");
    assert!(stack.wait_for_mails(email, mails + 1).await.len() > mails);
    assert!(!redrive().contains("notices were sent."));
}

#[tokio::test]
async fn notices_without_rows_stay_and_links_are_dropped() {
    let _queue = QUEUE.lock().await;
    let stack = Stack::new();
    let last_year = Timestamp::now() - SignedDuration::from_hours(365 * 24);
    let (notify, deliver) = (
        variable("RESET_NOTIFY_FUNCTION"),
        variable("FORGOT_DELIVER_FUNCTION"),
    );
    let messages = queue_length(&stack).await;
    let mut message = failure(&notify, 2, last_year);
    message["DDBStreamBatchInfo"]["approximateArrivalOfLastRecord"] = json!(last_year.to_string());
    stack.put_into_failure_queue(&message.to_string()).await;
    let message = failure(&deliver, 3, Timestamp::now());
    stack.put_into_failure_queue(&message.to_string()).await;
    // As Lambda names it.
    let qualified = format!("{deliver}:$LATEST");
    let message = failure(&qualified, 4, Timestamp::now());
    stack.put_into_failure_queue(&message.to_string()).await;

    let told = redrive();
    assert!(
        told.contains(&format!("The table has no rows for 2 records of {notify}.")),
        "{told}"
    );
    for count in [3, 4] {
        assert!(
            told.contains(&format!(
                "{count} records of {deliver}: links are not redriven."
            )),
            "{told}"
        );
    }
    assert_eq!(queue_length(&stack).await, messages + 1, "{told}");
}

#[tokio::test]
async fn a_message_of_another_shape_stays_in_the_queue_and_prints_nothing_of_its_own() {
    let _queue = QUEUE.lock().await;
    let stack = Stack::new();
    let messages = queue_length(&stack).await;
    let strange = strange_messages();
    for message in &strange {
        stack.put_into_failure_queue(message).await;
    }
    let strangers = [
        failure("rekey-of-another-stack", 1, Timestamp::now()),
        failure(
            &format!("{}x", variable("FORGOT_DELIVER_FUNCTION")),
            1,
            Timestamp::now(),
        ),
    ];
    for message in &strangers {
        stack.put_into_failure_queue(&message.to_string()).await;
    }

    let told = redrive();
    let not_lambda = told.matches("that Lambda did not write").count();
    // Messages of other tests may come again, ten minutes after the run that held them back.
    assert!(not_lambda >= strange.len(), "{told}");
    assert_eq!(
        told.matches("function of another stack").count(),
        strangers.len(),
        "{told}"
    );
    assert!(
        !told.contains("another-stack") && !told.contains("INJECTED"),
        "{told}"
    );
    let is_plain = |character: char| character == '\n' || !character.is_control();
    assert!(told.chars().all(is_plain), "{told:?}");
    let all = strange.len() + strangers.len();
    assert_eq!(queue_length(&stack).await, messages + all, "{told}");
}

/// A run of more than ten minutes receives a message again that it left in the queue. A mock stands in for AWS.
#[test]
fn a_message_that_comes_again_stops_the_run() {
    let script = "
import sys
from unittest import mock
sys.path.insert(0, 'infra')
import redrive
with mock.patch.object(redrive, 'boto3') as boto3:
    aws = boto3.client.return_value
    outputs = [{'OutputKey': 'FailureQueueUrl', 'OutputValue': 'queue'}]
    aws.describe_stacks.return_value = {'Stacks': [{'Outputs': outputs}]}
    message = {'MessageId': '1', 'ReceiptHandle': '1', 'Body': '{}'}
    aws.receive_message.return_value = {'Messages': [message]}
    redrive.main('rekey')
";
    let output = Command::new("target/tools/desk/bin/python")
        .args(["-B", "-c", script])
        .output()
        .unwrap();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("\nStopped: "), "{told}");
    assert!(!told.contains("no more messages"), "{told}");
}

/// Everything that a message may be instead of Lambda's.
fn strange_messages() -> Vec<String> {
    let notify = variable("RESET_NOTIFY_FUNCTION");
    let ours = failure(&notify, 1, Timestamp::now());
    let mut strange: Vec<String> = [
        "INJECTED",
        "{",
        "[]",
        "null",
        "7",
        "\"INJECTED\"",
        "{}",
        "NaN",
    ]
    .map(str::to_owned)
    .into();
    strange.push("[".repeat(100_000));
    strange.push(
        ours.to_string()
            .replace("\"batchSize\":1", "\"batchSize\":1e999"),
    );
    let huge = format!("\"batchSize\":{}", "9".repeat(5_000));
    strange.push(ours.to_string().replace("\"batchSize\":1", &huge));
    for field in [
        "/requestContext",
        "/requestContext/functionArn",
        "/DDBStreamBatchInfo",
        "/DDBStreamBatchInfo/batchSize",
        "/DDBStreamBatchInfo/approximateArrivalOfFirstRecord",
        "/DDBStreamBatchInfo/approximateArrivalOfLastRecord",
    ] {
        let (parent, name) = field.rsplit_once('/').unwrap();
        let mut without = ours.clone();
        let object = without
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap();
        object.remove(name);
        strange.push(without.to_string());
        for value in strange_values(&notify) {
            let mut changed = ours.clone();
            *changed.pointer_mut(field).unwrap() = value;
            strange.push(changed.to_string());
        }
    }
    strange.extend(strange_times(ours));
    strange
}

/// A batch that ends before it begins, and one that spans more than a stream keeps.
fn strange_times(ours: Value) -> [String; 2] {
    let mut backwards = ours.clone();
    backwards["DDBStreamBatchInfo"]["approximateArrivalOfLastRecord"] =
        json!("2020-01-01T00:00:00Z");
    let mut endless = ours;
    endless["DDBStreamBatchInfo"]["approximateArrivalOfFirstRecord"] =
        json!("2020-01-01T00:00:00Z");
    [backwards.to_string(), endless.to_string()]
}

/// Values that none of a message's fields may have.
fn strange_values(notify: &str) -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(10_001),
        json!(u64::MAX),
        json!([]),
        json!({}),
        json!([1]),
        json!(""),
        json!("INJECTED\u{1b}[2J\r\u{9b}2J"),
        json!("2026-11-25"),
        json!("2026-11-25T02:00:00"),
        json!("9999-12-31T23:59:59-23:59"),
        json!("0001-01-01T00:00:00+23:59"),
        json!("arn:aws:lambda:::function:"),
        json!(format!(
            "arn:aws:lambda:us-east-1:000000000000:function:{notify}\u{1b}[2J"
        )),
        json!(format!(
            "arn:aws:lambda:us-east-1:000000000000:function:{notify}\n"
        )),
        json!(format!(
            "arn:aws:sqs:us-east-1:000000000000:function:{notify}"
        )),
    ]
}

/// What Lambda puts into the queue when it gives up on records.
fn failure(function: &str, records: u32, first: Timestamp) -> Value {
    let region = variable("AWS_REGION");
    json!({
        "requestContext": { "functionArn": format!("arn:aws:lambda:{region}:000000000000:function:{function}") },
        "DDBStreamBatchInfo": {
            "approximateArrivalOfFirstRecord": first.to_string(),
            "approximateArrivalOfLastRecord": Timestamp::now().max(first).to_string(),
            "batchSize": records,
        },
    })
}

/// Changes a new user's password by a link, and returns how many emails that user has by then.
async fn change_password(stack: &Stack, email: &str) -> usize {
    stack.user(email).await;
    let link = stack.link(email).await;
    assert_eq!(stack.reset(&link, PASSWORD).await.status(), 204);
    stack.wait_for_mails(email, 2).await.len()
}

/// How many messages are in the failure queue, those included that a run of `make redrive` holds back.
async fn queue_length(stack: &Stack) -> usize {
    let attributes = stack.failure_queue_attributes().await;
    [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
    ]
    .iter()
    .map(|name| {
        attributes[*name]
            .as_str()
            .unwrap()
            .parse::<usize>()
            .unwrap()
    })
    .sum()
}

/// Runs it, and returns everything that it prints.
fn redrive() -> String {
    let output = Command::new("target/tools/desk/bin/python")
        .args(["infra/redrive.py", &variable("STACK_NAME")])
        .env("AWS_DEFAULT_REGION", variable("AWS_REGION"))
        .output()
        .unwrap();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{told}");
    told
}
