//! Checks of other tools' verdicts.

use crate::manifests::check;
use crate::team::Team;
use crate::world::{ensure, eventually, shared};

/// Lets the operator read the tools' kinds, as a cluster's administrator does who has them, and the namespace's checks too.
fn may_read(team: &Team<'_>, group: &str, plural: &str) {
    let role = format!(
        "\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{ name: e2e-read-{plural}, labels: {{ holdpoint.dev/aggregate-to-operator: 'true' }} }}\n\
         rules: [{{ apiGroups: [{group}], resources: [{plural}], verbs: [get, list, watch] }}]\n"
    );
    team.apply(&role);
    let of = format!("{plural}.{group}");
    let (resource, account) = (format!("--resource={of}"), format!("--serviceaccount={}:default", team.name));
    team.done(&["create", "role", "reads", "--verb=get,list,watch", &resource], "");
    team.done(&["create", "rolebinding", "reads", "--role=reads", &account], "");
    eventually("the operator to have the right", || {
        let may = team.kubectl.ok(&["auth", "can-i", "list", &of, "--as=system:serviceaccount:holdpoint-system:holdpoint"]);
        ensure(may.is_ok(), || format!("{may:?}"))
    });
}

fn run(name: &str, status: &str) -> String {
    format!(
        "\n---\napiVersion: argoproj.io/v1alpha1\nkind: AnalysisRun\nmetadata: {{ name: {name}, labels: {{ app: web }} }}\nspec: {{ metrics: [] }}\nstatus: {status}\n"
    )
}

const RUNS: &str = "targets: { apiVersion: argoproj.io/v1alpha1, kind: AnalysisRun, selector: { matchLabels: { app: web } } }";

#[test]
fn an_analysis_run_is_followed_from_its_start_to_its_verdict() {
    let team = shared().team("analysis");
    may_read(&team, "argoproj.io", "analysisruns");
    team.apply(&check("analysis", &format!("{{ probe: {{ analysis: {{ preset: ArgoAnalysisRun, which: Latest }} }}, {RUNS} }}")));
    team.verdict_for("analysis", "Unknown", "NoTargets");
    team.apply("\n---\napiVersion: argoproj.io/v1alpha1\nkind: AnalysisRun\nmetadata: { name: web-1, labels: { app: web } }\nspec: { metrics: [] }\n");
    assert_eq!(team.verdict_for("analysis", "Unknown", "NoData"), "AnalysisRun/web-1: it has no value at $.status.phase");
    team.apply(&run("web-1", "{ phase: Running }"));
    eventually("the run to be seen running", || {
        let message = team.verdict_for("analysis", "Unknown", "NoData");
        ensure(message == "AnalysisRun/web-1: status.phase is Running", || message.clone())
    });
    team.apply(&run("web-1", "{ phase: Successful }"));
    team.says("analysis", "Passing", "AnalysisRun/web-1: status.phase is Successful");
    team.apply(&run("web-1", "{ phase: Failed, message: 'p99 assessed Failed' }"));
    team.says("analysis", "Failing", "AnalysisRun/web-1: status.phase is Failed: p99 assessed Failed");
    let result = team.get("pfc", "analysis")["status"]["results"][0].clone();
    assert_eq!(
        (&result["reason"], &result["value"], &result["required"]),
        (&"AnalysisFailed".into(), &"Failed".into(), &"Successful".into())
    );

    // Creation times have a resolution of a second: of two runs of one second the greater name is the later one.
    team.apply(&run("web-2", "{ phase: Successful }"));
    team.says("analysis", "Passing", "AnalysisRun/web-2: status.phase is Successful");
    team.apply(&run("web-2", "{ phase: Error, message: no metrics }"));
    assert_eq!(team.verdict_for("analysis", "Unknown", "EvaluationError"), "AnalysisRun/web-2: status.phase is Error: no metrics");
    team.done(&["delete", "analysisruns.argoproj.io", "--all"], "");
    team.verdict_for("analysis", "Unknown", "NoTargets");
}

#[test]
fn a_workload_is_admitted() {
    let team = shared().team("kueue");
    may_read(&team, "kueue.x-k8s.io", "workloads");
    let targets = "targets: { apiVersion: kueue.x-k8s.io/v1beta1, kind: Workload, name: batch }";
    team.apply(&check("admitted", &format!("{{ probe: {{ analysis: {{ preset: KueueWorkload }} }}, {targets} }}")));
    team.apply("\n---\napiVersion: kueue.x-k8s.io/v1beta1\nkind: Workload\nmetadata: { name: batch }\nspec: {}\n");
    let condition = "status.conditions[?@.type == 'Admitted'].status";
    assert_eq!(team.verdict_for("admitted", "Unknown", "NoData"), format!("Workload/batch: it has no value at $.{condition}"));
    let set = |status: &str| {
        let patch = format!(
            r#"{{"status":{{"conditions":[{{"type":"Admitted","status":"{status}","reason":"Admitted","message":"the queue says so"}}]}}}}"#
        );
        team.done(&["patch", "workloads.kueue.x-k8s.io", "batch", "--subresource=status", "--type=merge", "--patch", &patch], "");
    };
    set("True");
    team.says("admitted", "Passing", &format!("Workload/batch: {condition} is True: the queue says so"));
    set("False");
    team.says("admitted", "Failing", &format!("Workload/batch: {condition} is False: the queue says so"));
}

#[test]
fn a_path_and_a_table_read_any_kind() {
    let team = shared().team("path");
    may_read(&team, "litmuschaos.io", "chaosresults");
    let probe = "{ path: $.status.experimentStatus.probeSuccessPercentage, outcomes: { '100': Pass, '0': Fail }, otherwise: Warn }";
    let targets = "targets: { apiVersion: litmuschaos.io/v1alpha1, kind: ChaosResult, name: drill }";
    team.apply(&check("percentage", &format!("{{ probe: {{ analysis: {probe} }}, {targets} }}")));
    team.apply(&check("verdict", &format!("{{ probe: {{ analysis: {{ preset: LitmusChaosResult }} }}, {targets} }}")));
    let result = |verdict: &str, percentage: &str| {
        team.apply(&format!(
            "\n---\napiVersion: litmuschaos.io/v1alpha1\nkind: ChaosResult\nmetadata: {{ name: drill }}\nspec: {{ experiment: pod-delete }}\n\
             status: {{ experimentStatus: {{ phase: Completed, verdict: {verdict}, probeSuccessPercentage: '{percentage}' }} }}\n"
        ));
    };
    result("Pass", "100");
    team.says("percentage", "Passing", "ChaosResult/drill: status.experimentStatus.probeSuccessPercentage is 100");
    team.says("verdict", "Passing", "ChaosResult/drill: status.experimentStatus.verdict is Pass");
    result("Fail", "0");
    team.says("percentage", "Failing", "ChaosResult/drill: status.experimentStatus.probeSuccessPercentage is 0");
    team.says("verdict", "Failing", "ChaosResult/drill: status.experimentStatus.verdict is Fail");
    result("Awaited", "50");
    team.says("percentage", "Warning", "ChaosResult/drill: status.experimentStatus.probeSuccessPercentage is 50");
    assert_eq!(team.verdict_for("verdict", "Unknown", "NoData"), "ChaosResult/drill: status.experimentStatus.verdict is Awaited");
}

#[test]
fn a_probe_that_cannot_work_is_told_at_once() {
    let team = shared().team("mistake");
    for (probe, refusal) in [
        ("{}", "exactly one of preset and path is required"),
        ("{ preset: KueueWorkload, path: $.status.phase, outcomes: { a: Pass } }", "exactly one of preset and path is required"),
        ("{ path: $.status.phase }", "path needs outcomes: what its values mean"),
        ("{ preset: Jenkins }", "Unsupported value: \"Jenkins\""),
        ("{ path: $.a, outcomes: { a: Maybe } }", "Unsupported value: \"Maybe\""),
    ] {
        let refused = team.apply_refused(&check("refused", &format!("{{ probe: {{ analysis: {probe} }}, {RUNS} }}")));
        assert!(refused.contains(refusal), "{probe}: {refused}");
    }
    let refused = team.apply_refused(&check("refused", "{ probe: { analysis: { preset: ArgoAnalysisRun } } }"));
    assert!(refused.contains("need targets"), "{refused}");
    team.apply(&check("wide", &format!("{{ probe: {{ analysis: {{ path: $..phase, outcomes: {{ a: Pass }} }} }}, {RUNS} }}")));
    let message = team.condition_for("pfc/wide", "Ready", "False", "InvalidSpec");
    assert!(message.starts_with("spec.probe.analysis.path: may have names, indexes and one filter"), "{message}");
    let targets = "targets: { apiVersion: apps/v1, kind: Deployment, name: web }";
    team.apply(&check("kind", &format!("{{ probe: {{ analysis: {{ preset: ArgoAnalysisRun }} }}, {targets} }}")));
    let message = team.condition_for("pfc/kind", "Ready", "False", "InvalidSpec");
    assert!(message.contains("its targets are AnalysisRun of argoproj.io/v1alpha1"), "{message}");
}

const TRIALS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: trials.later.example }
spec:
  group: later.example
  names: { kind: Trial, listKind: TrialList, plural: trials, singular: trial }
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
";

#[test]
fn a_kind_that_comes_later_starts_by_itself_and_ends_as_unknown() {
    let mut team = shared().team("later");
    team.expect_forbidden("/apis/later.example/v1/");
    let targets = "targets: { apiVersion: later.example/v1, kind: Trial, name: one }";
    let probe = "{ path: $.status.verdict, outcomes: { good: Pass, bad: Fail } }";
    team.apply(&check("trial", &format!("{{ probe: {{ analysis: {probe} }}, {targets} }}")));
    let message = team.condition_for("pfc/trial", "Ready", "False", "InvalidSpec");
    assert!(message.contains("the cluster serves no kind Trial in later.example/v1"), "{message}");
    team.apply(TRIALS);
    may_read(&team, "later.example", "trials");
    team.verdict_for("trial", "Unknown", "NoTargets");
    eventually("kubectl to know the kind", || {
        let trial = "\n---\napiVersion: later.example/v1\nkind: Trial\nmetadata: { name: one }\nstatus: { verdict: good }\n";
        team.kubectl.apply_text(trial).map(|_| ()).map_err(|error| error.to_string())
    });
    team.says("trial", "Passing", "Trial/one: status.verdict is good");
    team.done(&["delete", "customresourcedefinition", "trials.later.example"], "");
    team.verdict("trial", "Unknown");
    team.condition_for("pfc/trial", "Ready", "False", "InvalidSpec");
}

#[test]
fn what_the_service_account_may_not_read_is_not_told() {
    let team = shared().team("eyes").without_rights();
    // The operator may read Jobs; the namespace's service account may not.
    team.done(&["create", "job", "drill", "--image=example/app:1"], "");
    let targets = "targets: { apiVersion: batch/v1, kind: Job, name: drill }";
    let probe = "{ path: $.spec.completions, outcomes: { '1': Pass } }";
    team.apply(&check("drill", &format!("{{ probe: {{ analysis: {probe} }}, {targets} }}")));
    let message = team.verdict_for("drill", "Unknown", "Forbidden");
    assert!(message.contains(&format!("service account {}", team.name)) && message.contains("jobs.batch"), "{message}");
    team.run_printed(&message);
    team.says("drill", "Passing", "Job/drill: spec.completions is 1");
}
