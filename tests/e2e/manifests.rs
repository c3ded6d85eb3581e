//! YAML that tests apply.

/// A check of the rollout of a Deployment.
pub fn rollout(name: &str, deployment: &str) -> String {
    check(name, &format!("{{ probe: {{ rollout: {{}} }}, targets: {{ apiVersion: apps/v1, kind: Deployment, name: {deployment} }} }}"))
}

/// A check with a spec.
pub fn check(name: &str, spec: &str) -> String {
    format!("\n---\napiVersion: holdpoint.dev/v1alpha1\nkind: PreflightCheck\nmetadata: {{ name: {name} }}\nspec: {spec}\n")
}

/// A check that passes at any time.
pub fn passing(name: &str) -> String {
    check(name, "{ probe: { window: { allowed: [{ from: '00:00', to: '24:00' }] } } }")
}

/// A check that fails for years to come.
pub fn failing(name: &str) -> String {
    check(name, "{ probe: { window: { blackouts: [{ name: freeze, dates: { from: '2020-01-01', to: '2099-12-31' } }] } } }")
}

/// A gate with a spec.
pub fn gate(name: &str, spec: &str) -> String {
    format!("\n---\napiVersion: holdpoint.dev/v1alpha1\nkind: ExperimentGate\nmetadata: {{ name: {name} }}\nspec: {spec}\n")
}

/// A gate of the whole cluster.
pub fn cluster_gate(name: &str, spec: &str) -> String {
    format!("\n---\napiVersion: holdpoint.dev/v1alpha1\nkind: ClusterExperimentGate\nmetadata: {{ name: {name} }}\nspec: {spec}\n")
}

/// The rule for creating a resource.
pub fn creating(group: &str, resource: &str) -> String {
    format!("rules: [{{ apiGroups: [{group}], resources: [{resource}], operations: [CREATE] }}]")
}

/// An enforcing gate on the creation of chaos experiments of one kind that requires checks by name.
pub fn podchaos_gate(name: &str, checks: &[&str]) -> String {
    let checks: Vec<String> = checks.iter().map(|check| format!("{{ name: {check} }}")).collect();
    gate(name, &format!("{{ mode: Enforce, match: {{ {} }}, checks: [{}] }}", creating("chaos-mesh.org", "podchaos"), checks.join(", ")))
}

/// A chaos experiment.
pub fn podchaos(name: &str) -> String {
    chaos("PodChaos", name)
}

/// Another one.
pub fn networkchaos(name: &str) -> String {
    chaos("NetworkChaos", name)
}

fn chaos(kind: &str, name: &str) -> String {
    format!("\n---\napiVersion: chaos-mesh.org/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {{ mode: one }}\n")
}

/// A virtual machine.
pub fn machine(name: &str, run_strategy: &str) -> String {
    format!(
        "\n---\napiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {{ name: {name} }}\nspec: {{ runStrategy: {run_strategy} }}\n"
    )
}
