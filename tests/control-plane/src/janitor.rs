//! Removes the control plane's data, even when nobody is left to do it.

use std::{
    fs,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio, id},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{Error, Result, timestamp};

/// Waits for the end of its input, gives the servers (which get the same end of input) time to die, and removes the
/// folder; again, if a dying server wrote into it meanwhile.
const JANITOR: &str = r#"
read -r _
for _ in 1 2 3 4 5; do
  sleep 0.2
  rm -rf -- "$1"
done
"#;

/// A folder for keys and data that goes when this is dropped, or when this process ends in whatever way.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    janitor: Child,
}

impl DataFolder {
    pub(crate) fn create() -> Result<DataFolder> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("holdpoint-control-plane-{}-{}-{number}", timestamp::compact(), id());
        let path = std::env::temp_dir().join(name);
        let creating = format!("create {}", path.display());
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(Error::io(creating))?;
        let mut command = Command::new("sh");
        command.args(["-c", JANITOR, "janitor"]).arg(&path);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let janitor = command.spawn().map_err(Error::io("start sh"))?;
        Ok(DataFolder { path, janitor })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // Whatever fails here, the janitor does again.
        if fs::remove_dir_all(&self.path).is_ok() {
            let _ = self.janitor.kill();
            let _ = self.janitor.wait();
        }
    }
}
