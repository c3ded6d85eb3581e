//! Events laid onto the line of instants, from one of them to the horizon.

use super::budget::{Budget, MAX_OCCURRENCES, TooMuch};
use super::event::Event;
use crate::api::CalendarEffect;

/// Recurrences and calendars, laid out.
#[derive(Debug, Default)]
pub(super) struct Events<'a> {
    pub(super) allowed: Occurrences<'a>,
    pub(super) blackouts: Occurrences<'a>,
}

/// Occurrences in the order in which they begin.
#[derive(Debug, Default)]
pub(super) struct Occurrences<'a>(Vec<Occurrence<'a>>);

#[derive(Clone, Copy, Debug)]
struct Occurrence<'a> {
    start: i64,
    /// Of this and all that begin before it, the last end, and whose that is.
    last_end: i64,
    label: &'a str,
}

impl<'a> Events<'a> {
    /// Lays out what happens between two instants.
    pub(super) fn lay_out(
        events: impl Iterator<Item = (CalendarEffect, &'a Event)>,
        between: (i64, i64),
        budget: &mut Budget,
    ) -> Result<Self, TooMuch> {
        let mut laid = Self::default();
        let mut left = MAX_OCCURRENCES;
        let mut spans = Vec::new();
        for (effect, event) in events {
            spans.clear();
            event.lay_out(effect, between, budget, &mut spans)?;
            left = left.checked_sub(spans.len()).ok_or(TooMuch::Occurrences)?;
            let side = if effect == CalendarEffect::Blackout { &mut laid.blackouts } else { &mut laid.allowed };
            side.0.extend(spans.iter().map(|(start, end)| Occurrence { start: *start, last_end: *end, label: &event.label }));
        }
        laid.allowed.order();
        laid.blackouts.order();
        Ok(laid)
    }
}

impl<'a> Occurrences<'a> {
    fn order(&mut self) {
        self.0.sort_by_key(|occurrence| occurrence.start);
        let mut last: Option<Occurrence<'_>> = None;
        for occurrence in &mut self.0 {
            if let Some(last) = last
                && last.last_end >= occurrence.last_end
            {
                (occurrence.last_end, occurrence.label) = (last.last_end, last.label);
            }
            last = Some(*occurrence);
        }
    }

    /// If one covers an instant: until when, of several the last, and what it is called.
    pub(super) fn covering(&self, at: i64) -> Option<(i64, &'a str)> {
        let begun = self.0.partition_point(|occurrence| occurrence.start <= at);
        let last = self.0.get(begun.checked_sub(1)?).filter(|occurrence| at < occurrence.last_end)?;
        Some((last.last_end, last.label))
    }

    /// When the first begins after an instant.
    pub(super) fn next_start(&self, at: i64) -> Option<i64> {
        let begun = self.0.partition_point(|occurrence| occurrence.start <= at);
        self.0.get(begun).map(|occurrence| occurrence.start)
    }
}
