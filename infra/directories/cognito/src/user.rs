//! The users of a pool who can reset a password.

use aws_sdk_cognitoidentityprovider::operation::admin_get_user::AdminGetUserOutput;
use aws_sdk_cognitoidentityprovider::types::{AttributeType, UserStatusType, UserType};
use rekey::directory::protocol::FoundUser;
use rekey::email::Email;

/// A user who can reset a password now.
///
/// The user is enabled, has a verified address, and signs in with a password of this pool. An unverified address may be
/// a stranger's through a typing error, and a link would give the account to that stranger. Users of another identity
/// provider have no password here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User(FoundUser);

impl User {
    /// Returns a user of a list, if the user can reset a password.
    pub fn listed(user: UserType) -> Option<Self> {
        let attributes = user.attributes.unwrap_or_default();
        let id = user
            .username
            .filter(|_| user.enabled && has_password(user.user_status.as_ref()));
        Self::with_attributes(id?, attributes)
    }

    /// Returns a user who was read alone, if the user can reset a password.
    pub fn read(user: AdminGetUserOutput) -> Option<Self> {
        let attributes = user.user_attributes.unwrap_or_default();
        let can_reset = user.enabled && has_password(user.user_status.as_ref());
        Self::with_attributes(can_reset.then_some(user.username)?, attributes)
    }

    fn with_attributes(id: String, attributes: Vec<AttributeType>) -> Option<Self> {
        let mut user = FoundUser {
            id,
            email: String::new(),
            locale: None,
            name: None,
        };
        let mut is_verified = false;
        for attribute in attributes {
            let value = attribute.value.unwrap_or_default();
            match attribute.name.as_str() {
                "email" => user.email = value,
                "email_verified" => is_verified = value == "true",
                "given_name" => user.name = Some(value),
                "locale" => user.locale = Some(value),
                _ => {}
            }
        }
        is_verified.then_some(Self(user))
    }

    /// Returns whether the user has an address, ignoring the case of ASCII letters.
    pub fn has(&self, email: &Email) -> bool {
        Email::parse(&self.0.email).is_ok_and(|own| own == *email)
    }

    /// Returns whether this is the user with an ID. Cognito also finds a user by an alias, which another user may have
    /// taken over.
    pub fn is(&self, id: &str) -> bool {
        self.0.id == id
    }

    /// Returns the user as the protocol describes one.
    pub fn into_found(self) -> FoundUser {
        self.0
    }
}

/// Returns whether a user with this status has a password in the pool, or awaits one.
///
/// An invited user (`FORCE_CHANGE_PASSWORD`) who lost the invitation has no other way in. Setting a password for a user
/// of an external provider would make that user a local one.
fn has_password(status: Option<&UserStatusType>) -> bool {
    matches!(
        status,
        Some(
            UserStatusType::Confirmed
                | UserStatusType::ForceChangePassword
                | UserStatusType::ResetRequired
        )
    )
}
