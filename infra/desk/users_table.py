"""Users in a DynamoDB table, which Rekey's template creates."""

import argon2

from local_aws import client, outputs, settings_of


class Users:
    def start(self, endpoint, _state, _running, _check_running, _profile):
        self.endpoint = endpoint
        return {}

    def seed(self, email, password):
        """Stores one user, in the layout of the deployed functions."""
        settings = settings_of(self.endpoint, outputs(self.endpoint)["ForgotRequestFunction"])
        stored = settings["USERS_EMAIL_FORMAT"].replace("{email}", email).replace("{EMAIL}", email.upper())
        user = {settings["USERS_KEY_ATTRIBUTE"]: settings["USERS_KEY_PREFIX"] + "ada",
                settings["USERS_PASSWORD_ATTRIBUTE"]: password_hash(password)}
        if settings["USERS_SORT_KEY_ATTRIBUTE"]:
            user[settings["USERS_SORT_KEY_ATTRIBUTE"]] = settings["USERS_SORT_KEY_PREFIX"] or "ada"
        if settings["USERS_STATUS_ATTRIBUTE"] and "absent" not in settings["USERS_STATUS_ACTIVE"].split(","):
            user[settings["USERS_STATUS_ATTRIBUTE"]] = settings["USERS_STATUS_ACTIVE"].split(",")[0]
        user[settings["USERS_EMAIL_ATTRIBUTE"]] = stored  # last, because it may be the key
        client(self.endpoint, "dynamodb").put_item(
            TableName=settings["USERS_TABLE"], Item={name: {"S": value} for name, value in user.items()})

    def address(self):
        return {"USERS_KIND": "table", "USERS_TABLE": outputs(self.endpoint)["UsersTableName"]}

    def check_running(self):
        """Checks nothing: the table is part of the local AWS."""

    @staticmethod
    def note(_address):
        return ""

    @staticmethod
    def accepts(address, email, password):
        users = client(address["AWS_ENDPOINT_URL"], "dynamodb").scan(TableName=address["USERS_TABLE"])["Items"]
        return verifies(next(user["password_hash"]["S"] for user in users if user["email"]["S"] == email), password)


def password_hash(password):
    return argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(password)


def verifies(stored, password):
    """Returns whether a password matches an argon2id hash, by another implementation than Rekey's, or None if the hash
    has another format."""
    stored = stored.removeprefix("argon2")  # Django's prefix
    if not stored.startswith("$argon2id$"):
        return None
    try:
        return argon2.PasswordHasher().verify(stored, password)
    except argon2.exceptions.VerifyMismatchError:
        return False
