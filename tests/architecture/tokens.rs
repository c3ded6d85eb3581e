//! Rust source as tokens with their lines: without comments, without literals, and without what is compiled for tests only.
//!
//! Not a parser. It is enough to find every path that a file names, also inside macros, where a syntax tree would stop.

/// A name, a `::`, or any other single character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

impl Token {
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }

    pub fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// The tokens of a file, those of its tests excepted: a test may read the clock, start tasks and open sockets.
pub fn tokens(source: &str) -> Vec<Token> {
    without_tests(&lex(source, 1))
}

fn lex(source: &str, first_line: usize) -> Vec<Token> {
    let mut lexer = Lexer { rest: source, line: first_line, tokens: Vec::new() };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'s> {
    rest: &'s str,
    line: usize,
    tokens: Vec<Token>,
}

impl<'s> Lexer<'s> {
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if self.rest.starts_with("//") {
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.take(block_comment(self.rest));
        } else if first == '"' {
            let literal = self.take(string(self.rest));
            self.path_in(literal);
        } else if let Some(length) = raw_string(self.rest) {
            self.take(length);
        } else if first == '\'' {
            self.take(char_or_lifetime(self.rest));
        } else if first.is_alphanumeric() || first == '_' {
            // `r#type` is the name `type`.
            self.take(if self.rest.starts_with("r#") { 2 } else { 0 });
            let line = self.line;
            let text = self.take(word(self.rest)).to_owned();
            self.tokens.push(Token { text, line });
        } else {
            let line = self.line;
            let text = self.take(if self.rest.starts_with("::") { 2 } else { first.len_utf8() }).to_owned();
            if !first.is_whitespace() {
                self.tokens.push(Token { text, line });
            }
        }
        true
    }

    fn take(&mut self, length: usize) -> &'s str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// Attributes of serde and others name functions in strings.
    fn path_in(&mut self, literal: &str) {
        let text = literal.trim_matches('"');
        let of_a_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        if (text.starts_with("crate::") || text.starts_with("super::")) && text.chars().all(of_a_path) {
            self.tokens.extend(lex(text, self.line));
        }
    }
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, and the same with `b` or `c` before.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].iter().find(|p| text.strip_prefix(**p).is_some_and(|rest| rest.starts_with(['"', '#'])))?;
    let rest = text.get(prefix.len()..)?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let body = rest.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(prefix.len() + hashes + 1 + length)
}

fn char_or_lifetime(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, escape))) => {
            let after = at + escape.len_utf8();
            text.get(after..).and_then(|rest| rest.find('\'')).map_or(text.len(), |end| after + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1 + text.get(1..).map_or(0, word),
    }
}

/// Leaves out each item under `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let Some((token, after)) = rest.split_first() {
        let is_test = rest.len() >= ATTRIBUTE.len() && rest.iter().zip(ATTRIBUTE).all(|(t, text)| t.is(text));
        if is_test {
            rest = rest.get(ATTRIBUTE.len()..).map_or(&[], after_item);
        } else {
            kept.push(token.clone());
            rest = after;
        }
    }
    kept
}

/// What follows an item: its end is a `;`, or the `}` that closes its first block.
fn after_item(tokens: &[Token]) -> &[Token] {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && (token.is(";") || token.is("}")) {
            return tokens.get(at + 1..).unwrap_or_default();
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> String {
        tokens(source).iter().map(|t| t.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        assert_eq!(texts("a // b\n c /* d /* e */ f */ g"), "a c g");
        assert_eq!(texts(r##"a("b \" c", r#"d " e"#, br"\", 'f', '\'', '\u{1F600}', '"')"##), "a ( , , , , , , )");
        assert_eq!(texts("fn f<'a>(x: &'a str) -> r#type::U"), "fn f < > ( x : & str ) - > type :: U");
    }

    #[test]
    fn a_path_in_a_string_is_a_path() {
        assert_eq!(texts(r#"#[serde(default = "crate::api::x")] "crate:: is a word""#), "# [ serde ( default = crate :: api :: x ) ]");
    }

    #[test]
    fn items_for_tests_are_left_out() {
        assert_eq!(texts("a; #[cfg(test)] mod tests { fn f() { g } } b"), "a ; b");
        assert_eq!(texts("#[cfg(test)] #[path = \"x\"] mod tests; #[cfg(test)] fn f(x: [u8; 3]) { } b"), "b");
        assert_eq!(texts("#[cfg(not(test))] a;"), "# [ cfg ( not ( test ) ) ] a ;");
    }

    #[test]
    fn lines_are_counted_through_comments_and_literals() {
        let lines: Vec<usize> = tokens("a\n/* \n */ b\n\"\n\n\" c").iter().map(|t| t.line).collect();
        assert_eq!(lines, [1, 3, 6]);
    }
}
