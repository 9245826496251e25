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

SLACK = 5  # seconds between the function's clock and the stream's, with room


def main(stack):
    outputs = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    output = {each["OutputKey"]: each["OutputValue"] for each in outputs}
    queue, sqs = output["FailureQueueUrl"], boto3.client("sqs")
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages"):
        for message in messages:
            if settle(json.loads(message["Body"]), output):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    print("The failure queue has nothing more to offer just now.")


def settle(failure, output):
    function = failure["requestContext"]["functionArn"].split(":")[6]
    batch = failure["DDBStreamBatchInfo"]
    if function != output["ResetNotifyFunction"]:
        print(f"{batch['batchSize']} records of {function}: their links would have expired; nothing to do.")
        return True
    rows = changed_between(output["RekeyTableName"], *(
        seconds(batch[f"approximateArrivalOf{which}Record"]) for which in ("First", "Last")))
    records = [{"dynamodb": {"NewImage": row, "SequenceNumber": row["pk"]["S"]}} for row in rows]
    answer = boto3.client("lambda").invoke(FunctionName=function, Payload=json.dumps({"Records": records}))
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
            ":changed": {"S": "change#"}, ":first": {"N": str(first - SLACK)}, ":last": {"N": str(last + SLACK)}})
    return [row for page in pages for row in page["Items"]]


def seconds(time):
    """Lambda writes these times as ISO 8601."""
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    main(sys.argv[1])
