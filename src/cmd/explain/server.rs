//! Requests to the API server as the user: each with a deadline, and with the warnings that come along.

use crate::clock;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use kube::core::discovery::v2::{APIGroupDiscoveryList, APIResourceDiscovery};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// How many objects are read with one request, and how many requests a list may take.
const PAGE: usize = 500;
const MAX_PAGES: usize = 40;
const JSON: &str = "application/json";

/// The API server, and who asks it.
pub(super) struct Server {
    client: Client,
    /// How long an answer may take.
    deadline: Duration,
    /// The namespace of objects that name none.
    pub(super) namespace: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// None came in time.
    #[error("no answer from the API server within {} ms: {what}", .after.as_millis())]
    Deadline { what: String, after: Duration },
    /// None will come.
    #[error("{0}")]
    Broken(String),
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) code: StatusCode,
    pub(super) body: Value,
    pub(super) warnings: Vec<String>,
}

impl Reply {
    /// The status of an answer that is none of success. What is no Status (a proxy's page, say) is told by its code.
    pub(super) fn status(&self) -> Status {
        let told = serde_json::from_value::<Status>(self.body.clone()).ok().filter(|s| !s.message.is_empty());
        told.unwrap_or_else(|| Status {
            code: self.code.as_u16(),
            message: format!("the API server answered {}", self.code),
            ..Status::default()
        })
    }
}

/// A resource that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) kind: String,
    pub(super) namespaced: bool,
    /// The other names that people call it by.
    names: Vec<String>,
}

impl Resource {
    /// `group/version`, or the version alone.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The path of the objects.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let place = namespace.filter(|_| self.namespaced).map_or_else(String::new, |n| format!("/namespaces/{}", segment(n)));
        format!("{root}/{}{place}/{}", self.api_version(), self.plural)
    }

    /// The path of an object.
    pub(super) fn path_of(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.path(namespace), segment(name))
    }

    /// Whether somebody who says this means it: `podchaos`, `PodChaos`, a short name, also with the group after a dot.
    fn is_called(&self, word: &str) -> bool {
        let (name, group) = word.split_once('.').map_or((word, None), |(name, group)| (name, Some(group)));
        let name = name.to_lowercase();
        let group_fits = |group: &str| group == self.group || group == format!("{}.{}", self.version, self.group);
        group.is_none_or(group_fits) && (self.plural == name || self.kind.to_lowercase() == name || self.names.contains(&name))
    }
}

impl Server {
    pub(super) fn new(client: Client, namespace: String, deadline: Duration) -> Self {
        Self { client, deadline, namespace }
    }

    /// Sends a request.
    pub(super) async fn send(&self, method: Method, path: &str, content_type: &str, body: Vec<u8>) -> Result<Reply, Failure> {
        let what = format!("{method} {}", path.split('?').next().unwrap_or_default());
        self.sent(method, path, content_type, JSON, body, &what).await
    }

    async fn sent(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        accept: &str,
        body: Vec<u8>,
        what: &str,
    ) -> Result<Reply, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::Broken(format!("{what}: {error}"));
        let request = Request::builder().method(method).uri(path).header(ACCEPT, accept).header(CONTENT_TYPE, content_type);
        let request = request.body(Body::from(body)).map_err(|e| broken(&e))?;
        let exchange = async {
            let answer = self.client.send(request).await.map_err(|e| broken(&chain(&e)))?;
            let (head, body) = answer.into_parts();
            let bytes = Limited::new(body, MAX_ANSWER).collect().await.map_err(|e| broken(&e))?.to_bytes();
            let warnings = head.headers.get_all(http::header::WARNING).iter().filter_map(|value| warning(value.to_str().ok()?)).collect();
            let body = serde_json::from_slice(&bytes).unwrap_or_default();
            Ok(Reply { code: head.status, body, warnings })
        };
        let late = |_| Failure::Deadline { what: what.to_owned(), after: self.deadline };
        clock::within(self.deadline, exchange).await.map_err(late)?
    }

    /// Gets an object, or says why not.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Result<T, Status>, Failure> {
        let reply = self.send(Method::GET, path, JSON, Vec::new()).await?;
        read(path, &reply)
    }

    /// All objects of a list.
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Result<Vec<T>, Status>, Failure> {
        let mut all = Vec::new();
        let mut go_on = String::new();
        for _ in 0..MAX_PAGES {
            let page = format!("{path}?limit={PAGE}{go_on}");
            let reply = self.send(Method::GET, &page, JSON, Vec::new()).await?;
            let mut list: Value = match read(path, &reply)? {
                Ok(list) => list,
                Err(status) => return Ok(Err(status)),
            };
            let items = list.get_mut("items").map(Value::take).and_then(|i| if let Value::Array(items) = i { Some(items) } else { None });
            for item in items.unwrap_or_default() {
                all.push(serde_json::from_value(item).map_err(|e| Failure::Broken(format!("{path}: {e}")))?);
            }
            match list.pointer("/metadata/continue").and_then(Value::as_str).filter(|token| !token.is_empty()) {
                Some(token) => go_on = format!("&continue={}", segment(token)),
                None => break,
            }
        }
        Ok(Ok(all))
    }

    /// Everything that is served, in the order in which the API server prefers it.
    pub(super) async fn discover(&self) -> Result<Vec<Resource>, Failure> {
        const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let mut all = Vec::new();
        for path in ["/api", "/apis"] {
            let reply = self.sent(Method::GET, path, JSON, AGGREGATED, Vec::new(), path).await?;
            let groups: APIGroupDiscoveryList = match read(path, &reply)? {
                Ok(groups) => groups,
                Err(status) => return Err(Failure::Broken(format!("{path}: {}", status.message))),
            };
            for group in groups.items {
                let name = group.metadata.and_then(|m| m.name).unwrap_or_default();
                for version in group.versions {
                    let number = version.version.unwrap_or_default();
                    all.extend(version.resources.into_iter().filter_map(|r| resource(&name, &number, r)));
                }
            }
        }
        Ok(all)
    }

    /// Who asks, as the API server sees it: name, uid and groups. Empty if it does not say.
    pub(super) async fn whoami(&self) -> Result<Value, Failure> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string().into_bytes();
        let mut reply = self.send(Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", JSON, review).await?;
        Ok(reply.body.pointer_mut("/status/userInfo").map_or_else(|| json!({}), Value::take))
    }
}

fn read<T: DeserializeOwned>(path: &str, reply: &Reply) -> Result<Result<T, Status>, Failure> {
    if !reply.code.is_success() {
        return Ok(Err(reply.status()));
    }
    T::deserialize(&reply.body).map(Ok).map_err(|e| Failure::Broken(format!("{path}: {e}")))
}

fn resource(group: &str, version: &str, found: APIResourceDiscovery) -> Option<Resource> {
    let singular = found.singular_resource.filter(|s| !s.is_empty());
    Some(Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: found.resource?,
        kind: found.response_kind.and_then(|k| k.kind)?,
        namespaced: found.scope.as_deref() == Some("Namespaced"),
        names: found.short_names.into_iter().chain(singular).collect(),
    })
}

/// The resource of a kind in one version.
pub(super) fn of_kind<'a>(known: &'a [Resource], api_version: &str, kind: &str) -> Option<&'a Resource> {
    known.iter().find(|r| r.kind == kind && r.api_version() == api_version)
}

/// The resource that somebody means. Kinds of our own win over others' of the same name.
pub(super) fn called<'a>(known: &'a [Resource], word: &str) -> Option<&'a Resource> {
    let mut fitting = known.iter().filter(|r| r.is_called(word));
    let first = fitting.clone().next();
    fitting.find(|r| r.group == "holdpoint.dev").or(first)
}

/// The text of a `Warning` header (RFC 7234): `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let (_, quoted) = header.split_once('"')?;
    let mut text = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some(text),
            '\\' => text.push(chars.next()?),
            _ => text.push(c),
        }
    }
    None
}

/// A name as a part of a path.
fn segment(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// An error and what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let told = inner.to_string();
        if !text.contains(&told) {
            let _ = write!(text, ": {told}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_unquoted() {
        assert_eq!(warning(r#"299 - "a \"b\" c\\d""#).as_deref(), Some(r#"a "b" c\d"#));
        assert_eq!(warning(r#"299 - "a" "date""#).as_deref(), Some("a"));
        for broken in ["", "299 - x", "299 - \"open", "299 - \"open\\"] {
            assert_eq!(warning(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() {
        let pods = Resource { version: "v1".into(), plural: "pods".into(), kind: "Pod".into(), namespaced: true, ..Resource::default() };
        assert_eq!(pods.path_of(Some("../x"), "a/b?c#d%2f"), "/api/v1/namespaces/..%2Fx/pods/a%2Fb%3Fc%23d%252f");
        assert_eq!(pods.path(None), "/api/v1/pods");
    }

    #[test]
    fn resources_are_found_by_all_their_names_and_ours_first() {
        let of = |group: &str, plural: &str, kind: &str, names: &[&str]| Resource {
            group: group.into(),
            version: "v1".into(),
            plural: plural.into(),
            kind: kind.into(),
            namespaced: true,
            names: names.iter().map(|n| (*n).to_owned()).collect(),
        };
        let known =
            [of("other.example", "xgates", "XGate", &["xgate"]), of("holdpoint.dev", "experimentgates", "ExperimentGate", &["xgate"])];
        for word in ["xgate", "ExperimentGate", "experimentgates", "experimentgates.holdpoint.dev", "experimentgate.v1.holdpoint.dev"] {
            assert_eq!(called(&known, word), known.get(1), "{word}");
        }
        assert_eq!(called(&known, "xgate.other.example"), known.first());
        assert_eq!((called(&known, "pods"), called(&known, "xgate.nowhere")), (None, None));
    }
}
