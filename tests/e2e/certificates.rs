//! The webhook's certificate is renewed under traffic.

use crate::manifests::{passing, podchaos, podchaos_gate};
use crate::world::{World, within};
use std::time::Duration;

/// The leaf is renewed after two thirds of its life.
const LIFETIME: &str = "60";
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn the_certificate_is_renewed_without_one_failed_request() {
    let world = World::start(&["--certificate-lifetime", LIFETIME, "--ca-lifetime", "240"]);
    let team = world.team("renewal");
    team.apply(&(passing("ready") + &podchaos_gate("chaos", &["ready"])));
    team.condition("xgate/chaos", "Open", "True");
    team.held("chaos", &podchaos("kill"));
    let expiry = || world.metric("holdpoint_webhook_certificate_expiry_seconds", &[]);
    let first = expiry();
    assert!(first > 0);
    let mut created = 0;
    within(PATIENCE, "the renewal", || {
        // One kubectl call, many requests; the gate must admit every one.
        let objects: String = (created..created + 10).map(|n| podchaos(&format!("kill-{n}"))).collect();
        let output = team.create(&objects);
        assert_eq!(output.stderr, "", "after {created}");
        created += 10;
        if expiry() > first { Ok(()) } else { Err(format!("{created} created")) }
    });
    // With the new certificate, and after the old one has ended its life.
    let ends = first;
    within(PATIENCE, "the end of the old certificate", || {
        let objects: String = (created..created + 10).map(|n| podchaos(&format!("kill-{n}"))).collect();
        assert_eq!(team.create(&objects).stderr, "", "after {created}");
        created += 10;
        let now = jiff::Timestamp::now().as_second();
        if now > ends { Ok(()) } else { Err("it is still valid".to_owned()) }
    });
    println!("{created} requests over a renewal, none failed");
}
