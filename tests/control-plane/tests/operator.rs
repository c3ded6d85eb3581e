//! The operator's harness, with an operator played by this very program: its first argument is `run` then.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, missing_docs)]

use std::{
    env, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use control_plane::{ControlPlane, Installation, Operator, OperatorOptions, Splitter, eventually};

const SOON: Duration = Duration::from_secs(30);

const MANIFEST: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: holdpoint-system}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: holdpoint, namespace: holdpoint-system}}
---
{apiVersion: v1, kind: Service, metadata: {name: holdpoint-webhook, namespace: holdpoint-system}, spec: {ports: [{port: 443, targetPort: 9443}]}}
";

/// Holds `ConfigMaps`; the player does not speak TLS, so a held request fails once it has arrived.
const WEBHOOK: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: { name: played }
webhooks:
  - name: played.holdpoint.dev
    sideEffects: None
    admissionReviewVersions: [v1]
    clientConfig: { service: { name: holdpoint-webhook, namespace: holdpoint-system, port: PORT } }
    rules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps] }]
    namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: default } }
";

fn main() {
    if env::args().nth(1).as_deref() == Some("run") {
        play();
    } else {
        test();
        println!("operator: ok");
    }
}

fn test() {
    let control_plane = ControlPlane::start().unwrap();
    let manifest = control_plane.kubeconfig().with_file_name("install.yaml");
    fs::write(&manifest, MANIFEST).unwrap();
    let options = |extra: &[&str]| OperatorOptions {
        binary: env::current_exe().unwrap(),
        install_manifest: manifest.clone(),
        extra_args: extra.iter().map(|&arg| arg.to_owned()).collect(),
        extra_env: vec![("PLAYED".to_owned(), "yes".to_owned())],
    };
    let installation = Installation::apply(&control_plane, &manifest).unwrap();
    acts_as_the_service_account(&control_plane, installation.kubeconfig());
    one_operator(&control_plane, &installation, &options(&[]));
    two_replicas_behind_the_service(&control_plane, &installation, &options(&[]));
    let error = Operator::replica(&control_plane, &installation, &options(&["--fail"]), free()).unwrap_err().to_string();
    assert!(error.contains("holdpoint ended with exit code 9") && error.contains("told to fail"), "{error}");
}

fn acts_as_the_service_account(control_plane: &ControlPlane, kubeconfig: &Path) {
    let kubectl = control_plane.programs().path("kubectl");
    let output = Command::new(kubectl).args(["auth", "whoami", "--kubeconfig"]).arg(kubeconfig).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("system:serviceaccount:holdpoint-system:holdpoint"), "{printed}");
}

fn one_operator(control_plane: &ControlPlane, installation: &Installation, options: &OperatorOptions) {
    let address = installation.service_address();
    let mut operator = Operator::replica(control_plane, installation, options, address).unwrap();
    assert_eq!(operator.readyz().unwrap(), (200, "ready".to_owned()));
    assert_eq!(operator.metrics().unwrap(), "played 1\n");
    let pid = operator.pid().unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());

    let port = address.port().to_string();
    control_plane.admin().apply_text(&WEBHOOK.replace("PORT", &port)).unwrap();
    hold_a_config_map(control_plane);
    assert!(connections(&operator) > 0, "the API server found it through the Service:\n{}", operator.log_tail());

    operator.kill();
    assert!(operator.readyz().is_err());
    operator.restart().unwrap();
    assert_ne!(operator.pid().unwrap(), pid);
    assert_eq!(operator.terminate().unwrap(), 128 + 15);
    assert_eq!(operator.exit_code().unwrap(), Some(128 + 15));
}

fn two_replicas_behind_the_service(control_plane: &ControlPlane, installation: &Installation, options: &OperatorOptions) {
    let replicas = [free(), free()].map(|listen| Operator::replica(control_plane, installation, options, listen).unwrap());
    let addresses = replicas.iter().map(Operator::webhook_address).collect();
    let _service = Splitter::start(installation.service_address(), addresses).unwrap();
    eventually(SOON, "a connection to each replica", || {
        hold_a_config_map(control_plane);
        if replicas.iter().all(|replica| connections(replica) > 0) { Ok(()) } else { Err("only one") }
    })
    .unwrap();
}

/// Creates `ConfigMaps` until one is held, for a webhook takes up to a second to take effect.
fn hold_a_config_map(control_plane: &ControlPlane) {
    let create = ["create", "configmap", "x", "--dry-run=server"];
    eventually(SOON, "a held ConfigMap", || {
        let output = control_plane.admin().run(&create).unwrap();
        if output.stderr.contains("played.holdpoint.dev") { Ok(()) } else { Err(output.stdout) }
    })
    .unwrap();
}

fn connections(operator: &Operator) -> usize {
    fs::read_to_string(operator.log_path()).unwrap().matches("webhook connection").count()
}

fn free() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

/// The played operator: is ready a moment after its start, and logs each connection to its webhook.
fn play() {
    let args: Vec<String> = env::args().collect();
    let value = |flag: &str| args[args.iter().position(|arg| arg == flag).unwrap() + 1].clone();
    if args.iter().any(|arg| arg == "--fail") {
        eprintln!("told to fail");
        std::process::exit(9);
    }
    assert!(PathBuf::from(value("--kubeconfig")).is_file());
    assert_eq!(env::var_os("PLAYED").unwrap(), "yes");
    let started = Instant::now();
    serve(&value("--health-listen"), move |_| {
        if started.elapsed() < Duration::from_millis(300) { ("503 Starting", "starting") } else { ("200 OK", "ready") }
    });
    serve(&value("--metrics-listen"), |_| ("200 OK", "played 1\n"));
    for connection in TcpListener::bind(value("--listen")).unwrap().incoming() {
        println!("webhook connection");
        drop(connection);
    }
}

fn serve(address: &str, answer: impl Fn(&str) -> (&'static str, &'static str) + Send + 'static) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = [0; 1024];
            let length = connection.read(&mut request).unwrap_or(0);
            let (status, body) = answer(&String::from_utf8_lossy(&request[..length]));
            let length = body.len();
            let _ = write!(connection, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        }
    });
}
