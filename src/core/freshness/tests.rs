//! What a replica believes, in tables; and the search of the protocol, whole and without each of its guards.

use super::*;

mod search;
mod world;

use crate::core::gate::testing::{at, seen, settings, unevaluated};
use crate::core::observation::Outcome;
use crate::core::verdict::{Evaluation, settle};
use search::{Order, search};
use world::{Bounds, Guard, Step};

/// It passed at 0.
fn passed() -> State {
    settle(&settings(), &unevaluated(), Evaluation::Observed(vec![seen(Outcome::Pass)]), Duration::ZERO, at(0))
}

fn offset(earliest: i64, latest: i64) -> Offset {
    Offset { earliest: SignedDuration::from_secs(earliest), latest: SignedDuration::from_secs(latest) }
}

fn reported() -> Reported {
    Reported {
        last_passing: Some(at(0)),
        interval: SignedDuration::from_secs(10),
        revision: Revision(7),
        term: Some(2),
        overdue: false,
        stale_after: Some(SignedDuration::from_secs(30)),
    }
}

fn watermark(time: i64) -> Watermark {
    Watermark { time: at(time), revision: Revision(9), term: 2, since: Revision(5) }
}

#[test]
fn a_watermark_covers_its_own_term_and_what_was_taken_over() {
    let by = |term, revision| Reported { term, revision: Revision(revision), ..reported() };
    for (reported, covered) in [
        (by(Some(2), 7), true),
        (by(Some(2), 12), true),
        (by(Some(1), 5), true),
        (by(Some(1), 6), false),
        (by(Some(3), 6), false),
        (by(None, 5), true),
        (by(None, 6), false),
        (Reported { overdue: true, ..by(Some(2), 7) }, false),
    ] {
        assert_eq!(watermark(20).covers(&reported), covered, "{reported:?}");
        let expected = if covered { at(10) } else { at(0) };
        assert_eq!(reported.observed(Some(&watermark(20))), Some(expected), "{reported:?}");
    }
    assert_eq!(reported().observed(None), Some(at(0)));
    assert_eq!(reported().observed(Some(&watermark(4))), Some(at(0)), "a watermark takes nothing away");
}

#[test]
fn what_another_replica_observed_ages_on_the_clock_of_the_api_server() {
    let worth = |freshness: &Freshness, now| standing(&passed(), &Basis::Reported(reported()), freshness, at(now));
    let known = Freshness { offset: Some(offset(0, 0)), watermark: Some(watermark(20)), ..Freshness::default() };
    assert_eq!((worth(&known, 39), worth(&known, 40)), (Standing::Passing, Standing::Stale));
    let unwatched = Freshness { watermark: None, ..known.clone() };
    assert_eq!((worth(&unwatched, 29), worth(&unwatched, 30)), (Standing::Passing, Standing::Stale));
    // The API server may be 3 s ahead, so the observation may be 3 s older.
    let behind = Freshness { offset: Some(offset(-1, 3)), ..known.clone() };
    assert_eq!((worth(&behind, 36), worth(&behind, 37)), (Standing::Passing, Standing::Stale));
    for wrong in [None, Some(offset(-6, 0)), Some(offset(0, 6))] {
        assert_eq!(worth(&Freshness { offset: wrong, ..known.clone() }, 21), Standing::Unknown);
        let own = Freshness { offset: wrong, ..known.clone() };
        assert_eq!(standing(&passed(), &Basis::Observed, &own, at(1)), Standing::Unknown);
    }
}

#[test]
fn what_was_watched_is_believed_for_five_seconds_after_the_last_proof() {
    let proved = |at| Freshness { proved_at: at, ..Freshness::default() };
    let worth = |at_, now| standing(&passed(), &Basis::Live, &proved(at_), at(now));
    assert_eq!((worth(Some(at(1)), 6), worth(Some(at(1)), 7)), (Standing::Passing, Standing::Unknown));
    assert_eq!(worth(None, 1), Standing::Unknown);
    assert_eq!(worth(Some(at(3)), 1), Standing::Unknown, "a proof from the future is none");
}

/// One leadership, one change of the target, nothing slow. A pass is believed for less than two intervals.
const PLAIN: Bounds = Bounds {
    good: true,
    until: 6,
    flips: 1,
    terms: 1,
    restarts: 0,
    orphans: 0,
    deletes: false,
    failure_threshold: 1,
    interval: 2,
    stale_after: 3,
    skew: [0, 0],
    uncertain: 0,
    slow_evaluations: false,
    slow_writes: false,
    stopped_at_lease: false,
    without: None,
};
/// Replica 0 finds that the target is good again, and its write is on its way when replica 1 takes over.
const DEPOSED: &[Step] = &[Step::TargetChanges, Step::Tick, Step::Evaluate(0), Step::Send(0), Step::Acquire(1)];
/// Then replica 0 learns that it was deposed, and replica 1 vouches for what it took over.
const DEPOSED_AND_VOUCHED: &[Step] = &[
    Step::TargetChanges,
    Step::Tick,
    Step::Evaluate(0),
    Step::Send(0),
    Step::Acquire(1),
    Step::Begin(1),
    Step::ComputeWatermark(0),
    Step::Tick,
    Step::ComputeWatermark(1),
];

struct Search {
    name: &'static str,
    bounds: Bounds,
    /// What happens before anything may.
    first: &'static [Step],
    /// The guards whose absence this finds.
    guards: &'static [Guard],
    /// It takes seconds, optimised.
    deep: bool,
}

const fn quick(name: &'static str, bounds: Bounds, guards: &'static [Guard]) -> Search {
    Search { name, bounds, first: &[], guards, deep: false }
}

const fn deep(name: &'static str, bounds: Bounds, first: &'static [Step], guards: &'static [Guard]) -> Search {
    Search { name, bounds, first, guards, deep: true }
}

const SEARCHES: &[Search] = &[
    quick("one leader", PLAIN, &[Guard::Revision, Guard::Overdue]),
    quick("two leaders", Bounds { terms: 2, until: 4, ..PLAIN }, &[Guard::MissedBeats, Guard::TakeOver]),
    quick("writes take time, or are lost", Bounds { slow_writes: true, orphans: 1, ..PLAIN }, &[Guard::Acknowledged, Guard::Doubt]),
    quick("evaluations take time", Bounds { slow_evaluations: true, slow_writes: true, ..PLAIN }, &[Guard::SlowEvaluation]),
    quick("a failure is forgiven", Bounds { failure_threshold: 2, ..PLAIN }, &[Guard::Forgiven]),
    quick("clocks differ", Bounds { skew: [2, -2], ..PLAIN }, &[Guard::Clock]),
    quick("clocks are not known exactly", Bounds { skew: [-1, 2], uncertain: 1, ..PLAIN }, &[]),
    quick("the check is deleted", Bounds { deletes: true, ..PLAIN }, &[Guard::Forgotten]),
    deep("a write arrives late", Bounds { good: false, flips: 2, slow_writes: true, orphans: 1, ..PLAIN }, &[], &[Guard::Precondition]),
    deep("stopped at the Lease", Bounds { stopped_at_lease: true, terms: 2, until: 4, ..PLAIN }, &[], &[]),
    deep("a replica restarts", Bounds { restarts: 1, terms: 2, until: 4, ..PLAIN }, &[], &[]),
    deep("two leaders for longer", Bounds { terms: 2, ..PLAIN }, &[], &[]),
    deep("a deposed leader writes", Bounds { good: false, terms: 2, slow_writes: true, orphans: 1, ..PLAIN }, DEPOSED, &[Guard::Term]),
    deep(
        "a third leader",
        Bounds { good: false, terms: 3, orphans: 1, slow_writes: true, ..PLAIN },
        DEPOSED_AND_VOUCHED,
        &[Guard::Adopted],
    ),
];

fn never_a_false_open(searches: impl Iterator<Item = &'static Search>) {
    for Search { name, bounds, first, .. } in searches {
        let found = search(bounds, first, Order::Latest);
        println!("{name}: {} states", found.states);
        assert!(found.false_open.is_none(), "{name}:\n{}", found.false_open.unwrap_or_default());
        assert!(found.passing.iter().all(|passing| *passing > 0), "{name}: a replica that never answers Passing proves nothing");
    }
}

#[test]
fn no_start_rests_on_an_observation_older_than_allowed() {
    never_a_false_open(SEARCHES.iter().filter(|search| !search.deep));
}

#[test]
#[ignore = "a minute: cargo test --release --lib core::freshness -- --ignored --nocapture"]
fn no_start_rests_on_an_observation_older_than_allowed_searched_further() {
    never_a_false_open(SEARCHES.iter().filter(|search| search.deep));
}

/// What it finds can be read with `-- --nocapture`.
#[test]
fn without_any_one_of_its_guards_the_protocol_has_a_hole() {
    let mut left_out = Vec::new();
    for Search { name, bounds, first, guards, .. } in SEARCHES {
        for guard in *guards {
            let found = search(&Bounds { without: Some(*guard), ..*bounds }, first, Order::Nearest);
            let told = found.false_open.unwrap_or_else(|| panic!("{name}: nothing happens without {guard:?}"));
            println!("without {guard:?}, {name} ({} states):\n{told}", found.states);
            left_out.push(*guard);
        }
    }
    assert!(Guard::ALL.iter().all(|guard| left_out.contains(guard)), "each guard was left out: {left_out:?}");
}
