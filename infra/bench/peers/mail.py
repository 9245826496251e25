"""Sends a plain-text email through SES v2, for the Python peers."""

import os

import boto3

PAGE = "https://app.example.com/password/reset"

ses = boto3.client("sesv2")


def send(address: str, subject: str, text: str) -> None:
    ses.send_email(
        FromEmailAddress=os.environ["MAIL_FROM"],
        Destination={"ToAddresses": [address]},
        Content={
            "Simple": {
                "Subject": {"Data": subject, "Charset": "UTF-8"},
                "Body": {"Text": {"Data": text, "Charset": "UTF-8"}},
            }
        },
    )
