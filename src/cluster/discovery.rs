//! Which kinds and resources the API server serves.

use super::client::{CallError, call};
use kube::Client;
use kube::core::GroupVersionKind;
use kube::core::discovery::{ApiResource, Scope};
use kube::discovery;
use std::collections::BTreeMap;

/// A kind that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// How to address it.
    pub resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// Asks for one kind. `Ok(None)`: it is not served.
pub async fn kind(client: &Client, api_version: &str, kind: &str) -> Result<Option<Served>, CallError> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    match call(discovery::pinned_kind(client, &GroupVersionKind::gvk(group, version, kind))).await {
        Ok((resource, capabilities)) => Ok(Some(Served { resource, namespaced: capabilities.scope == Scope::Namespaced })),
        Err(CallError::Kube(kube::Error::Discovery(_))) => Ok(None),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks for one resource by its plural, in its most stable version. `Ok(None)`: it is not served.
pub async fn plural(client: &Client, group: &str, plural: &str) -> Result<Option<Served>, CallError> {
    let found = match call(discovery::group(client, group)).await {
        Ok(found) => found.resources_by_stability(),
        Err(CallError::Kube(kube::Error::Discovery(_))) => return Ok(None),
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut named = found.into_iter().filter(|(resource, _)| resource.plural == plural);
    Ok(named.next().map(|(resource, capabilities)| Served { resource, namespaced: capabilities.scope == Scope::Namespaced }))
}

/// The resources of a group, in any served version, subresources with a slash, and whether they are namespaced. Empty if the group is not served.
pub async fn resources(client: &Client, group: &str) -> Result<BTreeMap<String, bool>, CallError> {
    let mut lists = Vec::new();
    if group.is_empty() {
        lists.push(call(client.list_core_api_resources("v1")).await?);
    } else {
        let groups = call(client.list_api_groups()).await?;
        let versions = groups.groups.into_iter().filter(|g| g.name == group).flat_map(|g| g.versions);
        for version in versions {
            match call(client.list_api_group_resources(&version.group_version)).await {
                Ok(list) => lists.push(list),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(lists.into_iter().flat_map(|l| l.resources).map(|r| (r.name, r.namespaced)).collect())
}
