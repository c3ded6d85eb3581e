//! Reading an object that anybody may have written: what is there and of another shape than the tool knows cannot be resolved.

use super::Unresolvable;
use crate::core::problem::summary;
use crate::core::selector::Selector;
use crate::core::text::single_line;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How many requirements a selector may have, and how many values or names may be listed: all of them are compared with each pod.
const MAX_LISTED: usize = 1024;

/// A member of an object, unless it is absent or null.
pub(super) fn member<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    of.get(name).filter(|value| !value.is_null())
}

/// A member that is an object; absent: nothing.
pub(super) fn object<'a>(of: &'a Value, name: &str) -> Result<Option<&'a Map<String, Value>>, Unresolvable> {
    member(of, name).map(|value| value.as_object().ok_or_else(|| odd(name, "an object"))).transpose()
}

/// A member that is an object, as a value; absent: nothing.
pub(super) fn part<'a>(of: &'a Value, name: &str) -> Result<Option<&'a Value>, Unresolvable> {
    object(of, name).map(|found| found.and_then(|_| member(of, name)))
}

/// A member that is a text; absent or empty: nothing.
pub(super) fn text<'a>(of: &'a Value, name: &str) -> Result<Option<&'a str>, Unresolvable> {
    let text = member(of, name).map(|value| value.as_str().ok_or_else(|| odd(name, "a text"))).transpose()?;
    Ok(text.filter(|text| !text.is_empty()))
}

/// A member that is a list; absent: an empty one.
pub(super) fn list<'a>(of: &'a Value, name: &str) -> Result<&'a [Value], Unresolvable> {
    match member(of, name) {
        None => Ok(&[]),
        Some(Value::Array(list)) if list.len() <= MAX_LISTED => Ok(list),
        Some(Value::Array(list)) => Err(Unresolvable::new(&format!("{name} lists {}, at most {MAX_LISTED} are looked at", list.len()))),
        Some(_) => Err(odd(name, "a list")),
    }
}

/// A member that is a list of texts.
pub(super) fn texts(of: &Value, name: &str) -> Result<Vec<String>, Unresolvable> {
    let texts = list(of, name)?.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(|| odd(name, "a list of texts")));
    texts.collect()
}

/// A member that is a map of texts.
pub(super) fn map(of: &Value, name: &str) -> Result<BTreeMap<String, String>, Unresolvable> {
    let Some(map) = object(of, name)? else { return Ok(BTreeMap::new()) };
    if map.len() > MAX_LISTED {
        return Err(Unresolvable::new(&format!("{name} lists {}, at most {MAX_LISTED} are looked at", map.len())));
    }
    let pair = |(key, value): (&String, &Value)| value.as_str().map(|value| (key.clone(), value.to_owned()));
    map.iter().map(|entry| pair(entry).ok_or_else(|| odd(name, "a map of texts"))).collect()
}

/// A whole number, or a text that is one.
pub(super) fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
}

/// A label selector of a map and of requirements, as a tool writes them; nothing asked for: none.
pub(super) fn selector(labels: BTreeMap<String, String>, requirements: &[Value], field: &str) -> Result<Option<Selector>, Unresolvable> {
    let wants = |why: &str| Unresolvable::new(&format!("{field}: {why}"));
    let requirements: Result<Vec<LabelSelectorRequirement>, _> = requirements.iter().map(LabelSelectorRequirement::deserialize).collect();
    let requirements = requirements.map_err(|error| wants(&error.to_string()))?;
    if labels.is_empty() && requirements.is_empty() {
        return Ok(None);
    }
    let values: usize = requirements.iter().map(|requirement| requirement.values.as_ref().map_or(1, |values| values.len().max(1))).sum();
    if labels.len() + values > MAX_LISTED {
        return Err(wants(&format!("has {}, at most {MAX_LISTED} are looked at", labels.len() + values)));
    }
    let wanted = LabelSelector { match_labels: Some(labels), match_expressions: Some(requirements) };
    let mut problems = Vec::new();
    let parsed = Selector::parse(&wanted, field, &mut problems);
    parsed.map(Some).ok_or_else(|| Unresolvable::new(&summary(&problems)))
}

/// A selector as on kubectl's command line, of equalities alone: `app=web,tier=front`.
pub(super) fn equalities(text: &str, field: &str) -> Result<Option<Selector>, Unresolvable> {
    let mut labels = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Unresolvable::new(&format!("{field}: {:?} is not key=value", single_line(pair, 64))));
        };
        let (key, value) = (key.trim(), value.trim_start_matches('=').trim());
        if key.ends_with('!') || labels.insert(key.to_owned(), value.to_owned()).is_some_and(|before| before != value) {
            return Err(Unresolvable::new(&format!("{field}: {:?} is not a list of key=value", single_line(text, 64))));
        }
    }
    selector(labels, &[], field)
}

fn odd(name: &str, wanted: &str) -> Unresolvable {
    Unresolvable::new(&format!("{name} is not {wanted}"))
}
