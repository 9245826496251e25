//! The time of a user's last password change, in the format of the users table.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};

use crate::times::unix_seconds;

/// The time by which the application's clock may be ahead of Rekey's.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The format of the attribute with the time of a user's last password change.
///
/// An application that compares the attribute with the start of a session can end older sessions (OWASP ASVS 5.0,
/// 7.4.3). An application that writes it ends the links that were issued before. Rekey ignores a value that it cannot
/// read, because such a value would lock the user out for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeTimeFormat {
    /// Seconds since 1970, a number.
    Seconds,
    /// Milliseconds since 1970, a number.
    Milliseconds,
    /// A text such as `2026-11-25T09:00:00.123Z` (ISO 8601), in UTC. Such texts compare like the times.
    Iso8601,
}

impl ChangeTimeFormat {
    /// Parses the name of a format.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "seconds" => Ok(Self::Seconds),
            "milliseconds" => Ok(Self::Milliseconds),
            "iso8601" => Ok(Self::Iso8601),
            _ => Err("seconds, milliseconds, or iso8601".to_owned()),
        }
    }

    /// Returns a time as the value of the attribute.
    pub(super) fn attribute(self, time: Timestamp) -> AttributeValue {
        match self {
            Self::Seconds => unix_seconds::attribute(time),
            Self::Milliseconds => AttributeValue::N(time.as_millisecond().to_string()),
            Self::Iso8601 => AttributeValue::S(format!("{time:.3}")),
        }
    }

    /// Returns the latest time that can be a change, allowing for clock skew. A later value is not a time in this
    /// format.
    pub(super) fn horizon(self, now: Timestamp) -> AttributeValue {
        self.attribute(now + CLOCK_SKEW)
    }

    /// Returns the type of the attribute, as `attribute_type` expects it.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Seconds | Self::Milliseconds => "N",
            Self::Iso8601 => "S",
        }
    }

    /// Returns whether a value is a time in this format. If it is not, changes by the application end no links.
    ///
    /// `NULL` and the number 0 count as readable: applications write them for users who never changed their password.
    pub(super) fn can_read(self, value: &AttributeValue, now: Timestamp) -> bool {
        match (self, value, self.horizon(now)) {
            (_, AttributeValue::Null(_), _) => true,
            (Self::Seconds, AttributeValue::N(number), AttributeValue::N(horizon)) => {
                is_between(number, EARLIEST_SECOND, &horizon)
            }
            (Self::Milliseconds, AttributeValue::N(number), AttributeValue::N(horizon)) => {
                is_between(number, 1000.0 * EARLIEST_SECOND, &horizon)
            }
            (Self::Iso8601, AttributeValue::S(text), AttributeValue::S(horizon)) => {
                is_in_utc(text) && *text <= horizon
            }
            _ => false,
        }
    }
}

/// The start of 1973. A number of seconds looks like January 1970 if it is read as milliseconds.
const EARLIEST_SECOND: f64 = 94_694_400.0;

fn is_between(number: &str, earliest: f64, latest: &str) -> bool {
    let (Ok(number), Ok(latest)) = (number.parse::<f64>(), latest.parse()) else {
        return false;
    };
    number == 0.0 || (earliest..=latest).contains(&number)
}

/// Returns whether a text is a date and a time in UTC, with or without a fraction.
fn is_in_utc(text: &str) -> bool {
    const PATTERN: &str = "0000-00-00T00:00:00";
    let Some((time, rest)) = text.split_at_checked(PATTERN.len()) else {
        return false;
    };
    let is_digit = |character: char| character.is_ascii_digit();
    let fraction = rest.strip_prefix('.');
    let offset = fraction.map_or(rest, |fraction| fraction.trim_start_matches(is_digit));
    time.replace(is_digit, "0") == PATTERN && matches!(offset, "" | "Z" | "+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-25T09:00:00.123Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn number(number: &str) -> AttributeValue {
        AttributeValue::N(number.to_owned())
    }

    fn text(text: &str) -> AttributeValue {
        AttributeValue::S(text.to_owned())
    }

    #[test]
    fn a_time_is_written_in_each_format() {
        let write = |format: ChangeTimeFormat| format.attribute(now());
        assert_eq!(write(ChangeTimeFormat::Seconds), number("1795597200.123"));
        assert_eq!(
            write(ChangeTimeFormat::Milliseconds),
            number("1795597200123")
        );
        assert_eq!(write(ChangeTimeFormat::Iso8601), text(NOW));
        let whole = Timestamp::from_second(1_795_597_200).unwrap();
        let written = ChangeTimeFormat::Iso8601.attribute(whole);
        assert_eq!(written, text("2026-11-25T09:00:00.000Z"));
    }

    #[test]
    fn values_of_another_format_are_unreadable() {
        use ChangeTimeFormat::{Iso8601, Milliseconds, Seconds};
        let null = AttributeValue::Null(true);
        for (format, value, expected) in [
            (Seconds, null.clone(), true),
            (Seconds, number("0"), true),
            (Seconds, number("1795597200.123"), true),
            (Seconds, number("1795597500"), true),
            (Seconds, number("1795597501"), false),
            (Seconds, number("1795597200123"), false),
            (Seconds, text("1795597200"), false),
            (Seconds, AttributeValue::Bool(true), false),
            (Milliseconds, null.clone(), true),
            (Milliseconds, number("0"), true),
            (Milliseconds, number("1795597200123"), true),
            (Milliseconds, number("1795597200"), false),
            (Milliseconds, number("1795597501000"), false),
            (Milliseconds, text(NOW), false),
            (Iso8601, null, true),
            (Iso8601, text(NOW), true),
            (Iso8601, text("2026-11-25T09:00:00Z"), true),
            (Iso8601, text("2026-11-25T09:00:00.123456+00:00"), true),
            (Iso8601, text("2026-11-25T09:00:00"), true),
            (Iso8601, text("2026-11-25T09:06:00Z"), false),
            (Iso8601, text("2026-11-25T09:00:00+01:00"), false),
            (Iso8601, text("2026-11-25 09:00:00Z"), false),
            (Iso8601, text("2026-11-25"), false),
            (Iso8601, text("25.11.2026 09:00:00"), false),
            (Iso8601, text("1795597200"), false),
            (Iso8601, text(""), false),
            (Iso8601, text("2026-11-25T09:00:0\u{fc}"), false),
            (Iso8601, number("1795597200"), false),
        ] {
            assert_eq!(
                format.can_read(&value, now()),
                expected,
                "{format:?} {value:?}"
            );
        }
    }
}
