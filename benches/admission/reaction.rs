//! How soon it shows that a target turned bad: in the check's status, and in the webhook's answers.
//!
//! The target is a Deployment, and what turns is a condition in its status that nobody else writes: of the fields that the Deployment
//! controller keeps, it would undo every change.

use crate::Outcome;
use crate::cluster::{Cluster, DryRun, gate};
use crate::load::condition_status;
use crate::samples::{Samples, milliseconds};
use crate::table::{Table, nothing, number, times};
use futures::StreamExt;
use holdpoint::clock;
use http::StatusCode;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;
use std::ops::Range;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const TURNS: u32 = 100;
/// Between two turns, at least and at most: the operator writes the status of one object not more often than every 100 ms, so a target
/// that turns sooner after it turned before is told of later.
const PAUSE: Range<u64> = 150..300;
/// What the specification promises for the status, at p99.
const GOAL: Duration = Duration::from_millis(250);
/// How long one turn may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(10);
const CONDITION: &str = "Healthy";

/// Measures.
pub fn run(cluster: &Cluster) -> Outcome<Table> {
    let namespace = cluster.control_plane.namespace("turn")?;
    let labels = json!({"app": "target"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "target"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "target", "image": "registry.example/target:1"}]}}
        }
    });
    let check = json!({
        "apiVersion": "holdpoint.dev/v1alpha1", "kind": "PreflightCheck", "metadata": {"name": "target-healthy"},
        "spec": {
            "probe": {"condition": {"type": CONDITION, "status": "True"}},
            "targets": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "target"}
        }
    });
    // The check reads as the namespace's own account.
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "preflight"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "holdpoint-reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}]
    });
    for object in [binding, deployment, check, gate("machines", "target-healthy")] {
        cluster.apply(&namespace, &object)?;
    }
    cluster.runtime.block_on(measure(cluster, &namespace))
}

async fn measure(cluster: &Cluster, namespace: &str) -> Outcome<Table> {
    let mut target = Target {
        api: cluster.api(namespace, "apps", "v1", "Deployment"),
        seen: Watcher::start(cluster.api(namespace, "apps", "v1", "Deployment"), "target", CONDITION).await?,
        check: Watcher::start(cluster.api(namespace, "holdpoint.dev", "v1alpha1", "PreflightCheck"), "target-healthy", "Passing").await?,
        create: DryRun::in_namespace(cluster, namespace),
        patches: 0,
    };
    target.prepare().await?;
    let (mut watched, mut told, mut told_late) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..TURNS {
        clock::sleep(Duration::from_millis(fastrand::u64(PAUSE))).await;
        let begun = target.turn("False").await?;
        watched.push(target.seen.until("False").await?.duration_since(begun));
        told.push(target.check.until("False").await?.duration_since(begun));
        clock::sleep(Duration::from_millis(fastrand::u64(PAUSE))).await;
        target.recover().await?;
        // And at once again.
        let begun = target.turn("False").await?;
        told_late.push(target.check.until("False").await?.duration_since(begun));
        target.recover().await?;
    }
    let (mut both, mut refused, mut admitted) = (Samples::default(), Samples::default(), 0);
    for _ in 0..TURNS {
        // What patch and create cost by themselves, in the same minute.
        let begun = target.turn("True").await?;
        target.create.expect(StatusCode::CREATED).await?;
        both.push(begun.elapsed());
        let begun = target.turn("False").await?;
        while target.create.create().await? != StatusCode::FORBIDDEN {
            admitted += 1;
            if begun.elapsed() > PATIENCE {
                return Err("the webhook goes on admitting although the target is bad".into());
            }
        }
        refused.push(begun.elapsed());
        target.check.until("False").await?;
        target.recover().await?;
        target.admits().await?;
    }
    let title = format!("A target turns bad: {TURNS} times, from sending the patch of its status; milliseconds");
    let mut table = Table::new(title, &["", "p50", "p99", "p50 to plain", "p99 of the goal"]);
    let mut row = |name: &str, samples: &Samples, plain: Option<&Samples>, goal: bool| {
        let ratio = plain.map_or_else(nothing, |plain| times(samples.p50() / plain.p50()));
        let part = if goal { format!("{:.0} %", samples.p99() / milliseconds(GOAL) * 100.0) } else { nothing() };
        table.row(name, [number(samples.p50()), number(samples.p99()), ratio, part]);
    };
    row("plain: a watch of the target shows it", &watched, None, false);
    row("a watch of the check shows Passing=False", &told, Some(&watched), true);
    row("  the same, right after it had turned good", &told_late, Some(&watched), true);
    row("plain: patch, then a create that is judged", &both, None, false);
    row("patch, then creates until one is refused", &refused, Some(&both), true);
    table.note(format!(
        "The goal is {} ms. Creates that were still admitted after the patch was answered: {admitted} in {TURNS} turns.",
        GOAL.as_millis()
    ));
    Ok(table)
}

struct Target {
    api: Api<DynamicObject>,
    seen: Watcher,
    check: Watcher,
    create: DryRun,
    patches: u32,
}

impl Target {
    /// Gives the target its condition, and waits until the gate refuses and admits by it.
    async fn prepare(&mut self) -> Outcome<()> {
        self.turn("False").await?;
        self.check.until("False").await?;
        self.answered_with(StatusCode::FORBIDDEN).await?;
        self.recover().await?;
        self.admits().await
    }

    async fn admits(&self) -> Outcome<()> {
        self.answered_with(StatusCode::CREATED).await
    }

    async fn answered_with(&self, answer: StatusCode) -> Outcome<()> {
        let started = clock::instant();
        while self.create.create().await? != answer {
            if started.elapsed() > PATIENCE {
                return Err(format!("creates go on not being answered with {answer}").into());
            }
            clock::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn recover(&mut self) -> Outcome<()> {
        self.turn("True").await?;
        self.seen.until("True").await?;
        self.check.until("True").await?;
        Ok(())
    }

    /// Patches the condition. Returns when that was sent. Each patch says something new, or the API server would store nothing.
    async fn turn(&mut self, status: &str) -> Outcome<Instant> {
        self.patches += 1;
        self.seen.forget();
        self.check.forget();
        let message = format!("patch {}", self.patches);
        let patch = json!({"status": {"conditions": [{"type": CONDITION, "status": status, "reason": "Bench", "message": message}]}});
        let begun = clock::instant();
        self.api.patch_status("target", &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(begun)
    }
}

/// A condition of one object, as a watch shows it.
struct Watcher {
    turns: mpsc::UnboundedReceiver<(Instant, String)>,
    name: String,
    condition: &'static str,
}

impl Watcher {
    async fn start(api: Api<DynamicObject>, name: &str, condition: &'static str) -> Outcome<Self> {
        let (sender, turns) = mpsc::unbounded_channel();
        let fields = format!("metadata.name={name}");
        let version = api.list(&ListParams::default().fields(&fields)).await?.metadata.resource_version.unwrap_or_default();
        clock::spawn(async move {
            let events = api.watch(&WatchParams::default().fields(&fields), &version).await?;
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                let now = clock::instant();
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event?
                    && let Some(status) = condition_status(&object, condition)
                    && sender.send((now, status.to_owned())).is_err()
                {
                    break;
                }
            }
            // Dropping the sender tells whoever waits.
            Ok::<(), kube::Error>(())
        });
        Ok(Self { turns, name: name.to_owned(), condition })
    }

    /// What was seen until now does not count.
    fn forget(&mut self) {
        while self.turns.try_recv().is_ok() {}
    }

    /// When the condition was seen to have a status.
    async fn until(&mut self, status: &str) -> Outcome<Instant> {
        loop {
            let waiting = format!("waiting for {} of {} to be {status}", self.condition, self.name);
            match clock::within(PATIENCE, self.turns.recv()).await {
                Ok(Some((at, seen))) if seen == status => return Ok(at),
                Ok(Some(_)) => {}
                Ok(None) => return Err(format!("{waiting}: the watch ended").into()),
                Err(_) => return Err(format!("{waiting}: not within {} s", PATIENCE.as_secs()).into()),
            }
        }
    }
}
