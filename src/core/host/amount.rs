//! Sizes and versions.

use std::fmt;

/// An amount of bytes, or a share of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes.
    Bytes(u64),
    /// So many of a hundred, from 0 to 100.
    Percent(u8),
}

const UNITS: [(&str, u64); 10] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
];

impl Amount {
    /// Reads `10Gi`, `500M`, `4096` or `15%`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_suffix('%') {
            return number(digits).filter(|n| *n <= 100).and_then(|n| u8::try_from(n).ok()).map(Self::Percent);
        }
        let unit = UNITS.iter().find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits, *factor)));
        let (digits, factor) = unit.unwrap_or((text, 1));
        number(digits)?.checked_mul(factor).map(Self::Bytes)
    }

    /// Whether a part of a total is at least this.
    pub(super) fn reached_by(self, part: u64, total: u64) -> bool {
        match self {
            Self::Bytes(bytes) => part >= bytes,
            Self::Percent(percent) => u128::from(part) * 100 >= u128::from(total) * u128::from(percent),
        }
    }

    /// Whether a part of a total is more than this.
    pub(super) fn exceeded_by(self, part: u64, total: u64) -> bool {
        match self {
            Self::Bytes(bytes) => part > bytes,
            Self::Percent(percent) => u128::from(part) * 100 > u128::from(total) * u128::from(percent),
        }
    }

    /// A part of a total, in the unit of this.
    pub(super) fn measure(self, part: u64, total: u64) -> String {
        match self {
            Self::Bytes(_) => bytes_text(part),
            Self::Percent(_) if total == 0 => "0%".to_owned(),
            Self::Percent(_) => format!("{}%", u128::from(part) * 100 / u128::from(total)),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&bytes_text(*bytes)),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A number of bytes for people, cut after one decimal: `9.9Gi`.
pub fn bytes_text(bytes: u64) -> String {
    let unit = UNITS.iter().take(5).rev().find(|(_, factor)| bytes >= *factor);
    let Some((unit, factor)) = unit else { return bytes.to_string() };
    let tenths = u128::from(bytes) * 10 / u128::from(*factor);
    if tenths % 10 == 0 { format!("{}{unit}", tenths / 10) } else { format!("{}.{}{unit}", tenths / 10, tenths % 10) }
}

/// A kernel's or a runtime's version: major, minor and patch. What follows them is a vendor's and counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u64, u64, u64);

impl Release {
    /// Reads `6.8.0-45-generic`, `v1.7.2`, `5.15`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts = text.splitn(3, '.');
        let major = number(parts.next()?)?;
        let minor = leading(parts.next()?)?;
        let patch = parts.next().map_or(Some(0), leading)?;
        Some(Self(major, minor, patch))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The number that a text begins with.
fn leading(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).and_then(number)
}

fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.len() <= 18 && text.bytes().all(|c| c.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}
