//! Server processes that cannot outlive this one.
//!
//! Each server is started by a small `sh` supervisor in a process group of its own. The supervisor's standard input is
//! a pipe that only this process holds: when it closes, because we closed it or because we are gone (end, panic,
//! Ctrl-C, SIGKILL), the whole group is killed. A parent-death signal would fire when the spawning *thread* ends, and
//! a signal handler would not see SIGKILL. Being in another group, a server does not get the terminal's Ctrl-C itself.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use crate::{Error, Result, logs, poll::eventually};

/// Runs `"$@"` as the server; a line on standard input is the name of a signal to send it, end of input kills the
/// group. When the server ends by itself, so does the supervisor, with the server's exit code.
const SUPERVISOR: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
( while read -r signal; do kill -s "$signal" "$server"; done; kill -s KILL 0 ) <&3 3<&- &
watcher=$!
exec 3<&-
wait "$server"
code=$?
kill -s KILL "$watcher"
exit "$code"
"#;

const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// What to start.
pub(crate) struct Launch<'a> {
    /// What to call it in errors.
    pub(crate) name: &'a str,
    pub(crate) program: &'a Path,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(String, String)>,
    /// The working folder, if not ours.
    pub(crate) folder: Option<&'a Path>,
    /// Where its output is appended.
    pub(crate) log: PathBuf,
}

/// A running server; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Supervised {
    name: String,
    supervisor: Child,
    lifeline: Option<ChildStdin>,
    log: PathBuf,
}

impl Supervised {
    pub(crate) fn spawn(launch: Launch<'_>) -> Result<Supervised> {
        let opening = format!("open {}", launch.log.display());
        let output = OpenOptions::new().create(true).append(true).open(&launch.log).map_err(Error::io(&*opening))?;
        let errors = output.try_clone().map_err(Error::io(opening))?;
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "supervisor"]).arg(launch.program).args(&launch.args).envs(launch.env);
        command.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0);
        if let Some(folder) = launch.folder {
            command.current_dir(folder);
        }
        let mut supervisor = command.spawn().map_err(Error::io(format!("start {}", launch.name)))?;
        let lifeline = supervisor.stdin.take();
        Ok(Supervised { name: launch.name.to_owned(), supervisor, lifeline, log: launch.log })
    }

    /// The exit code, if the server has ended; 128 + n if signal n ended it.
    pub(crate) fn exit_code(&mut self) -> Result<Option<i32>> {
        let status = self.supervisor.try_wait().map_err(Error::io(format!("wait for {}", self.name)))?;
        Ok(status.map(|status| status.code().unwrap_or(128 + 9)))
    }

    /// An error if the server has ended by itself.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        match self.exit_code()? {
            None => Ok(()),
            Some(code) => Err(self.exited_with(code)),
        }
    }

    /// The error that says so.
    pub(crate) fn exited_with(&self, code: i32) -> Error {
        Error::Exited { program: self.name.clone(), code, log: self.log.clone(), tail: logs::tail(&self.log) }
    }

    /// Adds the end of the server's log to an error.
    pub(crate) fn explain(&self, error: Error) -> Error {
        if matches!(error, Error::Exited { .. } | Error::Logged { .. }) {
            return error;
        }
        Error::Logged { error: Box::new(error), log: self.log.clone(), tail: logs::tail(&self.log) }
    }

    /// Sends the server (not what it started) a signal, such as `TERM` or `STOP`.
    pub(crate) fn signal(&mut self, signal: &str) -> Result<()> {
        let Some(lifeline) = &mut self.lifeline else { return Ok(()) };
        let what = format!("send {signal} to {}", self.name);
        writeln!(lifeline, "{signal}").and_then(|()| lifeline.flush()).map_err(Error::io(what))
    }

    /// Waits until the server has ended by itself.
    pub(crate) fn wait(&mut self, deadline: Duration) -> Result<i32> {
        let what = format!("the end of {}", self.name);
        let ended = eventually(deadline, &what, || match self.exit_code() {
            Ok(Some(code)) => Ok(code),
            Ok(None) => Err("still running".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        ended.map_err(|error| self.explain(error))
    }

    /// Kills the server and all that it started, with SIGKILL, and waits for the end: of the server too, for until then its ports are taken.
    pub(crate) fn kill(&mut self) {
        let server = self.pid();
        drop(self.lifeline.take());
        // Fails only if there is nothing to wait for any more.
        let _ = self.supervisor.wait();
        if let Ok(server) = server {
            // One that cannot be killed is somebody else's trouble.
            let _ = eventually(KILL_DEADLINE, "the end of a killed server", || if is_over(server) { Ok(()) } else { Err("it is there") });
        }
    }

    /// The server's process id, while it runs.
    pub(crate) fn pid(&self) -> Result<u32> {
        let supervisor = self.supervisor.id();
        let path = format!("/proc/{supervisor}/task/{supervisor}/children");
        let children = fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))?;
        let first = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        first.ok_or_else(|| Error::Unexpected { what: format!("the process id of {}", self.name), found: "none".into() })
    }
}

/// Whether all threads of a process have ended and with them its sockets are closed. Its parent may not have fetched its exit code yet.
fn is_over(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        // `PID (name) STATE …`; unreadable once the thread is gone.
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        matches!(stat.rsplit(") ").next().and_then(|rest| rest.chars().next()), None | Some('Z' | 'X'))
    })
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(script: &str, log: &str) -> Supervised {
        let log = std::env::temp_dir().join(format!("control-plane-{}-{log}.log", std::process::id()));
        let _ = fs::remove_file(&log);
        let args = vec!["-c".into(), script.into()];
        let launch = Launch { name: log.to_str().unwrap(), program: Path::new("sh"), args, env: vec![], folder: None, log: log.clone() };
        Supervised::spawn(launch).unwrap()
    }

    fn is_running(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok()
    }

    #[test]
    fn a_server_that_ends_ends_its_supervisor_with_its_code_and_log() {
        let mut server = launch("echo out of cheese >&2; exit 7", "ends");
        assert_eq!(server.wait(Duration::from_secs(10)).unwrap(), 7);
        let error = server.check_running().unwrap_err().to_string();
        assert!(error.contains("exit code 7") && error.contains("out of cheese"), "{error}");
    }

    #[test]
    fn killing_takes_what_the_server_started_with_it() {
        let mut server = launch("sleep 1000 & echo $!; wait", "group");
        let grandchild: u32 =
            eventually(Duration::from_secs(10), "the grandchild's id", || fs::read_to_string(&server.log).unwrap().trim().parse()).unwrap();
        let pid = server.pid().unwrap();
        assert!(is_running(pid) && is_running(grandchild));
        server.kill();
        eventually(Duration::from_secs(10), "no process left", || {
            if is_running(pid) || is_running(grandchild) { Err("running") } else { Ok(()) }
        })
        .unwrap();
    }

    #[test]
    fn a_killed_server_is_over() {
        for _ in 0..20 {
            let mut server = launch("sleep 1000", "over");
            let pid = eventually(Duration::from_secs(10), "the server", || server.pid()).unwrap();
            assert!(!is_over(pid));
            server.kill();
            assert!(is_over(pid));
        }
    }

    #[test]
    fn a_signal_reaches_the_server() {
        let mut server = launch("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done", "signal");
        eventually(Duration::from_secs(10), "the trap", || {
            if fs::read_to_string(&server.log).unwrap().contains("ready") { Ok(()) } else { Err("not set") }
        })
        .unwrap();
        server.signal("TERM").unwrap();
        assert_eq!(server.wait(Duration::from_secs(10)).unwrap(), 3);
    }
}
