//! The objects in files: YAML or JSON, several documents, Lists.

use crate::core::text::single_line;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest file, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// How many objects are asked about at a time.
const MAX_OBJECTS: usize = 1000;
/// The longest message about a file, in characters.
const MAX_MESSAGE: usize = 400;

/// An object to ask about.
#[derive(Debug)]
pub(super) struct Manifest {
    /// The file, and which of its objects it is if it has several.
    pub(super) source: String,
    /// `apiVersion`.
    pub(super) api_version: String,
    /// `kind`.
    pub(super) kind: String,
    /// All of it.
    pub(super) object: Value,
}

impl Manifest {
    /// A text of the metadata; empty if there is none.
    pub(super) fn metadata(&self, field: &str) -> &str {
        self.object.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Reads files, folders (what ends in `.yaml`, `.yml` or `.json` in them) and `-`, which is standard input.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Manifest>, String> {
    let mut manifests = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            manifests.extend(parse("standard input", &text(io::stdin().lock(), "standard input")?)?);
            continue;
        }
        for file in files(path)? {
            let name = file.display().to_string();
            let opened = File::open(&file).map_err(|e| format!("{name}: {e}"))?;
            manifests.extend(parse(&name, &text(opened, &name)?)?);
        }
    }
    match manifests.len() {
        0 => Err("there is no object in what -f names".to_owned()),
        n if n > MAX_OBJECTS => Err(format!("{n} objects: at most {MAX_OBJECTS} are explained at a time")),
        _ => Ok(manifests),
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |e: io::Error| format!("{}: {e}", path.display());
    if !fs::metadata(path).map_err(wrong)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(wrong)?.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|f| f.is_file() && f.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json"));
    files.sort();
    Ok(files)
}

fn text(reader: impl Read, name: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| format!("{name}: {e}"))?;
    if u64::try_from(bytes.len()).is_ok_and(|n| n > MAX_BYTES) {
        return Err(format!("{name}: larger than {} MiB", MAX_BYTES / 1024 / 1024));
    }
    String::from_utf8(bytes).map_err(|_| format!("{name}: not UTF-8"))
}

/// The objects of a text.
pub(super) fn parse(name: &str, text: &str) -> Result<Vec<Manifest>, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|e| format!("{name}: {}", single_line(&e.to_string(), MAX_MESSAGE)))?;
    let mut objects = Vec::new();
    for document in documents.into_iter().filter(|d| !d.is_null()) {
        flatten(document, &mut objects);
    }
    let several = objects.len() > 1;
    let manifest = |(number, object): (usize, Value)| {
        let source = if several { format!("{name}, object {}", number + 1) } else { name.to_owned() };
        let text = |field: &str| object.get(field).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
        match (text("apiVersion"), text("kind")) {
            (Some(api_version), Some(kind)) => Ok(Manifest { source, api_version, kind, object }),
            _ => Err(format!("{source}: not an object of Kubernetes: apiVersion and kind are required")),
        }
    };
    objects.into_iter().enumerate().map(manifest).collect()
}

/// A List stands for what is in it.
fn flatten(mut document: Value, objects: &mut Vec<Value>) {
    let is_list = document.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match document.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => objects.extend(items),
        Some(items) => {
            if let Some(place) = document.get_mut("items") {
                *place = items;
            }
            objects.push(document);
        }
        None => objects.push(document),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_are_taken_apart_and_told_by_their_place() {
        let text = "# nothing\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: List\nitems:\n\
                    - {apiVersion: v1, kind: Pod, metadata: {name: b}}\n- {apiVersion: v1, kind: Pod, metadata: {name: c}}\n";
        let all = parse("x.yaml", text).unwrap();
        let told: Vec<(&str, &str)> = all.iter().map(|m| (m.source.as_str(), m.metadata("name"))).collect();
        assert_eq!(told, [("x.yaml, object 1", "a"), ("x.yaml, object 2", "b"), ("x.yaml, object 3", "c")]);
        let json = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a-"}, "items": [1]}"#;
        assert_eq!(parse("-", json).unwrap().first().map(|m| m.object.pointer("/items/0").cloned()), Some(Some(1.into())));
    }

    #[test]
    fn booleans_are_what_kubectl_reads() {
        let all = parse("x", "apiVersion: v1\nkind: X\nspec: {paused: yes, quoted: 'yes'}\n").unwrap();
        assert_eq!(all.first().and_then(|m| m.object.get("spec")), Some(&serde_json::json!({"paused": true, "quoted": "yes"})));
    }

    #[test]
    fn what_is_no_object_is_named() {
        for text in ["[]", "1", "kind: Pod", "apiVersion: v1", "apiVersion: v1\nkind: List\nitems: [{kind: Pod}]", "a: b: c", "{"] {
            let error = parse("x.yaml", text).unwrap_err();
            assert!(error.starts_with("x.yaml: ") && !error.contains('\n'), "{text}: {error}");
        }
        let nested = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        assert!(parse("x.yaml", &nested).is_err());
    }
}
