//! Epochs: the times at which a change by a link last ended a user's links.

use aws_sdk_dynamodb::types::Update;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::rows::TokenIssued;
use super::{Table, number, text};
use crate::digest::sha256_hex;
use crate::times::unix_seconds;
use crate::user::UserKey;

const EPOCH_PREFIX: &str = "epoch#";

/// The lifetime of an epoch row: an hour longer than the longest link lives.
pub(super) const LIFETIME: SignedDuration = SignedDuration::from_hours(25);

/// The row with the time at which a change by a link last ended a user's links.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Epoch {
    /// The time of that change. Links issued before or at it no longer work.
    #[serde(with = "unix_seconds")]
    pub ended_at: Timestamp,
}

/// Returns the key of a user's epoch row.
pub fn epoch_key(user: &UserKey) -> String {
    format!("{EPOCH_PREFIX}{}", sha256_hex(&user.identity()))
}

impl Table {
    /// Returns the statement that ends all links of a user that were issued until now. It fails if the link that is
    /// used has already been ended.
    ///
    /// The user's item has the same time (`password_changed_at`), but the application writes that item too. If it
    /// restored an item that it read before the change, every link that the change ended would work again.
    pub(super) fn end_links_statement(
        &self,
        issued: &TokenIssued,
        now: Timestamp,
    ) -> UpdateBuilder {
        Update::builder()
            .table_name(&self.name)
            .key("pk", text(epoch_key(&issued.user)))
            .update_expression("SET ended_at = :now, expires_at = :kept")
            .condition_expression("attribute_not_exists(ended_at) OR ended_at < :issued_at")
            .expression_attribute_values(":now", unix_seconds::attribute(now))
            .expression_attribute_values(":kept", number((now + LIFETIME).as_second()))
            .expression_attribute_values(":issued_at", unix_seconds::attribute(issued.issued_at))
    }
}
