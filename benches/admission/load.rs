//! What a thousand checks and gates cost: memory, and the rate of reviews that are sent straight to the webhook.

use crate::Outcome;
use crate::aims::Aims;
use crate::cluster::{Cluster, gate_with_expressions, passing_check, review};
use crate::direct::LEAST_RATE;
use crate::latency::Arena;
use crate::process::{Memory, memory};
use crate::table::{Table, nothing, number, times};
use crate::wire::{CONNECTIONS, Endpoint};
use futures::{StreamExt, TryStreamExt};
use holdpoint::clock;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;
use std::time::Duration;

const NAMESPACES: usize = 20;
const IN_EACH: usize = 50;
const ALL: usize = NAMESPACES * IN_EACH;
/// The same for very many.
const MANY_IN_EACH: usize = 500;
const VERY_MANY: usize = NAMESPACES * MANY_IN_EACH;
/// What the operator may have resident with them, in MiB.
const MOST_RESIDENT: f64 = 45.0;
/// How many creates are on their way at once.
const AT_ONCE: usize = 8;
/// How long all statuses may take.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long nothing happens before memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// The operator's memory without a check or gate.
pub fn idle(cluster: &Cluster) -> Outcome<Memory> {
    cluster.runtime.block_on(clock::sleep(SETTLE));
    memory(cluster.operator.pid()?)
}

/// Measures, and leaves the checks and gates there.
pub fn run(cluster: &Cluster, arena: &Arena, idle: Memory, aims: &mut Aims) -> Outcome<Report> {
    let mut served = Table::new(
        format!("Reviews sent straight to the webhook: {CONNECTIONS} kept connections; milliseconds"),
        &["", "for each s of CPU", "of no-op", "p50", "p99"],
    );
    let no_op = Endpoint {
        address: arena.no_op.address,
        name: arena.no_op.name.clone(),
        ca_bundle: arena.no_op.ca_bundle.clone(),
        path: "/",
        pid: arena.no_op.pid(),
    };
    let holdpoint = cluster.runtime.block_on(endpoint(cluster))?;
    let body = review(&arena.passing);
    let rate = drive(cluster, &no_op, &body, "no-op webhook", None, &mut served)?;
    drive(cluster, &holdpoint, &body, "Holdpoint, 3 gates", Some(rate), &mut served)?;
    let namespaces: Vec<String> = (0..NAMESPACES).map(|_| cluster.control_plane.namespace("team")).collect::<Result<_, _>>()?;
    let started = clock::instant();
    cluster.runtime.block_on(fill(cluster, &namespaces, IN_EACH))?;
    let filled = started.elapsed();
    cluster.runtime.block_on(clock::sleep(SETTLE));
    let full = memory(cluster.operator.pid()?)?;
    let loaded = drive(cluster, &holdpoint, &body, "Holdpoint, 1,003 gates", Some(rate), &mut served)?;
    for least in LEAST_RATE {
        aims.at_least("Reviews for each s of the operator's CPU, over TLS, 1,003 gates", loaded, least);
    }
    half_load(cluster, &holdpoint, &body, "Holdpoint, 1,003 gates, open loop at half of that", &mut served)?;
    let driven = memory(cluster.operator.pid()?)?;
    let mut used = Table::new(
        format!("Memory of the operator: MiB, {ALL} checks and {ALL} gates with expressions"),
        &["", "resident", "of idle", "without the program", "peak"],
    );
    for (name, memory) in [("idle, nothing applied", idle), ("with all of them", full), ("after the reviews above", driven)] {
        let ratio = f64::from(memory.resident) / f64::from(idle.resident);
        used.row(name, [mebibytes(memory.resident), times(ratio), mebibytes(memory.anonymous), mebibytes(memory.peak)]);
    }
    let of_no_op = memory(arena.no_op.pid())?;
    used.row(
        "the no-op webhook, after its reviews",
        [mebibytes(of_no_op.resident), nothing(), mebibytes(of_no_op.anonymous), mebibytes(of_no_op.peak)],
    );
    used.note(format!("From the first create to the last status: {} s.", filled.as_secs()));
    Ok(Report { served, used })
}

/// Adds very many more checks and gates, and measures memory.
pub fn many(cluster: &Cluster, arena: &Arena, aims: &mut Aims) -> Outcome<Report> {
    let namespaces: Vec<String> = (0..NAMESPACES).map(|_| cluster.control_plane.namespace("many")).collect::<Result<_, _>>()?;
    let started = clock::instant();
    cluster.runtime.block_on(fill(cluster, &namespaces, MANY_IN_EACH))?;
    let filled = started.elapsed();
    cluster.runtime.block_on(clock::sleep(SETTLE));
    let memory = memory(cluster.operator.pid()?)?;
    let mut used = Table::new(
        format!("Memory of the operator: MiB, {VERY_MANY} further checks and {VERY_MANY} further gates with expressions"),
        &["", "resident", "without the program", "peak"],
    );
    used.row("with all of them", [mebibytes(memory.resident), mebibytes(memory.anonymous), mebibytes(memory.peak)]);
    used.note(format!("From the first create to the last status: {} s.", filled.as_secs()));
    aims.at_most("Resident memory with 10,000 gates and 10,000 checks, MiB", f64::from(memory.resident) / 1024.0, MOST_RESIDENT);
    let mut served = Table::new(
        format!("Reviews sent straight to the webhook beside them: {CONNECTIONS} kept connections; milliseconds"),
        &["", "for each s of CPU", "of no-op", "p50", "p99"],
    );
    let holdpoint = cluster.runtime.block_on(endpoint(cluster))?;
    drive(cluster, &holdpoint, &review(&arena.passing), "Holdpoint, 10,000 gates", None, &mut served)?;
    Ok(Report { served, used })
}

/// Sends at a fixed rate, half of what the closed loop reached.
fn half_load(cluster: &Cluster, endpoint: &Endpoint, body: &[u8], name: &str, table: &mut Table) -> Outcome<()> {
    let taken = cluster.runtime.block_on(endpoint.drive_at_half(body))?;
    table.row(name, [nothing(), nothing(), number(taken.p50()), number(taken.p99())]);
    Ok(())
}

/// Both tables.
pub struct Report {
    served: Table,
    used: Table,
}

impl Report {
    /// Prints them.
    pub fn print(&self) {
        self.served.print();
        self.used.print();
    }
}

fn mebibytes(kibibytes: u32) -> String {
    number(f64::from(kibibytes) / 1024.0)
}

fn drive(cluster: &Cluster, endpoint: &Endpoint, body: &[u8], name: &str, no_op: Option<f64>, table: &mut Table) -> Outcome<f64> {
    let flow = cluster.runtime.block_on(endpoint.drive(body))?;
    let ratio = no_op.map_or_else(nothing, |rate| times(flow.per_cpu_second / rate));
    table.row(name, [number(flow.per_cpu_second), ratio, number(flow.taken.p50()), number(flow.taken.p99())]);
    Ok(flow.per_cpu_second)
}

async fn endpoint(cluster: &Cluster) -> Outcome<Endpoint> {
    let configuration = Api::<ValidatingWebhookConfiguration>::all(cluster.client.clone()).get("holdpoint").await?;
    let entry = configuration.webhooks.into_iter().flatten().next().ok_or("Holdpoint is not registered")?;
    let bundle = entry.client_config.ca_bundle.ok_or("Holdpoint is registered without a trust bundle")?;
    Ok(Endpoint {
        address: cluster.operator.webhook_address(),
        name: "holdpoint-webhook.holdpoint-system.svc".to_owned(),
        ca_bundle: String::from_utf8(bundle.0)?,
        path: "/admit/fail",
        pid: cluster.operator.pid()?,
    })
}

/// Creates the checks and gates, and waits until each has the status that it should.
async fn fill(cluster: &Cluster, namespaces: &[String], in_each: usize) -> Outcome<()> {
    let all = namespaces.len() * in_each;
    let places = namespaces.iter().flat_map(|namespace| (0..in_each).map(move |number| (namespace, number)));
    let create = |(namespace, number): (&String, usize)| {
        let (namespace, check) = (namespace.clone(), format!("check-{number}"));
        async move {
            cluster.create(&namespace, passing_check(&check)).await?;
            cluster.create(&namespace, gate_with_expressions(&format!("gate-{number}"), &check)).await
        }
    };
    let creating = futures::stream::iter(places.map(create)).buffer_unordered(AT_ONCE);
    creating.try_collect::<Vec<()>>().await?;
    let started = clock::instant();
    for (kind, wanted) in [("PreflightCheck", ["Ready", "Passing"]), ("ExperimentGate", ["Ready", "Open"])] {
        loop {
            let settled = settled(cluster, namespaces, kind, &wanted).await?;
            if settled == all {
                break;
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("{settled} of {all} objects of kind {kind} are {}", wanted.join(" and ")).into());
            }
            clock::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

/// How many objects of a kind have these conditions.
async fn settled(cluster: &Cluster, namespaces: &[String], kind: &str, wanted: &[&str]) -> Outcome<usize> {
    let mut settled = 0;
    for namespace in namespaces {
        let objects = cluster.api(namespace, "holdpoint.dev", "v1alpha1", kind).list(&ListParams::default()).await?;
        settled += objects.items.iter().filter(|object| wanted.iter().all(|wanted| is_true(object, wanted))).count();
    }
    Ok(settled)
}

fn is_true(object: &DynamicObject, condition: &str) -> bool {
    condition_status(object, condition) == Some("True")
}

/// The status of a condition.
pub fn condition_status<'a>(object: &'a DynamicObject, condition: &str) -> Option<&'a str> {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array)?;
    conditions.iter().find(|entry| entry.get("type").and_then(Value::as_str) == Some(condition))?.get("status")?.as_str()
}
