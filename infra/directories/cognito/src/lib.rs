//! A directory for Rekey: the users of an Amazon Cognito user pool.
//!
//! Rekey invokes two functions, *find* and *replace*. This binary serves both. The setting `ACTION` chooses one of
//! them, because the events of the two have different types, and because their roles differ.
//!
//! - [`mod@find`] returns the users with an address who can reset a password now.
//! - [`mod@replace`] sets a user's password.
//! - [`pool`] calls Cognito, and [`user`] decides who can reset a password.
//! - [`request`] reads an event. No error repeats a part of it, because Lambda's runtime logs errors.

pub mod find;
pub mod pool;
pub mod replace;
pub mod request;
pub mod user;

#[cfg(test)]
mod fake;

use jiff::Timestamp;
use lambda_http::lambda_runtime::{self, LambdaEvent};
use lambda_http::{Error, service_fn};
use rekey::aws;
use rekey::config::{ConfigError, Env};
use rekey::directory::protocol::{Find, Replace};

use self::pool::Pool;
use self::request::Request;

/// Serves events until Lambda ends the process.
///
/// # Errors
/// Returns an error if a setting is invalid, or if Lambda's Runtime API cannot be reached.
pub async fn run(variable: &dyn Fn(&str) -> Option<String>) -> Result<(), Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "only this function reads the clock"
    )]
    let clock = Timestamp::now;
    let settings = Settings::read(variable)?;
    let pool = &Pool::new(&aws::sdk_config(variable), settings.pool_id);
    match settings.action {
        Action::Find => {
            let handler = |event: LambdaEvent<Request<Find>>| find::find(pool, event.payload.0);
            lambda_runtime::run(service_fn(handler)).await
        }
        Action::Replace => {
            let handler = |event: LambdaEvent<Request<Replace>>| {
                replace::replace(pool, event.payload.0, clock)
            };
            lambda_runtime::run(service_fn(handler)).await
        }
    }
}

/// The settings of a function.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    action: Action,
    pool_id: String,
}

/// The action of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Find,
    Replace,
}

impl Settings {
    fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(variable);
        let action = env.required("ACTION", |value| match value {
            "find" => Ok(Action::Find),
            "replace" => Ok(Action::Replace),
            _ => Err("find or replace".to_owned()),
        });
        let pool_id = env.text("USER_POOL_ID");
        let settings = action.zip(pool_id);
        env.finish(settings.map(|(action, pool_id)| Self { action, pool_id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(action: &'static str, pool_id: &'static str) -> Result<Settings, String> {
        let variable = |name: &str| match name {
            "ACTION" => Some(action.to_owned()),
            "USER_POOL_ID" => Some(pool_id.to_owned()),
            _ => None,
        };
        Settings::read(&variable).map_err(|error| error.to_string())
    }

    #[test]
    fn a_function_has_one_action_and_one_pool() {
        let settings = read("replace", "eu-central-1_Abc123").unwrap();
        assert_eq!(settings.action, Action::Replace);
        assert_eq!(settings.pool_id, "eu-central-1_Abc123");
        assert_eq!(
            read("Find", "").unwrap_err(),
            "invalid settings: ACTION: expected find or replace, got \"Find\"; USER_POOL_ID: is not set"
        );
    }
}
