"""Resolves template.yaml to the policies of the four functions, for several parameter sets.

SAM transforms the template as CloudFormation would, so the check also covers roles that SAM adds. This module resolves
the intrinsic functions, because sam-cli's resolver silently turns a two-part `Fn::Sub` into a wrong ARN.
"""

import copy
import logging
import os
import re

# The translator requires a region, but calls nothing there.
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
# The translator collects metrics for AWS, and warns that they are not published.
logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "rekey",
    "AWS::StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/rekey/0a1b2c3d",
}
# The functions' logical IDs, in the order of the columns of requests.txt.
FUNCTIONS = {"request": "ForgotRequest", "deliver": "ForgotDeliver", "change": "ResetChange", "notify": "ResetNotify"}
ACCESS = {"AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"}


class NoManagedPolicies:
    """The roles name no managed policies, so the translator needs none."""

    @staticmethod
    def load():
        return {}


class Removed:
    """The value of `AWS::NoValue`."""


def arn(service, rest):
    return f"arn:aws:{service}:us-east-1:123456789012:{rest}"


def attributes(name, kind):
    """Returns the values of `Ref` and `Fn::GetAtt` that a policy may use, named after the resource's logical ID."""
    return {
        "AWS::DynamoDB::Table": {
            "Ref": name,
            "Arn": arn("dynamodb", f"table/{name}"),
            "StreamArn": arn("dynamodb", f"table/{name}/stream/2026-01-01T00:00:00.000"),
        },
        "AWS::SQS::Queue": {"Arn": arn("sqs", name)},
        "AWS::Logs::LogGroup": {"Ref": name, "Arn": arn("logs", f"log-group:{name}:*")},
        "AWS::SES::ConfigurationSet": {"Ref": name},
    }.get(kind, {})


class Resolver:
    def __init__(self, template, parameters):
        self.conditions = template["Conditions"]
        self.refs = {**PSEUDO, "AWS::NoValue": Removed}
        for name, parameter in template["Parameters"].items():
            value = parameters.get(name, parameter.get("Default"))
            self.refs[name] = str(value) if value is not None else None
        self.resources = {name: attributes(name, each["Type"]) for name, each in template["Resources"].items()}

    def resolve(self, value):
        if isinstance(value, list):
            return [each for each in map(self.resolve, value) if each is not Removed]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), = value.items()
            if name in ("Ref", "Condition") or name.startswith("Fn::"):
                return self.call(name, argument)
        resolved = {key: self.resolve(each) for key, each in value.items()}
        return {key: each for key, each in resolved.items() if each is not Removed}

    def call(self, name, argument):
        if name == "Ref":
            return self.ref(argument)
        if name == "Fn::GetAtt":
            return self.attribute(*(argument if isinstance(argument, list) else argument.split(".", 1)))
        if name == "Fn::If":
            condition, then, otherwise = argument
            return self.resolve(then if self.condition(condition) else otherwise)
        if name == "Fn::Sub":
            text, names = argument if isinstance(argument, list) else (argument, {})
            return re.sub(r"\$\{([^}]+)\}", lambda match: self.substitute(match[1], names), text)
        argument = self.resolve(argument)
        if name == "Fn::Join":
            return argument[0].join(argument[1])
        if name == "Fn::Split":
            return argument[1].split(argument[0])
        if name == "Fn::Select":
            return argument[1][int(argument[0])]
        raise ValueError(f"{name} in a policy is not supported: add it to infra/iam/roles.py")

    def condition(self, value):
        if isinstance(value, str):
            return self.condition(self.conditions[value])
        (name, argument), = value.items()
        if name == "Condition":
            return self.condition(argument)
        if name == "Fn::Equals":
            left, right = self.resolve(argument)
            return str(left) == str(right)
        outcomes = [self.condition(each) for each in argument]
        return {"Fn::Not": not outcomes[0], "Fn::And": all(outcomes), "Fn::Or": any(outcomes)}[name]

    def substitute(self, name, names):
        if name in names:
            return self.resolve(names[name])
        return self.attribute(*name.split(".", 1)) if "." in name else self.ref(name)

    def ref(self, name):
        return self.refs[name] if name in self.refs else self.attribute(name, "Ref")

    def attribute(self, name, attribute):
        if attribute not in self.resources[name]:
            raise ValueError(f"{name}.{attribute} in a policy is not supported: add it to infra/iam/roles.py")
        return self.resources[name][attribute]


def load(path):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"  # the translator rejects a local path
    return template


def policies(template, parameters):
    """Returns the policy documents of each function's role.

    Raises ValueError if anything else in the template grants access, because the simulation would miss it.
    """
    template = transform(copy.deepcopy(template), dict(parameters), NoManagedPolicies())
    resources, resolver = template["Resources"], Resolver(template, parameters)
    roles = {}
    for half, function in FUNCTIONS.items():
        role = resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]
        properties = resources[role]["Properties"]
        if unknown := properties.keys() - {"AssumeRolePolicyDocument", "Policies"}:
            raise ValueError(f"{role} has {', '.join(sorted(unknown))}: infra/iam simulates inline policies only")
        roles[half] = (role, [resolver.resolve(each["PolicyDocument"]) for each in properties["Policies"]])
    simulated = [role for role, _ in roles.values()]
    if len(set(simulated)) < len(simulated):
        raise ValueError("Two functions share a role.")
    granting = {name for name, each in resources.items() if each["Type"] in ACCESS}
    granting |= {name for name, each in resources.items() if "ResourcePolicy" in each.get("Properties", {})}
    if extra := granting - set(simulated):
        raise ValueError(f"{', '.join(sorted(extra))}: infra/iam simulates the four functions' roles only")
    return {half: documents for half, (_, documents) in roles.items()}
