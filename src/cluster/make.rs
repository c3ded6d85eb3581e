//! Objects that the operator makes and deletes: each once, whoever else tries.

use super::apply::FIELD_MANAGER;
use super::apply::ObjectRef;
use super::client::call;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// What came of making an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is there now.
    New,
    /// One of that name was there already.
    Exists,
    /// The API server does not accept it, or could not be asked; one line.
    Failed(String),
}

/// Makes an object of a namespace.
pub async fn make<K>(client: Client, namespace: &str, object: &K) -> Made
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
{
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match call(Api::<K>::namespaced(client, namespace).create(&params, object)).await {
        Ok(_) => Made::New,
        Err(error) if error.status().is_some_and(kube::core::Status::is_already_exists) => Made::Exists,
        Err(error) => Made::Failed(error.to_string()),
    }
}

/// Deletes an object, if it is still the one of that uid. Whether it is gone now.
pub async fn delete(client: Client, object: &ObjectRef, uid: &str) -> bool {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match call(object.api(&client).delete(&object.name, &params)).await {
        Ok(_) => true,
        Err(error) if error.is_not_found() || error.is_conflict() => true,
        Err(error) => {
            tracing::warn!(kind = object.resource.kind, namespace = object.namespace, name = object.name, %error, "cannot be deleted");
            false
        }
    }
}
