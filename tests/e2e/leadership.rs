//! One replica leads, and another as soon as it does not: by the Lease that ships.

use crate::world::{ensure, eventually, holds_for, manifest, options, within};
use control_plane::{ControlPlane, Installation, Operator, Options};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

/// After 6 s and up to one more another takes over from one that does not say goodbye; the rest is for a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(20);

struct Replicas {
    plane: ControlPlane,
    installation: Installation,
}

impl Replicas {
    fn start() -> Self {
        let plane = ControlPlane::start_with(&Options::default()).unwrap();
        let installation = Installation::apply(&plane, &manifest()).unwrap();
        Self { plane, installation }
    }

    /// One more, known to the Lease by a name.
    fn replica(&self, name: &str, listen: SocketAddr) -> Operator {
        let mut options = options(&[]);
        options.extra_env.push(("HOSTNAME".to_owned(), name.to_owned()));
        Operator::replica(&self.plane, &self.installation, &options, listen).unwrap()
    }

    fn lease(&self) -> Value {
        let text = self.plane.admin().ok(&["get", "lease", "holdpoint", "-n", "holdpoint-system", "-o", "json"]).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The pod's name of the holder, and how many leaderships there were.
    fn holder(&self) -> (String, i64) {
        let lease = self.lease();
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let name = holder.rsplit_once('_').map_or(holder, |(name, _)| name);
        (name.to_owned(), lease["spec"]["leaseTransitions"].as_i64().unwrap_or_default())
    }

    fn becomes(&self, deadline: Duration, name: &str, term: i64) {
        within(deadline, &format!("{name} to lead"), || {
            let found = self.holder();
            ensure(found == (name.to_owned(), term), || format!("{found:?}"))
        });
    }
}

fn leads(operator: &Operator) -> bool {
    operator.metrics().unwrap().lines().any(|line| line == "holdpoint_leader 1")
}

fn says(operator: &Operator, leads_now: bool) {
    eventually("the replica to say whether it leads", || ensure(leads(operator) == leads_now, || format!("{}", leads(operator))));
}

#[test]
fn a_leader_that_hangs_is_replaced_one_that_is_stopped_hands_over_and_without_a_lease_nobody_leads() {
    let replicas = Replicas::start();
    let mut first = replicas.replica("first", replicas.installation.service_address());
    replicas.becomes(TAKEN_OVER, "first", 1);
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let second = replicas.replica("second", free);
    says(&first, true);
    says(&second, false);
    let renewed = replicas.lease()["metadata"]["resourceVersion"].clone();
    eventually("the Lease to be renewed", || ensure(replicas.lease()["metadata"]["resourceVersion"] != renewed, || "the same".to_owned()));
    let one =
        holds_for(Duration::from_secs(8), || ensure(replicas.holder() == ("first".to_owned(), 1), || format!("{:?}", replicas.holder())));
    one.expect("a leader that lives is not replaced");

    first.signal("STOP").unwrap();
    replicas.becomes(TAKEN_OVER, "second", 2);
    says(&second, true);
    first.signal("CONT").unwrap();
    says(&first, false);
    assert!(leads(&second));
    assert_eq!(replicas.holder(), ("second".to_owned(), 2));

    let admin = replicas.plane.admin();
    admin.ok(&["delete", "lease", "holdpoint", "-n", "holdpoint-system"]).unwrap();
    says(&second, false);
    assert!(!leads(&first));
    assert_eq!(second.readyz().unwrap().0, 200, "live checks need no leader");
    admin
        .apply_text("{ apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: { name: holdpoint, namespace: holdpoint-system } }")
        .unwrap();
    let (leader, other) = within(TAKEN_OVER, "one to lead again", || match (leads(&first), leads(&second)) {
        (true, false) => Ok(("first", "second")),
        (false, true) => Ok(("second", "first")),
        both => Err(format!("{both:?}")),
    });
    assert_eq!(replicas.holder(), (leader.to_owned(), 3), "terms go on although the Lease was made anew");

    let mut operators = [first, second];
    let ends = usize::from(leader == "second");
    assert_eq!(operators[ends].terminate().unwrap(), 0);
    replicas.becomes(Duration::from_secs(5), other, 4);
    assert_eq!(operators[ends].exit_code().unwrap(), Some(0));
}
