//! Kubeconfig files, written as JSON (which is YAML).

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{Error, Result, pki::Identity};

/// How a client proves who it is.
pub(crate) enum Credential<'a> {
    Certificate(&'a Identity),
    Token(&'a str),
}

pub(crate) fn write(path: &Path, server: &str, authority: &Path, credential: &Credential<'_>) -> Result<()> {
    let user: Value = match credential {
        Credential::Certificate(identity) => {
            json!({ "client-certificate": identity.certificate, "client-key": identity.key })
        }
        Credential::Token(token) => json!({ "token": token }),
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "control-plane", "cluster": { "server": server, "certificate-authority": authority } }],
        "users": [{ "name": "user", "user": user }],
        "contexts": [{ "name": "control-plane", "context": { "cluster": "control-plane", "user": "user" } }],
        "current-context": "control-plane",
    });
    fs::write(path, format!("{config:#}\n")).map_err(Error::io(format!("write {}", path.display())))
}
