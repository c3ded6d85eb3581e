//! Without the operator a preset's experiments can be stopped, and not started. Alone on their control plane.

use super::matrix::{Closed, Matrix, Place};
use super::{all_right, close, entitle, install_kinds};
use crate::world::exclusive;
use tokio::runtime::Runtime;

/// All that a closed gate holds is refused, and all else passes, as it does with the operator.
fn judged(tool: &str) {
    let world = exclusive();
    install_kinds(&world);
    let team = world.team(&format!("w-{tool}"));
    let matrix = Matrix::read(tool);
    entitle(&team, &matrix);
    team.done(&["create", "deployment", "checkout", "--image=example/app:1"], "");
    let kubeconfig = world.plane.admin().kubeconfig().to_owned();
    let runtime = Runtime::new().unwrap();
    let laid = runtime.block_on(matrix.lay(&Place { namespace: &team.name, kubeconfig: &kubeconfig, prefix: &team.name }));
    close(&runtime, &team, tool, &laid);
    world.operator().kill();
    let wrong = runtime.block_on(laid.closed(Closed::Unasked));
    world.operator().restart().unwrap();
    team.done(&["delete", "xgate", "--all"], "");
    all_right(tool, "without the operator", &wrong);
}

#[test]
fn chaos_mesh() {
    judged("chaos-mesh");
}

#[test]
fn litmus() {
    judged("litmus");
}

#[test]
fn kubevirt() {
    judged("kubevirt");
}
