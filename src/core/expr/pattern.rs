//! How much work a regular expression can be, from its text. The engine is linear in the text that it searches, but a pattern is
//! compiled in every evaluation, and a counted repetition multiplies what it repeats: `\w{1000}` makes tens of thousands of states.

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 512;
/// The heaviest pattern.
const MAX_WEIGHT: u64 = 20_000;
/// The weight of a class that may stand for a large part of Unicode, in states.
const CLASS_WEIGHT: u64 = 40;

/// The weight of a pattern that is not known before it is used: the engine itself refuses what would compile to more than 10 MiB,
/// after about 12 ms.
pub(super) const UNKNOWN_WEIGHT: u64 = MAX_WEIGHT;

/// About how many states a pattern compiles to, or why it is not accepted.
pub(super) fn weigh(pattern: &str) -> Result<u64, String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!("a regular expression may be {MAX_PATTERN_BYTES} bytes long, and this has {}", pattern.len()));
    }
    let mut weigher = Weigher { chars: pattern.chars().peekable(), open: Vec::new(), sum: 0, last: 0 };
    while let Some(c) = weigher.chars.next() {
        weigher.step(c);
    }
    let mut weight = weigher.sum;
    weight = weigher.open.iter().fold(weight, |sum, outer| sum.saturating_add(*outer));
    if pattern.contains("(?") && pattern.contains('i') {
        weight = weight.saturating_mul(3);
    }
    if weight > MAX_WEIGHT {
        return Err("a regular expression repeats too much: use smaller counts in {…}".to_owned());
    }
    Ok(weight)
}

struct Weigher<'p> {
    chars: std::iter::Peekable<std::str::Chars<'p>>,
    /// What stands before each open bracket.
    open: Vec<u64>,
    /// What stands since the innermost open bracket.
    sum: u64,
    /// What a repetition would repeat.
    last: u64,
}

impl Weigher<'_> {
    fn step(&mut self, c: char) {
        match c {
            '(' => {
                self.open.push(self.sum);
                self.sum = 0;
                self.last = 0;
            }
            ')' => {
                self.last = self.sum.saturating_add(1);
                self.sum = self.open.pop().unwrap_or(0).saturating_add(self.last);
            }
            '[' => {
                let weight = self.class();
                self.atom(weight);
            }
            '{' => self.repeat(),
            '\\' => {
                let wide = self.chars.next().is_some_and(|escaped| escaped.is_ascii_alphabetic());
                self.atom(if wide { CLASS_WEIGHT } else { 1 });
            }
            '.' => self.atom(CLASS_WEIGHT / 4),
            _ => self.atom(1),
        }
    }

    fn atom(&mut self, weight: u64) {
        self.last = weight;
        self.sum = self.sum.saturating_add(weight);
    }

    /// Until the bracket that closes it; the first character may be a bracket itself.
    fn class(&mut self) -> u64 {
        let mut weight = 2;
        let mut first = true;
        while let Some(c) = self.chars.next() {
            match c {
                ']' if !first => break,
                '^' if first => {
                    weight += CLASS_WEIGHT / 4;
                    continue;
                }
                '\\' => {
                    self.chars.next();
                    weight += CLASS_WEIGHT;
                }
                _ if c.is_ascii() => {}
                _ => weight += 4,
            }
            first = false;
        }
        weight
    }

    /// `{n}`, `{n,}`, `{n,m}`: the largest number in it.
    fn repeat(&mut self) {
        let mut largest = 1_u64;
        let mut number = 0_u64;
        for c in self.chars.by_ref() {
            match c.to_digit(10) {
                Some(digit) => number = number.saturating_mul(10).saturating_add(u64::from(digit)),
                None => number = 0,
            }
            largest = largest.max(number);
            if c == '}' {
                break;
            }
        }
        let more = self.last.saturating_mul(largest.saturating_sub(1));
        self.sum = self.sum.saturating_add(more);
        self.last = self.last.saturating_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_patterns_weigh_little_and_multiplied_repetitions_are_refused() {
        assert!(weigh("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$").unwrap() < 300);
        assert!(weigh(r"^registry\.example\.com/[\w./-]+@sha256:[0-9a-f]{64}$").unwrap() < 500);
        assert!(weigh(r"\w{1000}").is_err());
        assert!(weigh("(a{100}){300}").is_err());
        assert!(weigh("((((a{10}){10}){10}){10}){10}").is_err());
        assert!(weigh(&"a".repeat(600)).is_err());
    }

    proptest! {
        #[test]
        fn any_pattern_is_weighed(pattern in any::<String>(), tricky in "[\\[\\](){}0-9,\\\\^.a]{0,60}") {
            let _ = weigh(&pattern);
            let _ = weigh(&tricky);
        }
    }
}
