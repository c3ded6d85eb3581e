//! JSON paths (RFC 9535) that find one value in a document that somebody else wrote.
//!
//! A path is a program that a tenant writes, and its input may be of the tenant's choice too. What makes its running time grow faster than
//! the product of its own length and the document's is refused: `$..*..*..*` visits a node once for every way that leads to it,
//! `[0,0][0,0]` doubles with each step, `$[?$..a]` and `$..[?@.a]` look at every node for every node, and `match` compiles its pattern for
//! every node. A path that finds exactly one value has no need of them.

use super::text::single_line;
use serde_json::Value;
use serde_json_path::JsonPath;
use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;
/// The longest path in a message, in characters.
const MAX_SHOWN_CHARS: usize = 96;
/// How deep brackets may nest in a path. The parser and the evaluation recurse.
const MAX_DEPTH: usize = 6;

/// A path that finds one value.
#[derive(Clone, Debug, PartialEq)]
pub struct SinglePath {
    path: JsonPath,
    shown: String,
}

/// Why a path does not find one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOne {
    /// There is none.
    NoValue,
    /// There are several.
    SeveralValues,
}

impl SinglePath {
    /// Parses a path; what is wrong with it, as the end of a sentence that begins with its field.
    pub fn parse(source: &str) -> Result<Self, String> {
        if source.len() > MAX_PATH_BYTES {
            return Err(format!("is longer than {MAX_PATH_BYTES} bytes"));
        }
        bounded(source)?;
        let path =
            JsonPath::parse(source).map_err(|error| format!("is not a JSON path of RFC 9535, such as $.database.connected: {error}"))?;
        Ok(Self { path, shown: single_line(source, MAX_SHOWN_CHARS) })
    }

    /// The one value.
    pub fn find<'v>(&self, document: &'v Value) -> Result<&'v Value, NotOne> {
        let mut found = self.path.query(document).into_iter();
        let value = found.next().ok_or(NotOne::NoValue)?;
        if found.next().is_some() { Err(NotOne::SeveralValues) } else { Ok(value) }
    }

    /// The path for messages: one line of at most 96 characters.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// A value as text: a text as it is, anything else as compact JSON.
pub fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Refuses what could take long.
fn bounded(source: &str) -> Result<(), String> {
    let mut quote = None;
    let mut escaped = false;
    let (mut depth, mut descents, mut previous) = (0_usize, 0_usize, ' ');
    let mut filters = false;
    for (index, c) in source.char_indices() {
        if let Some(open) = quote {
            quote = (escaped || c != open).then_some(open);
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '\'' | '"' => quote = Some(c),
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            '?' => filters = true,
            '.' if previous == '.' => descents += 1,
            ',' => return Err("must not select with a comma, nor use match() or search(): it must find exactly one value".to_owned()),
            '$' if index > 0 => return Err("must not use $ but as its first character: in a filter use @".to_owned()),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("nests brackets deeper than {MAX_DEPTH}"));
        }
        if descents > usize::from(!filters) {
            return Err("must not use `..` twice, nor with a filter: name the members in between".to_owned());
        }
        previous = c;
    }
    Ok(())
}
