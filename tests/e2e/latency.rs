//! How long a target's turn takes to be seen.

use crate::manifests::{passing, rollout};
use crate::world::shared;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What this machine must do while it is busy with other tests; `make bench` measures what is promised.
const AT_MOST: Duration = Duration::from_secs(1);
const TURNS: usize = 20;

/// `kubectl get --watch` as a stream of when each line of it came.
struct Watch {
    kubectl: Child,
    lines: Receiver<(Instant, String)>,
}

impl Watch {
    fn start(program: &std::path::Path, kubeconfig: &std::path::Path, args: &[&str]) -> Watch {
        let mut command = Command::new(program);
        command.arg("--kubeconfig").arg(kubeconfig).args(args).stdout(Stdio::piped());
        let mut kubectl = command.spawn().unwrap();
        let stdout = BufReader::new(kubectl.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send((Instant::now(), line))));
        Watch { kubectl, lines }
    }

    /// When the first line came that something holds of.
    fn first(&self, what: impl Fn(&str) -> bool) -> Instant {
        loop {
            let (at, line) = self.lines.recv_timeout(Duration::from_secs(30)).unwrap();
            if what(&line) {
                return at;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

#[test]
fn a_target_that_turns_is_seen_in_the_status_within_a_second() {
    let team = shared().team("latency");
    team.deployment("web", 1);
    team.apply(&(rollout("web-healthy", "web") + &passing("other")));
    team.verdict("web-healthy", "Passing");
    let (program, kubeconfig) = (team.world.plane.programs().path("kubectl"), team.kubectl.kubeconfig().to_owned());
    let column = "custom-columns=V:.status.verdict";
    let statuses =
        Watch::start(&program, &kubeconfig, &["-n", &team.name, "get", "pfc", "web-healthy", "--watch", "--no-headers", "-o", column]);
    let column = "custom-columns=A:.status.availableReplicas";
    let targets =
        Watch::start(&program, &kubeconfig, &["-n", &team.name, "get", "deployment", "web", "--watch", "--no-headers", "-o", column]);
    statuses.first(|line| line == "Passing");
    targets.first(|line| line == "1");
    let mut took: Vec<Duration> = Vec::new();
    let mut turn = |bad: bool| {
        if bad {
            team.break_pods("web");
        } else {
            team.run_pods("web");
        }
        // From when a watcher saw the target turn to when a watcher saw the status say so.
        let turned = targets.first(|line| (line == "1") != bad);
        let said = statuses.first(|line| line == if bad { "Failing" } else { "Passing" });
        took.push(said.saturating_duration_since(turned));
    };
    for n in 0..TURNS {
        turn(n % 2 == 0);
    }
    took.sort();
    let (median, worst) = (took[TURNS / 2], took[TURNS - 1]);
    println!("a target's turn was in the status after {median:?} (median), {worst:?} (worst of {TURNS})");
    assert!(worst < AT_MOST, "{took:?}");
    let status: Value = team.get("pfc", "web-healthy")["status"].clone();
    assert_eq!(status["history"].as_array().unwrap().len(), 10, "historyLimit bounds it: {status}");
}
