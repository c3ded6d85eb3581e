//! `control-plane up`.

use std::{path::PathBuf, thread, time::Duration};

use control_plane::{ControlPlane, Error, NodeShape, Operator, OperatorOptions, Result, other_projects};

const CHECK_EVERY: Duration = Duration::from_secs(1);

/// There is no kubelet, so the Deployment's pods never run, and its check fails until none are wanted.
const WHAT_TO_TRY: &str = "  kubectl create namespace shop
  kubectl config set-context --current --namespace=shop
  kubectl create rolebinding preflight --clusterrole=holdpoint-reader --serviceaccount=shop:default
  kubectl create -f examples/demo/deployment.yaml -f examples/demo/check.yaml -f examples/demo/gates.yaml
  kubectl wait --for=condition=Ready xgate --all
  kubectl create -f examples/demo/podchaos.yaml     # refused: there is no kubelet, so no replica becomes available
  kubectl get pfc,xgate
  kubectl scale deployment/checkout --replicas=0    # none are wanted, so none are missing
  kubectl wait --for=condition=Open xgate/chaos
  kubectl create -f examples/demo/podchaos.yaml     # created";

/// The command's arguments.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also run this `holdpoint` binary, with a node and the CRDs of `KubeVirt`, Chaos Mesh and Litmus in place.
    #[arg(long, value_name = "BINARY", requires = "manifest")]
    operator: Option<PathBuf>,
    /// The manifest that installs the operator.
    #[arg(long, value_name = "FILE", requires = "operator")]
    manifest: Option<PathBuf>,
    /// Further arguments of `holdpoint run`, after `--`.
    #[arg(last = true, requires = "operator")]
    operator_args: Vec<String>,
}

/// Stays until Ctrl-C. That ends this process at once; the servers' supervisors notice, and clean up.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let control_plane = ControlPlane::start()?;
    let mut operator = match (&arguments.operator, &arguments.manifest) {
        (Some(binary), Some(manifest)) => Some(start_operator(&control_plane, binary, manifest, &arguments.operator_args)?),
        _ => None,
    };
    println!("export KUBECONFIG={}", control_plane.kubeconfig().display());
    println!("export PATH={}:$PATH", control_plane.programs().folder().display());
    eprintln!("Logs: {}", control_plane.logs_dir().display());
    eprintln!("The control plane is up; Ctrl-C stops it and removes its data.");
    if operator.is_some() {
        eprintln!("Paste the two lines into another terminal, in the repository's folder, and try:\n{WHAT_TO_TRY}");
    }
    loop {
        control_plane.check_running()?;
        if let Some(operator) = &mut operator
            && let Some(code) = operator.exit_code()?
        {
            let what = format!("the operator ended with exit code {code}");
            return Err(Error::Unexpected { what, found: operator.log_tail() });
        }
        thread::sleep(CHECK_EVERY);
    }
}

fn start_operator(control_plane: &ControlPlane, binary: &std::path::Path, manifest: &std::path::Path, args: &[String]) -> Result<Operator> {
    control_plane.install_crds(&other_projects())?;
    control_plane.node("node-1", &NodeShape::default())?;
    // Targets on this machine: outside of development, checks may not reach loopback addresses.
    let mut extra_args = vec!["--allow-cidr".to_owned(), "127.0.0.0/8".to_owned()];
    extra_args.extend_from_slice(args);
    let options = OperatorOptions { binary: binary.to_owned(), install_manifest: manifest.to_owned(), extra_args, extra_env: Vec::new() };
    let operator = Operator::start(control_plane, &options)?;
    eprintln!("Operator: ready; metrics at http://{}/metrics", operator.metrics_address());
    Ok(operator)
}
