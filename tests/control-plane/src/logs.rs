//! Logs outlive the control plane, so that a failed test can be understood: in the user's cache, the newest runs only.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::id,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use crate::{Error, Result, cache, timestamp};

/// How many runs' logs are kept.
const KEPT: usize = 24;
/// Logs written to within this time belong to a run that may still be going on.
const IN_USE: Duration = Duration::from_hours(1);
const TAIL_LINES: usize = 25;
const TAIL_BYTES: u64 = 16 * 1024;

/// A new folder for one run's logs; removes those of old runs.
pub(crate) fn folder() -> Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let all = cache::root()?.join("logs");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = all.join(format!("{}-{}-{number}", timestamp::compact(), id()));
    fs::create_dir_all(&folder).map_err(Error::io(format!("create {}", folder.display())))?;
    remove_old(&all).map_err(Error::io(format!("list {}", all.display())))?;
    Ok(folder)
}

/// The last lines of a log, or why there are none.
pub(crate) fn tail(log: &Path) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) if text.trim().is_empty() => "(empty)".to_owned(),
        Ok(text) => {
            let lines: Vec<&str> = text.lines().collect();
            lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)).copied().collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("(cannot read it: {error})"),
    }
}

fn remove_old(all: &Path) -> std::io::Result<()> {
    let mut runs: Vec<PathBuf> = fs::read_dir(all)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    // Names begin with the time of the start.
    runs.sort();
    for run in runs.iter().take(runs.len().saturating_sub(KEPT)) {
        if last_written(run).elapsed().is_ok_and(|age| age > IN_USE) {
            // Another process may be removing it too.
            let _ = fs::remove_dir_all(run);
        }
    }
    Ok(())
}

fn last_written(run: &Path) -> SystemTime {
    let files = fs::read_dir(run).into_iter().flatten().flatten();
    let times = files.filter_map(|file| file.metadata().ok()?.modified().ok());
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}
