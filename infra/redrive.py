"""Brings the notices that were given up to their function again, and empties the failure queue.

    redrive.py STACK

By then the stream has forgotten the records, but the table has not: a Changed row outlives its message in the queue.
A message says when its records were written, so the notices of that time are sent again. One too many is harmless.
Links are not redriven: an hour has passed, and who still wants one has asked again.
"""

import json
import sys
from datetime import datetime

import boto3
from botocore.config import Config

# Seconds by which a row's own time may differ from that of its record: it is read before the transaction, which may be
# tried again for some seconds; the clocks differ by less.
BEFORE, AFTER = 30, 5
# The function may work for 300 seconds. An invocation that is tried again while it does would send each notice twice.
INVOCATION = Config(read_timeout=310, retries={"total_max_attempts": 1})
HELD_BACK = 600  # seconds that a message is out of others' sight while we settle it


def main(stack):
    outputs = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    output = {each["OutputKey"]: each["OutputValue"] for each in outputs}
    queue, sqs = output["FailureQueueUrl"], boto3.client("sqs")
    while messages := sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=1, WaitTimeSeconds=1, VisibilityTimeout=HELD_BACK).get("Messages"):
        for message in messages:
            if settle(json.loads(message["Body"]), output):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    print("The failure queue has nothing more to offer just now.")


def settle(failure, output):
    if not {"requestContext", "DDBStreamBatchInfo"} <= failure.keys():
        print("A message that Lambda did not write: it stays in the queue.")
        return False
    function = failure["requestContext"]["functionArn"].split(":")[6]
    batch = failure["DDBStreamBatchInfo"]
    if function != output["ResetNotifyFunction"]:
        print(f"{batch['batchSize']} records of {function}: their links would have expired; nothing to do.")
        return True
    rows = changed_between(output["RekeyTableName"], *(
        seconds(batch[f"approximateArrivalOf{which}Record"]) for which in ("First", "Last")))
    if len(rows) < batch["batchSize"]:
        print(f"{batch['batchSize']} notices were given up, of which the table has {len(rows)}: they stay in the queue.")
        return False
    records = [{"dynamodb": {"NewImage": row, "SequenceNumber": row["pk"]["S"]}} for row in rows]
    answer = boto3.client("lambda", config=INVOCATION).invoke(FunctionName=function, Payload=json.dumps({"Records": records}))
    told = json.load(answer["Payload"])
    if "FunctionError" in answer or told["batchItemFailures"]:
        print(f"{len(rows)} notices: {function} could still not send them all; they stay in the queue.")
        return False
    print(f"{len(rows)} notices were sent.")
    return True


def changed_between(table, first, last):
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(
        TableName=table,
        FilterExpression="begins_with(pk, :changed) AND changed_at BETWEEN :first AND :last",
        ExpressionAttributeValues={
            ":changed": {"S": "change#"}, ":first": {"N": str(first - BEFORE)}, ":last": {"N": str(last + AFTER)}})
    return [row for page in pages for row in page["Items"]]


def seconds(time):
    """Lambda writes these times as ISO 8601."""
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    main(sys.argv[1])
