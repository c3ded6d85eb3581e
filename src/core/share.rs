//! A share of a total: a number, or a percentage rounded up.

use super::problem::Problem;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::fmt;

/// How many of a total are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many, whatever the total is. At least 1.
    Count(u32),
    /// So many of a hundred, from 1 to 100.
    Percent(u8),
}

impl Share {
    /// Reads `2` or `"80%"`. Anything that would ask for nothing (`0`, `"0%"`) or for more than all (`"101%"`) is a problem.
    pub fn parse(value: &IntOrString, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let share = match value {
            IntOrString::Int(count) => u32::try_from(*count).ok().filter(|count| *count > 0).map(Self::Count),
            IntOrString::String(text) => percentage(text).map(Self::Percent),
        };
        if share.is_none() {
            let given = match value {
                IntOrString::Int(count) => count.to_string(),
                IntOrString::String(text) => format!("{text:?}"),
            };
            let message = format!("{given} must be a number of at least 1, or a percentage from \"1%\" to \"100%\"");
            problems.push(Problem::new(field, message));
        }
        share
    }

    /// How many that is of a total. A percentage is rounded up, so that 1% of anything is at least one; of nothing it is nothing.
    pub fn of(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let exact = u64::from(total) * u64::from(percent);
                u32::try_from(exact.div_ceil(100)).unwrap_or(u32::MAX)
            }
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

fn percentage(text: &str) -> Option<u8> {
    let digits = text.strip_suffix('%')?;
    let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|percent| plain && *percent <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(value: &IntOrString) -> Result<Share, String> {
        let mut problems = Vec::new();
        Share::parse(value, "spec.probe.rollout.minReady", &mut problems).ok_or_else(|| problems[0].to_string())
    }

    #[test]
    fn numbers_and_percentages_are_read() {
        assert_eq!(parse(&IntOrString::Int(2)), Ok(Share::Count(2)));
        assert_eq!(parse(&IntOrString::String("1%".into())), Ok(Share::Percent(1)));
        assert_eq!(parse(&IntOrString::String("100%".into())), Ok(Share::Percent(100)));
        assert_eq!(Share::Percent(80).to_string(), "80%");
        assert_eq!(Share::Count(2).to_string(), "2");
    }

    #[test]
    fn what_asks_for_nothing_or_too_much_is_a_problem_that_says_what_would_be_right() {
        for text in ["0%", "00%", "01%", "101%", "256%", "999999999999%", "abc", "", "%", "5", "+5%", "-5%", "5 %", "5%%", "٥%"] {
            let problem = parse(&IntOrString::String(text.into())).unwrap_err();
            assert!(problem.starts_with("spec.probe.rollout.minReady: "), "{problem}");
            assert!(problem.ends_with("must be a number of at least 1, or a percentage from \"1%\" to \"100%\""), "{problem}");
        }
        for number in [0, -1, i32::MIN] {
            assert!(parse(&IntOrString::Int(number)).unwrap_err().contains(&number.to_string()));
        }
    }

    #[test]
    fn a_percentage_is_rounded_up() {
        for (percent, total, wanted) in [(100, 3, 3), (50, 3, 2), (1, 3, 1), (34, 3, 2), (33, 3, 1), (100, 0, 0), (1, u32::MAX, 42_949_673)]
        {
            assert_eq!(Share::Percent(percent).of(total), wanted, "{percent}% of {total}");
        }
        assert_eq!(Share::Percent(100).of(u32::MAX), u32::MAX);
        assert_eq!(Share::Count(2).of(0), 2);
    }

    proptest! {
        #[test]
        fn a_percentage_is_the_least_count_that_reaches_it(percent in 1_u8..=100, total in 0_u32..100_000) {
            let wanted = u64::from(Share::Percent(percent).of(total));
            let threshold = u64::from(total) * u64::from(percent);
            prop_assert!(wanted * 100 >= threshold);
            prop_assert!(wanted == 0 || (wanted - 1) * 100 < threshold);
            prop_assert!(wanted <= u64::from(total));
        }
    }
}
