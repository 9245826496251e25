//! The calls to Cognito.

use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::Builder;
use aws_sdk_cognitoidentityprovider::config::retry::RetryConfig;
use aws_sdk_cognitoidentityprovider::config::timeout::TimeoutConfig;
use aws_sdk_cognitoidentityprovider::operation::admin_get_user::AdminGetUserError;
use rekey::aws::DYNAMODB_TIMEOUT;
use rekey::email::Email;
use rekey::fault::Fault;
use secrecy::{ExposeSecret as _, SecretString};

use crate::user::User;

/// The number of users in a page of `ListUsers`: its maximum.
const PAGE: i32 = 60;

/// The number of pages to read. In some pools, anyone can sign up many times with another person's address, which stays
/// unverified. Without a limit, such users could make *find* exceed its timeout, and then hold up other requests.
const MAX_PAGES: usize = 10;

/// A user pool.
pub struct Pool {
    cognito: Client,
    id: String,
}

impl Pool {
    /// Creates the client of a pool.
    pub fn new(sdk: &SdkConfig, id: String) -> Self {
        Self {
            cognito: Client::new(sdk),
            id,
        }
    }

    /// Finds the users with an address who can reset a password: all if there are fewer than two, and otherwise at
    /// least two.
    ///
    /// `ListUsers` ignores the case of addresses. It is eventually consistent.
    ///
    /// # Errors
    /// Returns a [`Fault`] if Cognito rejects the call or does not answer.
    pub async fn users_with(&self, email: &Email) -> Result<Vec<User>, Fault> {
        // The address has neither quotation marks nor backslashes, because `Email` does not accept them. So it cannot
        // end the value early.
        let filter = format!("email = \"{}\"", email.as_str());
        let (mut users, mut next) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            // No `AttributesToGet`: the call would fail unless all users have these attributes.
            let page = self.cognito.list_users().user_pool_id(&self.id);
            let page = page.filter(&filter).limit(PAGE).set_pagination_token(next);
            let page = page.send().await;
            let page = page.map_err(|error| Fault::from_sdk("find.list_users", &error))?;
            let listed = page.users.unwrap_or_default().into_iter();
            users.extend(
                listed
                    .filter_map(User::listed)
                    .filter(|user| user.has(email)),
            );
            next = page.pagination_token;
            if next.is_none() || users.len() > 1 {
                return Ok(users);
            }
        }
        tracing::warn!("More than 600 users share an address. The rest were not read.");
        Ok(users)
    }

    /// Reads the user with an ID, if that user can reset a password.
    ///
    /// # Errors
    /// Returns a [`Fault`] if Cognito rejects the call or does not answer.
    pub async fn user(&self, id: &str) -> Result<Option<User>, Fault> {
        let get = self.cognito.admin_get_user().user_pool_id(&self.id);
        match get.username(id).send().await {
            Ok(user) => Ok(User::read(user).filter(|user| user.is(id))),
            Err(error) => match error.as_service_error() {
                Some(AdminGetUserError::UserNotFoundException(_)) => Ok(None),
                _ => Err(Fault::from_sdk("replace.get_user", &error)),
            },
        }
    }

    /// Sets a user's password, in one attempt.
    ///
    /// # Errors
    /// Returns a [`Fault`] if Cognito rejects the call or does not answer.
    pub async fn set_password(&self, id: &str, password: &SecretString) -> Result<(), Fault> {
        let set = self.cognito.admin_set_user_password();
        let set = set.user_pool_id(&self.id).username(id).permanent(true);
        // The SDK needs a text, and does not wipe it.
        let set = set.password(password.expose_secret()).customize();
        let set = set.config_override(one_attempt()).send().await;
        set.map_err(|error| Fault::from_sdk("replace.set_password", &error))?;
        Ok(())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Returns the settings of a call that must not be retried.
///
/// If the first attempt set the password and its response was lost, a second one could be throttled, or rejected
/// because the user has the password already. Both would count as *nothing was set*. The connection is fresh, because
/// the user was read through it. The attempt may take the time of all attempts of other calls.
fn one_attempt() -> Builder {
    let timeouts = TimeoutConfig::builder()
        .disable_operation_attempt_timeout()
        .operation_timeout(DYNAMODB_TIMEOUT);
    Builder::new()
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
}
