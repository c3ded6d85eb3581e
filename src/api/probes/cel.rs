//! `cel`.

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An expression in CEL is true. It speaks of `object` (a target; one observation for each), `objects` (all targets as a list; if it does not
/// name `object` too, one observation for all of them), `now` (the time) and `params`. True passes, false fails; what has no value (a field
/// that is not there, a type that does not fit) is an error, and so is what could take too long.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CelProbe {
    /// The expression, at most 4096 bytes. The functions are those of Kubernetes' own expressions: quantities, sets, lists, regular expressions,
    /// IP addresses, semantic versions. An expression that names `now` is evaluated again every 5 seconds, all others when a target changes.
    /// Examples: `object.spec.replicas >= params.least`, `objects.filter(o, o.status.phase == 'Running').size() >= 3`,
    /// `now - timestamp(object.metadata.creationTimestamp) < duration('24h')`, `now.getHours('Europe/Berlin') < 16`.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
    /// What the verdict says while the expression is false. Default: that it is false. Example: `fewer replicas than production needs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub message: Option<String>,
    /// The same as an expression that gives a text, over the same names; at most 2048 bytes, and of its text 256 characters are shown. If it has no
    /// value, `message` is said. Whoever may read the check reads it: do not print what they may not read in the object.
    /// Example: `'%d replicas, %d needed'.format([object.spec.replicas, params.least])`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub message_expression: Option<String>,
    /// Values for the expression, as `params`: an object of any shape, at most 8 KiB as JSON, so that checks differ in their numbers and share
    /// their expression. No secrets: the object is readable by everyone who may read checks. Default: `{}`. Example: `{least: 3, zones: [a, b]}`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub params: Map<String, Value>,
}

fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 64, "x-kubernetes-preserve-unknown-fields": true})
}
