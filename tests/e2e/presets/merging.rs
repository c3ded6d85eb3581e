//! Changes from one object to another, as clients send them.

use serde_json::{Map, Value, json};

/// Lays a JSON merge patch (RFC 7386) over a value.
pub fn merge(target: &Value, patch: &Value) -> Value {
    let Value::Object(fields) = patch else { return patch.clone() };
    let mut merged = target.as_object().cloned().unwrap_or_default();
    for (key, value) in fields {
        if value.is_null() {
            merged.remove(key);
        } else {
            let below = merge(merged.get(key).unwrap_or(&Value::Null), value);
            merged.insert(key.clone(), below);
        }
    }
    Value::Object(merged)
}

/// The JSON merge patch that makes one value of another.
pub fn difference(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before) => drop(patch.insert(key.clone(), difference(before, value))),
            None => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

/// A JSON merge patch as the operations of a JSON patch (RFC 6902) on an object as it is now.
pub fn operations(current: &Value, patch: &Value) -> Value {
    let mut operations = Vec::new();
    collect(current, patch, "", &mut operations);
    Value::Array(operations)
}

fn collect(current: &Value, patch: &Value, above: &str, operations: &mut Vec<Value>) {
    for (key, value) in patch.as_object().into_iter().flatten() {
        let field = format!("{above}/{}", key.replace('~', "~0").replace('/', "~1"));
        let before = current.get(key);
        if value.is_null() {
            if before.is_some() {
                operations.push(json!({ "op": "remove", "path": field }));
            }
        } else if let (Some(before @ Value::Object(_)), Value::Object(_)) = (before, value) {
            collect(before, value, &field, operations);
        } else {
            operations.push(json!({ "op": "add", "path": field, "value": merge(&Value::Null, value) }));
        }
    }
}

#[test]
fn each_form_of_a_change_makes_the_same_object() {
    let old = json!({ "metadata": { "annotations": { "a/b": "1", "c": "2" } }, "spec": { "list": [1], "gone": true } });
    let new = json!({ "metadata": { "annotations": { "c": "3" } }, "spec": { "list": [1, 2], "more": { "deep": null, "x": 1 } } });
    let patch = difference(&old, &new);
    assert_eq!(
        patch,
        json!({ "metadata": { "annotations": { "a/b": null, "c": "3" } }, "spec": { "list": [1, 2], "gone": null, "more": { "deep": null, "x": 1 } } })
    );
    assert_eq!(merge(&old, &patch)["spec"], json!({ "list": [1, 2], "more": { "x": 1 } }));
    let operations = operations(&old, &patch);
    assert!(operations.as_array().unwrap().contains(&json!({ "op": "remove", "path": "/metadata/annotations/a~1b" })), "{operations}");
    assert!(operations.as_array().unwrap().contains(&json!({ "op": "add", "path": "/spec/more", "value": { "x": 1 } })), "{operations}");
}
