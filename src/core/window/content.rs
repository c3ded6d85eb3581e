//! The lines of an iCalendar text.

use std::borrow::Cow;

/// A line, with the number that it has (or begins with) in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'t> {
    pub(super) number: usize,
    pub(super) text: Cow<'t, str>,
}

/// A line taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property<'l> {
    pub(super) name: &'l str,
    /// `;TZID=Europe/Berlin;VALUE=DATE`, as it is written.
    parameters: &'l str,
    pub(super) value: &'l str,
}

/// The lines of a text, those that were folded made whole. Empty ones are left out.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut physical = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate().peekable();
    let whole = move || {
        let (index, first) = physical.next()?;
        let mut text = Cow::Borrowed(first);
        while let Some((_, more)) = physical.next_if(|(_, line)| line.starts_with([' ', '\t'])) {
            text.to_mut().push_str(more.get(1..).unwrap_or_default());
        }
        Some(Line { number: index + 1, text })
    };
    std::iter::from_fn(whole).filter(|line| !line.text.is_empty())
}

impl<'l> Property<'l> {
    /// Takes a line apart at the first colon outside of quotes.
    pub(super) fn of(line: &'l str) -> Option<Self> {
        let colon = outside_quotes(line, ':')?;
        let (before, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        let (name, parameters) = before.split_at(before.find(';').unwrap_or(before.len()));
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        plain.then_some(Self { name, parameters, value })
    }

    /// The value of a parameter, without quotes.
    pub(super) fn parameter(&self, name: &str) -> Option<&'l str> {
        let mut rest = self.parameters.strip_prefix(';')?;
        loop {
            let end = outside_quotes(rest, ';').unwrap_or(rest.len());
            if let Some((found, value)) = rest.get(..end)?.split_once('=')
                && found.eq_ignore_ascii_case(name)
            {
                return Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value));
            }
            rest = rest.get(end + 1..)?;
        }
    }
}

/// Where a character is first outside of double quotes.
fn outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(index, c)| {
        quoted ^= c == '"';
        (c == wanted && !quoted).then_some(index)
    })
}

/// TEXT without its escapes.
pub(super) fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n' | 'N') | None => plain.push(' '),
                Some(other) => plain.push(other),
            },
            (c, false) => plain.push(c),
        }
    }
    plain
}
