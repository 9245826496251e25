"""Users in a Cognito user pool, and the functions of infra/directories/cognito."""

from building import TOOL_SOURCES, build_template
from helpers import TARGET
from local_aws import client, deploy, outputs
from stop import ROOT

STACK = "rekey-cognito"
FOLDER = "infra/directories/cognito"
SOURCES = ("Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo", "shared", f"{FOLDER}/Cargo.toml",
           f"{FOLDER}/src", f"{FOLDER}/template.yaml", *TOOL_SOURCES)


class Users:
    def start(self, endpoint, state, _running, check_running, profile):
        """Creates a pool and deploys the functions. Returns the parameters of Rekey's template that name them."""
        self.cognito = client(endpoint, "cognito-idp")
        self.pool, self.app = create_pool(self.cognito)
        deploy(endpoint, build(profile), {"UserPoolId": self.pool}, state, check_running, STACK)
        self.outputs = outputs(endpoint, STACK)
        return {"UsersFindFunctionArn": self.outputs["FindFunctionArn"],
                "UsersReplaceFunctionArn": self.outputs["ReplaceFunctionArn"], "UsersPasswordSentAs": "plain"}

    def seed(self, email, password):
        """Creates a user with a verified address, who can sign in."""
        self.cognito.admin_create_user(
            UserPoolId=self.pool, Username=email, MessageAction="SUPPRESS",
            UserAttributes=[{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}])
        self.cognito.admin_set_user_password(
            UserPoolId=self.pool, Username=email, Password=password, Permanent=True)

    def address(self):
        logs = {name: self.outputs[f"{name}LogGroup"] for name in ("Find", "Replace")}
        return {
            "USERS_KIND": "cognito", "USER_POOL_ID": self.pool, "USER_POOL_CLIENT_ID": self.app,
            **{f"{name.upper()}_FUNCTION": self.outputs[f"{name}FunctionArn"] for name in logs},
            **{f"{name.upper()}_LOG": log for name, log in logs.items()},
            "DIRECTORY_LOGS": ",".join(logs.values()),
        }

    @staticmethod
    def check_running():
        """The pool is part of the local AWS, which the desk checks itself."""

    @staticmethod
    def note(address):
        return f"\n  user pool {address['USER_POOL_ID']}, with the application {address['USER_POOL_CLIENT_ID']}"

    @staticmethod
    def accepts(address, email, password):
        """Returns whether a user can sign in with a password."""
        cognito = client(address["AWS_ENDPOINT_URL"], "cognito-idp")
        try:
            cognito.initiate_auth(
                ClientId=address["USER_POOL_CLIENT_ID"], AuthFlow="USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": email, "PASSWORD": password})
        except cognito.exceptions.NotAuthorizedException:
            return False
        return True


def create_pool(cognito):
    """Creates a pool as the folder's README recommends, and an application. Returns their IDs."""
    any_characters = dict.fromkeys(["RequireUppercase", "RequireLowercase", "RequireNumbers", "RequireSymbols"], False)
    pool = cognito.create_user_pool(
        PoolName="rekey", UsernameAttributes=["email"], UsernameConfiguration={"CaseSensitive": False},
        Policies={"PasswordPolicy": {"MinimumLength": 8, **any_characters}})["UserPool"]["Id"]
    app = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="rekey", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"])
    return pool, app["UserPoolClient"]["ClientId"]


def build(profile):
    """Builds the functions if a source has changed. Returns the folder."""
    is_release = profile == "release"
    debug = {"SAM_BUILD_MODE": "debug", "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_PROFILE_DEV_STRIP": "true"}
    return build_template(
        f"sam build of {FOLDER} (the first build compiles for minutes)", ROOT / FOLDER / "template.yaml",
        TARGET / ("sam-cognito" if is_release else "sam-cognito-dev"), SOURCES, {}, {} if is_release else debug)
