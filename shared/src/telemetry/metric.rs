//! The metrics that Rekey counts.

use serde::Serialize;

/// A metric in `CloudWatch`, in the namespace `Rekey`, by stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Metric {
    /// A request for a link was stored.
    RequestsAccepted,
    /// A request exceeded the limit of its address (answered 202) or of its source (answered 429).
    RequestsThrottled,
    /// A request was held back because the user has enough live links.
    RequestsHeldBack,
    /// SES accepted an email with a link.
    LinksSent,
    /// A request named an address that no user has, or that several users share.
    UnknownAddresses,
    /// A request was for a user whose time of the last password change is unreadable.
    UnreadableChangeTimes,
    /// SES permanently rejected an email.
    EmailsRejected,
    /// A password was replaced.
    PasswordsChanged,
    /// A caller got a 503 after a claim: the directory may have replaced the password.
    ChangesUnknown,
    /// A link works again, because the directory did not replace the password.
    LinksGivenBack,
    /// A token was unknown, used, expired, or for another address.
    TokensRejected,
    /// SES accepted a notice.
    NoticesSent,
    /// A record was discarded because no attempt can succeed.
    RecordsDiscarded,
    /// An email that SES had accepted bounced.
    EmailsBounced,
    /// SES accepted an email and did not send it, because the address is on a suppression list.
    EmailsSuppressed,
    /// A recipient reported an email as spam.
    SpamComplaints,
    /// A request got a 5xx response, other than for a transaction conflict.
    RequestsFailed,
    /// The used part of the day's email budget, in percent. Logged only once it is high.
    EmailBudgetUtilization,
}

impl Metric {
    /// Returns `CloudWatch`'s unit of the metric.
    pub(crate) fn unit(self) -> &'static str {
        if self == Self::EmailBudgetUtilization {
            "Percent"
        } else {
            "Count"
        }
    }
}
