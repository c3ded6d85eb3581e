//! Checks of what quotas leave.

use crate::manifests::check;
use crate::world::shared;
use std::path::Path;

fn quota_check(name: &str, probe: &str) -> String {
    check(name, &format!("{{ probe: {{ quota: {probe} }} }}"))
}

#[test]
fn what_a_quota_leaves_follows_its_use() {
    let team = shared().team("quota");
    team.apply(&quota_check("room", "{ resources: [{ name: pods, free: 2 }] }"));
    team.says("room", "Passing", &format!("Namespace/{}: no ResourceQuota limits pods", team.name));
    assert_eq!(team.get("pfc", "room")["status"]["results"][0]["reason"], "Unlimited");
    team.done(&["create", "quota", "budget", "--hard=pods=3"], "");
    team.says("room", "Passing", "ResourceQuota/budget: pods: 3 of 3 free");
    team.deployment("web", 2);
    team.says("room", "Failing", "ResourceQuota/budget: pods: 1 of 3 free, 2 needed");
    let result = &team.get("pfc", "room")["status"]["results"][0];
    assert_eq!((&result["reason"], &result["value"]), (&"NotEnoughRoom".into(), &"pods 1".into()));
    team.done(&["patch", "quota", "budget", "--type=merge", "--patch", r#"{"spec":{"hard":{"pods":"4"}}}"#], "");
    team.says("room", "Passing", "ResourceQuota/budget: pods: 2 of 4 free");
    team.done(&["delete", "quota", "budget"], "");
    team.says("room", "Passing", &format!("Namespace/{}: no ResourceQuota limits pods", team.name));
}

#[test]
fn a_quota_that_is_named_must_be_there() {
    let team = shared().team("named");
    team.apply(&quota_check("room", "{ name: budget, resources: [{ name: configmaps, free: '10%' }] }"));
    team.verdict_for("room", "Unknown", "NoTargets");
    team.done(&["create", "quota", "other", "--hard=configmaps=1"], "");
    team.done(&["create", "quota", "budget", "--hard=configmaps=100"], "");
    // The namespace's root certificates are one.
    team.says("room", "Passing", "ResourceQuota/budget: configmaps: 99 of 100 free");
}

#[test]
fn a_limit_whose_use_nobody_counts_is_no_data() {
    let team = shared().team("uncounted");
    team.done(&["create", "quota", "budget", "--hard=count/nothings.e2e.example=5"], "");
    team.apply(&quota_check("room", "{ resources: [{ name: count/nothings.e2e.example, free: 1 }] }"));
    let message = team.verdict_for("room", "Unknown", "NoData");
    assert!(message.starts_with("ResourceQuota/budget: its status does not tell of the limit of count/nothings.e2e.example"), "{message}");
}

#[test]
fn quotas_with_scopes_may_be_ignored() {
    let team = shared().team("scoped");
    team.apply(
        "\n---\napiVersion: v1\nkind: ResourceQuota\nmetadata: { name: jobs }\nspec: { hard: { pods: 1 }, scopes: [Terminating] }\n",
    );
    team.apply(&quota_check("counted", "{ resources: [{ name: pods, free: 2 }] }"));
    team.apply(&quota_check("ignored", "{ scoped: Ignored, resources: [{ name: pods, free: 2 }] }"));
    team.says("counted", "Failing", "ResourceQuota/jobs: pods: 1 of 1 free, 2 needed");
    team.says("ignored", "Passing", &format!("Namespace/{}: no ResourceQuota limits pods", team.name));
}

#[test]
fn an_account_that_may_not_read_quotas_is_forbidden() {
    let team = shared().team("stranger");
    team.apply(&check("room", "{ serviceAccountName: stranger, probe: { quota: { resources: [{ name: pods, free: 1 }] } } }"));
    assert!(team.verdict_for("room", "Unknown", "Forbidden").contains("stranger"));
}

#[test]
fn the_example_works() {
    let team = shared().team("example");
    team.kubectl.apply(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/probes/quota.yaml")).unwrap();
    team.says("quota-leaves-room", "Passing", &format!("Namespace/{}: no ResourceQuota limits requests.cpu, pods", team.name));
}
