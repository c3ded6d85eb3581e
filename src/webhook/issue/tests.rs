use super::*;
use crate::core::certificates::{Lifetimes, Published, Reason, plan, service_names};
use rustls::{client::verify_server_name, pki_types::ServerName};

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn settings() -> Settings {
    Settings { lifetimes: Lifetimes::default(), names: service_names("hook", "ns", Some("10.0.0.7")) }
}

fn fresh() -> Material {
    let plan = plan(None, &Published::default(), &settings(), now());
    carry_out(&plan, None, &settings(), now()).unwrap().unwrap()
}

fn published(material: &Material, since: Timestamp) -> Published {
    Published::default().observe(bundle_authorities(&material.ca_bundle_pem), since)
}

fn next(material: &Material, published: &Published, now: Timestamp) -> Plan {
    plan(Some(&material.inspect()), published, &settings(), now)
}

/// As a client would: chain, time and name, trusting the bundle.
fn verifies(bundle_pem: &str, leaf_chain_pem: &str, name: &str, at: Timestamp) -> bool {
    let end = CertificateDer::from_pem_slice(leaf_chain_pem.as_bytes()).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    bundle_authorities(bundle_pem).iter().any(|authority| chains_to(&end, &[], authority, at))
        && verify_server_name(&ParsedCertificate::try_from(&end).unwrap(), &name).is_ok()
}

#[test]
fn what_is_issued_is_read_back_and_verifies_under_each_name() {
    let material = fresh();
    let stored = material.inspect();
    let leaf = stored.leaf.clone().unwrap();
    assert!(stored.key_usable);
    assert_eq!(leaf.names, settings().names);
    assert_eq!(leaf.issuer.as_ref(), stored.authorities.first().map(|authority| &authority.id));
    assert_eq!(leaf.validity, Validity::starting(now(), settings().lifetimes.leaf()));
    for name in &settings().names {
        assert!(verifies(&material.ca_bundle_pem, &material.leaf_chain_pem, name, now()), "{name}");
    }
    assert!(!verifies(&material.ca_bundle_pem, &material.leaf_chain_pem, "other.ns.svc", now()));
    assert!(!verifies(&fresh().ca_bundle_pem, &material.leaf_chain_pem, "hook.ns.svc", now()));
}

#[test]
fn a_leaf_does_not_outlive_its_authority() {
    let ca = issue_ca(Duration::from_hours(1), now()).unwrap();
    let (leaf_chain_pem, leaf_key_pem) = issue_leaf(&ca, &settings().names, Duration::from_hours(9), now()).unwrap();
    let material = Material { leaf_chain_pem, leaf_key_pem, ..Material::default().with_ca(&ca) };
    assert_eq!(material.inspect().leaf.unwrap().validity, ca.validity);
}

#[test]
fn a_secret_takes_and_gives_it() {
    let material = fresh();
    let secret = material.to_secret();
    assert_eq!(secret.keys().map(String::as_str).collect::<Vec<_>>(), [CA_BUNDLE, CA_KEY, LEAF_CHAIN, LEAF_KEY]);
    assert_eq!(Material::from_secret(&secret), Some(material));
    assert_eq!(Material::from_secret(&BTreeMap::new()), None);
}

#[test]
fn no_key_is_shown() {
    let material = fresh();
    let ca = material.ca().unwrap();
    let shown = format!("{material:?} {ca:?}");
    assert!(shown.contains("KeyPem(not shown)"));
    for key in [&material.ca_key_pem, &material.leaf_key_pem] {
        let secret = key.expose().lines().nth(1).unwrap();
        assert!(!shown.contains(secret));
    }
    assert!(!shown.contains("PRIVATE KEY"));
}

#[test]
fn damage_is_seen_and_repaired_by_the_smallest_step() {
    let damaged = |change: fn(&mut Material)| {
        let mut material = fresh();
        change(&mut material);
        let plan = next(&material, &published(&material, now()), now());
        let repaired = carry_out(&plan, Some(&material), &settings(), now()).unwrap().unwrap();
        assert!(verifies(&repaired.ca_bundle_pem, &repaired.leaf_chain_pem, "hook.ns.svc", now()), "{plan:?}");
        assert!(matches!(next(&repaired, &published(&repaired, now()), now()), Plan::Keep { .. }), "{plan:?}");
        plan
    };
    let renew = |because| Plan::RenewLeaf { because };
    assert_eq!(damaged(|m| m.leaf_chain_pem = "garbage".to_owned()), renew(Reason::Unreadable));
    assert_eq!(damaged(|m| m.leaf_key_pem = fresh().leaf_key_pem), renew(Reason::Unreadable));
    assert_eq!(damaged(|m| m.leaf_chain_pem = m.ca_bundle_pem.clone()), renew(Reason::Unreadable));
    let other = |m: &mut Material| {
        let other = fresh();
        *m = Material { leaf_chain_pem: other.leaf_chain_pem, leaf_key_pem: other.leaf_key_pem, ..m.clone() };
    };
    assert_eq!(damaged(other), renew(Reason::UnknownIssuer));
    assert!(matches!(damaged(|m| m.ca_key_pem = m.leaf_key_pem.clone()), Plan::RotateCa { because: Reason::KeyLost, .. }));
    assert!(matches!(damaged(|m| m.ca_bundle_pem.truncate(99)), Plan::IssueAll { because: Reason::Unreadable, .. }));
    assert!(matches!(damaged(|m| *m = Material::default()), Plan::IssueAll { because: Reason::Unreadable, .. }));
}

#[test]
fn a_bundle_keeps_what_can_be_read_of_it() {
    let (first, second) = (fresh().ca_bundle_pem, fresh().ca_bundle_pem);
    let bundle = format!("a comment\n{first}{BEGIN}\nAAAA\n{END}\n{second}");
    assert_eq!(bundle_authorities(&bundle), [bundle_authorities(&first), bundle_authorities(&second)].concat());
}

#[test]
fn nothing_to_make_makes_nothing_and_nothing_to_sign_with_is_an_error() {
    let keep = Plan::Keep { check_again_at: now(), awaiting_publication: false };
    assert_eq!(carry_out(&keep, Some(&fresh()), &settings(), now()).unwrap(), None);
    let renew = Plan::RenewLeaf { because: Reason::Due };
    assert!(matches!(carry_out(&renew, None, &settings(), now()), Err(IssueError::NoAuthority)));
}

/// Real certificates through ten years: at each step, the bundle and the one before it accept the leaf and the one before it, but for
/// steps that come after a settling time.
#[test]
fn ten_years_of_real_certificates() {
    let settle = settings().lifetimes.settle();
    let mut time = now();
    let mut material = fresh();
    let mut seen = published(&material, time);
    let (mut leaves, mut authorities) = (1, 1);
    let end = time + Duration::from_hours(3650 * 24);
    while time < end {
        let plan = next(&material, &seen, time);
        if let Plan::Keep { check_again_at, .. } = plan {
            time = check_again_at;
            continue;
        }
        leaves += i32::from(matches!(plan, Plan::RenewLeaf { .. }));
        authorities += i32::from(matches!(plan, Plan::RotateCa { .. }));
        let after = carry_out(&plan, Some(&material), &settings(), time).unwrap().unwrap();
        for bundle in [&material.ca_bundle_pem, &after.ca_bundle_pem] {
            for leaf in [&material.leaf_chain_pem, &after.leaf_chain_pem] {
                for at in [time, time + settle] {
                    assert!(verifies(bundle, leaf, "hook.ns.svc", at), "{time}: {plan:?}");
                }
            }
        }
        assert!(after.ca_bundle_pem.matches(BEGIN).count() <= 2);
        material = after;
        seen = seen.observe(bundle_authorities(&material.ca_bundle_pem), time);
    }
    assert!(leaves > 180 && authorities == 5, "{leaves} {authorities}");
}
