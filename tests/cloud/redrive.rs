//! Tests of `make redrive`, run as an operator runs it.

use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::stack::{Stack, variable};
use support::deployment::PASSWORD;

/// The stack has one failure queue, and `make redrive` processes all of it. So these tests run one at a time.
static QUEUE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn redrive_sends_the_notices_in_the_failure_queue() {
    let _queue = QUEUE.lock().await;
    let email = "redrive@example.com";
    let stack = Stack::new();
    let before = Timestamp::now();
    let emails = change_password(&stack, email).await;

    let message = failure(&variable("RESET_NOTIFY_FUNCTION"), 1, before);
    stack.put_into_failure_queue("{}").await;
    stack.put_into_failure_queue(&message.to_string()).await;

    let printed = redrive();
    assert!(printed.contains("notices were sent."), "{printed}");
    assert!(printed.contains("that Lambda did not write"), "{printed}");
    assert!(
        printed.ends_with("no more messages for now.\n"),
        "{printed}"
    );
    assert!(stack.wait_for_emails(email, emails + 1).await.len() > emails);
    let printed = redrive();
    assert!(
        !printed.contains("notices were sent."),
        "the queue should be empty: {printed}"
    );
}

/// Lambda may count the records that its filter drops. The table has no rows for those.
#[tokio::test]
async fn redrive_sends_notices_if_the_batch_exceeds_the_rows() {
    let _queue = QUEUE.lock().await;
    let email = "redrive-batch-size@example.com";
    let stack = Stack::new();
    let before = Timestamp::now();
    let emails = change_password(&stack, email).await;
    // A row may be up to 30 seconds older than its record. Use almost all of that, so that no other test's users get a
    // second email.
    let arrived = before + SignedDuration::from_secs(29);
    let message = failure(&variable("RESET_NOTIFY_FUNCTION"), 10_000, arrived);
    stack.put_into_failure_queue(&message.to_string()).await;

    let printed = redrive();
    assert!(printed.contains("notices were sent."), "{printed}");
    assert!(stack.wait_for_emails(email, emails + 1).await.len() > emails);
    assert!(!redrive().contains("notices were sent."));
}

#[tokio::test]
async fn redrive_keeps_notices_without_rows_and_drops_links() {
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
    // Lambda qualifies the function's name.
    let qualified = format!("{deliver}:$LATEST");
    let message = failure(&qualified, 4, Timestamp::now());
    stack.put_into_failure_queue(&message.to_string()).await;

    let printed = redrive();
    assert!(
        printed.contains(&format!("The table has no rows for 2 records of {notify}.")),
        "{printed}"
    );
    for count in [3, 4] {
        assert!(
            printed.contains(&format!(
                "{count} records of {deliver}: links are not redriven."
            )),
            "{printed}"
        );
    }
    assert_eq!(queue_length(&stack).await, messages + 1, "{printed}");
}

#[tokio::test]
async fn redrive_keeps_foreign_messages_and_prints_none_of_their_content() {
    let _queue = QUEUE.lock().await;
    let stack = Stack::new();
    let messages = queue_length(&stack).await;
    let strange = strange_messages();
    for message in &strange {
        stack.put_into_failure_queue(message).await;
    }
    let foreign = [
        failure("rekey-of-another-stack", 1, Timestamp::now()),
        failure(
            &format!("{}x", variable("FORGOT_DELIVER_FUNCTION")),
            1,
            Timestamp::now(),
        ),
    ];
    for message in &foreign {
        stack.put_into_failure_queue(&message.to_string()).await;
    }

    let printed = redrive();
    let not_lambda = printed.matches("that Lambda did not write").count();
    // SQS may redeliver messages of other tests, ten minutes after the run that received them.
    assert!(not_lambda >= strange.len(), "{printed}");
    assert_eq!(
        printed.matches("function of another stack").count(),
        foreign.len(),
        "{printed}"
    );
    assert!(
        !printed.contains("another-stack") && !printed.contains("INJECTED"),
        "{printed}"
    );
    let is_plain = |character: char| character == '\n' || !character.is_control();
    assert!(printed.chars().all(is_plain), "{printed:?}");
    let all = strange.len() + foreign.len();
    assert_eq!(queue_length(&stack).await, messages + all, "{printed}");
}

/// After ten minutes, SQS redelivers a message that the run left in the queue. A mock stands in for AWS.
#[test]
fn redrive_stops_at_a_redelivered_message() {
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
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("\nStopped: "), "{printed}");
    assert!(!printed.contains("no more messages"), "{printed}");
}

/// Returns messages that Lambda would not write.
fn strange_messages() -> Vec<String> {
    let notify = variable("RESET_NOTIFY_FUNCTION");
    let valid = failure(&notify, 1, Timestamp::now());
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
        valid
            .to_string()
            .replace("\"batchSize\":1", "\"batchSize\":1e999"),
    );
    let huge = format!("\"batchSize\":{}", "9".repeat(5_000));
    strange.push(valid.to_string().replace("\"batchSize\":1", &huge));
    for field in [
        "/requestContext",
        "/requestContext/functionArn",
        "/DDBStreamBatchInfo",
        "/DDBStreamBatchInfo/batchSize",
        "/DDBStreamBatchInfo/approximateArrivalOfFirstRecord",
        "/DDBStreamBatchInfo/approximateArrivalOfLastRecord",
    ] {
        let (parent, name) = field.rsplit_once('/').unwrap();
        let mut without = valid.clone();
        let object = without
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap();
        object.remove(name);
        strange.push(without.to_string());
        for value in strange_values(&notify) {
            let mut changed = valid.clone();
            *changed.pointer_mut(field).unwrap() = value;
            strange.push(changed.to_string());
        }
    }
    strange.extend(strange_times(valid));
    strange
}

/// Returns a batch that ends before it begins, and one that spans longer than a stream keeps records.
fn strange_times(valid: Value) -> [String; 2] {
    let mut backwards = valid.clone();
    backwards["DDBStreamBatchInfo"]["approximateArrivalOfLastRecord"] =
        json!("2020-01-01T00:00:00Z");
    let mut endless = valid;
    endless["DDBStreamBatchInfo"]["approximateArrivalOfFirstRecord"] =
        json!("2020-01-01T00:00:00Z");
    [backwards.to_string(), endless.to_string()]
}

/// Returns values that are invalid in every field of a message.
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

/// Returns the message that Lambda puts into the failure queue for discarded records.
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

/// Changes a new user's password through a link, and returns how many emails that user has received.
async fn change_password(stack: &Stack, email: &str) -> usize {
    stack.user(email).await;
    let link = stack.link(email).await;
    assert_eq!(stack.reset(&link, PASSWORD).await.status(), 204);
    stack.wait_for_emails(email, 2).await.len()
}

/// Returns the number of messages in the failure queue, including those that a run of `make redrive` has received.
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

/// Runs `make redrive` and returns its output.
fn redrive() -> String {
    let output = Command::new("target/tools/desk/bin/python")
        .args(["infra/redrive.py", &variable("STACK_NAME")])
        .env("AWS_DEFAULT_REGION", variable("AWS_REGION"))
        .output()
        .unwrap();
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{printed}");
    printed
}
