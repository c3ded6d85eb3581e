//! Recurrence rules (RRULE of RFC 5545) and the days that they name.
//!
//! Why there is code here and not the `rrule` crate: a rule is written by a tenant, and asked again and again. That crate walks from the
//! beginning of a rule to the wanted day each time, stops after 100,000 rounds without a result but not after many rounds with one, and
//! takes no limit of its caller's. It leaves out an occurrence whose time of day is skipped when the clock is put forward, which for a
//! blackout would be an opening that nobody wrote. And its zones come from a second database, which may say something else than the one
//! that everything else here reads. Days are easy to count exactly: the walk below goes straight to the asked period, since each
//! period is on its own, and pays for every period and every day it looks at from a [`Budget`].

use super::budget::{Budget, TooMuch};
use super::wall::{DAY, date_of, day_of, weekday_of};
use jiff::civil::Date;

mod parse;
#[cfg(test)]
mod tests;

/// The highest COUNT: one a day for 27 years.
const MAX_COUNT: u32 = 10_000;

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// When a rule ends; the occurrence at that time is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Never.
    Forever,
    /// With that day on the rule's clock.
    Day(i64),
    /// At that wall time of the rule's clock.
    Wall(i64),
    /// At that instant.
    Instant(i64),
}

/// A rule as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    frequency: Frequency,
    interval: i64,
    count: Option<u32>,
    until: Until,
    /// One bit a month, January is bit 1. 0: not given.
    months: u16,
    /// Days of the month from its beginning, one bit each, the first is bit 1.
    month_days: u32,
    /// The same from its end, the last is bit 1.
    month_days_from_end: u32,
    /// Weekdays without a number, one bit each, Monday the lowest.
    weekdays: u8,
    /// Weekdays with a number: the second, the last but one (-2).
    numbered: Vec<(i64, i64)>,
    /// Which of a period's days, counted from 1 or, from the end, from -1.
    positions: Vec<i64>,
    /// On which weekday a week begins.
    week_start: i64,
}

/// A rule with the day on which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Days {
    rule: Rule,
    start: i64,
    /// The last day, if the rule counts.
    last: i64,
}

impl Rule {
    /// What is not given.
    const PLAIN: Self = Self {
        frequency: Frequency::Daily,
        interval: 1,
        count: None,
        until: Until::Forever,
        months: 0,
        month_days: 0,
        month_days_from_end: 0,
        weekdays: 0,
        numbered: Vec::new(),
        positions: Vec::new(),
        week_start: 0,
    };

    /// The same, of days: it ends with a day, in whatever way that is written.
    pub(super) fn of_whole_days(self) -> Self {
        let until = match self.until {
            Until::Wall(second) | Until::Instant(second) => Until::Day(second.div_euclid(DAY)),
            until => until,
        };
        Self { until, ..self }
    }

    fn has_month_days(&self) -> bool {
        self.month_days | self.month_days_from_end != 0
    }

    fn has_weekdays(&self) -> bool {
        self.weekdays != 0 || !self.numbered.is_empty()
    }

    /// Takes from the first day what the rule does not say itself.
    fn complete(mut self, start: i64) -> Self {
        let Some(date) = date_of(start) else { return self };
        let days_are_given = self.has_month_days() || self.has_weekdays();
        match self.frequency {
            Frequency::Weekly if self.weekdays == 0 => self.weekdays = 1 << weekday_of(start),
            Frequency::Monthly | Frequency::Yearly if !days_are_given => {
                self.month_days = 1 << date.day();
                if self.frequency == Frequency::Yearly && self.months == 0 {
                    self.months = 1 << date.month();
                }
            }
            _ => {}
        }
        self
    }
}

impl Days {
    /// The days of a rule that begins on a day. If it counts, the day it begins on counts as the first, whether it names that or not.
    pub(super) fn new(rule: Rule, start: i64, budget: &mut Budget) -> Result<Self, TooMuch> {
        let count = rule.count;
        let mut days = Self { rule: rule.complete(start), start, last: i64::MAX };
        if let Some(count) = count {
            let (mut left, mut last) = (count.saturating_sub(1), start);
            if left > 0 {
                days.each(start + 1, i64::MAX, budget, &mut |day, _| {
                    left -= 1;
                    last = day;
                    Ok(left > 0)
                })?;
            }
            days.last = last;
        }
        Ok(days)
    }

    /// When it ends.
    pub(super) fn until(&self) -> Until {
        self.rule.until
    }

    /// The first day that the rule names.
    pub(super) fn first(&self, budget: &mut Budget) -> Result<Option<i64>, TooMuch> {
        let mut first = None;
        self.each(self.start, i64::MAX, budget, &mut |day, _| {
            first = Some(day);
            Ok(false)
        })?;
        Ok(first)
    }

    /// Calls back with every day from `from` to `to`, in order, until that says no.
    pub(super) fn each(
        &self,
        from: i64,
        to: i64,
        budget: &mut Budget,
        found: &mut dyn FnMut(i64, &mut Budget) -> Result<bool, TooMuch>,
    ) -> Result<(), TooMuch> {
        let (from, to) = (from.max(self.start), to.min(self.last));
        let Some(mut period) = self.period_of(from).filter(|_| from <= to) else {
            return Ok(());
        };
        let mut days = Vec::new();
        loop {
            days.clear();
            if !self.fill(period, to, &mut days, budget)? {
                return Ok(());
            }
            days.sort_unstable();
            days.dedup();
            for day in self.at_positions(&days).into_iter().filter(|day| (from..=to).contains(day)) {
                if !found(day, budget)? {
                    return Ok(());
                }
            }
            period += 1;
        }
    }

    /// The first period that can have a day from `from` on. Periods are counted from the one that the rule begins in.
    fn period_of(&self, from: i64) -> Option<i64> {
        let interval = self.rule.interval;
        Some(match self.rule.frequency {
            Frequency::Daily => (from - self.start + interval - 1) / interval,
            Frequency::Weekly => (from - self.first_week()) / (7 * interval),
            Frequency::Monthly => (month_number(date_of(from)?) - month_number(date_of(self.start)?)) / interval,
            Frequency::Yearly => i64::from(date_of(from)?.year() - date_of(self.start)?.year()) / interval,
        })
    }

    /// The first day of the week in which the rule begins.
    fn first_week(&self) -> i64 {
        self.start - (weekday_of(self.start) - self.rule.week_start).rem_euclid(7)
    }

    /// Collects the days of a period, all of them, since a place counted from the end needs the last. False if the period begins
    /// after `to`, or after the end of time.
    fn fill(&self, period: i64, to: i64, days: &mut Vec<i64>, budget: &mut Budget) -> Result<bool, TooMuch> {
        let rule = &self.rule;
        budget.spend(1 + rule.numbered.len())?;
        let (Some(steps), Some(start)) = (period.checked_mul(rule.interval), date_of(self.start)) else { return Ok(false) };
        let begins = match rule.frequency {
            Frequency::Daily => self.fill_run(self.start.saturating_add(steps), 1, to, days),
            Frequency::Weekly => self.fill_run(self.first_week().saturating_add(steps.saturating_mul(7)), 7, to, days),
            Frequency::Monthly => self.fill_month(month_number(start).saturating_add(steps), to, days),
            Frequency::Yearly => {
                budget.spend(12)?;
                self.fill_year(i64::from(start.year()).saturating_add(steps), to, days)
            }
        };
        budget.spend(days.len())?;
        Ok(begins.is_some())
    }

    /// Consecutive days, those of them that the rule names.
    fn fill_run(&self, first: i64, length: i64, to: i64, days: &mut Vec<i64>) -> Option<()> {
        if first > to {
            return None;
        }
        let rule = &self.rule;
        date_of(first)?;
        for day in first..first + length {
            let Some(date) = date_of(day) else { break };
            let weekday = rule.weekdays == 0 || rule.weekdays & (1 << weekday_of(day)) != 0;
            if weekday && rule.in_month(date) && rule.days_of_month(date) & (1 << date.day()) != 0 {
                days.push(day);
            }
        }
        Some(())
    }

    /// A month, counted from the beginning of the year 0.
    fn fill_month(&self, month: i64, to: i64, days: &mut Vec<i64>) -> Option<()> {
        let first = first_of(month)?;
        let day = Some(day_of(first)).filter(|day| *day <= to)?;
        if self.rule.in_month(first) {
            let named = self.rule.days_of_month(first) & self.rule.weekdays_of_month(day, i64::from(first.days_in_month()));
            extend(days, day, named);
        }
        Some(())
    }

    fn fill_year(&self, year: i64, to: i64, days: &mut Vec<i64>) -> Option<()> {
        let rule = &self.rule;
        let january = first_of(year.checked_mul(12)?)?;
        let new_year = Some(day_of(january)).filter(|day| *day <= to)?;
        // A weekday's number counts within the month if months are given, and else within the year.
        let by_place = rule.months == 0 && !rule.numbered.is_empty();
        let places = if by_place { rule.numbered_of(new_year, i64::from(january.days_in_year())) } else { Vec::new() };
        for month in 0..12 {
            let first = first_of(year * 12 + month)?;
            let (day, length) = (day_of(first), i64::from(first.days_in_month()));
            if !rule.in_month(first) {
                continue;
            }
            let weekdays = if by_place {
                let inside = places.iter().map(|place| place - day).filter(|place| (0..length).contains(place));
                inside.fold(rule.plain_weekdays_of(day, length), |mask, place| mask | (1 << (place + 1)))
            } else {
                rule.weekdays_of_month(day, length)
            };
            extend(days, day, rule.days_of_month(first) & weekdays);
        }
        Some(())
    }

    /// The days that remain of a period's if the rule picks some by their place.
    fn at_positions(&self, days: &[i64]) -> Vec<i64> {
        if self.rule.positions.is_empty() {
            return days.to_vec();
        }
        let picked = self.rule.positions.iter().filter_map(|place| {
            let from_end = usize::try_from(-place).ok().and_then(|back| days.len().checked_sub(back));
            let index = if *place > 0 { usize::try_from(place - 1).ok() } else { from_end };
            days.get(index?).copied()
        });
        let mut picked: Vec<i64> = picked.collect();
        picked.sort_unstable();
        picked.dedup();
        picked
    }
}

impl Rule {
    fn in_month(&self, date: Date) -> bool {
        self.months == 0 || self.months & (1 << date.month()) != 0
    }

    /// The days of a date's month that BYMONTHDAY names, all if it is not given. The first is bit 1.
    fn days_of_month(&self, date: Date) -> u32 {
        let length = u32::from(date.days_in_month().unsigned_abs());
        let all = u32::MAX >> (31 - length) & !1;
        if !self.has_month_days() {
            return all;
        }
        // Bit 1 of the second mask is the last day: turned around, bit `length`.
        let from_end = u64::from(self.month_days_from_end).reverse_bits() >> (62 - length);
        (self.month_days | u32::try_from(from_end).unwrap_or_default()) & all
    }

    /// The days of a month that BYDAY names, all if it is not given.
    fn weekdays_of_month(&self, first: i64, length: i64) -> u32 {
        if !self.has_weekdays() {
            return u32::MAX;
        }
        let numbered = self.numbered_of(first, length);
        numbered.iter().fold(self.plain_weekdays_of(first, length), |mask, day| mask | (1 << (day - first + 1)))
    }

    fn plain_weekdays_of(&self, first: i64, length: i64) -> u32 {
        let named = (0..length).filter(|day| self.weekdays & (1 << weekday_of(first + day)) != 0);
        named.fold(0, |mask, day| mask | (1 << (day + 1)))
    }

    /// The weekdays with a number, of a month or a year.
    fn numbered_of(&self, first: i64, length: i64) -> Vec<i64> {
        let last = first + length - 1;
        let days = self.numbered.iter().map(|(number, weekday)| {
            if *number > 0 {
                first + (weekday - weekday_of(first)).rem_euclid(7) + 7 * (number - 1)
            } else {
                last - (weekday_of(last) - weekday).rem_euclid(7) + 7 * (number + 1)
            }
        });
        days.filter(|day| (first..=last).contains(day)).collect()
    }
}

/// Adds the days of a month that are set in a mask.
fn extend(days: &mut Vec<i64>, first: i64, mut named: u32) {
    while named != 0 {
        days.push(first + i64::from(named.trailing_zeros()) - 1);
        named &= named - 1;
    }
}

/// A month's number since the beginning of the year 0.
fn month_number(date: Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

/// The first day of a month, by its number.
fn first_of(month: i64) -> Option<Date> {
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok()
}
