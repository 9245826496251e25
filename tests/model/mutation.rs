//! Deliberate defects in the protocol.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::dynamodb::statement::{Statement, Write};

/// A deliberate defect in the protocol, which a property must detect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Replaces a part of a condition or an update.
    Words(&'static str, &'static str),
    /// Replaces a whole condition.
    Whole(&'static str, &'static str),
    /// Replaces several parts.
    All(&'static [(&'static str, &'static str)]),
    /// Removes the puts of rows with this key prefix.
    NoPut(&'static str),
    /// Keeps rows with this key prefix.
    NoDelete(&'static str),
    /// Skips the check of the token before the transaction.
    NoPrecheck,
    /// Dates a change at the start of its request, as an earlier version did.
    TimeOfRequest,
    /// Lets the epoch row expire at once.
    NotKept,
    /// Counts links that a change ended toward the link limit.
    LimitWithoutEpoch,
    /// Counts a link toward the link limit before SES accepts its email.
    LimitBeforeEmail,
    /// Removes the link limit.
    NoLimit,
    /// Removes the daily limit of an address.
    NoDailyLimit,
    /// Sends another link for a request that already has one.
    NoSkip,
    /// Counts links in fixed windows, live or not, as an earlier version did.
    LimitByWindow,
    /// Gives a link back if the outcome of its change is unknown.
    UnknownIsLater,
    /// Reports a link as dead if the outcome of its change is unknown.
    UnknownIsDead,
    /// Sends an uncertain notice of a change that may be in progress.
    NoWait,
    /// Sets the end of the links to the time of a disown, even if it has that time.
    DisownAtAnyTime,
    /// Reports a link as dead if the change that ended it is in progress.
    BusyIsDead,
}

impl Mutation {
    /// Applies the mutation to the product's statements. Other mutations change the steps instead.
    pub(crate) fn apply(self, statements: &mut Vec<Statement>) {
        match self {
            Self::NoPrecheck
            | Self::TimeOfRequest
            | Self::LimitWithoutEpoch
            | Self::LimitBeforeEmail
            | Self::NoLimit
            | Self::NoDailyLimit
            | Self::NoSkip
            | Self::LimitByWindow
            | Self::UnknownIsLater
            | Self::UnknownIsDead
            | Self::NoWait
            | Self::DisownAtAnyTime
            | Self::BusyIsDead => {}
            Self::NotKept => {
                for statement in statements {
                    if let Some(kept) = statement.values.get_mut(":kept") {
                        *kept = AttributeValue::N("0".to_owned());
                    }
                }
            }
            Self::Words(from, to) => reword(statements, from, to),
            Self::All(words) => {
                for (from, to) in words {
                    reword(statements, from, to);
                }
            }
            Self::NoPut(prefix) => statements.retain(|one| {
                let is_put = matches!(one.write, Write::Put(_));
                !(is_put && one.key.key.text().starts_with(prefix))
            }),
            Self::NoDelete(prefix) => {
                for statement in statements {
                    let is_delete = matches!(statement.write, Write::Delete);
                    if is_delete && statement.key.key.text().starts_with(prefix) {
                        statement.write = Write::Update(String::new());
                    }
                }
            }
            Self::Whole(from, to) => {
                for statement in statements {
                    if statement.condition.as_deref() == Some(from) {
                        statement.condition = Some(to.to_owned());
                    }
                }
            }
        }
    }
}

fn reword(statements: &mut [Statement], from: &str, to: &str) {
    for statement in statements {
        if let Some(condition) = &statement.condition {
            let condition = condition.replace(from, to);
            statement.condition = Some(condition).filter(|condition| !condition.is_empty());
        }
        if let Write::Update(update) = &statement.write {
            statement.write = Write::Update(update.replace(from, to));
        }
    }
}
