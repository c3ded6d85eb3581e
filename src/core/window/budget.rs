//! What one laying-out of events may cost. Rules and calendars are written by tenants: work is counted in steps, so that the limit is
//! the same on every machine, and what is beyond it is an error and never a guess.

/// Steps that are left: about ten nanoseconds of work each.
#[derive(Debug)]
pub struct Budget {
    steps: usize,
}

/// Work that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// The steps were used up.
    #[error("the recurrences take more work than one look may cost: use fewer, or simpler ones")]
    Steps,
    /// There are too many occurrences.
    #[error("the recurrences and calendars have more than {MAX_OCCURRENCES} occurrences within 400 days: use fewer, or weekly ranges")]
    Occurrences,
}

/// The most occurrences that are laid out at a time: 46 a day.
pub const MAX_OCCURRENCES: usize = 20_000;
/// The steps of one laying-out, and of reading one calendar.
const STEPS: usize = 400_000;

impl Budget {
    /// A full budget.
    pub const fn full() -> Self {
        Self { steps: STEPS }
    }

    /// Pays for some work that is about to be done.
    pub fn spend(&mut self, steps: usize) -> Result<(), TooMuch> {
        self.steps = self.steps.checked_sub(steps).ok_or(TooMuch::Steps)?;
        Ok(())
    }

    /// The steps that were paid for.
    #[cfg(test)]
    pub const fn spent(&self) -> usize {
        STEPS - self.steps
    }
}
