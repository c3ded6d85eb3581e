//! The user's cache folder: what outlives a control plane (built programs, logs of past runs).

use std::{env, fs, path::PathBuf};

use crate::{Error, Result};

/// `$XDG_CACHE_HOME/holdpoint/control-plane`, or the same below `~/.cache`; created if missing.
pub(crate) fn root() -> Result<PathBuf> {
    let base = match (absolute("XDG_CACHE_HOME"), absolute("HOME")) {
        (Some(cache), _) => cache,
        (None, Some(home)) => home.join(".cache"),
        (None, None) => env::temp_dir(),
    };
    let root = base.join("holdpoint").join("control-plane");
    fs::create_dir_all(&root).map_err(Error::io(format!("create {}", root.display())))?;
    Ok(root)
}

/// The variable's value, if it is an absolute path; the XDG specification says to ignore others.
fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}
