//! Presets hold what starts something, and nothing else: tool by operation, state, version and author, with the gates under
//! examples/presets as they are.

mod by_kubectl;
mod matrix;
mod merging;
mod requests;
mod without_operator;

use crate::manifests::{failing, passing};
use crate::team::Team;
use crate::world::{World, ensure, shared, within};
use holdpoint::api::Preset;
use holdpoint::core::presets::Catalog;
use matrix::{Closed, Laid, Matrix, Place};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long a gate may take until it holds every kind, on a machine that has other things to do.
const TAKES_EFFECT: Duration = Duration::from_mins(1);

/// Gates of the cluster hold what other tests make: whoever has one holds this.
pub fn cluster_gates() -> MutexGuard<'static, ()> {
    static CLUSTER_GATES: Mutex<()> = Mutex::new(());
    CLUSTER_GATES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shared world, with all kinds of the tools.
pub fn world() -> &'static World {
    static KINDS: Once = Once::new();
    let world = shared();
    KINDS.call_once(|| install_kinds(world));
    world
}

fn install_kinds(world: &World) {
    world.plane.install_crds(&folder().join("crds")).unwrap();
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/presets")
}

fn example(tool: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/presets/{tool}.yaml"))
}

/// Everybody who does something may do everything in the namespace, and with the experiments of the cluster: what is looked at is what
/// the gate says to it.
fn entitle(team: &Team<'_>, matrix: &Matrix) {
    let mut subjects = String::new();
    for user in matrix.users(&team.name).into_values() {
        write!(subjects, "{{ kind: User, apiGroup: rbac.authorization.k8s.io, name: '{user}' }}, ").unwrap();
    }
    let binding = |kind: &str, role: &str| {
        format!(
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{ name: {} }}\n\
             roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role} }}\nsubjects: [{subjects}]\n",
            team.name
        )
    };
    let role = format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{ name: {} }}\n\
         rules: [{{ apiGroups: [chaos-mesh.org, chaosblade.io], resources: ['*'], verbs: ['*'] }}]\n",
        team.name
    );
    team.apply(&(role + &binding("RoleBinding", "cluster-admin") + &binding("ClusterRoleBinding", &team.name)));
}

/// Waits until the gate of an example is registered for all that it holds.
fn close(runtime: &Runtime, team: &Team<'_>, tool: &str, laid: &Laid<'_>) {
    team.kubectl.apply(&example(tool)).unwrap();
    within(TAKES_EFFECT, &format!("the gate of {tool} to hold every kind"), || {
        let not_yet = runtime.block_on(laid.not_held_yet());
        ensure(not_yet.is_empty(), || not_yet.join("\n"))
    });
}

#[track_caller]
fn all_right(tool: &str, when: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{tool}, {when}: {} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A tool's rows with the gate closed, and those that were held again with it open.
fn judged(tool: &str, team: &Team<'_>, open: impl FnOnce()) {
    let matrix = Matrix::read(tool);
    entitle(team, &matrix);
    let kubeconfig = team.world.plane.admin().kubeconfig().to_owned();
    let place = Place { namespace: &team.name, kubeconfig: &kubeconfig, prefix: &team.name };
    let runtime = Runtime::new().unwrap();
    let laid = runtime.block_on(matrix.lay(&place));
    close(&runtime, team, tool, &laid);
    let (held, passing) = laid.counts();
    all_right(tool, &format!("closed ({held} held, {passing} pass)"), &runtime.block_on(laid.closed(Closed::Asked)));
    open();
    all_right(tool, "open", &runtime.block_on(laid.open()));
}

/// A tool whose gate has a namespace and asks for checkout's rollout.
fn judged_in_a_namespace(tool: &str) {
    let mut team = world().team(&format!("m-{tool}"));
    // Telling the owner of a refused child takes rights that are optional.
    team.expect_forbidden("-parent");
    team.done(&["create", "deployment", "checkout", "--image=example/app:1"], "");
    judged(tool, &team, || {
        team.run_pods("checkout");
        team.verdict("checkout-healthy", "Passing");
        team.condition(&format!("xgate/{tool}"), "Open", "True");
    });
}

#[test]
fn each_resource_of_each_preset_has_a_row_that_is_held_and_one_that_passes() {
    let catalog = Catalog::default();
    let mut without = Vec::new();
    for (preset, tool) in [
        (Preset::ChaosMesh, "chaos-mesh"),
        (Preset::Litmus, "litmus"),
        (Preset::Krkn, "krkn"),
        (Preset::Datadog, "datadog"),
        (Preset::ChaosBlade, "chaosblade"),
        (Preset::ChaosToolkit, "chaostoolkit"),
        (Preset::KubeVirt, "kubevirt"),
        (Preset::ArgoWorkflows, "argo-workflows"),
        (Preset::Jobs, "jobs"),
    ] {
        let matrix = Matrix::read(tool);
        for hold in catalog.holds(preset, &[]).iter() {
            for resource in hold.resources {
                let missing = [true, false].into_iter().filter(|held| !matrix.has(hold.group, resource, *held));
                without.extend(missing.map(|held| format!("{tool}: {}/{resource}, held: {held}", hold.group)));
            }
        }
    }
    assert!(without.is_empty(), "no row: {}", without.join("; "));
}

#[test]
fn chaos_mesh() {
    judged_in_a_namespace("chaos-mesh");
}

#[test]
fn litmus() {
    judged_in_a_namespace("litmus");
}

#[test]
fn krkn() {
    judged_in_a_namespace("krkn");
}

#[test]
fn datadog() {
    judged_in_a_namespace("datadog");
}

#[test]
fn chaostoolkit() {
    judged_in_a_namespace("chaostoolkit");
}

#[test]
fn argo_workflows() {
    judged_in_a_namespace("argo-workflows");
}

#[test]
fn jobs() {
    judged_in_a_namespace("jobs");
}

#[test]
fn kubevirt() {
    judged_in_a_namespace("kubevirt");
}

#[test]
fn chaosblade() {
    let _turn = cluster_gates();
    let team = world().team("m-chaosblade");
    team.world.plane.admin().apply_text("{ apiVersion: v1, kind: Namespace, metadata: { name: platform } }").unwrap();
    let platform = team.kubectl.in_namespace("platform");
    platform.apply_text(&failing("nodes-fit")).unwrap();
    judged("chaosblade", &team, || {
        platform.ok(&["delete", "pfc", "nodes-fit"]).unwrap();
        platform.apply_text(&passing("nodes-fit")).unwrap();
        team.condition("cxgate/chaosblade", "Open", "True");
    });
    team.done(&["delete", "cxgate", "chaosblade"], "");
}
