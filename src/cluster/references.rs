//! Keys of ConfigMaps and Secrets, fetched by name when they are used and never kept.

use super::client::call;
use crate::probe::{ReadReferences, ReferenceError, ReferenceKind};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

/// Reads them with the operator's own rights.
#[derive(Clone)]
pub struct References(pub Client);

impl ReadReferences for References {
    fn read<'a>(
        &'a self,
        kind: ReferenceKind,
        namespace: &'a str,
        name: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Vec<u8>, ReferenceError>> {
        Box::pin(async move {
            let found = match kind {
                ReferenceKind::ConfigMap => {
                    call(Api::<ConfigMap>::namespaced(self.0.clone(), namespace).get(name)).await.map(|mut object| {
                        let text = object.data.as_mut().and_then(|d| d.remove(key)).map(String::into_bytes);
                        text.or_else(|| object.binary_data.as_mut().and_then(|d| d.remove(key)).map(|b| b.0))
                    })
                }
                ReferenceKind::Secret => call(Api::<Secret>::namespaced(self.0.clone(), namespace).get(name))
                    .await
                    .map(|mut object| object.data.as_mut().and_then(|d| d.remove(key)).map(|b| b.0)),
            };
            match found {
                Ok(Some(bytes)) => Ok(bytes),
                Ok(None) => Err(ReferenceError::NoKey),
                Err(error) if error.is_not_found() => Err(ReferenceError::NotFound),
                Err(error) if error.is_forbidden() => Err(ReferenceError::Forbidden),
                Err(error) => Err(ReferenceError::Unreadable(error.to_string())),
            }
        })
    }
}
