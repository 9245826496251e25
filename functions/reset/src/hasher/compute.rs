//! The CPU that Lambda gives a function, and the work that fits into a request.

use std::time::Duration;

use rekey::config::Env;

/// The maximum time of a hash. With directory functions, a change stops if more than
/// [`crate::redemption::CLAIM_LIMIT`] has passed before its claim. This leaves time for the breach API, which has 1.5
/// seconds, and for a call to `DynamoDB`, which usually takes milliseconds.
pub const LONGEST_HASH: Duration = Duration::from_millis(5500);

/// The memory at which a function has a whole core (AWS Lambda Developer Guide, "Configure Lambda function memory").
const CORE_MB: u64 = 1769;

/// The memory of this function, and so its share of a core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compute {
    memory_mb: u32,
}

impl Compute {
    /// Reads the memory that Lambda gave this function, in MB. Outside Lambda, Rekey assumes a whole core.
    pub(super) fn read(env: &mut Env<'_>) -> Self {
        let memory_mb = env.optional("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", u32::MAX, |value| {
            value.parse().map_err(|_| "a whole number".to_owned())
        });
        Self {
            // `Env::finish` rejects an invalid value.
            memory_mb: memory_mb.unwrap_or(u32::MAX),
        }
    }

    /// Returns the number of steps that fit into [`LONGEST_HASH`], if a whole core makes this many in a second.
    pub(super) fn max_steps(self, steps_per_second: u32) -> u64 {
        let share = u64::from(self.memory_mb).min(CORE_MB);
        let milliseconds = u64::try_from(LONGEST_HASH.as_millis()).unwrap_or(u64::MAX);
        u64::from(steps_per_second) * milliseconds * share / (CORE_MB * 1000)
    }

    /// Reports a number of steps that does not fit, with the largest value that does.
    pub(super) fn report(self, env: &mut Env<'_>, name: &str, value: u32, max: u64) {
        let expected = if u64::from(self.memory_mb) < CORE_MB {
            format!(
                "at most {max} with {} MB of memory (HashingMemoryMB)",
                self.memory_mb
            )
        } else {
            format!("at most {max}, even on a whole core")
        };
        env.report(name, &value.to_string(), &expected);
    }
}
