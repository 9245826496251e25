//! The users of the deployed stack, in whichever directory `make test` deployed it with.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use argon2::{Argon2, PasswordVerifier as _};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::stack::{Stack, variable};

/// The password of every user that a test creates.
pub(crate) const OLD_PASSWORD: &str = "the old password";

/// A hash of [`OLD_PASSWORD`], with little memory: tests verify it often.
const OLD_HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$Kh3A+s266T3J1MviIGPT2A$i5OWg+VfIsZnxiiQ7+dqHgzxN741kB4bd4R0AWiKCPY";

/// The kind of directory that has the users.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    PostgreSql,
    Cognito,
}

fn kind() -> Kind {
    match variable("USERS_KIND").as_str() {
        "table" => Kind::Table,
        "postgresql" => Kind::PostgreSql,
        "cognito" => Kind::Cognito,
        other => panic!("USERS_KIND: expected table, postgresql, or cognito, got {other:?}"),
    }
}

impl Stack {
    /// Creates a user with this address and [`OLD_PASSWORD`]. Each test has its own users.
    pub(crate) async fn user(&self, email: &str) {
        match kind() {
            Kind::Table => {
                let item = [("id", email), ("email", email), ("password_hash", OLD_HASH)];
                let item = item
                    .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
                let put = self.dynamodb.put_item().table_name(variable("USERS_TABLE"));
                put.set_item(Some(item.into())).send().await.unwrap();
            }
            Kind::PostgreSql => {
                let insert = "INSERT INTO users (email, password_hash) VALUES (:'email', :'hash')
                    ON CONFLICT (lower(email)) DO UPDATE SET password_hash = excluded.password_hash";
                psql(insert, &[("email", email), ("hash", OLD_HASH)]);
            }
            Kind::Cognito => {
                let attributes = json!([
                    { "Name": "email", "Value": email }, { "Name": "email_verified", "Value": "true" },
                ]);
                let user = json!({
                    "Username": email, "MessageAction": "SUPPRESS", "UserAttributes": attributes,
                });
                self.cognito("AdminCreateUser", user).await.unwrap();
                let password =
                    json!({ "Username": email, "Password": OLD_PASSWORD, "Permanent": true });
                self.cognito("AdminSetUserPassword", password)
                    .await
                    .unwrap();
            }
        }
    }

    /// Returns whether the user's login accepts a password.
    pub(crate) async fn accepts(&self, email: &str, password: &str) -> bool {
        if let Some(hash) = self.password_hash(email).await {
            let argon2 = Argon2::default();
            return argon2
                .verify_password(password.as_bytes(), hash.as_str())
                .is_ok();
        }
        let login = json!({
            "ClientId": variable("USER_POOL_CLIENT_ID"), "AuthFlow": "USER_PASSWORD_AUTH",
            "AuthParameters": { "USERNAME": email, "PASSWORD": password },
        });
        let Err(error) = self.cognito("InitiateAuth", login).await else {
            return true;
        };
        assert!(
            error.to_string().contains("NotAuthorizedException"),
            "{error}"
        );
        false
    }

    /// Returns the stored hash, unless the directory keeps it secret.
    pub(crate) async fn password_hash(&self, email: &str) -> Option<String> {
        match kind() {
            Kind::Table => {
                let hash = self.user_row(email).await["password_hash"].clone();
                Some(hash.as_s().unwrap().clone())
            }
            Kind::PostgreSql => {
                let select = "SELECT password_hash FROM users WHERE email = :'email'";
                Some(psql(select, &[("email", email)]))
            }
            Kind::Cognito => None,
        }
    }

    /// Gives a user another address.
    pub(crate) async fn change_address(&self, email: &str, new: &str) {
        match kind() {
            Kind::Table => {
                let update = self
                    .update_user(email)
                    .update_expression("SET email = :new");
                let new = AttributeValue::S(new.to_owned());
                update
                    .expression_attribute_values(":new", new)
                    .send()
                    .await
                    .unwrap();
            }
            Kind::PostgreSql => {
                let update = "UPDATE users SET email = :'new' WHERE email = :'email'";
                psql(update, &[("email", email), ("new", new)]);
            }
            Kind::Cognito => {
                let attributes = json!([
                    { "Name": "email", "Value": new }, { "Name": "email_verified", "Value": "true" },
                ]);
                let user = json!({ "Username": email, "UserAttributes": attributes });
                self.cognito("AdminUpdateUserAttributes", user)
                    .await
                    .unwrap();
            }
        }
    }

    /// Disables a user, or deletes it if the directory has no notion of disabling.
    pub(crate) async fn disable(&self, email: &str) {
        match kind() {
            Kind::Table => {
                let delete = self
                    .dynamodb
                    .delete_item()
                    .table_name(variable("USERS_TABLE"));
                let key = AttributeValue::S(email.to_owned());
                delete.key("id", key).send().await.unwrap();
            }
            Kind::PostgreSql => {
                let update = "UPDATE users SET disabled_at = now() WHERE email = :'email'";
                psql(update, &[("email", email)]);
            }
            Kind::Cognito => {
                let user = json!({ "Username": email });
                self.cognito("AdminDisableUser", user).await.unwrap();
            }
        }
    }

    /// Returns the item of a user in a table.
    pub(crate) async fn user_row(&self, email: &str) -> HashMap<String, AttributeValue> {
        let get = self.dynamodb.get_item().table_name(variable("USERS_TABLE"));
        get.key("id", AttributeValue::S(email.to_owned()))
            .send()
            .await
            .unwrap()
            .item
            .unwrap()
    }

    fn update_user(
        &self,
        email: &str,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        let update = self
            .dynamodb
            .update_item()
            .table_name(variable("USERS_TABLE"));
        update.key("id", AttributeValue::S(email.to_owned()))
    }

    /// Calls Cognito about the pool.
    async fn cognito(&self, action: &str, mut body: Value) -> Result<Value, Value> {
        body["UserPoolId"] = variable("USER_POOL_ID").into();
        let target = format!("AWSCognitoIdentityProviderService.{action}");
        self.json_call("cognito-idp", &target, &body).await
    }
}

/// Runs SQL with variables as the database's owner, and returns its output. One test's SQL does not justify a crate.
fn psql(sql: &str, variables: &[(&str, &str)]) -> String {
    let options = "--no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1";
    let mut psql = Command::new(variable("PSQL"));
    psql.args(options.split(' '));
    for (name, value) in variables {
        psql.arg(format!("--set={name}={value}"));
    }
    psql.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut psql = psql.spawn().unwrap();
    // Not as an argument: psql replaces no variables there.
    let mut input = psql.stdin.take().unwrap();
    input.write_all(sql.as_bytes()).unwrap();
    drop(input);
    let output = psql.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
