//! One table a tool: what an object says, and how many pods that selects and hits.

#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::*;

fn chaos(selector: Value, mode: &str, value: &str) -> Result<(usize, usize), String> {
    hit("chaos-mesh.org", "PodChaos", &json!({"selector": selector, "mode": mode, "value": value}))
}

#[test]
fn chaos_mesh_selects_as_its_documentation_says() {
    let web = || json!({"labelSelectors": {"app": "web"}});
    for (selector, mode, value, wanted) in [
        (json!({}), "all", "", (8, 8)),
        (web(), "one", "", (5, 1)),
        (web(), "all", "", (5, 5)),
        (web(), "fixed", "3", (5, 3)),
        (web(), "fixed-percent", "60", (5, 3)),
        (web(), "random-max-percent", "50", (5, 2)),
        (json!({"namespaces": ["other"]}), "all", "", (2, 2)),
        (json!({"namespaces": ["other", "shop"], "labelSelectors": {"app": "web"}}), "all", "", (7, 7)),
        (json!({"expressionSelectors": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), "all", "", (3, 3)),
        (json!({"labelSelectors": {"app": "web"}, "nodes": ["node-0"]}), "all", "", (2, 2)),
        (json!({"nodeSelectors": {"topology.kubernetes.io/zone": "b"}}), "all", "", (2, 2)),
        (json!({"nodes": ["node-0"], "nodeSelectors": {"topology.kubernetes.io/zone": "b"}}), "all", "", (5, 5)),
        (json!({"fieldSelectors": {"metadata.name": "web-1"}}), "all", "", (1, 1)),
        (json!({"fieldSelectors": {"status.podIP": "10.0.0.2"}}), "all", "", (2, 2)),
        (json!({"annotationSelectors": {"chaos": "yes"}}), "all", "", (8, 8)),
        (json!({"annotationSelectors": {"chaos": "no"}}), "all", "", (0, 0)),
        (json!({"podPhaseSelectors": ["Running"]}), "all", "", (8, 8)),
        (json!({"podPhaseSelectors": ["Pending"]}), "all", "", (0, 0)),
        (json!({"pods": {"shop": ["web-0", "gone"], "other": ["web-1"]}, "labelSelectors": {"app": "db"}}), "all", "", (2, 2)),
        (json!({"labelSelectors": {"app": "nothing"}}), "all", "", (0, 0)),
    ] {
        assert_eq!(chaos(selector.clone(), mode, value), Ok(wanted), "{selector} {mode} {value}");
    }
}

#[test]
fn chaos_mesh_that_cannot_be_read_is_not_resolved() {
    let web = || json!({"labelSelectors": {"app": "web"}});
    for (spec, says) in [
        (json!({"mode": "all"}), "no selector"),
        (json!({"selector": web()}), "no mode"),
        (json!({"selector": web(), "mode": "most"}), "\"most\" is not known"),
        (json!({"selector": web(), "mode": "fixed", "value": "many"}), "not a number"),
        (json!({"selector": {"labelSelectors": {"app": 1}}, "mode": "one"}), "map of texts"),
        (json!({"selector": {"labelSelectors": {"a b": "x"}}, "mode": "one"}), "not a label key"),
        (json!({"selector": {"fieldSelectors": {"spec.secret": "x"}}, "mode": "one"}), "spec.secret"),
        (
            json!({"selector": {"expressionSelectors": [{"key": "a", "operator": "Like", "values": ["b"]}]}, "mode": "one"}),
            "not an operator",
        ),
        (json!({"selector": web(), "mode": "one", "remoteCluster": "east"}), "another cluster"),
    ] {
        let why = hit("chaos-mesh.org", "PodChaos", &spec).unwrap_err();
        assert!(why.contains(says), "{spec}: {why}");
    }
}

#[test]
fn chaos_mesh_schedules_and_workflows_touch_what_they_embed() {
    let kill = || json!({"mode": "one", "selector": {"labelSelectors": {"app": "web"}}});
    let delay = || json!({"mode": "all", "selector": {"labelSelectors": {"app": "db"}}});
    assert_eq!(hit("chaos-mesh.org", "Schedule", &json!({"type": "PodChaos", "podChaos": kill()})), Ok((5, 1)));
    let templates = json!([
        {"name": "entry", "templateType": "Serial", "children": ["kill", "delay"]},
        {"name": "kill", "templateType": "PodChaos", "podChaos": kill()},
        {"name": "delay", "templateType": "Schedule", "schedule": {"type": "NetworkChaos", "networkChaos": delay()}},
        {"name": "wait", "templateType": "Suspend", "deadline": "1m"},
    ]);
    assert_eq!(hit("chaos-mesh.org", "Workflow", &json!({"templates": templates})), Ok((8, 4)));
    let script = json!([{"name": "x", "templateType": "Task", "task": {"container": {"image": "x"}}}]);
    assert!(hit("chaos-mesh.org", "Workflow", &json!({"templates": script})).unwrap_err().contains("template x is a task"));
    let many: Vec<_> = (0..40).map(|_| json!({"podChaos": kill()})).collect();
    assert!(hit("chaos-mesh.org", "Workflow", &json!({"templates": many})).unwrap_err().contains("40 selections"));
    let mut deep = json!({"podChaos": kill()});
    for _ in 0..9 {
        deep = json!({"workflow": {"templates": [{"schedule": deep}]}});
    }
    assert!(hit("chaos-mesh.org", "Schedule", &deep).unwrap_err().contains("deep"));
    let machines = json!({"physicalmachineChaos": {"address": ["1.2.3.4:1"]}});
    assert!(hit("chaos-mesh.org", "Schedule", &machines).unwrap_err().contains("physical machines"));
}

fn engine(info: Value, experiment: &str, environment: &[(&str, &str)]) -> Value {
    let environment: Vec<_> = environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"appinfo": info, "experiments": [{"name": experiment, "spec": {"components": {"env": environment}}}]})
}

#[test]
fn litmus_selects_by_appinfo_selectors_and_environment() {
    let web = || json!({"appns": "shop", "applabel": "app=web", "appkind": "deployment"});
    for (spec, wanted) in [
        (engine(web(), "pod-delete", &[]), (5, 5)),
        (engine(web(), "pod-delete", &[("PODS_AFFECTED_PERC", "")]), (5, 1)),
        (engine(web(), "pod-delete", &[("PODS_AFFECTED_PERC", "0")]), (5, 1)),
        (engine(web(), "pod-cpu-hog", &[("PODS_AFFECTED_PERC", "60")]), (5, 3)),
        (engine(web(), "pod-delete", &[("PODS_AFFECTED_PERC", "20-40")]), (5, 2)),
        (engine(web(), "container-kill", &[("TARGET_PODS", "web-0, web-4")]), (2, 2)),
        (engine(json!({"appns": "shop", "applabel": "app=web", "appkind": "statefulset"}), "pod-delete", &[]), (0, 0)),
        (engine(json!({"appns": "shop", "applabel": "app=web,app=db"}), "pod-delete", &[]), (8, 8)),
        (engine(json!({"appns": "other", "appkind": "deployment"}), "pod-delete", &[]), (2, 2)),
        (engine(Value::Null, "pod-delete", &[("APP_NAMESPACE", "shop"), ("APP_LABEL", "app=db")]), (3, 3)),
        (engine(Value::Null, "node-drain", &[("TARGET_NODE", "node-0")]), (4, 4)),
        (engine(Value::Null, "node-cpu-hog", &[("NODE_LABEL", "topology.kubernetes.io/zone=a"), ("NODES_AFFECTED_PERC", "50")]), (8, 4)),
    ] {
        assert_eq!(hit("litmuschaos.io", "ChaosEngine", &spec), Ok(wanted), "{spec}");
        assert_eq!(hit("litmuschaos.io", "ChaosSchedule", &json!({"engineTemplateSpec": spec})), Ok(wanted), "{spec}");
    }
    let experiments = json!([{"name": "pod-delete", "spec": {}}]);
    let workloads = json!([{"kind": "deployment", "namespace": "shop", "names": "web"}]);
    let by_name = json!({"selectors": {"workloads": workloads}, "experiments": experiments});
    assert_eq!(hit("litmuschaos.io", "ChaosEngine", &by_name), Ok((5, 5)));
    let pods = json!({"selectors": {"pods": [{"namespace": "shop", "names": "db-0,db-1"}]}, "experiments": experiments});
    assert_eq!(hit("litmuschaos.io", "ChaosEngine", &pods), Ok((2, 2)));
}

#[test]
fn litmus_that_does_not_tell_is_not_resolved() {
    let web = || json!({"appns": "shop", "applabel": "app=web"});
    for (spec, says) in [
        (engine(web(), "ec2-terminate-by-id", &[]), "ec2-terminate-by-id"),
        (engine(web(), "node-drain", &[]), "any node may be hit"),
        (engine(Value::Null, "pod-delete", &[]), "names no application"),
        (engine(json!({"appns": "shop", "applabel": "app in (web)"}), "pod-delete", &[]), "not key=value"),
        (engine(json!({"appns": "shop", "applabel": "app!=web"}), "pod-delete", &[]), "key=value"),
        (engine(web(), "pod-delete", &[("PODS_AFFECTED_PERC", "half")]), "not a percentage"),
        (engine(web(), "pod-delete", &[("APP_NAMESPACE", "other")]), "different things"),
        (json!({"experiments": []}), "selects nothing"),
    ] {
        let why = hit("litmuschaos.io", "ChaosEngine", &spec).unwrap_err();
        assert!(why.contains(says), "{spec}: {why}");
    }
    let from = json!([{"name": "TARGET_PODS", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}]);
    let spec = json!({"appinfo": web(), "experiments": [{"name": "pod-delete", "spec": {"components": {"env": from}}}]});
    assert!(hit("litmuschaos.io", "ChaosEngine", &spec).unwrap_err().contains("TARGET_PODS is not in the request"));
}

#[test]
fn datadog_selects_by_labels_annotations_level_and_count() {
    let disruption = |spec: &Value| hit("chaos.datadoghq.com", "Disruption", spec);
    for (spec, wanted) in [
        (json!({"selector": {"app": "web"}, "count": 2}), (5, 2)),
        (json!({"selector": {"app": "web"}, "count": "50%"}), (5, 3)),
        (json!({"advancedSelector": [{"key": "app", "operator": "Exists"}], "count": "100%"}), (8, 8)),
        (json!({"selector": {"app": "web"}, "filter": {"annotations": {"chaos": "no"}}, "count": 1}), (0, 0)),
        (json!({"level": "node", "selector": {"topology.kubernetes.io/zone": "a"}, "count": 1}), (8, 4)),
    ] {
        assert_eq!(disruption(&spec), Ok(wanted), "{spec}");
    }
    let template = json!({"selector": {"ignored": "x"}, "count": 1});
    let cron = json!({"disruptionTemplate": template, "targetResource": {"kind": "deployment", "name": "web"}});
    assert_eq!(hit("chaos.datadoghq.com", "DisruptionCron", &cron), Ok((5, 1)));
    for spec in [json!({"selector": {"app": "web"}}), json!({"count": 1}), json!({"selector": {"app": "web"}, "count": "half"})] {
        assert!(disruption(&spec).is_err(), "{spec}");
    }
}

#[test]
fn chaosblade_selects_by_its_matchers() {
    let blade = |scope: &str, matchers: Value| {
        hit(
            "chaosblade.io",
            "ChaosBlade",
            &json!({"experiments": [{"scope": scope, "target": "pod", "action": "delete", "matchers": matchers}]}),
        )
    };
    let matcher = |name: &str, value: &str| json!({"name": name, "value": [value]});
    let place = || matcher("namespace", "shop");
    assert_eq!(blade("pod", json!([place(), matcher("labels", "app=web"), matcher("evict-count", "2")])), Ok((5, 2)));
    assert_eq!(blade("container", json!([place(), matcher("labels", "app=web"), matcher("evict-percent", "50")])), Ok((5, 3)));
    assert_eq!(blade("pod", json!([place(), matcher("names", "web-0,db-0")])), Ok((2, 2)));
    assert_eq!(blade("node", json!([matcher("names", "node-2")])), Ok((2, 2)));
    for (scope, matchers) in
        [("pod", json!([place()])), ("pod", json!([matcher("labels", "app=web")])), ("host", json!([matcher("names", "a")]))]
    {
        assert!(blade(scope, matchers.clone()).is_err(), "{scope} {matchers}");
    }
}

#[test]
fn a_virtual_machine_touches_no_pod_and_can_run_where_its_affinity_allows() {
    let there = there();
    let fits = |spec: Value| {
        let object = json!({"spec": {"template": {"spec": spec}}});
        let touch = touch(&gated("kubevirt.io", "VirtualMachine", &object)).map_err(|why| why.to_string())?;
        assert_eq!(resolve(&touch, &there).unwrap().pods().len(), 0);
        let groups = nodes_of(&touch, &there);
        assert_eq!(groups.len(), 1);
        Ok::<_, String>(groups[0].nodes.iter().map(|node| node.metadata.name.clone().unwrap()).collect::<Vec<_>>())
    };
    let affinity = |expression: Value| {
        let terms = json!([{"matchExpressions": [expression]}]);
        json!({"domain": {}, "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    };
    assert_eq!(fits(json!({"domain": {}})).unwrap().len(), 3);
    assert_eq!(fits(json!({"nodeSelector": {"topology.kubernetes.io/zone": "b"}})).unwrap(), ["node-2"]);
    let zone = |operator: &str| affinity(json!({"key": "topology.kubernetes.io/zone", "operator": operator, "values": ["a"]}));
    assert_eq!((fits(zone("In")).unwrap().len(), fits(zone("NotIn")).unwrap().len()), (2, 1));
    assert_eq!(fits(affinity(json!({"key": "cores", "operator": "Gt", "values": ["7"]}))).unwrap().len(), 3);
    assert_eq!(fits(affinity(json!({"key": "cores", "operator": "Lt", "values": ["8"]}))).unwrap().len(), 0);
    assert!(fits(affinity(json!({"key": "cores", "operator": "About", "values": ["7"]}))).is_err());
}
