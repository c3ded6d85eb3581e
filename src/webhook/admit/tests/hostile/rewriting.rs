//! The same JSON, written otherwise: in an order of keys, with escapes, forms of numbers, white space and members that nobody knows. Also used by `fuzz/`.

use serde_json::{Value, json};
use std::fmt::Write;

/// Decisions of whoever tries things out: bytes, and zeros when they are used up.
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn next(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    /// Yes, once in so many times.
    fn once_in(&mut self, times: u8) -> bool {
        self.next() % times == times - 1
    }
}

/// Changes of a review after which it asks for the same: another name, another served version, more members that mean nothing.
pub fn restated(mut review: Value, choices: &mut Choices<'_>) -> Value {
    let is_create = review.pointer("/request/operation") == Some(&json!("CREATE"));
    if is_create && choices.once_in(2) {
        set(&mut review, "/request/name", json!(""));
        if let Some(Value::Object(metadata)) = review.pointer_mut("/request/object/metadata") {
            let name = metadata.remove("name").unwrap_or_default();
            metadata.insert("generateName".to_owned(), name);
        }
    }
    if choices.once_in(2) {
        for version in ["/request/kind/version", "/request/resource/version"] {
            set(&mut review, version, json!("v9"));
        }
        for object in ["/request/object/apiVersion", "/request/oldObject/apiVersion"] {
            let other = review.pointer(object).and_then(Value::as_str).and_then(|v| Some(format!("{}/v9", v.split_once('/')?.0)));
            if let Some(other) = other {
                set(&mut review, object, json!(other));
            }
        }
    }
    for place in
        ["", "/request", "/request/userInfo", "/request/object", "/request/object/metadata", "/request/object/metadata/annotations"]
    {
        if choices.once_in(3)
            && let Some(Value::Object(members)) = review.pointer_mut(place)
        {
            let value = if place.ends_with("annotations") { json!("x") } else { odd(choices) };
            members.insert(format!("zz{}", choices.next()), value);
        }
    }
    review
}

fn set(review: &mut Value, place: &str, value: Value) {
    if let Some(found) = review.pointer_mut(place) {
        *found = value;
    }
}

/// Something that nobody expects.
fn odd(choices: &mut Choices<'_>) -> Value {
    match choices.next() % 7 {
        0 => Value::Null,
        1 => json!(-1e300),
        2 => json!("\u{0}\u{202e}\u{feff}"),
        3 => json!([[[[[{}]]]]]),
        4 => json!({"spec": {"mode": "all"}}),
        5 => json!(u64::MAX),
        _ => json!(false),
    }
}

/// A value as JSON text.
pub fn rewritten(value: &Value, choices: &mut Choices<'_>) -> String {
    let mut text = String::new();
    write(value, choices, &mut text);
    text
}

fn write(value: &Value, choices: &mut Choices<'_>, text: &mut String) {
    space(choices, text);
    match value {
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            for last in (1..members.len()).rev() {
                members.swap(last, usize::from(choices.next()) % (last + 1));
            }
            text.push('{');
            // A member that nobody knows, twice.
            if choices.once_in(8) {
                text.push_str(r#""\u007Aunknown":1,"zunknown":{"a":null}"#);
                text.push_str(if members.is_empty() { "" } else { "," });
            }
            for (index, (name, value)) in members.into_iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                space(choices, text);
                string(name, choices, text);
                space(choices, text);
                text.push(':');
                write(value, choices, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                write(item, choices, text);
            }
            text.push(']');
        }
        Value::String(content) => string(content, choices, text),
        Value::Number(number) if number.is_i64() => {
            let forms = [format!("{number}"), format!("{number}.0"), format!("{number}e0"), format!("{number}.00E+0")];
            text.push_str(&forms[usize::from(choices.next()) % forms.len()]);
        }
        other => text.push_str(&other.to_string()),
    }
    space(choices, text);
}

fn space(choices: &mut Choices<'_>, text: &mut String) {
    text.push_str(["", "", "", " ", "\n\t", "\r\n  "][usize::from(choices.next()) % 6]);
}

fn string(content: &str, choices: &mut Choices<'_>, text: &mut String) {
    let escape = choices.once_in(3);
    text.push('"');
    for c in content.chars() {
        if escape || c.is_control() || c == '"' || c == '\\' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(text, "\\u{unit:04X}");
            }
        } else {
            text.push(c);
        }
    }
    text.push('"');
}
