//! Events, which are requests in Rekey's protocol.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A request for this function, in a version of the protocol that it knows.
#[derive(Debug)]
pub struct Request<T>(pub T);

/// The error for every other event. It repeats nothing of the event.
pub const UNKNOWN_REQUEST: &str =
    "expected a request for this function in version 1 of Rekey's protocol";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Request<T> {
    /// Reads an event. serde's messages are dropped: they repeat the input, and Lambda's runtime logs them.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let request = T::deserialize(deserializer);
        request
            .map(Self)
            .map_err(|_| D::Error::custom(UNKNOWN_REQUEST))
    }
}

#[cfg(test)]
mod tests {
    use rekey::directory::protocol::{Find, Replace, SentPassword};
    use serde_json::{Value, json};

    use super::*;

    fn replace() -> Value {
        json!({
            "rekey": 1, "action": "replace", "request_id": "JKJaXmPLvHcESHA=",
            "user": "42", "email": "ada@example.com",
            "issued_at": 1_763_899_000.12, "changed_at": 1_763_900_000.123, "deadline": 1_763_900_010.123,
            "password": { "plain": "correct horse" },
        })
    }

    #[test]
    fn a_request_is_read_as_documented() {
        let find =
            json!({ "rekey": 1, "action": "find", "request_id": "r", "email": "ada@example.com" });
        let Request(find) = serde_json::from_value::<Request<Find>>(find).unwrap();
        assert_eq!(find.email, "ada@example.com");
        let Request(replace) = serde_json::from_value::<Request<Replace>>(replace()).unwrap();
        assert!(matches!(replace.password, SentPassword::Plain(_)));
    }

    #[test]
    fn an_error_repeats_nothing_of_the_event() {
        for (member, value) in [
            ("rekey", json!(2)),
            ("action", json!("find")),
            ("action", json!("correct horse")),
            ("password", json!("correct horse")),
            ("password", json!({ "correct horse": "" })),
            ("deadline", json!("correct horse")),
            ("user", json!({ "correct horse": 1 })),
        ] {
            let mut event = replace();
            event[member] = value;
            let error = serde_json::from_value::<Request<Replace>>(event.clone()).unwrap_err();
            assert_eq!(error.to_string(), UNKNOWN_REQUEST, "{event}");
        }
    }

    #[test]
    fn each_function_rejects_requests_for_the_other() {
        assert!(serde_json::from_value::<Request<Find>>(replace()).is_err());
    }
}
