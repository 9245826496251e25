//! SES's feedback: what happened to an email that SES accepted.
//!
//! SES publishes an event to an SNS topic, and the topic invokes the private half of `reset`. Only operators see the
//! outcome, in the log and the metrics, by the ID of the request. Callers received their response long before.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::request_id::RequestId;
use crate::telemetry::Telemetry;
use crate::telemetry::metric::Metric;

/// The message tag that names the request an email was sent for.
pub(crate) const REQUEST_TAG: &str = "request_id";

/// Logs and counts an event. An event of another shape is ignored: a retry would not change it.
pub(crate) fn record(message: &str, telemetry: &Telemetry, now: Timestamp) {
    let Ok(feedback) = serde_json::from_str::<Feedback>(message) else {
        return;
    };
    if let Some((metric, detail)) = feedback.metric() {
        let id = feedback.request_id();
        telemetry.for_request(&id, now).count(metric, detail);
    }
}

/// An event of SES (SES Developer Guide, "Contents of event data that Amazon SES publishes to Amazon SNS"), without the
/// recipient's address.
///
/// SES adds types and subtypes over the years, so any of them may be unknown or missing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    event_type: String,
    mail: Tagged,
    #[serde(default)]
    bounce: Bounce,
    #[serde(default)]
    complaint: Complaint,
}

#[derive(Debug, Deserialize)]
struct Tagged {
    #[serde(default)]
    tags: HashMap<String, Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounce_type: Option<String>,
    bounce_sub_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    complaint_sub_type: Option<String>,
    complaint_feedback_type: Option<String>,
}

impl Feedback {
    /// Returns the metric that counts the event and what happened, or `None` if the email arrived.
    fn metric(&self) -> Option<(Metric, &'static str)> {
        match self.event_type.as_str() {
            "Bounce" => Some(self.bounce.metric()),
            "Complaint" => self.complaint.metric(),
            "Reject" => Some((Metric::EmailsRejected, "SES found a virus in the email")),
            _ => None,
        }
    }

    /// Returns the ID of the request that the email was sent for.
    fn request_id(&self) -> RequestId {
        let tags = self.mail.tags.get(REQUEST_TAG);
        let tag = tags.and_then(|values| values.first());
        tag.and_then(|tag| RequestId::from_tag(tag))
            .unwrap_or_else(RequestId::unknown)
    }
}

/// The metric and the detail of an email that SES accepted but did not send.
const SUPPRESSED: (Metric, &str) = (
    Metric::EmailsSuppressed,
    "SES suppressed the address and did not send the email",
);

/// Returns whether a subtype of a bounce or of a complaint says that SES did not send the email.
///
/// The reason is a suppression list (of SES, the account, or the tenant), or SES's validation of the address. It may
/// also be a contact list that the recipient has left.
fn is_suppressed(sub_type: Option<&str>) -> bool {
    matches!(
        sub_type,
        Some(
            "Suppressed"
                | "OnAccountSuppressionList"
                | "OnTenantSuppressionList"
                | "EmailValidationSuppressed"
                | "UnsubscribedRecipient"
        )
    )
}

impl Bounce {
    fn metric(&self) -> (Metric, &'static str) {
        let sub_type = self.bounce_sub_type.as_deref();
        if is_suppressed(sub_type) {
            return SUPPRESSED;
        }
        let detail = match (self.bounce_type.as_deref(), sub_type) {
            (_, Some("ContentRejected" | "AttachmentRejected" | "MessageTooLarge")) => {
                "the recipient's server rejected the content"
            }
            (_, Some("CustomTimeoutExceeded")) => "SES could not deliver the email in time",
            (Some("Permanent"), _) => "the mailbox does not exist or accepts no email",
            (Some("Transient"), _) => "the mailbox could not accept the email",
            _ => "the email bounced for an unknown reason",
        };
        (Metric::EmailsBounced, detail)
    }
}

impl Complaint {
    fn metric(&self) -> Option<(Metric, &'static str)> {
        if is_suppressed(self.complaint_sub_type.as_deref()) {
            return Some(SUPPRESSED);
        }
        // RFC 5965 section 7.3 and its registry define the types.
        match self.complaint_feedback_type.as_deref() {
            // The recipient moved the email out of the spam folder: it arrived, so there is nothing to count.
            Some("not-spam") => None,
            Some("auth-failure") => Some((
                Metric::SpamComplaints,
                "the recipient's server could not authenticate the email",
            )),
            _ => Some((
                Metric::SpamComplaints,
                "the recipient reported the email as spam",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn metric(event: &Value) -> Option<Metric> {
        let feedback: Feedback = serde_json::from_value(event.clone()).unwrap();
        feedback.metric().map(|(metric, _)| metric)
    }

    fn bounce(kind: &str, sub_kind: &str) -> Value {
        let bounce = json!({ "bounceType": kind, "bounceSubType": sub_kind });
        json!({ "eventType": "Bounce", "bounce": bounce, "mail": {} })
    }

    #[test]
    fn an_email_that_ses_rejects_after_accepting_it_is_counted() {
        let rejected = json!({ "eventType": "Reject", "mail": {} });
        assert_eq!(metric(&rejected), Some(Metric::EmailsRejected));
    }

    #[test]
    fn a_delivery_is_not_counted() {
        let delivery = json!({ "eventType": "Delivery", "mail": { "tags": {} } });
        assert_eq!(metric(&delivery), None);
    }

    #[test]
    fn the_detail_of_a_complaint_depends_on_its_type() {
        let detail = |kind: &str| {
            let complaint = json!({ "complaintFeedbackType": kind });
            let event = json!({ "eventType": "Complaint", "complaint": complaint, "mail": {} });
            let feedback: Feedback = serde_json::from_value(event).unwrap();
            feedback.metric().map(|(_, detail)| detail)
        };
        assert!(detail("abuse").unwrap().contains("as spam"));
        assert!(detail("auth-failure").unwrap().contains("authenticate"));
        assert_eq!(detail("not-spam"), None);
    }

    #[test]
    fn the_request_id_is_read_from_the_tag() {
        let id = RequestId::parse("JKJaXmPLvHcESHA=").unwrap();
        let event = json!({ "eventType": "Complaint", "mail": { "tags": { "request_id": [id.to_tag()] } } });
        let feedback: Feedback = serde_json::from_value(event).unwrap();
        assert_eq!(feedback.request_id(), id);
        let untagged: Feedback = serde_json::from_value(bounce("", "")).unwrap();
        assert_eq!(untagged.request_id(), RequestId::unknown());
    }
}
