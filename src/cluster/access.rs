//! Asks the API server what a service account may do: `SubjectAccessReview` of `authorization.k8s.io/v1`.

use super::client::{CallError, call};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

/// Who wants to read what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The service account's namespace and name.
    pub account: (&'a str, &'a str),
    /// get, list or watch.
    pub verb: &'a str,
    /// The API group.
    pub group: &'a str,
    /// The plural.
    pub resource: &'a str,
    /// The namespace; `None`: all, or none.
    pub namespace: Option<&'a str>,
    /// One object; `None`: all.
    pub name: Option<&'a str>,
}

/// Whether a service account may.
pub async fn allowed(client: &Client, question: &Question<'_>) -> Result<bool, CallError> {
    let (namespace, name) = question.account;
    let owned = |text: &str| Some(text.to_owned());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{name}")),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ]),
            resource_attributes: Some(ResourceAttributes {
                verb: owned(question.verb),
                group: owned(question.group),
                resource: owned(question.resource),
                namespace: question.namespace.map(str::to_owned),
                name: question.name.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let answer = call(Api::<SubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
