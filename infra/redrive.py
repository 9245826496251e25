"""Sends the notices whose retries ran out, and empties the failure queue.

    redrive.py STACK

The stream no longer has the records, but the table still has their rows: a PasswordChanged row outlives its message in
the queue. A message states when its records arrived, so this script sends a notice for every row of that time. A
duplicate notice is harmless. Links are not redriven: users who still want one can request another.
"""

import json
import re
import sys
from dataclasses import dataclass
from datetime import datetime

import boto3
from botocore.config import Config

# The seconds by which a row's time may precede or follow that of its record. Rekey reads the row's time before the
# transaction, and may retry the transaction for some seconds. The clocks differ by less.
BEFORE, AFTER = 30, 5
# The function may run for 300 seconds. Retrying the invocation in that time would send each notice twice.
INVOCATION = Config(read_timeout=310, retries={"total_max_attempts": 1})
INVOCATION_ROWS = 100  # more than the stream's 16, but few enough for the function's timeout
VISIBILITY_TIMEOUT = 600  # seconds that a message stays hidden from other consumers
STREAM_RETENTION = 24 * 60 * 60  # seconds that a stream keeps a record, so no batch spans more (DynamoDB, "Streams")
MAX_RECORDS = 10_000  # the largest batch of a stream (Lambda, "CreateEventSourceMapping")
LAMBDA_ARN = re.compile(r"arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:([A-Za-z0-9_-]{1,64})(?::[A-Za-z0-9$_-]+)?")


@dataclass(frozen=True)
class Failure:
    """A batch whose retries ran out, as its message in the failure queue describes it."""

    function: str  # the name in the ARN. Compare it, but do not print it: anyone who can write to the queue chooses it
    records: int
    first: float  # the times at which the first and the last record reached the stream, in seconds since 1970
    last: float

    @classmethod
    def parse(cls, body):
        """Returns the failure, or None for a message that Lambda did not write."""
        try:
            message = json.loads(body)
            batch = message["DDBStreamBatchInfo"]
            function = LAMBDA_ARN.fullmatch(message["requestContext"]["functionArn"])
            records = batch["batchSize"]
            first, last = (parse_time(batch[f"approximateArrivalOf{which}Record"]) for which in ("First", "Last"))
        except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
            return None
        if not function or type(records) is not int or not 1 <= records <= MAX_RECORDS:
            return None
        if not 0 <= last - first <= STREAM_RETENTION:
            return None
        return cls(function[1], records, first, last)


def parse_time(time):
    """Returns a time in seconds since 1970. Lambda writes ISO 8601 with an offset."""
    if not isinstance(time, str):
        raise TypeError("expected a string")
    parsed = datetime.fromisoformat(time.replace("Z", "+00:00"))
    if parsed.tzinfo is None:
        raise ValueError("expected a time with an offset")
    return parsed.timestamp()


def main(stack):
    outputs = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    output = {each["OutputKey"]: each["OutputValue"] for each in outputs}
    queue, sqs, seen = output["FailureQueueUrl"], boto3.client("sqs"), set()
    while messages := sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=1, WaitTimeSeconds=1,
            VisibilityTimeout=VISIBILITY_TIMEOUT).get("Messages"):
        message = messages[0]
        if message["MessageId"] in seen:  # this run took longer than VISIBILITY_TIMEOUT
            print("Stopped: a message that stays in the queue was received again. Run this again if messages are left.")
            return
        seen.add(message["MessageId"])
        if process_message(message["Body"], output):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    print("The failure queue has no more messages for now.")


def process_message(body, output):
    """Returns whether to delete the message. Prints numbers and the outputs' names, never text from a message."""
    failure = Failure.parse(body)
    if not failure:
        print("A message that Lambda did not write stays in the queue.")
        return False
    if failure.function == output["ForgotDeliverFunction"]:
        print(f"{failure.records} records of {output['ForgotDeliverFunction']}: links are not redriven.")
        return True
    if failure.function != output["ResetNotifyFunction"]:
        print("A message about a function of another stack stays in the queue.")
        return False
    return send_notices(failure, output["ResetNotifyFunction"], output["RekeyTableName"])


def send_notices(failure, function, table):
    """Sends a notice for every row of the batch's time. Returns whether all were sent.

    AWS does not document whether batchSize counts records before or after the filter of the event source mapping. So
    this prints it, but does not compare it with the rows.
    """
    rows = changed_between(table, failure.first, failure.last)
    if not rows:
        print(f"The table has no rows for {failure.records} records of {function}. The message stays in the queue.")
        return False
    for start in range(0, len(rows), INVOCATION_ROWS):
        if not send_batch(rows[start:start + INVOCATION_ROWS], function):
            print(f"{function} could not send all {len(rows)} notices. The message stays in the queue.")
            return False
    print(f"{len(rows)} notices were sent. The batch had {failure.records} records.")
    return True


def send_batch(rows, function):
    """Returns whether the function sent a notice for every row."""
    records = [{"dynamodb": {"NewImage": row, "SequenceNumber": row["pk"]["S"]}} for row in rows]
    client = boto3.client("lambda", config=INVOCATION)
    response = client.invoke(FunctionName=function, Payload=json.dumps({"Records": records}))
    return "FunctionError" not in response and json.load(response["Payload"])["batchItemFailures"] == []


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
