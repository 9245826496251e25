//! What became of a mail that SES had taken: an event of SES, by way of a topic.
//!
//! Only the operator sees it, in the log and the metrics, by the id of the request that the mail was sent for. What
//! callers are answered was answered long before.

use serde::Deserialize;

use crate::http::RequestId;
use crate::telemetry::Metric;

/// The tag of a mail that names the request it was sent for.
pub(crate) const REQUEST_TAG: &str = "request_id";

/// An event of SES (SES Developer Guide, "Contents of event data that Amazon SES publishes to Amazon SNS"). The
/// address in it is not read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Feedback {
    event_type: String,
    mail: Tagged,
    bounce: Option<Bounce>,
}

#[derive(Debug, Deserialize)]
struct Tagged {
    #[serde(default)]
    tags: std::collections::HashMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounce_type: String,
    bounce_sub_type: String,
}

impl Feedback {
    /// What is counted for it, and what is said. None for what is no failure.
    pub fn meaning(&self) -> Option<(Metric, &'static str)> {
        match (self.event_type.as_str(), &self.bounce) {
            ("Bounce", Some(bounce)) if bounce.is_of_a_suppressed_address() => Some((
                Metric::MailsSuppressed,
                "the address is on a suppression list: SES did not send the mail",
            )),
            ("Bounce", Some(bounce)) if bounce.bounce_type == "Permanent" => {
                Some((Metric::MailsBounced, "the address does not take mail"))
            }
            ("Bounce", _) => Some((
                Metric::MailsBounced,
                "the address does not take mail just now",
            )),
            ("Complaint", _) => {
                Some((Metric::MailsComplained, "the recipient calls the mail spam"))
            }
            ("Reject", _) => Some((Metric::MailsRefused, "SES found a virus in the mail")),
            _ => None,
        }
    }

    /// The request that the mail was sent for.
    pub fn request_id(&self) -> RequestId {
        let tag = self
            .mail
            .tags
            .get(REQUEST_TAG)
            .and_then(|values| values.first());
        tag.and_then(|tag| RequestId::from_tag(tag))
            .unwrap_or_else(RequestId::unknown)
    }
}

impl Bounce {
    fn is_of_a_suppressed_address(&self) -> bool {
        ["Suppressed", "OnAccountSuppressionList"].contains(&self.bounce_sub_type.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn meaning(event: &Value) -> Option<Metric> {
        let feedback: Feedback = serde_json::from_value(event.clone()).unwrap();
        feedback.meaning().map(|(metric, _)| metric)
    }

    fn bounce(kind: &str, sub_kind: &str) -> Value {
        let bounce = json!({ "bounceType": kind, "bounceSubType": sub_kind });
        json!({ "eventType": "Bounce", "bounce": bounce, "mail": {} })
    }

    #[test]
    fn a_bounce_and_a_mail_that_was_never_sent_are_told_apart() {
        for (kind, sub_kind, metric) in [
            ("Permanent", "General", Metric::MailsBounced),
            ("Transient", "MailboxFull", Metric::MailsBounced),
            ("Permanent", "Suppressed", Metric::MailsSuppressed),
            (
                "Permanent",
                "OnAccountSuppressionList",
                Metric::MailsSuppressed,
            ),
        ] {
            assert_eq!(meaning(&bounce(kind, sub_kind)), Some(metric), "{sub_kind}");
        }
    }

    #[test]
    fn what_went_well_is_not_counted_again() {
        let delivery = json!({ "eventType": "Delivery", "mail": { "tags": {} } });
        assert_eq!(meaning(&delivery), None);
    }

    #[test]
    fn the_request_comes_back_from_its_tag() {
        let id = RequestId::parse("JKJaXmPLvHcESHA=").unwrap();
        let event = json!({ "eventType": "Complaint", "mail": { "tags": { "request_id": [id.to_tag()] } } });
        let feedback: Feedback = serde_json::from_value(event).unwrap();
        assert_eq!(feedback.request_id(), id);
        let untagged: Feedback = serde_json::from_value(bounce("", "")).unwrap();
        assert_eq!(untagged.request_id(), RequestId::unknown());
    }
}
