//! `holdpoint run`: the operator. Wires the parts together and waits for the end.

use crate::clock;
use crate::cluster::client::connect;
use crate::cluster::contact::Contact;
use crate::cluster::events::Events;
use crate::cluster::lease::{self, Kept, LeaseKeeper, READY_LEASE, Role};
use crate::cluster::references::References;
use crate::cluster::snapshot::Snapshot;
use crate::controller::check::{self, CheckController, READY_CHECKS};
use crate::controller::experiments::{self, ExperimentController, Opened};
use crate::controller::gate::{self, GateController, READY_GATES};
use crate::controller::run::{self, RunController};
use crate::controller::starts::{self, StartsController};
use crate::core::certificates::{Lifetimes, Settings, service_names};
use crate::core::gate::{Gate, Wish};
use crate::core::netpolicy::{NetworkPolicy, parse_allow};
use crate::core::presets::{Accounts, Catalog, ControllerAccount};
use crate::core::records::Record;
use crate::core::registration::{Address, Registered};
use crate::core::text::single_line;
use crate::probe::Outbound;
use crate::probe::net::Dialer;
use crate::telemetry::health::Readiness;
use crate::telemetry::logs::{self, LogFormat};
use crate::telemetry::metrics::Metrics;
use crate::webhook::certificates::{self, Certificates, READY_CERTIFICATE};
use crate::webhook::handler::{self, Admission};
use crate::webhook::registration::{self, READY_REGISTRATION, Registration};
use crate::webhook::server::{self, Counters, Limits};
use crate::webhook::tls::{CertificateSlot, server_config};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Kubeconfig of the API server; in a pod none is needed
    #[arg(long, env = "HOLDPOINT_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the operator, whose objects are never held
    #[arg(long, env = "HOLDPOINT_NAMESPACE", default_value = "holdpoint-system")]
    namespace: String,
    /// Address of the webhook
    #[arg(long, env = "HOLDPOINT_LISTEN", default_value = "0.0.0.0:9443", value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// Address of /livez and /readyz
    #[arg(long, env = "HOLDPOINT_HEALTH_LISTEN", default_value = "0.0.0.0:8081", value_name = "ADDR:PORT")]
    health_listen: SocketAddr,
    /// Address of /metrics
    #[arg(long, env = "HOLDPOINT_METRICS_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDR:PORT")]
    metrics_listen: SocketAddr,
    /// Service through which the API server reaches the webhook
    #[arg(long, env = "HOLDPOINT_SERVICE_NAME", default_value = "holdpoint-webhook")]
    service_name: String,
    /// Port of that Service
    #[arg(long, env = "HOLDPOINT_SERVICE_PORT", default_value_t = 443)]
    service_port: u16,
    /// Register by this URL instead of the Service, for development
    #[arg(long, env = "HOLDPOINT_WEBHOOK_URL", value_name = "URL")]
    webhook_url: Option<url::Url>,
    /// Service account of the operator, for the commands that messages print
    #[arg(long, env = "HOLDPOINT_SERVICE_ACCOUNT", default_value = "holdpoint")]
    service_account: String,
    /// Service account of a tool's controller, as in Krkn=chaos/krkn-operator, where the tool is not installed as it is by default; may be repeated
    #[arg(long, env = "HOLDPOINT_CONTROLLER_ACCOUNT", value_delimiter = ',', value_name = "TOOL=NAMESPACE/NAME")]
    controller_account: Vec<ControllerAccount>,
    /// Let checks reach these addresses although they are loopback, link-local or the like; may be repeated
    #[arg(long, env = "HOLDPOINT_ALLOW_CIDR", value_delimiter = ',', value_name = "CIDR", value_parser = parse_allow)]
    allow_cidr: Vec<IpNet>,
    /// Name of the environment, such as production; shown in the first log line and as a label of `holdpoint_build_info`
    #[arg(long, env = "HOLDPOINT_ENVIRONMENT", value_name = "NAME")]
    environment: Option<String>,
    /// Name of this pod, in the Lease that says which replica leads; set in every pod
    #[arg(long, env = "HOSTNAME", hide = true, default_value = "holdpoint", value_name = "NAME")]
    pod_name: String,
    /// Address of the API server, which no check may reach; set in every pod
    #[arg(long, env = "KUBERNETES_SERVICE_HOST", hide = true, value_name = "ADDRESS")]
    api_server_address: Option<String>,
    /// Lifetime of the webhook's certificate in seconds; it is renewed after two thirds
    #[arg(long, env = "HOLDPOINT_CERTIFICATE_LIFETIME", default_value_t = 30 * 86_400, value_name = "SECONDS")]
    certificate_lifetime: u64,
    /// Lifetime of the authority that signs it, in seconds; at least four times the certificate's
    #[arg(long, env = "HOLDPOINT_CA_LIFETIME", default_value_t = 3 * 365 * 86_400, value_name = "SECONDS")]
    ca_lifetime: u64,
    /// How log lines look
    #[arg(long, env = "HOLDPOINT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    log_format: LogFormat,
    /// Which log lines: a level, or target=level pairs
    #[arg(long, env = "HOLDPOINT_LOG_FILTER", default_value = "info,kube_runtime=error", value_name = "FILTER")]
    log_filter: String,
}

/// How many decisions may wait to be recorded.
const RECORDS: usize = 4096;
/// How many gates that opened may wait for the parents of what they refused to be touched.
const OPENED: usize = 256;
/// How many requests that are held may wait for their checks to be evaluated; each keeps its object.
const WISHES: usize = 64;
/// How long after the signal to stop requests are still answered: the API server may not know yet that the endpoint is gone.
const LINGER: Duration = Duration::from_secs(10);

/// How long giving up the leadership may take.
const RELEASE: Duration = Duration::from_secs(2);

/// What everything shares.
struct Shared {
    client: kube::Client,
    snapshot: Snapshot,
    changed: Arc<Notify>,
    metrics: Metrics,
    readiness: Readiness,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
    /// Told when nothing is written any more, so that another replica may lead.
    release: CancellationToken,
}

pub(super) async fn execute(args: Args) -> Result<(), String> {
    logs::init(args.log_format, &args.log_filter)?;
    let lifetimes = lifetimes(&args)?;
    let webhook = bind("--listen", args.listen).await?;
    let health = bind("--health-listen", args.health_listen).await?;
    let scraped = bind("--metrics-listen", args.metrics_listen).await?;
    let (client, _) = connect(args.kubeconfig.as_deref()).await.map_err(|e| e.to_string())?;
    let shared = Shared {
        client,
        snapshot: Snapshot::default(),
        changed: Arc::new(Notify::new()),
        metrics: Metrics::new(args.environment.as_deref().unwrap_or_default()),
        readiness: Readiness::waiting_for(&[READY_CHECKS, READY_GATES, READY_LEASE, READY_CERTIFICATE, READY_REGISTRATION]),
        counters: Arc::default(),
        shutdown: CancellationToken::new(),
        release: CancellationToken::new(),
    };
    shared.metrics.verdicts_are_told_by(Arc::new(shared.snapshot.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %args.listen, namespace = args.namespace, environment = args.environment, "starting");
    let mut tasks = JoinSet::new();
    let electing = start(&args, &shared, lifetimes, webhook, &mut tasks)?;
    serve_plain(health, health_router(shared.readiness.clone()), &shared, &mut tasks);
    serve_plain(scraped, metrics_router(shared.metrics.clone(), shared.counters.clone()), &shared, &mut tasks);
    wait(&shared, &mut tasks).await?;
    shared.release.cancel();
    // Another replica takes over by itself if this is not done in time.
    let _ = clock::within(RELEASE, electing).await;
    Ok(())
}

fn lifetimes(args: &Args) -> Result<Lifetimes, String> {
    Lifetimes::new(Duration::from_secs(args.ca_lifetime), Duration::from_secs(args.certificate_lifetime))
        .map_err(|problem| format!("--certificate-lifetime, --ca-lifetime: {problem}"))
}

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|e| format!("{flag} {address}: {e}"))
}

/// Starts the controllers and the webhook.
fn start(
    args: &Args,
    shared: &Shared,
    lifetimes: Lifetimes,
    listener: TcpListener,
    tasks: &mut JoinSet<()>,
) -> Result<JoinHandle<()>, String> {
    let Shared { client, snapshot, changed, metrics, readiness, shutdown, release, .. } = shared;
    let (events, publishing) = Events::new(client.clone(), metrics.clone(), "holdpoint.dev/operator");
    clock::spawn(publishing);
    let (contact, keeping) = Contact::new(client.clone(), &args.namespace, metrics.clone());
    clock::spawn(keeping);
    let (terms_in, terms) = watch::channel(0);
    let keeper = LeaseKeeper {
        client: client.clone(),
        contact: contact.clone(),
        namespace: args.namespace.clone(),
        name: args.pod_name.clone(),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        terms,
    };
    let (Kept { role, vouched, watermark }, electing) = lease::keep(keeper, release.clone());
    let electing = clock::spawn(electing);
    let (namespaces_in, namespaces) = watch::channel(None);
    let (records_in, records) = mpsc::channel(RECORDS);
    let looked = Arc::new(Notify::new());
    let (opened_in, opened) = mpsc::channel(OPENED);
    let (answers_in, answers) = mpsc::channel(RECORDS);
    let (wishes_in, wishes) = mpsc::channel(WISHES);
    let (to_register, gates) = watch::channel(None);
    let (asks_in, asked) = mpsc::unbounded_channel();
    let (evaluated_in, evaluated) = mpsc::unbounded_channel();
    let (registered_in, registered) = watch::channel(Registered::default());
    clock::spawn(handler::count(answers, metrics.clone()));

    let checks = CheckController {
        client: client.clone(),
        contact: contact.clone(),
        snapshot: snapshot.clone(),
        changed: changed.clone(),
        events: events.clone(),
        metrics: metrics.clone(),
        outbound: outbound(args, client),
        readiness: readiness.clone(),
        namespace: args.namespace.clone(),
        environment: args.environment.clone(),
        namespaces,
        role: role.clone(),
        vouched,
        terms: terms_in,
        watermark,
        asked,
        answers: evaluated_in,
    };
    clock::spawn_into(tasks, check::run(checks, shutdown.clone()));
    let accounts = Accounts::new(&args.controller_account, (&args.namespace, &args.service_account));
    let gate_controller = GateController {
        catalog: Arc::new(Catalog::new(accounts)),
        client: client.clone(),
        contact: contact.clone(),
        snapshot: snapshot.clone(),
        changed: changed.clone(),
        records,
        to_register,
        registered: registered.clone(),
        events: events.clone(),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        role: role.clone(),
        looked: looked.clone(),
        opened: opened_in,
        namespaces: namespaces_in,
    };
    clock::spawn_into(tasks, gate::run(gate_controller, shutdown.clone()));
    let ties = Ties { contact, role, events };
    start_runs(args, shared, &ties, RunQueues { looked, opened, asks: asks_in, evaluated, wishes }, tasks);
    let queues =
        WebhookQueues { gates, registered: (registered_in, registered), records: records_in, wishes: wishes_in, answers: answers_in };
    start_webhook(args, shared, &ties, queues, lifetimes, listener, tasks)?;
    Ok(electing)
}

/// What most controllers need besides [`Shared`].
struct Ties {
    contact: Contact,
    role: watch::Receiver<Role>,
    events: Events,
}

/// What connects the controllers of runs, of starts and of what runs with the others.
struct RunQueues {
    looked: Arc<Notify>,
    opened: mpsc::Receiver<Opened>,
    asks: mpsc::UnboundedSender<check::Input>,
    evaluated: mpsc::UnboundedReceiver<check::Answer>,
    wishes: mpsc::Receiver<Wish>,
}

fn start_runs(args: &Args, shared: &Shared, ties: &Ties, queues: RunQueues, tasks: &mut JoinSet<()>) {
    let Shared { client, snapshot, metrics, shutdown, .. } = shared;
    let Ties { contact, role, events } = ties;
    let experiment_controller = ExperimentController {
        client: client.clone(),
        contact: contact.clone(),
        snapshot: snapshot.clone(),
        events: events.clone(),
        metrics: metrics.clone(),
        role: role.clone(),
        looked: queues.looked,
        opened: queues.opened,
        namespace: args.namespace.clone(),
    };
    clock::spawn_into(tasks, experiments::run(experiment_controller, shutdown.clone()));
    let replica = replica(&args.pod_name);
    let runs = RunController {
        client: client.clone(),
        contact: contact.clone(),
        snapshot: snapshot.clone(),
        metrics: metrics.clone(),
        role: role.clone(),
        engine: queues.asks,
        answers: queues.evaluated,
        wishes: queues.wishes,
        replica: replica.as_ref().to_owned(),
        namespace: args.namespace.clone(),
    };
    clock::spawn_into(tasks, run::run(runs, shutdown.clone()));
    let starts_controller = StartsController {
        client: client.clone(),
        contact: contact.clone(),
        snapshot: snapshot.clone(),
        metrics: metrics.clone(),
        role: role.clone(),
        replica,
    };
    clock::spawn_into(tasks, starts::run(starts_controller, shutdown.clone()));
}

/// What connects the webhook with the controllers.
struct WebhookQueues {
    gates: watch::Receiver<Option<Vec<Arc<Gate>>>>,
    registered: (watch::Sender<Registered>, watch::Receiver<Registered>),
    records: mpsc::Sender<Record>,
    wishes: mpsc::Sender<Wish>,
    answers: mpsc::Sender<handler::Answered>,
}

fn start_webhook(
    args: &Args,
    shared: &Shared,
    ties: &Ties,
    queues: WebhookQueues,
    lifetimes: Lifetimes,
    listener: TcpListener,
    tasks: &mut JoinSet<()>,
) -> Result<(), String> {
    let Shared { client, snapshot, metrics, readiness, shutdown, counters, .. } = shared;
    let Ties { contact, role, .. } = ties;
    let (bundle_in, ca_bundle) = watch::channel(None);
    let slot = CertificateSlot::default();
    let address = match &args.webhook_url {
        Some(url) => Address::Url(url.to_string()),
        None => Address::Service { name: args.service_name.clone(), port: args.service_port },
    };
    let registration = Registration {
        client: client.clone(),
        contact: contact.clone(),
        address,
        namespace: args.namespace.clone(),
        gates: queues.gates,
        role: role.clone(),
        ca_bundle,
        registered: queues.registered.0,
        readiness: readiness.clone(),
    };
    clock::spawn_into(tasks, registration::run(registration, shutdown.clone()));
    let certificates = Certificates {
        client: client.clone(),
        contact: contact.clone(),
        namespace: args.namespace.clone(),
        settings: Settings {
            lifetimes,
            names: service_names(&args.service_name, &args.namespace, args.webhook_url.as_ref().and_then(url::Url::host_str)),
        },
        server_name: args
            .webhook_url
            .as_ref()
            .and_then(url::Url::host_str)
            .map_or_else(|| format!("{}.{}.svc", args.service_name, args.namespace), str::to_owned),
        listen: args.listen,
        slot: slot.clone(),
        ca_bundle: bundle_in,
        registered: queues.registered.1,
        metrics: metrics.clone(),
        readiness: readiness.clone(),
    };
    clock::spawn_into(tasks, certificates::run(certificates, shutdown.clone()));
    let admission = Admission {
        snapshot: snapshot.clone(),
        records: queues.records,
        wishes: queues.wishes,
        answers: queues.answers,
        metrics: metrics.clone(),
    };
    let router = handler::router(admission);
    let tls = server_config(slot).map_err(|e| format!("cannot serve TLS: {e}"))?;
    clock::spawn_into(tasks, server::serve(listener, tls, router, Limits::default(), counters.clone(), shutdown.clone()));
    Ok(())
}

/// What tells this process from all others, in the runs that it asks for.
fn replica(pod_name: &str) -> Arc<str> {
    format!("{}_{:016x}", single_line(pod_name, 40), fastrand::u64(..)).into()
}

fn outbound(args: &Args, client: &kube::Client) -> Outbound {
    let mut policy = NetworkPolicy::allowing(args.allow_cidr.clone());
    policy.refuse.extend(args.api_server_address.as_deref().and_then(|a| a.parse::<IpAddr>().ok()));
    Outbound {
        dialer: Dialer::new(policy),
        references: Arc::new(References(client.clone())),
        service_account: format!("{}:{}", args.namespace, args.service_account).into(),
    }
}

fn serve_plain(listener: TcpListener, router: Router, shared: &Shared, tasks: &mut JoinSet<()>) {
    clock::spawn_into(tasks, server::serve_plain(listener, router, Limits::default(), Arc::default(), shared.shutdown.clone()));
}

fn health_router(readiness: Readiness) -> Router {
    let ready = |State(readiness): State<Readiness>| async move {
        match readiness.report() {
            Ok(text) => (StatusCode::OK, text),
            Err(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
        }
    };
    Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(ready)).with_state(readiness)
}

fn metrics_router(metrics: Metrics, counters: Arc<Counters>) -> Router {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let scrape = |State((metrics, counters)): State<(Metrics, Arc<Counters>)>| async move {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let turned_away = [
            ("connection_refused", count(&counters.connections_refused)),
            ("connection_displaced", count(&counters.connections_displaced)),
            ("connection_overdue", count(&counters.connections_overdue)),
            ("handshake_failed", count(&counters.handshakes_failed)),
            ("body_refused", count(&counters.bodies_refused)),
            ("panic", count(&counters.panics)),
        ];
        metrics.listener(count(&counters.connections_open), &turned_away);
        ([(http::header::CONTENT_TYPE, OPEN_METRICS)], metrics.text())
    };
    Router::new().route("/metrics", get(scrape)).with_state((metrics, counters))
}

/// Waits for a signal, then lets requests drain. A part that ends by itself ends the process: half an operator must not look alive.
async fn wait(shared: &Shared, tasks: &mut JoinSet<()>) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let linger = tokio::select! {
        ended = tasks.join_next() => {
            let why = ended.map_or_else(String::new, |r| r.map_or_else(|e| e.to_string(), |()| "it returned".to_owned()));
            return Err(format!("a part of the operator ended by itself: {why}"));
        }
        _ = terminate.recv() => LINGER,
        _ = interrupt.recv() => Duration::ZERO,
    };
    tracing::info!("stopping");
    shared.readiness.not_ready(READY_GATES, "stopping");
    tokio::select! {
        () = clock::sleep(linger) => {}
        _ = interrupt.recv() => {}
    }
    shared.shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    Ok(())
}
