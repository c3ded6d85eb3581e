//! What is wrong with a spec, where, and what would be right.

use super::text::single_line;
use std::fmt::{self, Write as _};

/// A field that cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field's path, such as `spec.probe.window.timeZone`.
    pub field: String,
    /// What is wrong and what would be right, in one line.
    pub message: String,
}

impl Problem {
    /// A problem at a field; the message is cut to one line of 512 characters.
    pub fn new(field: impl Into<String>, message: impl AsRef<str>) -> Self {
        Self { field: field.into(), message: single_line(message.as_ref(), 512) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// All problems in one line, as the message of `Ready=False`. At most three are spelled out.
pub fn summary(problems: &[Problem]) -> String {
    let mut text = problems.iter().take(3).map(Problem::to_string).collect::<Vec<_>>().join("; ");
    if problems.len() > 3 {
        let _ = write!(text, "; and {} more", problems.len() - 3);
    }
    single_line(&text, 1024)
}
