//! Requests to the API server as anyone, without a process for each: there are some thousands of them.

use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use std::path::Path;

/// Who owns the fields that rows write.
const MANAGER: &str = "fieldManager=matrix&fieldValidation=Ignore";

/// What came of a request.
#[derive(Debug, Clone)]
pub enum Answer {
    Admitted(Value),
    /// Refused by a gate, for this reason.
    Held(String),
    /// Refused because the webhook could not be asked.
    Unasked(String),
    /// Anything else, with its code.
    Failed(u16, String),
}

/// How a body is meant.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    Merge,
    Json,
    Apply,
}

/// A user of the API server.
#[derive(Clone)]
pub struct Caller(Client);

impl Caller {
    /// Somebody whom the owner of a kubeconfig may impersonate; nobody: the owner.
    pub async fn new(kubeconfig: &Path, user: Option<&str>) -> Caller {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        config.auth_info.impersonate = user.map(str::to_owned);
        Caller(Client::try_from(config).unwrap())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "application/json", &Value::Null).await
    }

    pub async fn post(&self, path: &str, object: &Value) -> Answer {
        self.send(Method::POST, &format!("{path}?{MANAGER}"), "application/json", object).await
    }

    /// A create of which nothing remains.
    pub async fn rehearse(&self, path: &str, object: &Value) -> Answer {
        self.send(Method::POST, &format!("{path}?{MANAGER}&dryRun=All"), "application/json", object).await
    }

    pub async fn put(&self, path: &str, object: &Value) -> Answer {
        self.send(Method::PUT, &format!("{path}?{MANAGER}"), "application/json", object).await
    }

    pub async fn amend(&self, path: &str, form: Form, body: &Value) -> Answer {
        let (content, force) = match form {
            Form::Merge => ("application/merge-patch+json", ""),
            Form::Json => ("application/json-patch+json", ""),
            Form::Apply => ("application/apply-patch+yaml", "&force=true"),
        };
        self.send(Method::PATCH, &format!("{path}?{MANAGER}{force}"), content, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "application/json", &Value::Null).await
    }

    async fn send(&self, method: Method, path: &str, content: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("content-type", content).body(body).unwrap();
        match self.0.request::<Value>(request).await {
            Ok(object) => Answer::Admitted(object),
            Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains(" blocked by ") => Answer::Held(status.message),
            Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook \"") => Answer::Unasked(status.message),
            Err(kube::Error::Api(status)) => Answer::Failed(status.code, status.message),
            Err(error) => Answer::Failed(0, error.to_string()),
        }
    }
}

impl Answer {
    /// What was admitted.
    #[track_caller]
    pub fn admitted(self) -> Value {
        match self {
            Answer::Admitted(object) => object,
            other => panic!("{other:?}"),
        }
    }

    /// In a few words.
    pub fn said(&self) -> String {
        match self {
            Answer::Admitted(_) => "admitted".to_owned(),
            Answer::Held(message) => format!("held: {message}"),
            Answer::Unasked(message) => format!("not asked: {message}"),
            Answer::Failed(code, message) => format!("{code}: {message}"),
        }
    }
}
