//! A watched object as it is kept while each check looks at the one that it names.

use super::objects::KindKey;
use crate::core::packed::{Pack, Packed};
use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An object without its kind, which its watch knows.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    metadata: ObjectMeta,
    data: Value,
}

impl Pack for Body {
    const TYPICAL: &'static str = concat!(
        r#"{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"1"},"creationTimestamp":"2026-11-21T12:00:00Z","generation":1,"#,
        r#""labels":{"app.kubernetes.io/name":"","app":""},"name":"","namespace":"","resourceVersion":"1","uid":"0"},"data":{"spec":{"#,
        r#""progressDeadlineSeconds":600,"replicas":1,"revisionHistoryLimit":10,"selector":{"matchLabels":{"app":""}},"strategy":{"#,
        r#""rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"},"template":{"metadata":{"labels":{"app":""}},"#,
        r#""spec":{"containers":[{"env":[{"name":"","value":""}],"image":"registry.k8s.io/","imagePullPolicy":"IfNotPresent","livenessProbe":{"#,
        r#""failureThreshold":3,"httpGet":{"path":"/healthz","port":8080,"scheme":"HTTP"},"periodSeconds":10,"successThreshold":1,"#,
        r#""timeoutSeconds":1},"name":"","ports":[{"containerPort":8080,"name":"http","protocol":"TCP"}],"readinessProbe":{"#,
        r#""failureThreshold":3,"httpGet":{"path":"/readyz","port":8080,"scheme":"HTTP"},"periodSeconds":10,"successThreshold":1,"#,
        r#""timeoutSeconds":1},"resources":{"limits":{"cpu":"1","memory":"128Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},"#,
        r#""terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","#,
        r#""restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}},"status":{"#,
        r#""availableReplicas":1,"conditions":[{"lastTransitionTime":"2026-11-21T12:00:00Z","lastUpdateTime":"2026-11-21T12:00:00Z","message":"#,
        r#""Deployment has minimum availability.","reason":"MinimumReplicasAvailable","status":"True","type":"Available"},{"#,
        r#""lastTransitionTime":"2026-11-21T12:00:00Z","lastUpdateTime":"2026-11-21T12:00:00Z","message":"ReplicaSet \"\" has successfully "#,
        r#"progressed.","reason":"NewReplicaSetAvailable","status":"True","type":"Progressing"}],"observedGeneration":1,"readyReplicas":1,"#,
        r#""replicas":1,"updatedReplicas":1}}}"#
    );
}

/// An object that is looked at rarely, in a tenth of the room.
#[derive(Debug)]
pub struct PackedObject(Packed<Body>);

impl PackedObject {
    /// Packs an object.
    pub fn of(object: DynamicObject) -> Self {
        Self(Packed::of(&Body { metadata: object.metadata, data: object.data }))
    }

    /// The object, as one of a kind.
    pub fn open(&self, kind: &KindKey) -> Option<DynamicObject> {
        let Body { metadata, data } = self.0.open()?;
        Some(DynamicObject { types: Some(types(kind)), metadata, data })
    }
}

/// What objects of a kind say of it.
pub fn types(kind: &KindKey) -> TypeMeta {
    TypeMeta { api_version: kind.api_version.as_ref().to_owned(), kind: kind.kind.as_ref().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_packed_object_is_the_same_object_with_its_kind() {
        let kind = KindKey { api_version: "apps/v1".into(), kind: "Deployment".into() };
        let metadata = json!({"name": "web", "namespace": "shop", "labels": {"app": "web"}, "generation": 3});
        let whole =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": 3}, "status": {"n": 1.5}});
        let object: DynamicObject = serde_json::from_value(whole.clone()).unwrap();
        let opened = PackedObject::of(DynamicObject { types: None, ..object }).open(&kind).unwrap();
        assert_eq!(serde_json::to_value(opened).unwrap(), whole);
    }
}
