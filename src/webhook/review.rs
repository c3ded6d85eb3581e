//! An AdmissionReview, read and answered (`admission.k8s.io/v1`).
//!
//! The body is parsed once, into JSON values that both the decision and the expressions read in place. The library's typed review would parse
//! the objects into a type and expressions would need them turned back.

use crate::api::Operation;
use crate::core::gate::{Resource, User};
use kube::core::Status;
use kube::core::response::{StatusDetails, StatusSummary};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a review asks, without the objects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Head {
    /// The request's uid.
    pub uid: String,
    /// The kind, after conversion to the version that the rule names.
    pub kind: Kind,
    /// The resource, likewise.
    pub resource: GroupResource,
    /// The subresource, or empty.
    #[serde(deserialize_with = "null_is_default")]
    pub sub_resource: String,
    /// The name, empty with generateName.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// The namespace, or empty.
    #[serde(deserialize_with = "null_is_default")]
    pub namespace: String,
    /// CREATE, UPDATE, DELETE or CONNECT.
    pub operation: String,
    /// Who asks.
    pub user_info: UserInfo,
    /// Whether nothing will be stored.
    #[serde(deserialize_with = "null_is_default")]
    pub dry_run: bool,
}

/// A kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Kind {
    /// The kind's name.
    pub kind: String,
}

/// A resource.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GroupResource {
    /// The group.
    pub group: String,
    /// The plural.
    pub resource: String,
}

/// Who asks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// The user's name.
    #[serde(deserialize_with = "null_is_default")]
    pub username: String,
    /// The uid, where the authenticator gives one.
    #[serde(deserialize_with = "null_is_default")]
    pub uid: String,
    /// The groups.
    #[serde(deserialize_with = "null_is_default")]
    pub groups: Vec<String>,
}

fn null_is_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A review, taken apart.
#[derive(Debug)]
pub struct Review {
    /// What it asks.
    pub head: Head,
    /// The resource with its subresource.
    pub resource: Resource,
    /// CREATE or UPDATE; `None` for what no gate holds.
    pub operation: Option<Operation>,
    /// The new object; null if there is none.
    pub object: Value,
    /// The old object.
    pub old_object: Option<Value>,
    /// The request as expressions see it: without the objects.
    pub request: Value,
}

/// Why a body is no review. The uid is kept where there is one, so that the answer can name it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    /// The request's uid, if it could be read.
    pub uid: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl Review {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let no_uid = |message: String| Malformed { uid: None, message };
        let mut review: Value = serde_json::from_slice(body).map_err(|e| no_uid(format!("the body is not JSON: {e}")))?;
        let mut request = review.get_mut("request").map(Value::take).unwrap_or_default();
        let uid = request.get("uid").and_then(Value::as_str).filter(|uid| !uid.is_empty()).map(str::to_owned);
        let version = review.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        if version != "admission.k8s.io/v1" {
            let version = crate::core::text::single_line(version, 64);
            return Err(Malformed { uid, message: format!("apiVersion is \"{version}\", not \"admission.k8s.io/v1\"") });
        }
        if uid.is_none() {
            return Err(no_uid("request.uid is missing".to_owned()));
        }
        let head = Head::deserialize(&request).map_err(|e| Malformed { uid, message: format!("request: {e}") })?;
        let mut take = |field: &str| request.as_object_mut().and_then(|r| r.remove(field)).filter(|v| !v.is_null());
        let (object, old_object) = (take("object").unwrap_or_default(), take("oldObject"));
        let resource = match head.sub_resource.as_str() {
            "" => head.resource.resource.clone(),
            sub => format!("{}/{sub}", head.resource.resource),
        };
        let operation = match head.operation.as_str() {
            "CREATE" => Some(Operation::Create),
            "UPDATE" => Some(Operation::Update),
            _ => None,
        };
        let resource = Resource { group: head.resource.group.clone(), resource };
        Ok(Self { head, resource, operation, object, old_object, request })
    }

    /// The object's name, or its generateName with a `*`.
    pub fn name(&self) -> String {
        if !self.head.name.is_empty() {
            return self.head.name.clone();
        }
        let metadata = |field: &str| self.object.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        match (metadata("name"), metadata("generateName")) {
            (Some(name), _) if !name.is_empty() => name.to_owned(),
            (_, Some(prefix)) => format!("{prefix}*"),
            _ => "(unnamed)".to_owned(),
        }
    }

    /// Whether the API server makes up the name of the object, another one for each try.
    pub fn generates_name(&self) -> bool {
        self.operation == Some(Operation::Create) && self.head.name.is_empty()
    }

    /// What the name is made of that the API server makes up.
    pub fn generated_prefix(&self) -> Option<&str> {
        let prefix = self.object.pointer("/metadata/generateName").and_then(Value::as_str);
        prefix.filter(|_| self.generates_name())
    }

    /// The namespace, if the object has one.
    pub fn namespace(&self) -> Option<&str> {
        Some(self.head.namespace.as_str()).filter(|n| !n.is_empty())
    }

    /// Who asks.
    pub fn user(&self) -> User<'_> {
        let UserInfo { username, uid, groups } = &self.head.user_info;
        User { name: username, uid, groups }
    }

    /// The operation's word, for records.
    pub fn operation_name(&self) -> &str {
        &self.head.operation
    }
}

/// The labels of an object; empty if it has none that can be read.
pub fn labels(object: &Value) -> BTreeMap<String, String> {
    let Some(labels) = object.pointer("/metadata/labels").and_then(Value::as_object) else { return BTreeMap::new() };
    labels.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The answer to a review.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The request's uid.
    pub uid: String,
    /// Whether it may go on.
    pub allowed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<Status>>,
    /// For the requester to read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// For the audit log. Keys without a slash: the API server adds the webhook's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub audit_annotations: BTreeMap<&'static str, String>,
}

impl Answer {
    /// Go on.
    pub fn allow(uid: &str) -> Self {
        Self { uid: uid.to_owned(), allowed: true, status: None, warnings: Vec::new(), audit_annotations: BTreeMap::new() }
    }

    /// Refused: 403 with reason Forbidden. The library's `deny` sets neither code nor reason, and kubectl then does not say Forbidden; with
    /// reason Invalid it would not print the message at all.
    pub fn forbid(uid: &str, message: String, details: Option<StatusDetails>) -> Self {
        let status =
            Status { status: Some(StatusSummary::Failure), code: 403, reason: "Forbidden".to_owned(), message, metadata: None, details };
        Self { allowed: false, status: Some(Box::new(status)), ..Self::allow(uid) }
    }

    /// Not yet: 429 with reason `TooManyRequests`, and the seconds after which the client is to come back in the details. The API server makes the
    /// header Retry-After of that, by which clients come back without a word.
    pub fn come_back(uid: &str, message: String, details: StatusDetails) -> Self {
        let mut answer = Self::forbid(uid, message, Some(details));
        if let Some(status) = &mut answer.status {
            status.code = 429;
            "TooManyRequests".clone_into(&mut status.reason);
        }
        answer
    }

    /// The request cannot be read.
    pub fn bad_request(malformed: &Malformed) -> Self {
        let mut answer = Self::forbid(malformed.uid.as_deref().unwrap_or_default(), malformed.message.clone(), None);
        if let Some(status) = &mut answer.status {
            status.code = 400;
            "BadRequest".clone_into(&mut status.reason);
        }
        answer
    }

    /// The whole AdmissionReview as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope<'a> {
            api_version: &'static str,
            kind: &'static str,
            response: &'a Answer,
        }
        let envelope = Envelope { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response: self };
        // Maps with string keys and plain values always serialize.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }
}
