//! The host's file system, seen from below a root. Paths come from checks, so they are hostile: the kernel resolves each of them as if the root were
//! `/` (`openat2` with `RESOLVE_IN_ROOT`), so that neither `..` nor an absolute link leads out, and links of `/proc` that lead anywhere are refused.
//! What a path leads to is looked at, never opened: looking at a pipe or a device does nothing to it.

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatVfs, StatxFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

#[cfg(test)]
mod tests;

/// What a file is and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub kind: FileType,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// Why something cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unseen {
    /// It is known not to be there.
    #[error("is not there")]
    Absent,
    #[error("permission denied")]
    Denied,
    #[error("leads through too many links, or one that may not be followed")]
    Links,
    #[error("the kernel cannot resolve paths safely: Linux 5.6 or later is needed")]
    Kernel,
    #[error("is not a regular file")]
    NotAFile,
    #[error("is not text")]
    NotText,
    #[error("cannot be looked at ({0})")]
    Other(Errno),
}

impl From<Errno> for Unseen {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT | Errno::NOTDIR => Self::Absent,
            Errno::ACCESS | Errno::PERM => Self::Denied,
            Errno::LOOP | Errno::XDEV => Self::Links,
            Errno::NOSYS => Self::Kernel,
            other => Self::Other(other),
        }
    }
}

/// A host's root folder.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    /// It is this process's own root, so the process lives in the host's namespaces too.
    own: bool,
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, Unseen> {
        let folder = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { folder, own: path == Path::new("/") })
    }

    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// What an absolute path leads to, as a handle that cannot be read.
    fn find(&self, path: &str) -> Result<OwnedFd, Unseen> {
        self.resolve(path, OFlags::PATH | OFlags::CLOEXEC)
    }

    fn resolve(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Unseen> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // The kernel gives up with EAGAIN when something is renamed or mounted meanwhile.
        let mut last = Errno::AGAIN;
        for _ in 0..8 {
            match rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), how) {
                Ok(found) => return Ok(found),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => {
                    last = error;
                    break;
                }
            }
        }
        Err(last.into())
    }

    /// What is at a path, at the end of all links.
    pub(super) fn look(&self, path: &str) -> Result<Look, Unseen> {
        let found = self.find(path)?;
        let wanted = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::UID | StatxFlags::GID;
        let stat = rustix::fs::statx(&found, "", AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT, wanted)?;
        let mode = u32::from(stat.stx_mode);
        Ok(Look { kind: FileType::from_raw_mode(mode), mode: mode & 0o7777, uid: stat.stx_uid, gid: stat.stx_gid })
    }

    /// The file system that a path is in.
    pub(super) fn file_system(&self, path: &str) -> Result<StatVfs, Unseen> {
        Ok(rustix::fs::fstatvfs(self.find(path)?)?)
    }

    /// The text of a file of the kernel's (`/proc`, `/sys`), at most so many bytes. Never anything that a check names.
    pub(super) fn text(&self, path: &str, max: u64) -> Result<String, Unseen> {
        let mut bytes = Vec::new();
        let read = self.file(path)?.take(max).read_to_end(&mut bytes);
        read.map_err(|error| Errno::from_io_error(&error).map_or(Unseen::NotAFile, Unseen::from))?;
        String::from_utf8(bytes).map_err(|_| Unseen::NotText)
    }

    /// A file of the kernel's, to read.
    pub(super) fn file(&self, path: &str) -> Result<File, Unseen> {
        if self.look(path)?.kind != FileType::RegularFile {
            return Err(Unseen::NotAFile);
        }
        Ok(File::from(self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC)?))
    }

    /// A path of this process that leads to a socket, for as long as the handle is kept.
    pub(super) fn socket(&self, path: &str) -> Result<(OwnedFd, String), Unseen> {
        if self.look(path)?.kind != FileType::Socket {
            return Err(Unseen::Absent);
        }
        let found = self.find(path)?;
        let own = format!("/proc/self/fd/{}", found.as_raw_fd());
        Ok((found, own))
    }
}
