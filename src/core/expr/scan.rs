//! A look at the source before it is parsed: what would exhaust the stack, and what the parser is known to misread.
//!
//! The parser and the interpreter recurse once for each link of a chain (`1 + 1 + …`, `.trim().trim()…`, `[0][0]…`), and a stack
//! overflow cannot be caught: it ends the process. With [`MAX_DEPTH`] links, parsing, checking, evaluating and dropping fit a 2 MiB
//! stack in a debug build (where about 1,400 links overflow it); threads that evaluate have more.

/// How many links and levels may lie within one another.
pub(super) const MAX_DEPTH: usize = 256;
/// How many brackets may be open, and how many `? :` may be chained. The parser's own limit for both together is 96.
pub(super) const MAX_BRACKETS: usize = 40;

/// Why a source is not even parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Where, as a byte offset.
    pub at: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Refuses what must not reach the parser.
pub(super) fn scan(source: &str) -> Result<(), Refusal> {
    let mut scanner = Scanner { rest: source, at: 0, last: Last::Other, levels: vec![Level::default()] };
    while !scanner.rest.is_empty() {
        scanner.token()?;
    }
    Ok(())
}

/// The kind of the previous token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Operand,
    /// A sign, not a subtraction.
    Minus,
    Not,
    Other,
}

/// What lies between two brackets, so far.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Links since the last `&&`, `||`, `,`, `?` or `:`.
    links: usize,
    /// The depth of the deepest brackets since then.
    inner: usize,
    /// The deepest stretch before that.
    deepest: usize,
    /// How many `? :`.
    choices: usize,
}

impl Level {
    fn depth(self) -> usize {
        self.deepest.max(self.links + self.inner) + self.choices
    }

    fn next_stretch(&mut self) {
        self.deepest = self.deepest.max(self.links + self.inner);
        self.links = 0;
        self.inner = 0;
    }
}

struct Scanner<'s> {
    rest: &'s str,
    at: usize,
    last: Last,
    levels: Vec<Level>,
}

impl Scanner<'_> {
    fn token(&mut self) -> Result<(), Refusal> {
        let Some(first) = self.rest.chars().next() else { return Ok(()) };
        match first {
            _ if first.is_whitespace() => self.advance(first.len_utf8()),
            '/' if self.rest.starts_with("//") => self.advance(self.rest.find('\n').unwrap_or(self.rest.len())),
            '\'' | '"' => self.text(0)?,
            '`' => self.operand(self.rest.get(1..).and_then(|tail| tail.find('`')).map_or(self.rest.len(), |end| end + 2)),
            _ if first.is_ascii_alphabetic() || first == '_' => self.word()?,
            _ if first.is_ascii_digit() => self.number(),
            '(' | '[' | '{' => self.open(first)?,
            ')' | ']' | '}' => self.close(),
            _ => self.operator(first)?,
        }
        self.bounded()
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn operand(&mut self, bytes: usize) {
        self.advance(bytes);
        self.last = Last::Operand;
    }

    fn refuse<T>(&self, message: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal { at: self.at, message: message.into() })
    }

    fn level(&mut self) -> Option<&mut Level> {
        self.levels.last_mut()
    }

    fn link(&mut self) {
        if let Some(level) = self.level() {
            level.links += 1;
        }
    }

    fn bounded(&self) -> Result<(), Refusal> {
        let depth = self.levels.iter().map(|level| level.depth() + 1).sum::<usize>();
        if depth > MAX_DEPTH {
            return self.refuse(format!(
                "more than {MAX_DEPTH} operators and calls in one chain: split it with && or ||, or use a list with `in`"
            ));
        }
        if self.levels.len() > MAX_BRACKETS || self.levels.iter().map(|level| level.choices).sum::<usize>() > MAX_BRACKETS {
            return self.refuse(format!("nested more than {MAX_BRACKETS} levels deep"));
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), Refusal> {
        let length = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let word = self.rest.get(..length).unwrap_or_default();
        let quoted = self.rest.get(length..).is_some_and(|tail| tail.starts_with(['\'', '"']));
        if quoted && ["r", "b", "rb", "br"].iter().any(|prefix| word.eq_ignore_ascii_case(prefix)) {
            return self.text(length);
        }
        if word == "in" {
            self.link();
            self.advance(length);
            self.last = Last::Other;
        } else {
            self.operand(length);
        }
        Ok(())
    }

    fn number(&mut self) {
        let digits = |text: &str| text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
        let mut length = digits(self.rest);
        if let Some(fraction) = self.rest.get(length..).and_then(|tail| tail.strip_prefix('.'))
            && fraction.starts_with(|c: char| c.is_ascii_digit())
        {
            length += 1 + digits(fraction);
        }
        let ends_in_e = self.rest.get(..length).is_some_and(|number| number.ends_with(['e', 'E']) && !number.starts_with("0x"));
        if ends_in_e && let Some(exponent) = self.rest.get(length..).and_then(|tail| tail.strip_prefix(['+', '-'])) {
            length += 1 + digits(exponent);
        }
        self.operand(length);
    }

    /// A text in quotes, after a prefix of so many bytes. The parser joins adjacent quotes as a shell does and keeps some
    /// backslashes that it should not; what it would misread is refused.
    fn text(&mut self, prefix: usize) -> Result<(), Refusal> {
        let kind = self.rest.get(..prefix).unwrap_or_default().to_ascii_lowercase();
        let raw = kind.contains('r');
        if kind.len() > 1 {
            return self.refuse("raw bytes are not supported: write b'…' with escapes");
        }
        let body = self.rest.get(prefix..).unwrap_or_default();
        if body.starts_with("'''") || body.starts_with("\"\"\"") {
            return self.refuse("texts in triple quotes are not supported: use one quote and \\n");
        }
        let mut chars = body.char_indices();
        let Some((_, quote)) = chars.next() else { return Ok(()) };
        while let Some((offset, c)) = chars.next() {
            if c == quote {
                self.operand(prefix + offset + c.len_utf8());
                return Ok(());
            }
            if c != '\\' {
                continue;
            }
            let escaped = if raw { body.get(offset + 1..).and_then(|tail| tail.chars().next()) } else { chars.next().map(|(_, c)| c) };
            match escaped {
                Some(e) if raw && e == quote => return self.refuse("a raw text cannot end in a backslash: write it without r"),
                Some(e @ ('\'' | '"')) if !raw && e != quote => {
                    return self.refuse(format!("write {e} without a backslash between these quotes"));
                }
                _ => {}
            }
        }
        self.refuse("a text is not closed")
    }

    fn open(&mut self, bracket: char) -> Result<(), Refusal> {
        if bracket == '[' && self.last == Last::Operand {
            self.link();
        }
        if bracket == '{' && self.last == Last::Operand {
            return self.refuse("messages such as Name{…} are not supported");
        }
        self.levels.push(Level::default());
        self.advance(1);
        self.last = Last::Other;
        Ok(())
    }

    fn close(&mut self) {
        if self.levels.len() > 1
            && let Some(inner) = self.levels.pop()
            && let Some(level) = self.level()
        {
            level.inner = level.inner.max(inner.depth() + 1);
        }
        self.operand(1);
    }

    fn operator(&mut self, first: char) -> Result<(), Refusal> {
        let two = |text: &str| self.rest.starts_with(text);
        let (length, last) = match first {
            '!' if two("!=") => (2, Last::Other),
            '!' if self.last == Last::Not => return self.refuse("a double ! is not supported: leave both out"),
            '!' => (1, Last::Not),
            '-' if self.last == Last::Minus => return self.refuse("two minus signs in a row are not supported: use brackets"),
            '-' if self.last != Last::Operand => (1, Last::Minus),
            '&' | '|' if two("&&") || two("||") => (2, Last::Other),
            '=' | '<' | '>' if two("==") || two("<=") || two(">=") => (2, Last::Other),
            _ => (first.len_utf8(), Last::Other),
        };
        let was_operand = self.last == Last::Operand;
        if let Some(level) = self.level() {
            match first {
                '&' | '|' | ',' | ':' => level.next_stretch(),
                '?' if was_operand => {
                    level.next_stretch();
                    level.choices += 1;
                }
                '?' => {}
                _ => level.links += 1,
            }
        }
        self.advance(length);
        self.last = last;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(source: &str) -> String {
        scan(source).expect_err(source).message
    }

    #[test]
    fn long_chains_and_deep_nesting_are_refused() {
        let depth = MAX_DEPTH + 8;
        for source in [
            vec!["1"; depth].join("+"),
            format!("[0]{}", "[0]".repeat(depth)),
            format!("'a'{}", ".trim()".repeat(depth)),
            format!("a{}", " . b".repeat(depth)),
            vec!["a"; depth].join(" in "),
            format!("{}1{}", "(1+".repeat(39), ")".repeat(39)) + &"+1".repeat(depth),
        ] {
            assert!(refused(&source).contains("one chain"), "{source}");
        }
        assert!(refused(&"(".repeat(60)).contains("levels deep"));
        assert!(refused(&"a?b:".repeat(60)).contains("levels deep"));
    }

    #[test]
    fn long_expressions_that_are_not_deep_are_accepted() {
        for source in [
            vec!["object.spec.a == 'x'"; 170].join(" && "),
            format!("object.x in [{}]", vec!["'abc'"; 500].join(", ")),
            format!("'{}'.matches('{}')", "[(.+-".repeat(300), "+".repeat(1000)),
            format!("true // {}", "+".repeat(1000)),
            "1.5e-3 - -1.0 < 0x1F".to_owned(),
        ] {
            assert_eq!(scan(&source), Ok(()), "{source}");
        }
    }

    #[test]
    fn what_the_parser_misreads_is_refused() {
        assert!(refused("!!a").contains("double !"));
        assert!(refused("! // so\n !a").contains("double !"));
        assert!(refused("- -a").contains("minus"));
        assert!(refused("a - --b").contains("minus"));
        assert!(refused("a == '''b'''").contains("triple"));
        assert!(refused("rb'x'").contains("raw bytes"));
        assert!(refused(r#""it\'s""#).contains("without a backslash"));
        assert!(refused(r"r'a\'").contains("raw text"));
        assert!(refused("'abc").contains("not closed"));
        assert!(refused("Pod{name: 'x'}").contains("not supported"));
        for source in ["!a != !b", "a - b", "r'\\d+'", "b'x'", "'it\\'s'", "a.`x/y`", "{'a': 1}.a == 1", "a.b.?c[?'d']", ""] {
            assert_eq!(scan(source), Ok(()), "{source}");
        }
    }

    proptest! {
        #[test]
        fn any_source_is_scanned_to_its_end(source in any::<String>()) {
            let _ = scan(&source);
        }
    }
}
