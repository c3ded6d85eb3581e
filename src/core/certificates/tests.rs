use super::*;
use proptest::prelude::*;

const DAY: u64 = 24 * 60 * 60;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn days(count: u64) -> Duration {
    Duration::from_hours(count * 24)
}

fn id(number: u64) -> AuthorityId {
    AuthorityId::new(&number.to_be_bytes())
}

fn settings() -> Settings {
    Settings { lifetimes: Lifetimes::default(), names: service_names("holdpoint", "holdpoint-system", None) }
}

fn authority(number: u64, issued: Timestamp) -> Authority {
    Authority { id: id(number), validity: Validity::starting(issued, settings().lifetimes.ca()) }
}

fn leaf(authority: u64, issued: Timestamp) -> Leaf {
    Leaf { issuer: Some(id(authority)), validity: Validity::starting(issued, settings().lifetimes.leaf()), names: settings().names }
}

fn start() -> Timestamp {
    at("2026-01-01T00:00:00Z")
}

/// One authority and its leaf, both issued at [`start`].
fn fresh() -> Stored {
    Stored { authorities: vec![authority(1, start())], key_usable: true, leaf: Some(leaf(1, start())) }
}

fn published(ids: &[u64], since: Timestamp) -> Published {
    Published::default().observe(ids.iter().map(|number| id(*number)), since)
}

fn planned(stored: &Stored, now: Timestamp) -> Plan {
    plan(Some(stored), &published(&[1], start()), &settings(), now)
}

#[test]
fn nothing_stored_issues_all() {
    let plan = plan(None, &Published::default(), &settings(), start());
    assert_eq!(plan, Plan::IssueAll { because: Reason::Missing, retain: vec![] });
}

#[test]
fn fresh_material_is_kept_until_two_thirds_of_the_leaf_at_the_latest_half_a_day() {
    let Plan::Keep { check_again_at, awaiting_publication: false } = planned(&fresh(), start()) else { panic!() };
    assert_eq!(check_again_at, start() + MAX_WAIT);
    let nearly = later(start(), days(20));
    let Plan::Keep { check_again_at, .. } = planned(&fresh(), nearly) else { panic!() };
    assert_eq!(check_again_at, at("2026-01-21T02:24:00Z"));
    assert_eq!(planned(&fresh(), check_again_at), Plan::RenewLeaf { because: Reason::Due });
}

#[test]
fn each_defect_has_its_repair() {
    let renew = |because| Plan::RenewLeaf { because };
    let all = |because, retain: &[u64]| Plan::IssueAll { because, retain: retain.iter().map(|n| id(*n)).collect() };
    let with = |change: fn(&mut Stored)| {
        let mut stored = fresh();
        change(&mut stored);
        stored
    };
    let cases: [(&str, Stored, Plan); 9] = [
        ("empty bundle", with(|s| s.authorities.clear()), all(Reason::Unreadable, &[])),
        ("leaf unreadable", with(|s| s.leaf = None), renew(Reason::Unreadable)),
        ("leaf of nobody", with(|s| s.leaf.as_mut().unwrap().issuer = None), renew(Reason::UnknownIssuer)),
        ("leaf of an authority that is gone", with(|s| s.leaf.as_mut().unwrap().issuer = Some(id(9))), renew(Reason::UnknownIssuer)),
        ("service renamed", with(|s| s.leaf.as_mut().unwrap().names.clear()), renew(Reason::WrongNames)),
        ("leaf expired", with(|s| s.leaf = Some(leaf(1, later(start(), days(0)) - days(31)))), renew(Reason::Expired)),
        ("leaf from the future", with(|s| s.leaf = Some(leaf(1, later(start(), days(1))))), renew(Reason::NotYetValid)),
        ("key lost, leaf good", with(|s| s.key_usable = false), Plan::RotateCa { because: Reason::KeyLost, retain: vec![id(1)] }),
        (
            "key lost, leaf lost",
            with(|s| {
                s.key_usable = false;
                s.leaf = None;
            }),
            all(Reason::KeyLost, &[1]),
        ),
    ];
    for (name, stored, expected) in cases {
        assert_eq!(planned(&stored, start()), expected, "{name}");
    }
}

#[test]
fn an_expired_authority_takes_everything_with_it() {
    let late = later(start(), days(4 * 365));
    assert_eq!(planned(&fresh(), late), Plan::IssueAll { because: Reason::Expired, retain: vec![] });
}

#[test]
fn the_leaf_changes_authority_only_after_publication_has_settled() {
    let settle = settings().lifetimes.settle();
    let now = later(start(), days(10));
    let stored = Stored { authorities: vec![authority(2, now), authority(1, start())], ..fresh() };
    let step = |published: &Published, now| plan(Some(&stored), published, &settings(), now);

    let Plan::Keep { check_again_at, awaiting_publication: true } = step(&published(&[1], start()), now) else { panic!() };
    assert_eq!(check_again_at, now + UNPUBLISHED_RETRY);
    let seen = published(&[1, 2], now);
    let Plan::Keep { check_again_at, awaiting_publication: true } = step(&seen, now) else { panic!() };
    assert_eq!(check_again_at, now + settle);
    assert_eq!(step(&seen, now + settle), Plan::RenewLeaf { because: Reason::NewAuthority });

    // Gone from one configuration for a moment: waits again.
    let again = seen.observe([id(1)], now + settle).observe([id(1), id(2)], now + settle);
    assert!(matches!(step(&again, now + settle), Plan::Keep { awaiting_publication: true, .. }));
    // A clock set back neither panics nor waits longer than the settling time.
    let before = now - days(1);
    assert_eq!(seen.observe([id(2)], before).settled_at(&id(2), settle), Some(before + settle));
}

#[test]
fn a_leaf_about_to_expire_is_renewed_even_if_nobody_confirms() {
    let stored = Stored { authorities: vec![authority(2, start()), authority(1, start())], ..fresh() };
    assert!(matches!(planned(&stored, later(start(), days(27))), Plan::Keep { awaiting_publication: true, .. }));
    assert_eq!(planned(&stored, later(start(), days(28))), Plan::RenewLeaf { because: Reason::Due });
}

#[test]
fn the_old_authority_stays_while_a_leaf_of_it_may_be_valid_and_while_the_new_leaf_travels() {
    let rotated = later(start(), days(730));
    let stored = |leaf_issued| Stored {
        authorities: vec![authority(2, rotated), authority(1, start())],
        key_usable: true,
        leaf: Some(leaf(2, leaf_issued)),
    };
    let drop_old = Plan::Retire { retain: vec![id(2)] };
    assert!(matches!(planned(&stored(later(rotated, days(12))), later(rotated, days(30))), Plan::Keep { .. }));
    assert_eq!(planned(&stored(later(rotated, days(12))), later(rotated, days(31))), drop_old);
    // The switch was late: the old leaf is still being served somewhere.
    let switched = later(rotated, days(35));
    assert!(matches!(planned(&stored(switched), switched + Duration::from_mins(1)), Plan::Keep { .. }));
    assert_eq!(planned(&stored(switched), switched + settings().lifetimes.settle()), drop_old);
}

#[test]
fn the_bundle_is_bounded_and_the_leafs_issuer_has_a_place() {
    let mut stored = fresh();
    stored.authorities = (1..=9).rev().map(|number| authority(number, start())).collect();
    stored.key_usable = false;
    let Plan::RotateCa { retain, .. } = planned(&stored, start()) else { panic!() };
    assert_eq!(retain, [id(9), id(8), id(1)]);
}

#[test]
fn lifetimes_leave_room_for_each_step() {
    assert!(Lifetimes::new(days(90), days(30)).is_err());
    assert!(Lifetimes::new(days(90), Duration::from_secs(1)).is_err());
    assert!(Lifetimes::new(Duration::MAX, days(1)).is_err());
    let short = Lifetimes::new(Duration::from_mins(4), Duration::from_mins(1)).unwrap();
    assert!(short.settle() < Duration::from_mins(1) / 4);
}

#[test]
fn names_are_those_of_the_service_and_one_more_in_its_one_spelling() {
    let names = service_names("hook", "ns", Some("[0:0:0:0:0:0:0:1]"));
    let expected = ["::1", "hook", "hook.ns", "hook.ns.svc", "hook.ns.svc.cluster.local"];
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(service_names("hook", "ns", Some("Hook.Example.com")).contains("hook.example.com"));
}

proptest! {
    #[test]
    fn any_clock_and_any_validity_gives_a_plan(
        times in prop::collection::vec(any::<i64>(), 7), usable: bool, has_leaf: bool, seen: bool,
    ) {
        let time = |n: usize| Timestamp::from_second(times[n] % 253_402_207_200).unwrap();
        let validity = |n| Validity { not_before: time(n), not_after: time(n + 1) };
        let stored = Stored {
            authorities: vec![Authority { id: id(2), validity: validity(0) }, Authority { id: id(1), validity: validity(2) }],
            key_usable: usable,
            leaf: has_leaf.then(|| Leaf { issuer: Some(id(1)), validity: validity(4), names: settings().names }),
        };
        let published = if seen { published(&[1, 2], time(5)) } else { Published::default() };
        let now = time(6);
        if let Plan::Keep { check_again_at, .. } = plan(Some(&stored), &published, &settings(), now) {
            prop_assert!(check_again_at > now || now == Timestamp::MAX);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Ten years with a leader that forgets, a clock that is off by up to a minute either way, configurations that cannot be written for
    /// days, and authority keys that are lost: whatever bundle an API server may still have accepts whatever leaf a replica may serve.
    #[test]
    fn ten_years_without_a_gap(seed: u64) {
        let mut world = World::new(seed);
        while world.now < later(start(), days(3650)) {
            world.tick(true);
            world.assert_no_gap()?;
        }
        prop_assert!(world.leaves.len() > 150, "leaves: {}", world.leaves.len());
        prop_assert!(world.next_id >= 5, "authorities: {}", world.next_id);
        prop_assert!(world.stored.as_ref().unwrap().authorities.len() <= MAX_AUTHORITIES);
    }
}

/// The simulation can tell: a leader that does not wait for publication is caught.
#[test]
fn ten_years_of_haste_have_a_gap() {
    let mut world = World::new(7);
    let mut caught = false;
    while !caught && world.now < later(start(), days(3650)) {
        world.tick(false);
        caught = world.assert_no_gap().is_err();
    }
    assert!(caught);
}

/// A cluster in miniature.
struct World {
    random: u64,
    /// The true time.
    now: Timestamp,
    next_id: u64,
    stored: Option<Stored>,
    remembered: Published,
    configuration: Vec<AuthorityId>,
    unwritable_until: Timestamp,
    /// Every bundle that was published and every leaf that was stored, with the instant since when.
    bundles: Vec<(Timestamp, Vec<Authority>)>,
    leaves: Vec<(Timestamp, Leaf)>,
}

impl World {
    fn new(random: u64) -> Self {
        let now = start();
        Self {
            random,
            now,
            next_id: 0,
            stored: None,
            remembered: Published::default(),
            configuration: vec![],
            unwritable_until: now,
            bundles: vec![],
            leaves: vec![],
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    /// The leader's clock.
    fn clock(&mut self) -> Timestamp {
        self.now + SignedDuration::from_secs(i64::try_from(self.random(121)).unwrap() - 60)
    }

    fn tick(&mut self, waits: bool) {
        let clock = self.clock();
        if self.random(50) == 0 {
            self.remembered = Published::default();
        }
        // Never longer than a leaf waits before it is renewed unconfirmed.
        if self.random(200) == 0 && self.now > later(self.unwritable_until, days(10)) {
            self.unwritable_until = self.now + Duration::from_secs(self.random(3 * DAY));
        }
        if self.random(3000) == 0
            && let Some(stored) = &mut self.stored
        {
            stored.key_usable = false;
        }
        let seen = if waits { self.configuration.clone() } else { (1..=self.next_id).map(id).collect() };
        self.remembered = self.remembered.observe(seen, if waits { clock } else { start() });
        let plan = plan(self.stored.as_ref(), &self.remembered, &settings(), clock);
        let wake = if let Plan::Keep { check_again_at, .. } = plan { check_again_at } else { self.now };
        self.carry_out(plan, clock);
        self.publish();
        self.assert_current();
        let pause = Duration::from_secs(60 + self.random(DAY / 2));
        self.now = wake.min(self.now + pause).max(self.now + Duration::from_secs(1));
    }

    fn carry_out(&mut self, plan: Plan, clock: Timestamp) {
        let (authority, leaf, retain) = match plan {
            Plan::Keep { .. } => return,
            Plan::IssueAll { retain, .. } => (true, true, Some(retain)),
            Plan::RotateCa { retain, .. } => (true, false, Some(retain)),
            Plan::RenewLeaf { .. } => (false, true, None),
            Plan::Retire { retain } => (false, false, Some(retain)),
        };
        let stored = self.stored.get_or_insert_default();
        if let Some(retain) = retain {
            stored.authorities.retain(|authority| retain.contains(&authority.id));
        }
        if authority {
            self.next_id += 1;
            let validity = Validity::starting(clock, settings().lifetimes.ca());
            stored.authorities.insert(0, Authority { id: id(self.next_id), validity });
            stored.key_usable = true;
        }
        if leaf {
            let newest = &stored.authorities[0];
            let validity = Validity::starting(clock, settings().lifetimes.leaf()).within(newest.validity);
            let leaf = Leaf { issuer: Some(newest.id.clone()), validity, names: settings().names };
            stored.leaf = Some(leaf.clone());
            self.leaves.push((self.now, leaf));
        }
    }

    fn publish(&mut self) {
        let bundle = &self.stored.as_ref().unwrap().authorities;
        let ids: Vec<_> = bundle.iter().map(|authority| authority.id.clone()).collect();
        if ids != self.configuration && self.now >= self.unwritable_until {
            self.bundles.push((self.now, bundle.clone()));
            self.configuration = ids;
        }
    }

    fn assert_current(&self) {
        assert!(self.stored.as_ref().unwrap().leaf.as_ref().unwrap().validity.check(self.now).is_ok());
    }

    /// Every bundle that was current within the settling time accepts every leaf that was. (Less two minutes for the clock's error.)
    fn assert_no_gap(&self) -> Result<(), TestCaseError> {
        let oldest = earlier(self.now, settings().lifetimes.settle()) + Duration::from_secs(125);
        for (_, bundle) in recent(&self.bundles, oldest) {
            for (_, leaf) in recent(&self.leaves, oldest) {
                let issuer = bundle.iter().find(|authority| Some(&authority.id) == leaf.issuer.as_ref());
                let trusted = issuer.is_some_and(|issuer| issuer.validity.check(self.now).is_ok());
                prop_assert!(trusted && leaf.validity.check(self.now).is_ok(), "{}: {leaf:?} against {bundle:?}", self.now);
            }
        }
        Ok(())
    }
}

/// What was current at any time since an instant.
fn recent<T>(history: &[(Timestamp, T)], oldest: Timestamp) -> &[(Timestamp, T)] {
    let first = history.iter().rposition(|(since, _)| *since <= oldest).unwrap_or_default();
    &history[first..]
}
