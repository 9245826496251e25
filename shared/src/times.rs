//! The formats of times in rows.

/// Times as seconds since 1970, to the millisecond: a number that other programs can compare.
pub(crate) mod unix_seconds {
    use aws_sdk_dynamodb::types::AttributeValue;
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Returns the number, for a condition.
    pub(crate) fn attribute(time: Timestamp) -> AttributeValue {
        AttributeValue::N(format!(
            "{}.{:03}",
            time.as_second(),
            time.subsec_millisecond()
        ))
    }

    pub(crate) fn serialize<S: Serializer>(
        time: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "53 bits of milliseconds last for 285,000 years"
        )]
        serializer.serialize_f64(time.as_millisecond() as f64 / 1000.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        // A cast would turn it into 1970.
        if seconds.is_nan() {
            return Err(D::Error::custom("not a number"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "an out-of-range value saturates, and is rejected"
        )]
        Timestamp::from_millisecond((seconds * 1000.0).round() as i64).map_err(D::Error::custom)
    }

    /// The same format for a time that may be absent.
    pub(crate) mod optional {
        use jiff::Timestamp;
        use serde::{Deserializer, Serializer};

        #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
        pub(crate) fn serialize<S: Serializer>(
            time: &Option<Timestamp>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => super::serialize(time, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Timestamp>, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }
}

/// Times in whole seconds since 1970, as the TTL attribute requires.
pub(crate) mod whole_seconds {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(
        time: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.as_second())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        Timestamp::from_second(i64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
