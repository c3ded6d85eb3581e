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
    reach: Reach,
    top: Option<String>,
}

/// How much of a document a path looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// The values on its way: it has names and indexes only.
    Direct,
    /// The elements of one list besides: it has one filter with one condition.
    OneFilter,
    /// More than that.
    Wide,
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
        let reach = bounded(source)?;
        let path =
            JsonPath::parse(source).map_err(|error| format!("is not a JSON path of RFC 9535, such as $.database.connected: {error}"))?;
        Ok(Self { path, shown: single_line(source, MAX_SHOWN_CHARS), reach, top: top(source).map(str::to_owned) })
    }

    /// How much of a document it looks at.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// The member of the document in which it looks, if that is plain: `status` for `$.status.phase`.
    pub fn top(&self) -> Option<&str> {
        self.top.as_deref()
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

/// Whether a document has more than so many values. Looks at no more than that.
pub fn exceeds(document: &Value, values: usize) -> bool {
    let mut seen = 0_usize;
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        seen += 1;
        let inner = value.as_array().map_or_else(|| value.as_object().map_or(0, serde_json::Map::len), Vec::len);
        if seen.saturating_add(open.len()).saturating_add(inner) > values {
            return true;
        }
        match value {
            Value::Array(elements) => open.extend(elements),
            Value::Object(fields) => open.extend(fields.values()),
            _ => {}
        }
    }
    false
}

/// The first name of a path that begins with one.
fn top(source: &str) -> Option<&str> {
    let rest = source.strip_prefix("$.")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let (name, rest) = rest.split_at_checked(end)?;
    (!name.is_empty() && (rest.is_empty() || rest.starts_with(['.', '[']))).then_some(name)
}

/// Refuses what could take long.
fn bounded(source: &str) -> Result<Reach, String> {
    let mut quote = None;
    let mut escaped = false;
    let (mut depth, mut descents, mut previous) = (0_usize, 0_usize, ' ');
    let (mut filters, mut conditions, mut several) = (0_usize, 0_usize, false);
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
            '?' => filters += 1,
            '&' | '|' => conditions += 1,
            '*' | ':' => several = true,
            '.' if previous == '.' => descents += 1,
            ',' => return Err("must not select with a comma, nor use match() or search(): it must find exactly one value".to_owned()),
            '$' if index > 0 => return Err("must not use $ but as its first character: in a filter use @".to_owned()),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("nests brackets deeper than {MAX_DEPTH}"));
        }
        if descents > usize::from(filters == 0) {
            return Err("must not use `..` twice, nor with a filter: name the members in between".to_owned());
        }
        previous = c;
    }
    Ok(match (filters, conditions) {
        _ if several || descents > 0 => Reach::Wide,
        (0, _) => Reach::Direct,
        (1, 0) => Reach::OneFilter,
        _ => Reach::Wide,
    })
}
