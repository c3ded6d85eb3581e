//! Reads a rule's text.

use super::{Frequency, MAX_COUNT, Rule, Until};
use crate::core::text::single_line;
use crate::core::window::value::{Moment, moment};

/// The longest rule, in bytes.
pub(super) const MAX_RULE: usize = 512;
/// The longest INTERVAL.
const MAX_INTERVAL: i64 = 10_000;

const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

impl Rule {
    /// Reads the text of an RRULE, without the word itself. What is wrong with it is said for its author.
    pub(in crate::core::window) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_RULE {
            return Err(format!("the rule is longer than {MAX_RULE} characters"));
        }
        let mut parts = Vec::new();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("{:?} is not NAME=VALUE", cut(part)))?;
            let (name, value) = (name.to_ascii_uppercase(), value.to_ascii_uppercase());
            if parts.iter().any(|(other, _)| *other == name) {
                return Err(format!("{} is given twice", cut(&name)));
            }
            parts.push((name, value));
        }
        let frequency = parts.iter().find(|(name, _)| name == "FREQ").ok_or("FREQ is missing: DAILY, WEEKLY, MONTHLY or YEARLY")?;
        let mut rule = Self::every(frequency_of(&frequency.1)?);
        for (name, value) in &parts {
            rule.take(name, value)?;
        }
        rule.fits_together()?;
        Ok(rule)
    }

    fn every(frequency: Frequency) -> Self {
        Self { frequency, ..Self::PLAIN }
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "FREQ" => {}
            "INTERVAL" => self.interval = number(name, value, 1, MAX_INTERVAL)?,
            "COUNT" => {
                let most = i64::from(MAX_COUNT);
                let count = number(name, value, 1, most).map_err(|error| format!("{error}; UNTIL has no such limit"))?;
                self.count = u32::try_from(count).ok();
            }
            "UNTIL" => {
                self.until = match moment(value)? {
                    Moment::Date(day) => Until::Day(day),
                    Moment::Wall(wall) => Until::Wall(wall),
                    Moment::Instant(instant) => Until::Instant(instant),
                }
            }
            "WKST" => self.week_start = weekday(value)?,
            "BYMONTH" => self.months = numbers(name, value, 1, 12)?.iter().fold(0, |mask, month| mask | (1 << month)),
            "BYMONTHDAY" => {
                for day in numbers(name, value, -31, 31)? {
                    let mask = if day > 0 { &mut self.month_days } else { &mut self.month_days_from_end };
                    *mask |= 1 << day.unsigned_abs();
                }
            }
            "BYDAY" => {
                for item in value.split(',') {
                    self.take_weekday(item)?;
                }
            }
            "BYSETPOS" => self.positions = numbers(name, value, -366, 366)?,
            "BYHOUR" | "BYMINUTE" | "BYSECOND" | "BYYEARDAY" | "BYWEEKNO" | "RSCALE" | "SKIP" => {
                return Err(format!(
                    "{name} is not supported: use FREQ, INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY, BYMONTH, BYSETPOS and WKST"
                ));
            }
            other => return Err(format!("{:?} is no part of a rule", cut(other))),
        }
        Ok(())
    }

    /// `FR`, `2FR` or `-1FR`.
    fn take_weekday(&mut self, item: &str) -> Result<(), String> {
        let split = item.len().checked_sub(2).and_then(|middle| Some((item.get(..middle)?, item.get(middle..)?)));
        let (digits, name) = split.ok_or_else(|| format!("BYDAY: {:?} is not a weekday, such as FR or -1FR", cut(item)))?;
        let weekday = weekday(name).map_err(|error| format!("BYDAY: {error}"))?;
        if digits.is_empty() {
            self.weekdays |= 1 << weekday;
            return Ok(());
        }
        let number = number("BYDAY", digits, -53, 53)?;
        if !self.numbered.contains(&(number, weekday)) {
            self.numbered.push((number, weekday));
        }
        Ok(())
    }

    fn fits_together(&self) -> Result<(), String> {
        let often = matches!(self.frequency, Frequency::Daily | Frequency::Weekly);
        if often && !self.numbered.is_empty() {
            return Err("BYDAY with a number, such as -1FR, needs FREQ=MONTHLY or FREQ=YEARLY".to_owned());
        }
        if self.frequency == Frequency::Weekly && self.has_month_days() {
            return Err("BYMONTHDAY does not go with FREQ=WEEKLY".to_owned());
        }
        if self.count.is_some() && self.until != Until::Forever {
            return Err("set COUNT or UNTIL, not both".to_owned());
        }
        if !self.positions.is_empty() && !self.has_weekdays() && !self.has_month_days() && self.months == 0 {
            return Err("BYSETPOS picks among the days of BYDAY, BYMONTHDAY or BYMONTH: set one of them".to_owned());
        }
        Ok(())
    }
}

fn frequency_of(value: &str) -> Result<Frequency, String> {
    match value {
        "DAILY" => Ok(Frequency::Daily),
        "WEEKLY" => Ok(Frequency::Weekly),
        "MONTHLY" => Ok(Frequency::Monthly),
        "YEARLY" => Ok(Frequency::Yearly),
        "SECONDLY" | "MINUTELY" | "HOURLY" => {
            Err(format!("FREQ={value} is not supported: the shortest is DAILY; times of day are weekly ranges"))
        }
        other => Err(format!("FREQ={} is not DAILY, WEEKLY, MONTHLY or YEARLY", cut(other))),
    }
}

fn weekday(name: &str) -> Result<i64, String> {
    let index = WEEKDAYS.iter().position(|known| *known == name);
    index.and_then(|index| i64::try_from(index).ok()).ok_or_else(|| format!("{:?} is not one of {}", cut(name), WEEKDAYS.join(", ")))
}

/// A list of numbers in a range, none of them 0.
fn numbers(name: &str, value: &str, least: i64, most: i64) -> Result<Vec<i64>, String> {
    let mut numbers = value.split(',').map(|item| number(name, item, least, most)).collect::<Result<Vec<_>, _>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// A number in a range, and not 0.
fn number(name: &str, text: &str, least: i64, most: i64) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<i64>().ok().filter(|number| plain && *number != 0 && (least..=most).contains(number));
    number.ok_or_else(|| {
        let range = if least < 0 { format!("from 1 to {most} or from -1 to {least}") } else { format!("from {least} to {most}") };
        format!("{name}: {:?} is not a number {range}", cut(text))
    })
}

/// A part of somebody's text, for a message.
fn cut(text: &str) -> String {
    single_line(text, 40)
}
