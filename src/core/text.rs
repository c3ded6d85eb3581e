//! Text from outside made fit for a status, an Event, a log line or a terminal.

use serde::Serialize;
use std::io::{self, Write};

/// The longest message of a target or a condition, in characters.
pub const MAX_MESSAGE_CHARS: usize = 256;

/// One line of at most `max` characters: control characters become spaces (a terminal escape in a probe's answer must not reach
/// whoever reads the denial; a warning with a newline is dropped by the API server), runs of spaces become one, and a cut is
/// marked by `…`.
pub fn single_line(text: &str, max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(max * 4));
    let mut chars = 0_usize;
    let mut last_was_space = true;
    for c in text.chars() {
        let c = if c.is_control() || c.is_whitespace() || is_invisible(c) { ' ' } else { c };
        if c == ' ' && last_was_space {
            continue;
        }
        last_was_space = c == ' ';
        if chars == max {
            line.pop();
            line.push('…');
            return line;
        }
        line.push(c);
        chars += 1;
    }
    line.truncate(line.trim_end().len());
    line
}

/// How many bytes something is as JSON; nothing is kept of it.
pub fn weight(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Statuses have text keys and plain values: there is nothing that JSON could not say.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}

/// Characters that hide or reorder text: bidirectional controls, zero-width characters, byte-order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_become_single_spaces_and_a_cut_is_marked() {
        assert_eq!(single_line("a\n\tb\u{1b}[31m  c ", 99), "a b [31m c");
        assert_eq!(single_line("abcdef", 4), "abc…");
        assert_eq!(single_line("abcd", 4), "abcd");
        assert_eq!(single_line("\u{202e}x", 4), "x");
    }

    proptest! {
        #[test]
        fn the_result_is_one_bounded_line(text in any::<String>(), max in 1_usize..300) {
            let line = single_line(&text, max);
            prop_assert!(line.chars().count() <= max);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
