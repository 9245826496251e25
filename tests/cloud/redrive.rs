//! `make redrive`, as an operator runs it.

use std::process::Command;

use jiff::Timestamp;
use serde_json::json;

use crate::stack::{PASSWORD, Stack, variable};

#[tokio::test]
async fn notices_that_were_given_up_are_sent_after_all() {
    let email = "redrive@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let link = stack.link(email).await;
    let before = Timestamp::now();
    assert_eq!(stack.reset(&link, PASSWORD).await.status(), 204);
    let mails = stack.wait_for_mails(email, 2).await.len();

    // What Lambda puts into the queue when it gives records up.
    let function = variable("RESET_NOTIFY_FUNCTION");
    let batch = json!({
        "approximateArrivalOfFirstRecord": before.to_string(),
        "approximateArrivalOfLastRecord": Timestamp::now().to_string(),
        "batchSize": 1,
    });
    let message = json!({
        "requestContext": { "functionArn": format!("arn:aws:lambda:{}:000000000000:function:{function}", variable("AWS_REGION")) },
        "DDBStreamBatchInfo": batch,
    });
    stack.put_into_failure_queue(&json!({})).await;
    stack.put_into_failure_queue(&message).await;

    let told = redrive();
    assert!(told.contains("notices were sent."), "{told}");
    assert!(told.contains("that Lambda did not write"), "{told}");
    assert!(stack.wait_for_mails(email, mails + 1).await.len() > mails);
    let told = redrive();
    assert!(
        !told.contains("notices were sent."),
        "the queue is empty now: {told}"
    );
}

fn redrive() -> String {
    let output = Command::new("target/tools/desk/bin/python")
        .args(["infra/redrive.py", &variable("STACK_NAME")])
        .env("AWS_DEFAULT_REGION", variable("AWS_REGION"))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    told
}
