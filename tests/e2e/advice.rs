//! What the API itself tells its users.

use crate::world::shared;

#[test]
fn kubectl_explain_describes_every_field() {
    let kubectl = shared().plane.admin();
    let http = kubectl.ok(&["explain", "pfc.spec.probe.http"]).unwrap();
    assert!(
        http.contains("KIND:       PreflightCheck") && http.contains("An HTTP endpoint answers as expected: one request, no redirects"),
        "{http}"
    );
    for field in ["url\t<string> -required-", "method\t<string>", "expectedStatus\t<[]integer>", "certificateAuthority\t<Object>"] {
        assert!(http.contains(field), "{field}: {http}");
    }
    assert!(http.contains("enum: GET, HEAD, OPTIONS, POST"), "{http}");
    for kind in ["pfc", "xgate", "cxgate"] {
        for part in ["spec", "status"] {
            let text = kubectl.ok(&["explain", "--recursive=false", &format!("{kind}.{part}")]).unwrap();
            assert!(text.contains("DESCRIPTION:") && !text.contains("<empty>"), "{kind}.{part}: {text}");
            assert!(!text.contains("<no description>"), "{kind}.{part}: {text}");
        }
    }
}

#[test]
fn people_with_the_roles_view_and_edit_may_read_and_write_checks_and_gates() {
    let team = shared().team("roles");
    let admin = &team.kubectl;
    for role in ["view", "edit"] {
        let user = format!("{role}er-of-{}", team.name);
        admin.ok(&["create", "rolebinding", role, &format!("--clusterrole={role}"), &format!("--user={user}")]).unwrap();
    }
    let can = |role: &str, verb: &str, resource: &str| {
        let user = format!("--as={role}er-of-{}", team.name);
        let args: Vec<&str> = ["auth", "can-i", verb].into_iter().chain(resource.split(' ')).chain([&user[..]]).collect();
        admin.run(&args).unwrap().stdout.trim() == "yes"
    };
    for resource in ["preflightchecks.holdpoint.dev", "experimentgates.holdpoint.dev"] {
        assert!(can("view", "list", resource) && !can("view", "create", resource), "{resource}");
        assert!(can("edit", "create", resource) && can("edit", "delete", resource), "{resource}");
    }
    // The status is the operator's.
    assert!(!can("edit", "patch", "preflightchecks.holdpoint.dev --subresource=status"));
    assert!(!can("edit", "create", "clusterexperimentgates.holdpoint.dev"));
}
