//! Keys of ConfigMaps and Secrets, fetched by name when they are used and never kept.

use super::client::{CallError, call};
use crate::probe::{KeyState, KeyStates, ReadReferences, ReferenceError, ReferenceKind};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use std::collections::BTreeMap;

/// Reads them with the operator's own rights.
#[derive(Clone)]
pub struct References(pub Client);

type Values = BTreeMap<String, Vec<u8>>;

impl References {
    async fn values(&self, kind: ReferenceKind, namespace: &str, name: &str) -> Result<Values, ReferenceError> {
        let values = match kind {
            ReferenceKind::ConfigMap => call(Api::<ConfigMap>::namespaced(self.0.clone(), namespace).get(name)).await.map(|object| {
                let texts = object.data.into_iter().flatten().map(|(key, text)| (key, text.into_bytes()));
                texts.chain(object.binary_data.into_iter().flatten().map(|(key, bytes)| (key, bytes.0))).collect()
            }),
            ReferenceKind::Secret => call(Api::<Secret>::namespaced(self.0.clone(), namespace).get(name))
                .await
                .map(|object| object.data.into_iter().flatten().map(|(key, bytes)| (key, bytes.0)).collect()),
        };
        values.map_err(|error| match error {
            error if error.is_not_found() => ReferenceError::NotFound,
            error if error.is_forbidden() => ReferenceError::Forbidden,
            // The library's words would quote what it could not read.
            CallError::Kube(kube::Error::SerdeError(_)) => {
                ReferenceError::Unreadable("the API server's answer is not such an object".to_owned())
            }
            error => ReferenceError::Unreadable(error.to_string()),
        })
    }
}

impl ReadReferences for References {
    fn read<'a>(
        &'a self,
        kind: ReferenceKind,
        namespace: &'a str,
        name: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Vec<u8>, ReferenceError>> {
        Box::pin(async move { self.values(kind, namespace, name).await?.remove(key).ok_or(ReferenceError::NoKey) })
    }

    fn keys<'a>(
        &'a self,
        kind: ReferenceKind,
        namespace: &'a str,
        name: &'a str,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<KeyStates, ReferenceError>> {
        Box::pin(async move { Ok(states(&self.values(kind, namespace, name).await?, keys)) })
    }
}

fn states(values: &Values, keys: &[String]) -> KeyStates {
    let state = |key: &String| match values.get(key) {
        None => KeyState::Missing,
        Some(value) if value.is_empty() => KeyState::Empty,
        Some(_) => KeyState::Filled,
    };
    KeyStates { asked: keys.iter().map(state).collect(), any_filled: values.values().any(|value| !value.is_empty()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_values_only_their_emptiness_is_told() {
        let values = Values::from([("empty".to_owned(), Vec::new()), ("full".to_owned(), b"hunter2".to_vec())]);
        let keys = ["full", "empty", "none"].map(str::to_owned);
        let states = states(&values, &keys);
        assert_eq!(states, KeyStates { asked: vec![KeyState::Filled, KeyState::Empty, KeyState::Missing], any_filled: true });
        assert!(!format!("{states:?}").contains("hunter2"));
        assert!(!super::states(&Values::from([("empty".to_owned(), Vec::new())]), &[]).any_filled);
        assert!(!super::states(&Values::new(), &[]).any_filled);
    }
}
