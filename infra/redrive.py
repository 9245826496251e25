"""Sends the notices that Lambda gave up on, and empties the failure queue.

    redrive.py STACK

The stream no longer has the records, but the table still has their rows: a Changed row outlives its message in the
queue. A message says when its records were written, so this sends a notice for every row of that time. A notice that is
sent twice is harmless. Links are not redriven: users who still want one ask again.
"""

import json
import re
import sys
from dataclasses import dataclass
from datetime import datetime

import boto3
from botocore.config import Config

# Seconds by which a row's own time may differ from that of its record: it is read before the transaction, which may be
# tried again for some seconds; the clocks differ by less.
BEFORE, AFTER = 30, 5
# The function may work for 300 seconds. An invocation that is tried again while it does would send each notice twice.
INVOCATION = Config(read_timeout=310, retries={"total_max_attempts": 1})
AT_ONCE = 100  # rows for each invocation: more than the stream's 16, and the function still finishes them in its time
HELD_BACK = 600  # seconds that a message is out of others' sight while we settle it
A_DAY = 24 * 60 * 60  # seconds that a stream keeps a record, so no batch spans more (DynamoDB, "Streams")
MOST_RECORDS = 10_000  # the largest batch of a stream (Lambda, "CreateEventSourceMapping")
LAMBDA_ARN = re.compile(r"arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:([A-Za-z0-9_-]{1,64})(?::[A-Za-z0-9$_-]+)?")


@dataclass(frozen=True)
class Failure:
    """A batch that Lambda gave up on, as its message in the failure queue describes it."""

    function: str  # the name in the ARN. Compare it, but do not print it: anyone who can write to the queue chose it
    records: int
    first: float  # when the first and the last record reached the stream, in seconds since 1970
    last: float

    @classmethod
    def parse(cls, body):
        """Returns the failure, or None for a message that Lambda did not write."""
        try:
            message = json.loads(body)
            batch = message["DDBStreamBatchInfo"]
            function = LAMBDA_ARN.fullmatch(message["requestContext"]["functionArn"])
            records = batch["batchSize"]
            first, last = (seconds(batch[f"approximateArrivalOf{which}Record"]) for which in ("First", "Last"))
        except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
            return None
        if not function or type(records) is not int or not 1 <= records <= MOST_RECORDS:
            return None
        if not 0 <= last - first <= A_DAY:
            return None
        return cls(function[1], records, first, last)


def seconds(time):
    """Parses a time as Lambda writes it: ISO 8601 with an offset."""
    if not isinstance(time, str):
        raise TypeError("a time that is not a string")
    parsed = datetime.fromisoformat(time.replace("Z", "+00:00"))
    if parsed.tzinfo is None:
        raise ValueError("a time without an offset")
    return parsed.timestamp()


def main(stack):
    outputs = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    output = {each["OutputKey"]: each["OutputValue"] for each in outputs}
    queue, sqs, seen = output["FailureQueueUrl"], boto3.client("sqs"), set()
    while messages := sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=1, WaitTimeSeconds=1, VisibilityTimeout=HELD_BACK).get("Messages"):
        message = messages[0]
        if message["MessageId"] in seen:  # a run longer than HELD_BACK receives what it left in the queue again
            print("Stopped: a message that stays in the queue came again. Run this again for any that are left.")
            return
        seen.add(message["MessageId"])
        if settle(message["Body"], output):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    print("The failure queue has no more messages for now.")


def settle(body, output):
    """Returns whether a message is done with. Prints numbers and names from the outputs, never text from a message."""
    failure = Failure.parse(body)
    if not failure:
        print("A message that Lambda did not write: it stays in the queue.")
        return False
    if failure.function == output["ForgotDeliverFunction"]:
        print(f"{failure.records} records of {output['ForgotDeliverFunction']}: links are not redriven.")
        return True
    if failure.function != output["ResetNotifyFunction"]:
        print("A message about a function of another stack: it stays in the queue.")
        return False
    return send_notices(failure, output["ResetNotifyFunction"], output["RekeyTableName"])


def send_notices(failure, function, table):
    """Sends a notice for every row found.

    AWS does not document whether batchSize counts records before or after the filter of the event source mapping, so
    it is printed, but decides nothing.
    """
    rows = changed_between(table, failure.first, failure.last)
    if not rows:
        print(f"The table has no rows for {failure.records} records of {function}. The message stays in the queue.")
        return False
    for start in range(0, len(rows), AT_ONCE):
        if not sent(rows[start:start + AT_ONCE], function):
            print(f"{len(rows)} notices: {function} could still not send them all; they stay in the queue.")
            return False
    print(f"{len(rows)} notices were sent. The batch had {failure.records} records.")
    return True


def sent(rows, function):
    records = [{"dynamodb": {"NewImage": row, "SequenceNumber": row["pk"]["S"]}} for row in rows]
    answer = boto3.client("lambda", config=INVOCATION).invoke(FunctionName=function, Payload=json.dumps({"Records": records}))
    return "FunctionError" not in answer and json.load(answer["Payload"])["batchItemFailures"] == []


def changed_between(table, first, last):
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(
        TableName=table, ConsistentRead=True,
        FilterExpression="begins_with(pk, :changed) AND changed_at BETWEEN :first AND :last",
        ExpressionAttributeValues={
            ":changed": {"S": "change#"}, ":first": {"N": str(first - BEFORE)}, ":last": {"N": str(last + AFTER)}})
    return [row for page in pages for row in page["Items"]]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    main(sys.argv[1])
