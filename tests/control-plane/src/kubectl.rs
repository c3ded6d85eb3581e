//! The real kubectl, as one user.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{Error, Result};

const DEADLINE: Duration = Duration::from_secs(90);

/// What kubectl printed, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// 0 for success; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error: also the server's warnings.
    pub stderr: String,
}

/// kubectl with one user's kubeconfig, and optionally a namespace. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
    namespace: Option<String>,
    deadline: Duration,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf, cache: PathBuf) -> Kubectl {
        Kubectl { program, kubeconfig, cache, namespace: None, deadline: DEADLINE }
    }

    /// The same user, with `--namespace`.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Kubectl {
        Kubectl { namespace: Some(namespace.to_owned()), ..self.clone() }
    }

    /// The same user, with another limit than 90 s on each call; beyond it kubectl is killed and the call fails.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Kubectl {
        Kubectl { deadline, ..self.clone() }
    }

    /// The user's kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs `kubectl args…`; an exit code other than 0 is not an error.
    pub fn run(&self, args: &[&str]) -> Result<Output> {
        self.run_with_input(args, "")
    }

    /// As [`Kubectl::run`], with text on standard input (for `-f -`).
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Result<Output> {
        let mut child = self.command(args).spawn().map_err(Error::io(format!("start {}", self.program.display())))?;
        let writer = write_all(child.stdin.take(), input.to_owned());
        let stdout = read_all(child.stdout.take());
        let stderr = read_all(child.stderr.take());
        let code = self.wait(&mut child, args);
        // The pipes are closed now, so none of these waits.
        let (stdout, stderr) = (joined(stdout), joined(stderr));
        let _ = writer.join();
        match code? {
            Some(code) => Ok(Output { code, stdout, stderr }),
            None => Err(Error::Deadline { what: self.line(args), after: self.deadline, last: format!("{stderr}{stdout}") }),
        }
    }

    /// Runs `kubectl args…` and gives its standard output; an exit code other than 0 is an error with all that it
    /// printed.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        self.ok_with_input(args, "")
    }

    /// As [`Kubectl::ok`], with text on standard input (for `-f -`).
    pub fn ok_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        let Output { code, stdout, stderr } = self.run_with_input(args, input)?;
        if code == 0 { Ok(stdout) } else { Err(Error::Kubectl { command: self.line(args), code, stdout, stderr }) }
    }

    /// As [`Kubectl::ok`] with `-o json`, read as JSON.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let printed = self.ok(&[args, &["-o", "json"]].concat())?;
        Ok(serde_json::from_str(&printed)?)
    }

    /// Applies YAML or JSON text, server-side.
    pub fn apply_text(&self, text: &str) -> Result<String> {
        self.ok_with_input(&["apply", "--server-side", "-f", "-"], text)
    }

    /// Applies a file or folder, server-side.
    pub fn apply(&self, path: &Path) -> Result<String> {
        self.ok(&["apply", "--server-side", "-f", &path.to_string_lossy()])
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--cache-dir").arg(&self.cache);
        if let Some(namespace) = &self.namespace {
            command.arg("--namespace").arg(namespace);
        }
        // The developer's own settings must not change what a test sees.
        command.args(args).env_remove("KUBECONFIG").env("KUBERC", "off");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The exit code, or nothing if it had to be killed.
    fn wait(&self, child: &mut Child, args: &[&str]) -> Result<Option<i32>> {
        let started = Instant::now();
        loop {
            let status = child.try_wait().map_err(Error::io(format!("wait for {}", self.line(args))))?;
            if let Some(status) = status {
                return Ok(Some(status.code().unwrap_or(-1)));
            }
            if started.elapsed() >= self.deadline {
                // It may have ended just now; then there is nothing to kill.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn line(&self, args: &[&str]) -> String {
        let namespace = self.namespace.as_ref().map(|name| format!(" -n {name}")).unwrap_or_default();
        format!("kubectl{namespace} {}", args.join(" "))
    }
}

fn write_all(pipe: Option<impl Write + Send + 'static>, text: String) -> JoinHandle<()> {
    thread::spawn(move || {
        if let Some(mut pipe) = pipe {
            // kubectl may end without reading it all.
            let _ = pipe.write_all(text.as_bytes());
        }
    })
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn joined(reader: JoinHandle<String>) -> String {
    reader.join().unwrap_or_default()
}
