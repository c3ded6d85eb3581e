//! Disks, files and devices. A path may lead to a file system whose server is gone, and looking at it then never ends: so each is looked at on a thread of
//! its own, for a limited time, and one that has not come back is not looked at again.

use super::measure::fault;
use super::root::{Root, Unseen};
use crate::api::{DiskFact, FileFact, FileType};
use crate::clock;
use crate::core::host::AllowedPaths;
use futures::future;
use rustix::fs::FileType as Kind;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a path may take.
const DEADLINE: Duration = Duration::from_secs(2);
const NOT_ALLOWED: &str = "is not below the folders that this agent may look into (--allow-path)";
const NO_ANSWER: &str = "did not answer within 2 s";

/// The paths that have not come back.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience(Arc<Mutex<HashSet<String>>>);

impl Patience {
    /// What `look` says within the time; nothing, if it takes longer, or an earlier one of the same name still does.
    pub(super) async fn look<T: Send + 'static>(&self, name: String, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let away = self.0.clone();
        if !away.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
            return None;
        }
        let task = tokio::task::spawn_blocking(move || {
            let seen = look();
            away.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            seen
        });
        clock::within(DEADLINE, task).await.ok()?.ok()
    }
}

pub(super) async fn disks(root: &Arc<Root>, allowed: &AllowedPaths, patience: &Patience, paths: Vec<String>) -> Vec<DiskFact> {
    future::join_all(paths.into_iter().map(|path| disk(root, allowed, patience, path))).await
}

async fn disk(root: &Arc<Root>, allowed: &AllowedPaths, patience: &Patience, path: String) -> DiskFact {
    let failed = |error: Option<String>| DiskFact { path: path.clone(), error, ..DiskFact::default() };
    if !allowed.allow(&path) {
        return failed(fault(NOT_ALLOWED));
    }
    let (root, wanted) = (root.clone(), path.clone());
    let Some(seen) = patience.look(format!("disk {path}"), move || root.file_system(&wanted)).await else {
        return failed(fault(NO_ANSWER));
    };
    let fs = match seen {
        Ok(fs) => fs,
        Err(error) => return failed(fault(error)),
    };
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(fs.f_frsize)).unwrap_or(i64::MAX);
    let inodes = |count: u64| (fs.f_files > 0).then(|| i64::try_from(count).unwrap_or(i64::MAX));
    DiskFact {
        total_bytes: Some(bytes(fs.f_blocks)),
        free_bytes: Some(bytes(fs.f_bavail)),
        total_inodes: inodes(fs.f_files),
        free_inodes: inodes(fs.f_favail),
        path,
        ..DiskFact::default()
    }
}

pub(super) async fn files(root: &Arc<Root>, allowed: &AllowedPaths, patience: &Patience, paths: Vec<String>) -> Vec<FileFact> {
    future::join_all(paths.into_iter().map(|path| file(root, allowed, patience, path))).await
}

async fn file(root: &Arc<Root>, allowed: &AllowedPaths, patience: &Patience, path: String) -> FileFact {
    let failed = |error: Option<String>| FileFact { path: path.clone(), error, ..FileFact::default() };
    if !allowed.allow(&path) {
        return failed(fault(NOT_ALLOWED));
    }
    let (root, wanted) = (root.clone(), path.clone());
    let Some(seen) = patience.look(format!("file {path}"), move || root.look(&wanted)).await else { return failed(fault(NO_ANSWER)) };
    match seen {
        Ok(look) => FileFact {
            present: Some(true),
            type_: Some(kind(look.kind)),
            mode: Some(format!("{:04o}", look.mode)),
            uid: Some(i64::from(look.uid)),
            gid: Some(i64::from(look.gid)),
            path,
            ..FileFact::default()
        },
        Err(Unseen::Absent) => FileFact { present: Some(false), path, ..FileFact::default() },
        Err(error) => failed(fault(error)),
    }
}

fn kind(kind: Kind) -> FileType {
    match kind {
        Kind::RegularFile => FileType::File,
        Kind::Directory => FileType::Folder,
        Kind::CharacterDevice | Kind::BlockDevice => FileType::Device,
        Kind::Socket => FileType::Socket,
        Kind::Fifo => FileType::Pipe,
        _ => FileType::Any,
    }
}
