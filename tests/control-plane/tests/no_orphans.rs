//! No process and no data of a control plane outlives the process that started it, however that one ends.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use control_plane::{ControlPlane, eventually};

const SOON: Duration = Duration::from_secs(15);
const LINE: &str = "export KUBECONFIG=";

#[test]
fn after_a_stop_nothing_is_left() {
    let control_plane = ControlPlane::start().unwrap();
    let data = control_plane.kubeconfig().parent().unwrap().to_owned();
    let logs = control_plane.logs_dir().to_owned();
    assert!(processes_of(&data).len() > 3);
    control_plane.stop();
    assert_nothing_is_left(&data);
    assert!(logs.join("kube-apiserver.log").is_file(), "the logs are kept");
}

#[test]
fn after_ctrl_c_nothing_is_left() {
    let (mut up, data) = started(Command::new(env!("CARGO_BIN_EXE_control-plane")).arg("up"));
    // As a terminal does: to the whole foreground process group.
    let group = format!("-{}", up.id());
    assert!(Command::new("kill").args(["-s", "INT", "--", &group]).status().unwrap().success());
    up.wait().unwrap();
    assert_nothing_is_left(&data);
}

#[test]
fn after_sigkill_nothing_is_left() {
    let (mut up, data) = started(Command::new(env!("CARGO_BIN_EXE_control-plane")).arg("up"));
    up.kill().unwrap();
    up.wait().unwrap();
    assert_nothing_is_left(&data);
}

#[test]
fn after_a_panic_nothing_is_left() {
    let this = std::env::current_exe().unwrap();
    let (mut test, data) = started(Command::new(this).args(["--ignored", "--exact", "--nocapture", "starts_and_panics"]));
    let mut rest = String::new();
    test.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(test.wait().unwrap().code(), Some(101), "{rest}");
    assert_nothing_is_left(&data);
}

/// The other process of `after_a_panic_nothing_is_left`. The control plane is never dropped, like one in a static.
#[test]
#[ignore = "is run by after_a_panic_nothing_is_left"]
fn starts_and_panics() {
    let control_plane = Box::leak(Box::new(ControlPlane::start().unwrap()));
    println!("\n{LINE}{}", control_plane.kubeconfig().display());
    panic!("on purpose");
}

/// Starts the command in a process group of its own and waits until it says that its control plane is up.
fn started(command: &mut Command) -> (Child, PathBuf) {
    let mut child = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with(LINE) {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it ended before its control plane was up");
    }
    child.stdout = Some(stdout.into_inner());
    let data = Path::new(line.trim().trim_start_matches(LINE)).parent().unwrap().to_owned();
    assert!(processes_of(&data).len() > 3, "it runs before it is ended");
    (child, data)
}

fn assert_nothing_is_left(data: &Path) {
    eventually(SOON, "no process and no data of the control plane", || {
        let left = processes_of(data);
        if left.is_empty() && !data.exists() { Ok(()) } else { Err(format!("{left:?}, data: {}", data.exists())) }
    })
    .unwrap();
}

/// The command lines of the processes that were started with a path in the folder.
fn processes_of(data: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let command_lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let texts = command_lines.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    texts.filter(|line| line.contains(data.to_str().unwrap())).collect()
}
