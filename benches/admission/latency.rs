//! What a webhook adds to a create, as the client of the API server sees it.
//!
//! All contenders are measured in turns, in an order that is drawn anew each time: what else the machine does meets all of them.

use crate::Outcome;
use crate::aims::Aims;
use crate::cluster::{Cluster, DryRun, failing_check, gate, gate_of_preset, passing_check};
use crate::no_op::NoOp;
use crate::samples::Samples;
use crate::table::{Table, nothing, number, times};
use holdpoint::clock;
use http::StatusCode;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Scale {
    title: &'static str,
    rounds: u32,
    creates: u32,
}

/// The comparison.
pub const FULL: Scale = Scale { title: "Create through the API server", rounds: 3, creates: 600 };
/// The same beside many gates.
pub const BESIDE_MANY: Scale = Scale { title: "The same, with 1,000 further gates", rounds: 1, creates: 600 };
/// The same beside very many.
pub const BESIDE_VERY_MANY: Scale = Scale { title: "The same, with 10,000 further gates", rounds: 1, creates: 600 };

/// How long the API server may take to put a changed webhook configuration into effect. It takes about a second.
const IN_EFFECT: Duration = Duration::from_secs(30);
/// Creates of each contender before the first that counts.
const WARM_UP: u32 = 100;
/// How much more than a webhook that does nothing Holdpoint may add, and what is aimed at, at the median, in milliseconds.
const MOST_ADDED: [f64; 2] = [0.2, 0.1];
const POLICY: &str = "reads-a-check";
const NO_OP_ENTRY: &str = "no-op.bench.example";
const ENTRY: &str = "fail.holdpoint.dev";
const SERVICE_PORT: u16 = 9443;

/// One way of handling a create.
pub struct Contender {
    /// What it is called.
    pub name: &'static str,
    /// The create.
    pub request: DryRun,
    /// How it ends.
    pub expected: StatusCode,
    asked: Asked,
}

impl Contender {
    /// Whether the API server counts how often it asks.
    const fn is_counted(&self) -> bool {
        matches!(self.asked, Asked::Webhook(..))
    }
}

/// What the API server asks, as its metrics name it.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Nothing,
    /// A webhook, and whether it refuses.
    Webhook(&'static str, bool),
    /// A policy. The API server counts what it refuses and what it cannot evaluate, but not what it admits.
    Policy,
}

/// A namespace for each contender, and what handles its creates.
pub struct Arena {
    contenders: Vec<Contender>,
    /// The webhook that does nothing.
    pub no_op: NoOp,
    /// The namespace with a gate that is open.
    pub passing: String,
}

impl Arena {
    /// Sets it up, and waits until every webhook is asked.
    pub fn build(cluster: &Cluster) -> Outcome<Self> {
        let control_plane = &cluster.control_plane;
        let namespaces = ["none", "idle", "policy", "pass", "preset", "deny"].map(|name| control_plane.namespace(name));
        let [none, idle, native, passing, preset, refusing] = namespaces;
        let (none, idle, native, passing, preset, refusing) = (none?, idle?, native?, passing?, preset?, refusing?);
        let no_op = no_op(cluster, &idle)?;
        policy(cluster, &native)?;
        cluster.apply(&preset, &passing_check("freeze"))?;
        cluster.apply(&preset, &gate_of_preset("machines", "freeze"))?;
        for (namespace, check) in [(&passing, passing_check("freeze")), (&refusing, failing_check("freeze"))] {
            cluster.apply(namespace, &check)?;
            cluster.apply(namespace, &gate("machines", "freeze"))?;
        }
        let contender =
            |name, namespace: &str, expected, asked| Contender { name, request: DryRun::in_namespace(cluster, namespace), expected, asked };
        let contenders = vec![
            contender("no webhook", &none, StatusCode::CREATED, Asked::Nothing),
            contender("no-op webhook, same server", &idle, StatusCode::CREATED, Asked::Webhook(NO_OP_ENTRY, false)),
            contender("ValidatingAdmissionPolicy", &native, StatusCode::CREATED, Asked::Policy),
            contender("Holdpoint, gate open", &passing, StatusCode::CREATED, Asked::Webhook(ENTRY, false)),
            contender("  by a preset", &preset, StatusCode::CREATED, Asked::Webhook(ENTRY, false)),
            contender("Holdpoint, gate refuses", &refusing, StatusCode::FORBIDDEN, Asked::Webhook(ENTRY, true)),
        ];
        let arena = Self { contenders, no_op, passing };
        cluster.runtime.block_on(arena.wait(cluster))?;
        Ok(arena)
    }

    /// Waits until each create goes the way that it should.
    async fn wait(&self, cluster: &Cluster) -> Outcome<()> {
        let started = clock::instant();
        for contender in &self.contenders {
            loop {
                let before = Counters::read(contender, &cluster.metrics().await?);
                let status = contender.request.create().await?;
                let after = Counters::read(contender, &cluster.metrics().await?);
                if status == contender.expected && (!contender.is_counted() || after.count > before.count) {
                    break;
                }
                if started.elapsed() > IN_EFFECT {
                    return Err(format!("{}: not in effect; the last create was answered with {status}", contender.name).into());
                }
                clock::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// Who is compared.
    pub fn contenders(&self) -> &[Contender] {
        &self.contenders
    }

    fn contender(&self, index: usize) -> Outcome<&Contender> {
        Ok(self.contenders.get(index).ok_or("no such contender")?)
    }
}

/// Starts the webhook that does nothing, and registers it for one namespace.
fn no_op(cluster: &Cluster, namespace: &str) -> Outcome<NoOp> {
    let admin = cluster.control_plane.admin();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "no-op"},
        "spec": {"ports": [{"port": SERVICE_PORT, "protocol": "TCP"}]}
    });
    cluster.apply(namespace, &service)?;
    let service = admin.in_namespace(namespace).json(&["get", "service", "no-op"])?;
    let ip = service.pointer("/spec/clusterIP").and_then(Value::as_str).ok_or("the no-op webhook's Service has no address")?;
    let no_op = NoOp::start(SocketAddr::new(ip.parse()?, SERVICE_PORT), &format!("no-op.{namespace}.svc"))?;
    let bundle: k8s_openapi::ByteString = k8s_openapi::ByteString(no_op.ca_bundle.clone().into_bytes());
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "no-op"},
        "webhooks": [{
            "name": NO_OP_ENTRY,
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"caBundle": bundle, "service": {"namespace": namespace, "name": "no-op", "port": SERVICE_PORT, "path": "/"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{"apiGroups": ["kubevirt.io"], "apiVersions": ["*"], "resources": ["virtualmachines"], "operations": ["CREATE"]}],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 3
        }]
    });
    admin.apply_text(&configuration.to_string())?;
    Ok(no_op)
}

/// The nearest that the API server does by itself: a policy that reads the status of a check, which the operator writes.
fn policy(cluster: &Cluster, namespace: &str) -> Outcome<()> {
    cluster.apply(namespace, &failing_check("freeze"))?;
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "failurePolicy": "Fail",
            "paramKind": {"apiVersion": "holdpoint.dev/v1alpha1", "kind": "PreflightCheck"},
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["kubevirt.io"], "apiVersions": ["*"], "resources": ["virtualmachines"], "operations": ["CREATE"]
            }]},
            "validations": [{
                "expression": "has(params.status) && has(params.status.verdict) && params.status.verdict == 'Passing'",
                "message": "the check does not pass",
                "reason": "Forbidden"
            }]
        }
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY},
        "spec": {
            "policyName": POLICY,
            "paramRef": {"name": "freeze", "parameterNotFoundAction": "Deny"},
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            "validationActions": ["Deny"]
        }
    });
    let admin = cluster.control_plane.admin();
    admin.apply_text(&policy.to_string())?;
    admin.apply_text(&binding.to_string())?;
    // That it is asked shows when it refuses.
    cluster.runtime.block_on(refused(&DryRun::in_namespace(cluster, namespace)))?;
    cluster.apply(namespace, &passing_check("freeze"))
}

async fn refused(create: &DryRun) -> Outcome<()> {
    let started = clock::instant();
    while create.create().await? != StatusCode::FORBIDDEN {
        if started.elapsed() > IN_EFFECT {
            return Err("the policy is not in effect".into());
        }
        clock::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// What the API server counted of what it asks for a contender.
#[derive(Clone, Copy)]
struct Counters {
    seconds: f64,
    count: f64,
}

impl Counters {
    fn read(contender: &Contender, metrics: &str) -> Self {
        let (metric, labels) = match contender.asked {
            Asked::Nothing | Asked::Policy => return Self { seconds: 0.0, count: 0.0 },
            Asked::Webhook(entry, rejected) => (
                "apiserver_admission_webhook_admission_duration_seconds",
                vec![format!("name=\"{entry}\""), format!("rejected=\"{rejected}\"")],
            ),
        };
        let read = |suffix: &str| total(metrics, &format!("{metric}_{suffix}"), &labels);
        Self { seconds: read("sum"), count: read("count") }
    }
}

/// The sum of a metric over all its series with these labels.
fn total(text: &str, metric: &str, labels: &[String]) -> f64 {
    let series = text.lines().filter_map(|line| line.strip_prefix(metric)).filter(|rest| rest.starts_with(['{', ' ']));
    let matching = series.filter(|rest| labels.iter().all(|label| rest.contains(label.as_str())));
    matching.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Measures.
pub fn run(cluster: &Cluster, arena: &Arena, scale: Scale, aims: &mut Aims) -> Outcome<Table> {
    cluster.runtime.block_on(measure(cluster, arena, scale, aims))
}

async fn measure(cluster: &Cluster, arena: &Arena, scale: Scale, aims: &mut Aims) -> Outcome<Table> {
    arena.wait(cluster).await?;
    round(arena, WARM_UP).await?;
    let (before, operator_before) = (cluster.metrics().await?, cluster.operator.metrics()?);
    let mut rounds = Vec::new();
    for _ in 0..scale.rounds {
        rounds.push(round(arena, scale.creates).await?);
    }
    let (after, operator_after) = (cluster.metrics().await?, cluster.operator.metrics()?);

    let creates = scale.rounds * scale.creates;
    let title = format!("{}: dry run, one client, {creates} creates each, in turns; milliseconds", scale.title);
    let columns = ["", "p50", "p99", "added p50", "(by round)", "added p99", "of no-op", "API server's mean"];
    let mut table = Table::new(title, &columns);
    let pooled = |index: usize| {
        let mut all = Samples::default();
        rounds.iter().filter_map(|round| round.get(index)).for_each(|samples| all.extend(samples));
        all
    };
    let none = pooled(0);
    let no_op_added = pooled(1).p50() - none.p50();
    for (index, contender) in arena.contenders.iter().enumerate() {
        let samples = pooled(index);
        let mut cells = vec![number(samples.p50()), number(samples.p99())];
        if contender.asked == Asked::Nothing {
            cells.extend((0..5).map(|_| nothing()));
        } else {
            // What goes through one entry and ends alike is counted as one.
            let alike = arena.contenders.iter().filter(|other| other.asked == contender.asked).map(|_| creates).sum();
            let asked = if contender.is_counted() { number(asked_between(contender, &before, &after, alike)?) } else { nothing() };
            let by_round = rounds.iter().filter_map(|round| Some(round.get(index)?.p50() - round.first()?.p50()));
            let added = samples.p50() - none.p50();
            cells.push(number(added));
            cells.push(range(by_round));
            cells.push(number(samples.p99() - none.p99()));
            cells.push(times(added / no_op_added));
            cells.push(asked);
            if contender.name == "Holdpoint, gate open" {
                let name = format!("{}: added p50 beyond that of the no-op webhook, ms", scale.title);
                for most in MOST_ADDED {
                    aims.at_most(&name, added - no_op_added, most);
                }
            }
        }
        table.row(contender.name, cells);
    }
    let judged = |suffix: &str| {
        let metric = format!("holdpoint_decision_duration_seconds_{suffix}");
        total(&operator_after, &metric, &[]) - total(&operator_before, &metric, &[])
    };
    table.note(format!(
        "Of it inside the operator, from the body to the answer: {} ms on average.",
        number(judged("sum") / judged("count") * 1000.0)
    ));
    Ok(table)
}

/// How long the API server waited for an answer on average, in milliseconds. Each create must have asked once.
fn asked_between(contender: &Contender, before: &str, after: &str, creates: u32) -> Outcome<f64> {
    let (before, after) = (Counters::read(contender, before), Counters::read(contender, after));
    let asked = after.count - before.count;
    if (asked - f64::from(creates)).abs() > 0.5 {
        return Err(format!("{}: it was asked {asked} times for {creates} creates", contender.name).into());
    }
    Ok((after.seconds - before.seconds) / asked * 1000.0)
}

fn range(values: impl Iterator<Item = f64>) -> String {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    format!("{} to {}", number(low), number(high))
}

async fn round(arena: &Arena, creates: u32) -> Outcome<Vec<Samples>> {
    let mut measured = vec![Samples::default(); arena.contenders.len()];
    let mut order: Vec<usize> = (0..arena.contenders.len()).collect();
    for _ in 0..creates {
        fastrand::shuffle(&mut order);
        for index in &order {
            let contender = arena.contender(*index)?;
            let started = clock::instant();
            contender.request.expect(contender.expected).await?;
            let took = started.elapsed();
            if let Some(samples) = measured.get_mut(*index) {
                samples.push(took);
            }
        }
    }
    Ok(measured)
}
