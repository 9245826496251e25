//! Users behind two Lambda functions that the team provides: *find* and *replace*.
//!
//! They are two, because a role can limit a call to a function, but not to a payload. So the private half of `forgot`
//! cannot replace passwords, and the public half of `reset` cannot read users.

use aws_config::SdkConfig;
use jiff::SignedDuration;
use serde::de::DeserializeOwned;

use super::lookup::Lookup;
use super::protocol::{
    Find, FindAction, Found, FoundUser, MAX_ID_LENGTH, Reason, Replace, ReplaceAction, Replaced,
    SentPassword, Version,
};
use crate::aws::function_arn::FunctionArn;
use crate::aws::invoke::{InvokeError, Invoker};
use crate::config::Env;
use crate::email::Email;
use crate::fault::Fault;
use crate::field_error::FieldError;
use crate::given_name::GivenName;
use crate::locale::Locale;
use crate::request_id::RequestId;
use crate::table::rows::{PasswordChanged, TokenIssued};
use crate::user::{User, UserKey};

/// Two Lambda functions that the team provides.
#[derive(Clone, Debug)]
pub struct Functions {
    invoker: Invoker,
    find: FunctionArn,
    replace: FunctionArn,
    sent_as: SentAs,
}

/// What *replace* receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentAs {
    /// The password's hash, in the format of the deployment.
    Hash,
    /// The password itself, for a system that hashes it.
    Plain,
}

/// The outcome of asking a directory to replace a password.
#[derive(Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The password is replaced.
    Replaced,
    /// Nothing was done: the user or the password changed since the link was sent, so the link is dead.
    Dead,
    /// Nothing was done: the directory's own rules reject the password.
    Unacceptable(FieldError),
    /// Nothing was done, and a retry may succeed.
    Later(Fault),
    /// The password may have been replaced.
    Unknown(Fault),
}

impl Functions {
    /// Reads `USERS_FIND_FUNCTION`, `USERS_REPLACE_FUNCTION`, and `USERS_PASSWORD_SENT_AS`. Returns `Some(None)` if the
    /// first two are empty, and reports one without the other.
    pub fn read(env: &mut Env<'_>, sdk: &SdkConfig) -> Option<Option<Self>> {
        let arn = |arn: &str| {
            let parsed = FunctionArn::parse(arn).map(Some);
            parsed.ok_or("the ARN of a Lambda function, version, or alias".to_owned())
        };
        let find = env.optional("USERS_FIND_FUNCTION", None, arn)?;
        let replace = env.optional("USERS_REPLACE_FUNCTION", None, arn)?;
        let sent_as = env.optional(
            "USERS_PASSWORD_SENT_AS",
            SentAs::Hash,
            |value| match value {
                "hash" => Ok(SentAs::Hash),
                "plain" => Ok(SentAs::Plain),
                _ => Err("hash or plain".to_owned()),
            },
        )?;
        match (find, replace) {
            (None, None) => Some(None),
            (Some(find), Some(replace)) => Some(Some(Self {
                invoker: Invoker::new(sdk),
                find,
                replace,
                sent_as,
            })),
            (Some(_), None) => {
                env.report(
                    "USERS_REPLACE_FUNCTION",
                    "",
                    "an ARN, because USERS_FIND_FUNCTION is set",
                );
                None
            }
            (None, Some(_)) => {
                env.report(
                    "USERS_FIND_FUNCTION",
                    "",
                    "an ARN, because USERS_REPLACE_FUNCTION is set",
                );
                None
            }
        }
    }

    /// Returns what *replace* receives.
    pub fn sent_as(&self) -> SentAs {
        self.sent_as
    }

    /// Looks up an address. A user with another address than the requested one does not count.
    ///
    /// # Errors
    /// Returns a [`Fault`] if the function fails, or if its response does not follow the protocol.
    pub async fn find_by_email(&self, email: &Email, id: &RequestId) -> Result<Lookup, Fault> {
        const OPERATION: &str = "directory.find";
        let find = Find {
            rekey: Version,
            action: FindAction::Find,
            request_id: id.as_str().to_owned(),
            email: email.as_str().to_owned(),
        };
        let json = serde_json::to_string(&find);
        let json = json.map_err(|_| Fault::internal(OPERATION, "NotSerialized"))?;
        let response = self
            .invoker
            .read(OPERATION, &self.find, json.into())
            .await?;
        let Found { users } =
            parsed(&response).ok_or(Fault::internal(OPERATION, INVALID_RESPONSE))?;
        let mut users = users.into_iter().filter_map(|user| user_with(user, email));
        Ok(match (users.next(), users.next()) {
            (None, _) => Lookup::NotFound,
            (Some(user), None) => Lookup::Found(user),
            (Some(_), Some(_)) => Lookup::Ambiguous,
        })
    }

    /// Asks for the new password of a user, once. A response that does not follow the protocol is
    /// [`Replacement::Unknown`].
    pub async fn replace(
        &self,
        changed: &PasswordChanged,
        issued: &TokenIssued,
        password: SentPassword,
    ) -> Replacement {
        const OPERATION: &str = "directory.replace";
        // A number, or a key of two parts, is of the table that the deployment had before.
        let Some(user) = issued.user.as_text() else {
            return Replacement::Dead;
        };
        let replace = Replace {
            rekey: Version,
            action: ReplaceAction::Replace,
            request_id: changed.request_id.as_str().to_owned(),
            user: user.to_owned(),
            email: issued.email.as_str().to_owned(),
            issued_at: issued.issued_at,
            changed_at: changed.changed_at,
            deadline: changed.changed_at + DEADLINE,
            password,
        };
        let Ok(json) = replace.to_json() else {
            return Replacement::Later(Fault::internal(OPERATION, "NotSerialized"));
        };
        drop(replace);
        match self
            .invoker
            .invoke_once(OPERATION, &self.replace, json)
            .await
        {
            Ok(response) => match parsed(&response) {
                Some(Replaced::Replaced) => Replacement::Replaced,
                Some(Replaced::Gone | Replaced::Overtaken) => Replacement::Dead,
                Some(Replaced::Unacceptable { reason }) => Replacement::Unacceptable(reason.into()),
                Some(Replaced::Later) => {
                    Replacement::Later(Fault::internal(OPERATION, "Later").transient())
                }
                None => Replacement::Unknown(Fault::internal(OPERATION, INVALID_RESPONSE)),
            },
            Err(InvokeError::NotRun(fault)) => Replacement::Later(fault),
            Err(InvokeError::Unknown(fault)) => Replacement::Unknown(fault),
        }
    }
}

/// The time after a change from which a function must not start to write: as long as Rekey waits for it
/// ([`crate::aws::invoke::INVOKE_TIMEOUT`]).
const DEADLINE: SignedDuration = SignedDuration::from_secs(10);

const INVALID_RESPONSE: &str = "InvalidResponse";

fn parsed<T: DeserializeOwned>(response: &[u8]) -> Option<T> {
    serde_json::from_slice(response).ok()
}

/// Returns a user of a directory, if the ID is valid and the address is the requested one.
fn user_with(user: FoundUser, requested: &Email) -> Option<User> {
    let email = Email::parse(&user.email).ok()?;
    let is_valid = (1..=MAX_ID_LENGTH).contains(&user.id.len()) && email == *requested;
    is_valid.then(|| User {
        key: UserKey::text(user.id),
        email,
        locale: user.locale.as_deref().and_then(Locale::known),
        name: user.name.as_deref().and_then(GivenName::parse),
        has_unreadable_change_time: false,
    })
}

impl From<Reason> for FieldError {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::TooShort => Self::TooShortForDirectory,
            Reason::TooLong => Self::TooLongForDirectory,
            Reason::TooWeak => Self::TooWeakForDirectory,
            Reason::UsedBefore => Self::UsedBefore,
        }
    }
}
