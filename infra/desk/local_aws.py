"""Starts the local AWS, and deploys to it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import boto3

from helpers import REGION, SAM, ending, environment, fetch, no_config, run, wait_until
from stop import Stop

STACK = "rekey"


def start_aws(port, api_port, state, running):
    """Starts the launcher. It gets none of this machine's environment, because its functions would inherit that."""
    endpoint = f"http://127.0.0.1:{port}"
    log = state / "aws.log"
    launcher = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("launcher.py")], cwd=state,
        stdin=subprocess.PIPE, stdout=log.open("wb"), stderr=subprocess.STDOUT, start_new_session=True,
        env={
            "PATH": os.environ["PATH"], "HOME": str(state), "TMPDIR": str(state),
            "AWS_ENDPOINT_URL": endpoint, "GATEWAY_PORT": str(port), "DESK_API_PORT": str(api_port),
            "MINISTACK_REGION": REGION, "AUTH": "true",
            # No other listeners, and no access to this machine's Docker.
            "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "DOCKER_HOST": "unix:///nonexistent",
        })
    running.enter_context(ending(launcher))

    def check_running():
        if launcher.poll() is not None:
            last = log.read_text(errors="replace")[-3000:]
            raise Stop(f"{last}\nThe local AWS stopped with status {launcher.returncode}. The end of its log is above.")

    def answers():
        socket.create_connection(("127.0.0.1", api_port), 1).close()
        return fetch(f"{endpoint}/_ministack/health")

    wait_until("the local AWS to answer", 30, check_running, answers)
    return endpoint, check_running


def operator(endpoint):
    """Returns the credentials of the account's root user. The functions run under the template's four roles."""
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test"}


def client(endpoint, service):
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id="test",
                        aws_secret_access_key="test")


def prepare_account(endpoint, parameters):
    """Creates what a team has before it deploys: a verified sender and, if a parameter names one, a users table."""
    client(endpoint, "sesv2").create_email_identity(
        EmailIdentity=parameters.get("MailIdentity") or parameters["MailFromAddress"].partition("@")[2])
    if parameters.get("UsersTableName"):
        key, email = parameters.get("UsersKeyAttribute", "id"), parameters.get("UsersEmailAttribute", "email")
        sort_key = parameters.get("UsersSortKeyAttribute")
        index = {"GlobalSecondaryIndexes": [{
            "IndexName": parameters.get("UsersEmailIndex", "email-index"), "Projection": {"ProjectionType": "ALL"},
            "KeySchema": [{"AttributeName": email, "KeyType": "HASH"}]}]} if email != key else {}
        names = {key, email, sort_key} - {None, ""}
        client(endpoint, "dynamodb").create_table(
            TableName=parameters["UsersTableName"], BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"},
                       *([{"AttributeName": sort_key, "KeyType": "RANGE"}] if sort_key else [])],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in sorted(names)],
            **index)


def deploy(endpoint, built, parameters, state, check_running, stack=STACK):
    quoted = ['{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"'))
              for name, value in parameters.items()]
    run(f"sam deploy of {stack}", [
        SAM, "deploy", "--template-file", built / "template.yaml", "--stack-name", stack, "--resolve-s3",
        "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar",
        "--config-file", no_config(state), "--parameter-overrides", *quoted],
        {**environment(state), **operator(endpoint)}, check_running)


def outputs(endpoint, stack=STACK):
    found = client(endpoint, "cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}


def settings_of(endpoint, function):
    """Returns the environment of a deployed function."""
    return client(endpoint, "lambda").get_function_configuration(FunctionName=function)["Environment"]["Variables"]
