//! What a probe saw once, of one target.

use super::text::{MAX_MESSAGE_CHARS, single_line};
use jiff::Timestamp;
use std::time::Duration;

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is as it should be.
    Pass,
    /// It is, with a reservation.
    Warn,
    /// It is not.
    Fail,
    /// It could not be told, for a technical reason. Never a Pass and never a Fail.
    Error,
}

impl Outcome {
    /// The word in a status and in a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Warn => "Warn",
            Self::Fail => "Fail",
            Self::Error => "Error",
        }
    }
}

/// Reason of an [`Outcome::Error`] that means: the target is there, what is asked about is not. `outcomes.noData` answers for it.
pub const NO_DATA: &str = "NoData";
/// Reason of an [`Outcome::Error`]: the target itself is not there. Counts as no target.
pub const NOT_FOUND: &str = "NotFound";
/// Reason of an [`Outcome::Error`]: an address that the network policy refuses.
pub const TARGET_DENIED: &str = "TargetDenied";
/// Reason of an [`Outcome::Error`]: a deadline passed.
pub const TIMEOUT: &str = "Timeout";
/// Reason of an [`Outcome::Error`]: the probe itself failed.
pub const PANIC: &str = "ProbePanicked";

/// What a probe saw once, of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The target: `Kind/name`, or an address. One line.
    pub target: String,
    /// What was seen.
    pub outcome: Outcome,
    /// Why, in one CamelCase word.
    pub reason: &'static str,
    /// Why, in one line of at most [`MAX_MESSAGE_CHARS`] characters.
    pub message: String,
    /// What was measured, such as `2/3 ready`.
    pub value: Option<String>,
    /// What was required, such as `3 ready`.
    pub required: Option<String>,
    /// How many tries it took; 0 before the runner has counted them.
    pub attempts: u32,
    /// How long it took in all.
    pub duration: Duration,
    /// When time alone may change the outcome: from that instant on the observation is not to be believed.
    pub holds_until: Option<Timestamp>,
}

impl Observation {
    /// An observation with a message that is made one bounded line.
    pub fn new(target: impl AsRef<str>, outcome: Outcome, reason: &'static str, message: impl AsRef<str>) -> Self {
        Self {
            target: single_line(target.as_ref(), 316),
            outcome,
            reason,
            message: single_line(message.as_ref(), MAX_MESSAGE_CHARS),
            value: None,
            required: None,
            attempts: 1,
            duration: Duration::ZERO,
            holds_until: None,
        }
    }

    /// It could not be told.
    pub fn error(target: impl AsRef<str>, reason: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(target, Outcome::Error, reason, message)
    }

    /// The same, with what was measured and what was required (each one line of at most 128 characters).
    #[must_use]
    pub fn measured(mut self, value: impl AsRef<str>, required: impl AsRef<str>) -> Self {
        self.value = Some(single_line(value.as_ref(), 128));
        self.required = Some(single_line(required.as_ref(), 128));
        self
    }

    /// The same, to be believed only before an instant.
    #[must_use]
    pub fn holding_until(mut self, instant: Option<Timestamp>) -> Self {
        self.holds_until = instant;
        self
    }
}
