//! The metrics: names of the API documentation, base units, bounded labels. Never a user, an object's name or a uid as label, except the names
//! of checks and gates themselves.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Where the verdicts of all checks are asked for at each scrape: series of their own would keep each check's names once more.
pub trait Verdicts: fmt::Debug + Send + Sync {
    /// Tells the namespace, the name and the verdict of each check.
    fn each(&self, tell: &mut dyn FnMut(&str, &str, &'static str));
}

#[derive(Clone, Debug, Default)]
struct VerdictCollector(Arc<OnceLock<Arc<dyn Verdicts>>>);

impl Collector for VerdictCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let gauge = ConstGauge::new(1_i64);
        let mut family = encoder.encode_descriptor("check_verdict", "1 for the verdict that a check has", None, gauge.metric_type())?;
        let mut outcome = Ok(());
        if let Some(verdicts) = self.0.get() {
            verdicts.each(&mut |namespace, name, verdict| {
                let labels = [("namespace", namespace), ("name", name), ("verdict", verdict)];
                let told = family.encode_family(&labels).and_then(|series| gauge.encode(series));
                outcome = outcome.and(told);
            });
        }
        outcome
    }
}

/// Which probe, and what it saw.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EvaluationLabels {
    probe: &'static str,
    outcome: &'static str,
}

/// Which probe.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProbeLabels {
    probe: &'static str,
}

/// Which gate decided what.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct DecisionLabels {
    /// The gate: `namespace/name`, or `name` of a cluster gate.
    pub gate: String,
    /// Allow, Warn, Hold or Deny.
    pub decision: &'static str,
    /// Enforce, Warn or Audit.
    pub mode: &'static str,
    /// Whether nothing was to be stored: "true" or "false".
    pub dry_run: &'static str,
}

/// What a gate did about an experiment that runs.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InterventionLabels {
    gate: String,
    action: &'static str,
    outcome: &'static str,
}

/// Which kind.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

/// What began a run, and what it came to.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RunLabels {
    trigger: &'static str,
    verdict: &'static str,
}

/// Why something was dropped.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Through which entry of the webhook configuration.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    entry: &'static str,
}

/// Which end of a range.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BoundLabels {
    bound: &'static str,
}

/// All metrics of the process. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    verdicts: VerdictCollector,
    evaluations: Family<EvaluationLabels, Counter>,
    evaluation_duration: Family<ProbeLabels, Histogram>,
    evaluation_lateness: Histogram,
    decisions: Family<DecisionLabels, Counter>,
    predictions: Family<DecisionLabels, Counter>,
    decision_duration: Histogram,
    interventions: Family<InterventionLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    status_writes: Family<KindLabels, Counter>,
    status_write_failures: Family<KindLabels, Counter>,
    watch_failures: Family<KindLabels, Counter>,
    dropped: Family<ReasonLabels, Counter>,
    runs: Family<RunLabels, Counter>,
    certificate_expiry: Gauge,
    leader: Gauge,
    watermark_age: Gauge<f64, AtomicU64>,
    proof_age: Gauge<f64, AtomicU64>,
    clock_offset: Family<BoundLabels, Gauge<f64, AtomicU64>>,
    connections: Gauge,
    refused: Family<ReasonLabels, Gauge>,
}

fn slow() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

fn fast() -> Histogram {
    Histogram::new([0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.025, 0.1, 1.0])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new("")
    }
}

impl Metrics {
    /// Metrics, all at zero. The environment's name is a label of `build_info`.
    pub fn new(environment: &str) -> Self {
        let mut inner = Inner {
            registry: Registry::with_prefix("holdpoint"),
            verdicts: VerdictCollector::default(),
            evaluations: Family::default(),
            evaluation_duration: Family::new_with_constructor(slow),
            evaluation_lateness: slow(),
            decisions: Family::default(),
            predictions: Family::default(),
            decision_duration: fast(),
            interventions: Family::default(),
            requests: Family::default(),
            status_writes: Family::default(),
            status_write_failures: Family::default(),
            watch_failures: Family::default(),
            dropped: Family::default(),
            runs: Family::default(),
            certificate_expiry: Gauge::default(),
            leader: Gauge::default(),
            watermark_age: Gauge::default(),
            proof_age: Gauge::default(),
            clock_offset: Family::default(),
            connections: Gauge::default(),
            refused: Family::default(),
        };
        inner.register(environment);
        Self(Arc::new(inner))
    }

    /// Where the verdicts of checks are asked for. The first answer to this counts.
    pub fn verdicts_are_told_by(&self, verdicts: Arc<dyn Verdicts>) {
        let _ = self.0.verdicts.0.set(verdicts);
    }

    /// A probe observed a target.
    pub fn observed(&self, probe: &'static str, outcome: &'static str) {
        self.0.evaluations.get_or_create(&EvaluationLabels { probe, outcome }).inc();
    }

    /// An evaluation ended, so long after it was due.
    pub fn evaluated(&self, probe: &'static str, duration: Duration, lateness: Duration) {
        self.0.evaluation_duration.get_or_create(&ProbeLabels { probe }).observe(duration.as_secs_f64());
        self.0.evaluation_lateness.observe(lateness.as_secs_f64());
    }

    /// A gate took part in a decision.
    pub fn decided(&self, labels: &DecisionLabels) {
        self.0.decisions.get_or_create(labels).inc();
    }

    /// A gate (`namespace/name`, or `name` of a cluster gate) did, or could not do, something about an experiment that runs.
    pub fn intervened(&self, gate: &str, action: &'static str, outcome: &'static str) {
        self.0.interventions.get_or_create(&InterventionLabels { gate: gate.to_owned(), action, outcome }).inc();
    }

    /// A gate would have decided otherwise in mode Enforce: so.
    pub fn predicted(&self, labels: &DecisionLabels) {
        self.0.predictions.get_or_create(labels).inc();
    }

    /// The webhook answered a request.
    pub fn answered(&self, entry: &'static str, duration: Duration) {
        self.0.requests.get_or_create(&RequestLabels { entry }).inc();
        self.0.decision_duration.observe(duration.as_secs_f64());
    }

    /// A status was written, or could not be.
    pub fn status_write(&self, kind: &str, written: bool) {
        let family = if written { &self.0.status_writes } else { &self.0.status_write_failures };
        family.get_or_create(&KindLabels { kind: kind.to_owned() }).inc();
    }

    /// A watch broke and will be started again.
    pub fn watch_failed(&self, kind: &str) {
        self.0.watch_failures.get_or_create(&KindLabels { kind: kind.to_owned() }).inc();
    }

    /// A run is over: what began it (request, schedule or held), and its verdict.
    pub fn run_over(&self, trigger: &'static str, verdict: &'static str) {
        self.0.runs.get_or_create(&RunLabels { trigger, verdict }).inc();
    }

    /// A decision's record or an Event was dropped because a queue was full.
    pub fn dropped(&self, reason: &'static str) {
        self.0.dropped.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// When the served certificate expires, in seconds since the epoch.
    pub fn certificate_expires(&self, epoch_seconds: i64) {
        self.0.certificate_expiry.set(epoch_seconds);
    }

    /// Whether this replica leads.
    pub fn leader(&self, leads: bool) {
        self.0.leader.set(i64::from(leads));
    }

    /// How old the newest watermark is that was seen, in seconds; infinitely, if none was.
    pub fn watermark_age(&self, seconds: Option<f64>) {
        self.0.watermark_age.set(seconds.unwrap_or(f64::INFINITY));
    }

    /// How old the last proof is that watches deliver, in seconds; infinitely, if there was none.
    pub fn proof_age(&self, seconds: Option<f64>) {
        self.0.proof_age.set(seconds.unwrap_or(f64::INFINITY));
    }

    /// Between what the API server's clock is ahead of this machine's, in seconds.
    pub fn clock_offset(&self, bounds: Option<(f64, f64)>) {
        let Some((earliest, latest)) = bounds else { return };
        for (bound, seconds) in [("earliest", earliest), ("latest", latest)] {
            self.0.clock_offset.get_or_create(&BoundLabels { bound }).set(seconds);
        }
    }

    /// How the webhook's listener stands: open connections, and what it turned away since the start, by reason.
    pub fn listener(&self, open: u64, turned_away: &[(&'static str, u64)]) {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.0.connections.set(signed(open));
        for (reason, count) in turned_away {
            self.0.refused.get_or_create(&ReasonLabels { reason }).set(signed(*count));
        }
    }

    /// The text of `/metrics` in the OpenMetrics format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }
}

impl Inner {
    fn register(&mut self, environment: &str) {
        let r = &mut self.registry;
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("environment", environment.to_owned())]);
        r.register("build", "The version that runs", build);
        r.register_collector(Box::new(self.verdicts.clone()));
        r.register("evaluations", "Targets observed", self.evaluations.clone());
        r.register("evaluation_duration_seconds", "How long an evaluation took", self.evaluation_duration.clone());
        r.register("evaluation_lateness_seconds", "How long after its due time an evaluation began", self.evaluation_lateness.clone());
        r.register("decisions", "Decisions on starts, for each gate that took part", self.decisions.clone());
        r.register("predictions", "What gates would have decided in mode Enforce, where they decided otherwise", self.predictions.clone());
        r.register("interventions", "What gates did about experiments that run", self.interventions.clone());
        r.register("decision_duration_seconds", "How long the webhook took to answer", self.decision_duration.clone());
        r.register("admission_requests", "Requests that the API server sent", self.requests.clone());
        r.register("status_writes", "Statuses written", self.status_writes.clone());
        r.register("status_write_failures", "Statuses that could not be written", self.status_write_failures.clone());
        r.register("watch_failures", "Watches that broke and were started again", self.watch_failures.clone());
        r.register("runs", "Runs that are over", self.runs.clone());
        r.register("records_dropped", "Records of decisions and Events dropped because a queue was full", self.dropped.clone());
        r.register("webhook_connections", "Open connections of the webhook", self.connections.clone());
        r.register("webhook_turned_away", "What the webhook's listener turned away since the start", self.refused.clone());
        r.register("leader", "1 if this replica evaluates for all, else 0", self.leader.clone());
        r.register("watermark_age_seconds", "How old what the leader vouches for is, as seen here", self.watermark_age.clone());
        r.register("proof_age_seconds", "How long ago it was proved that watches deliver", self.proof_age.clone());
        r.register(
            "clock_offset_seconds",
            "How far the API server's clock is ahead of this machine's, between these",
            self.clock_offset.clone(),
        );
        r.register(
            "webhook_certificate_expiry_seconds",
            "When the served certificate expires, since the epoch",
            self.certificate_expiry.clone(),
        );
    }
}
