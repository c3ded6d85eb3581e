//! Amounts of resources as Kubernetes writes them: `500m`, `1.5`, `16Gi`, `1e3`.
//!
//! An amount is kept as a whole number of billionths, the finest that Kubernetes keeps, so sums and comparisons are exact. What is finer is
//! rounded up, as Kubernetes does. What is larger than 2^63-1 is refused: Kubernetes would cap it, and a capped amount is not what was meant.

use super::problem::Problem;
use super::share::Share;
use super::text::single_line;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::fmt;

#[cfg(test)]
mod tests;

/// An amount of a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    billionths: i128,
}

/// Why a text is not an amount that can be reckoned with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It is not written as Kubernetes writes amounts.
    #[error("is not a quantity, such as 500m, 2 or 16Gi")]
    Malformed,
    /// It is larger than 2^63-1, or has more digits than anything needs.
    #[error("is too large or too exact to reckon with")]
    OutOfRange,
}

/// How much must be free: an amount, or a percentage of the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Headroom {
    least: Least,
    written: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Least {
    Amount(Quantity),
    Percent(u8),
}

/// What of a resource is free, compared with what must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    /// It is enough.
    pub enough: bool,
    /// How much is free; nothing, if more is taken than there is.
    pub free: String,
    /// All of it as one clause of a message.
    pub text: String,
}

const BILLION: i128 = 1_000_000_000;
const MAX: i128 = 9_223_372_036_854_775_807 * BILLION;
/// What the API server keeps is far shorter.
const MAX_CHARS: usize = 64;
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { billionths: 0 };

    /// So many whole ones.
    pub const fn whole(count: u32) -> Self {
        Self { billionths: count as i128 * BILLION }
    }

    /// Reads an amount.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        if text.len() > MAX_CHARS {
            return Err(QuantityError::OutOfRange);
        }
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let number = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError::Malformed);
        }
        let (binary, decimal) = scale(suffix)?;
        let fraction = fraction.trim_end_matches('0');
        let mantissa = whole.bytes().chain(fraction.bytes()).try_fold(0_i128, |sum, digit| {
            let digit = i128::from(digit.wrapping_sub(b'0'));
            sum.checked_mul(10)?.checked_add(digit)
        });
        let digits = i32::try_from(fraction.len()).map_err(|_| QuantityError::OutOfRange)?;
        let exponent = decimal.saturating_add(9).saturating_sub(digits);
        let scaled = mantissa.and_then(|mantissa| mantissa.checked_mul(binary)).and_then(|mantissa| shifted(mantissa, exponent));
        let billionths = scaled.filter(|billionths| *billionths <= MAX).ok_or(QuantityError::OutOfRange)?;
        Ok(Self { billionths: if negative { billionths.saturating_neg() } else { billionths } })
    }

    /// Whether it is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.billionths < 0
    }

    /// The sum.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { billionths: self.billionths.saturating_add(other.billionths) }
    }

    /// The difference.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self { billionths: self.billionths.saturating_sub(other.billionths) }
    }

    /// For a message: bytes in a binary unit with two decimals, anything else with three, rounded down.
    pub fn shown(self, resource: &str) -> String {
        if !is_bytes(resource) {
            return decimal(self.billionths.div_euclid(BILLION / 1000), 3);
        }
        let bytes = self.billionths.div_euclid(BILLION);
        let fits = |power: &usize| bytes.saturating_abs() >= 1_i128 << (10 * power);
        let power = (0..BINARY.len()).rev().find(fits).unwrap_or(0);
        let unit = BINARY.get(power).copied().unwrap_or_default();
        let hundredths = bytes.saturating_mul(100).div_euclid(1_i128 << (10 * power));
        format!("{}{unit}", decimal(hundredths, 2))
    }
}

/// Exact, without a unit.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.billionths, 9))
    }
}

impl Headroom {
    /// Reads `4`, `"500m"`, `"16Gi"` or `"20%"`. What asks for nothing, or for more than all, is a problem.
    pub fn parse(value: &IntOrString, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let written = match value {
            IntOrString::Int(count) => count.to_string(),
            IntOrString::String(text) => text.clone(),
        };
        let least = if written.ends_with('%') {
            match Share::parse(&IntOrString::String(written.clone()), field, &mut Vec::new()) {
                Some(Share::Percent(percent)) => Ok(Least::Percent(percent)),
                _ => Err("must be a percentage from \"1%\" to \"100%\"".to_owned()),
            }
        } else {
            match Quantity::parse(&written) {
                Ok(amount) if amount > Quantity::ZERO => Ok(Least::Amount(amount)),
                Ok(_) => Err("must be more than nothing".to_owned()),
                Err(error) => Err(format!("{error}, nor a percentage")),
            }
        };
        match least {
            Ok(least) => Some(Self { least, written }),
            Err(why) => {
                problems.push(Problem::new(field, format!("{:?} {why}", single_line(&written, 64))));
                None
            }
        }
    }

    /// Whether it is a share of the whole.
    pub const fn is_percentage(&self) -> bool {
        matches!(self.least, Least::Percent(_))
    }

    /// Compares it with what is free of a resource where so much is taken of a whole.
    pub fn judge(&self, resource: &str, whole: Quantity, taken: Quantity) -> Room {
        let left = whole.minus(taken);
        let enough = match self.least {
            Least::Amount(amount) => left >= amount,
            // Of nothing there is no share.
            Least::Percent(percent) => {
                let wanted = whole.billionths.saturating_mul(i128::from(percent));
                whole > Quantity::ZERO && left.billionths.saturating_mul(100) >= wanted
            }
        };
        let free = left.max(Quantity::ZERO).shown(resource);
        let mut text = format!("{resource}: {free} of {} free", whole.shown(resource));
        if left.is_negative() {
            let over = Quantity::ZERO.minus(left).shown(resource);
            text = format!("{text}, {over} more taken than there is");
        }
        if !enough {
            text = format!("{text}, {self} needed");
        }
        Room { enough, free, text }
    }
}

/// As it was written.
impl fmt::Display for Headroom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// What a suffix stands for: a factor, and a power of ten.
fn scale(suffix: &str) -> Result<(i128, i32), QuantityError> {
    if let Some(power) = BINARY.iter().position(|unit| *unit == suffix) {
        return Ok((1_i128 << (10 * power), 0));
    }
    let decimal = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => exponent(suffix)?,
    };
    Ok((1, decimal))
}

/// `e3`, `E-3`.
fn exponent(suffix: &str) -> Result<i32, QuantityError> {
    let signed = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Malformed)?;
    let digits = signed.strip_prefix(['+', '-']).unwrap_or(signed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(QuantityError::Malformed);
    }
    signed.parse().map_err(|_| QuantityError::OutOfRange)
}

/// A number times a power of ten, rounded up. `None`: it is too large.
fn shifted(number: i128, power: i32) -> Option<i128> {
    if number == 0 {
        return Some(0);
    }
    let factor = 10_i128.checked_pow(power.unsigned_abs());
    if power >= 0 {
        return number.checked_mul(factor?);
    }
    // A factor that does not fit is larger than any number.
    let Some(factor) = factor else { return Some(1) };
    let whole = number.div_euclid(factor);
    Some(if number.rem_euclid(factor) > 0 { whole.saturating_add(1) } else { whole })
}

/// A number of so many decimals, without zeros at the end.
fn decimal(number: i128, decimals: u32) -> String {
    let unit = 10_u128.pow(decimals);
    let (whole, fraction) = (number.unsigned_abs() / unit, number.unsigned_abs() % unit);
    let sign = if number < 0 { "-" } else { "" };
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{fraction:0width$}", width = decimals as usize);
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

/// Whether amounts of a resource, of a node or in a quota, are bytes.
fn is_bytes(resource: &str) -> bool {
    let resource = resource.strip_prefix("requests.").or_else(|| resource.strip_prefix("limits.")).unwrap_or(resource);
    let resource = resource.rsplit_once(".storageclass.storage.k8s.io/requests.").map_or(resource, |(_, last)| last);
    matches!(resource, "memory" | "storage" | "ephemeral-storage") || resource.starts_with("hugepages-")
}
