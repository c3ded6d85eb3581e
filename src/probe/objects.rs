//! What a live probe reads: its target, and other watched objects.

use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

/// Reason of an Error: objects that the probe needs are not watched yet, or their watch has not delivered its first list.
pub const NOT_SYNCED: &str = "NotSynced";

/// The watched objects, besides the target, that a live probe may read. Reading is from memory and never waits.
pub trait ReadObjects {
    /// All objects of a kind, in one namespace or (`None`) in all. Never a part of them: if it is not known that all are there,
    /// that is an error, because a probe would take what is missing for what does not exist.
    fn list<'a>(&'a self, api_version: &str, kind: &str, namespace: Option<&str>) -> Result<Vec<&'a DynamicObject>, NotSynced>;
    /// One object by its name. `None`: it is known that there is none.
    fn get<'a>(
        &'a self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<&'a DynamicObject>, NotSynced>;
}

/// The objects of a kind cannot be told yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotSynced {
    /// Which objects, and why.
    pub message: String,
}

/// The name of a target in results: `Kind/name`.
pub fn target_name(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map_or("Object", |types| types.kind.as_str());
    format!("{kind}/{}", object.metadata.name.as_deref().unwrap_or_default())
}

/// Reads one top-level field of an object, such as `status`, into the members that a probe needs. Absent or null is `None`; of
/// another shape than the probe knows is an error to report, never a default to believe.
pub(super) fn read<'a, T: Deserialize<'a>>(object: &'a DynamicObject, field: &str) -> Result<Option<T>, String> {
    match object.data.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::deserialize(value).map(Some).map_err(|error| format!("its {field} cannot be read: {error}")),
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Objects for the tests of the live probes.

    use super::{DynamicObject, NotSynced, ReadObjects, Value};
    use proptest::prelude::*;
    use serde_json::json;

    /// The instant at which the tests of the live probes look.
    pub const NOW: &str = "2026-09-01T12:00:00Z";

    /// Watched objects: a list, or not there yet.
    pub struct Watched(pub Option<Vec<DynamicObject>>);

    impl ReadObjects for Watched {
        fn list<'a>(&'a self, api_version: &str, kind: &str, namespace: Option<&str>) -> Result<Vec<&'a DynamicObject>, NotSynced> {
            let not_synced = || NotSynced { message: format!("{kind} in {} are not watched yet", namespace.unwrap_or("all namespaces")) };
            let wanted = |object: &&DynamicObject| {
                object.types.as_ref().is_some_and(|types| types.kind == kind && types.api_version == api_version)
                    && (namespace.is_none() || object.metadata.namespace.as_deref() == namespace)
            };
            Ok(self.0.as_ref().ok_or_else(not_synced)?.iter().filter(wanted).collect())
        }

        fn get<'a>(
            &'a self,
            api_version: &str,
            kind: &str,
            namespace: Option<&str>,
            name: &str,
        ) -> Result<Option<&'a DynamicObject>, NotSynced> {
            let all = self.list(api_version, kind, namespace)?;
            Ok(all.into_iter().find(|object| object.metadata.name.as_deref() == Some(name)))
        }
    }

    /// An object from JSON.
    pub fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    /// Any JSON, with the names and texts that probes look for among it.
    pub fn any_json(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let word = proptest::sample::select(words);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-2_i64..5).prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|number| json!(number)),
            word.clone().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((word.clone(), inner), 0..8)
                    .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Status {
        ready: Option<u32>,
    }

    #[test]
    fn absent_and_null_are_nothing_and_another_shape_is_an_error() {
        let with =
            |status: Value| testing::object(json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "x"}, "status": status}));
        assert_eq!(read::<Status>(&with(Value::Null), "status"), Ok(None));
        assert_eq!(read::<Status>(&with(json!({})), "spec"), Ok(None));
        assert_eq!(read(&with(json!({"ready": 3, "other": []})), "status"), Ok(Some(Status { ready: Some(3) })));
        for odd in [json!([1]), json!("x"), json!({"ready": "3"}), json!({"ready": -1})] {
            let outcome = read::<Status>(&with(odd.clone()), "status");
            // serde also reads a struct from an array of its fields; that is harmless, since no API server sends one.
            assert!(outcome.is_err() || odd.is_array(), "{odd}");
        }
    }

    #[test]
    fn a_target_is_named_by_kind_and_name() {
        let node = testing::object(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}));
        assert_eq!(target_name(&node), "Node/a");
        assert_eq!(target_name(&testing::object(json!({"metadata": {}}))), "Object/");
    }
}
