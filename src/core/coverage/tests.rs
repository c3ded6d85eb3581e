//! What the leader vouches for, by hand and against everything that might be in the store. The search of the whole protocol is in
//! `freshness/tests`.

use super::*;
use crate::core::gate::testing::at;
use proptest::prelude::*;

const INTERVAL: i64 = 10;

fn beat() -> Beat {
    Beat { anchor: at(0), interval: SignedDuration::from_secs(INTERVAL) }
}

fn passed(began: i64, changed: bool) -> Evaluated {
    Evaluated { began: at(began), beat: beat(), passed: true, changed }
}

fn failed(began: i64) -> Evaluated {
    Evaluated { began: at(began), beat: beat(), passed: false, changed: true }
}

fn first() -> Coverage<&'static str> {
    Coverage::begin(1, Revision(5), None).unwrap()
}

/// A leader with one check that passed at 0.
fn leading() -> Coverage<&'static str> {
    let mut coverage = first();
    coverage.evaluated(&"a", passed(0, true));
    assert_eq!(coverage.write(&"a", at(0)), Mark::Covered);
    coverage.written(&"a", Revision(5), Revision(6));
    coverage
}

fn time(coverage: &mut Coverage<&'static str>, now: i64) -> Timestamp {
    coverage.watermark(at(now)).unwrap().time
}

fn before(seconds: i64) -> Timestamp {
    at(seconds).checked_sub(INSTANT).unwrap()
}

fn late(coverage: &Coverage<&'static str>, now: i64) -> Vec<(&'static str, Timestamp)> {
    coverage.overdue(at(now)).map(|(key, since)| (*key, since)).collect()
}

fn reported(revision: u64, term: i64) -> Reported {
    let (last_passing, interval) = (Some(at(0)), SignedDuration::from_secs(INTERVAL));
    Reported { last_passing, interval, revision: Revision(revision), term: Some(term), overdue: false, stale_after: None }
}

fn predecessor(time: i64) -> Watermark {
    Watermark { time: at(time), revision: Revision(20), term: 3, since: Revision(10) }
}

#[test]
fn a_beat_is_after_an_instant_and_never_at_it() {
    for (instant, expected) in [(0, 10), (1, 10), (9, 10), (10, 20), (25, 30), (-1, 0), (-10, 0), (-11, -10)] {
        assert_eq!(beat().after(at(instant)), at(expected), "after {instant}");
    }
    assert_eq!(beat().after(before(10)), at(10));
    assert_eq!(beat().after(Timestamp::MAX), Timestamp::MAX);
    let nonsense = Beat { anchor: at(0), interval: SignedDuration::from_secs(-7) };
    assert_eq!(nonsense.after(at(3)), at(4), "an interval is at least a second");
}

#[test]
fn the_watermark_follows_the_clock_up_to_what_is_not_evaluated() {
    let mut coverage = leading();
    assert_eq!(coverage.watermark(at(3)), Some(Watermark { time: at(3), revision: Revision(6), term: 1, since: Revision(0) }));
    assert_eq!(time(&mut coverage, 12), before(10));
    coverage.evaluated(&"a", passed(11, false));
    assert_eq!(time(&mut coverage, 12), at(12), "nothing changed, so nothing was written");
    assert_eq!(time(&mut coverage, 7), at(12), "it never goes back, whatever the clock does");
}

#[test]
fn it_counts_from_when_an_evaluation_began() {
    let mut coverage = leading();
    // Due at 10 and 20; the one that began at 12 took until 31.
    coverage.evaluated(&"a", passed(12, false));
    assert_eq!(time(&mut coverage, 31), before(20));
    assert_eq!(late(&coverage, 31), [("a", at(20))], "what is slower than its interval is overdue as soon as it ends");
}

#[test]
fn it_waits_for_what_was_found_to_be_written() {
    let mut coverage = leading();
    coverage.evaluated(&"a", failed(10));
    assert_eq!(time(&mut coverage, 11), before(10));
    assert_eq!(coverage.write(&"a", at(11)), Mark::Overdue, "no watermark counts for what failed, forgiven or not");
    assert_eq!(time(&mut coverage, 11), before(10));
    coverage.written(&"a", Revision(6), Revision(7));
    assert_eq!(coverage.watermark(at(40)), Some(Watermark { time: at(40), revision: Revision(7), term: 1, since: Revision(0) }));
}

#[test]
fn what_is_overdue_frees_it_when_it_says_so() {
    let mut coverage = leading();
    assert_eq!(late(&coverage, 11), []);
    assert_eq!(late(&coverage, 12), [("a", at(10))]);
    assert_eq!(coverage.write(&"a", at(12)), Mark::Overdue);
    assert_eq!(time(&mut coverage, 12), before(10));
    coverage.written(&"a", Revision(6), Revision(7));
    assert_eq!((time(&mut coverage, 35), late(&coverage, 35)), (at(35), vec![]));
    // It ends at last. Watermarks up to 35 claim more than that.
    coverage.evaluated(&"a", passed(12, true));
    assert_eq!(coverage.write(&"a", at(35)), Mark::Overdue);
    coverage.written(&"a", Revision(7), Revision(7));
    coverage.evaluated(&"a", passed(35, true));
    assert_eq!(coverage.write(&"a", at(36)), Mark::Covered);
    coverage.written(&"a", Revision(7), Revision(8));
    assert_eq!(time(&mut coverage, 50), before(40));
}

#[test]
fn a_write_without_an_answer_may_arrive_at_any_time() {
    let mut coverage = first();
    coverage.evaluated(&"a", passed(0, true));
    assert_eq!(coverage.write(&"a", at(0)), Mark::Covered);
    coverage.write_failed(&"a");
    assert!(coverage.unwritten(&"a"));
    coverage.evaluated(&"a", failed(10));
    assert_eq!(time(&mut coverage, 12), before(10));
    // The same content as before: the object has not changed, so the first write is not refused when it arrives.
    assert_eq!(coverage.write(&"a", at(12)), Mark::Overdue);
    coverage.written(&"a", Revision(5), Revision(5));
    assert_eq!(time(&mut coverage, 13), before(10));
    assert!(coverage.unwritten(&"a"));
    assert_eq!(coverage.write(&"a", at(13)), Mark::Overdue);
    coverage.written(&"a", Revision(5), Revision(6));
    assert_eq!(time(&mut coverage, 14), at(14));
}

#[test]
fn a_leader_begins_where_the_one_before_ended() {
    assert!(Coverage::<&str>::begin(4, Revision(19), Some(predecessor(25))).is_none(), "its watch has not seen what was written");
    assert!(Coverage::<&str>::begin(3, Revision(20), Some(predecessor(25))).is_none(), "each term is another");
    let mut coverage = Coverage::begin(4, Revision(22), Some(predecessor(25))).unwrap();
    let adopted = coverage.adopt("a", &reported(8, 1), Some(at(10)));
    assert_eq!(adopted, Some(at(30)), "the first beat that nobody vouches for is due, however long ago it was");
    assert_eq!(coverage.adopt("flagged", &Reported { overdue: true, ..reported(8, 1) }, Some(at(10))), None);
    assert_eq!(coverage.watermark(at(90)), Some(Watermark { time: before(30), revision: Revision(22), term: 4, since: Revision(22) }));
}

#[test]
fn what_the_one_before_did_not_vouch_for_is_written_before_anything_is() {
    let mut coverage = Coverage::begin(4, Revision(22), Some(predecessor(25))).unwrap();
    assert_eq!(coverage.adopt("late", &reported(12, 2), Some(at(10))), Some(at(10)), "from term 2, after term 3 took over at 10");
    assert_eq!(coverage.watermark(at(26)), None);
    assert_eq!(late(&coverage, 26), [("late", at(10))]);
    assert_eq!(coverage.write(&"late", at(26)), Mark::Overdue);
    coverage.written(&"late", Revision(12), Revision(23));
    assert_eq!(time(&mut coverage, 26), at(26));
}

#[test]
fn without_one_before_nothing_is_taken_over() {
    let mut coverage = first();
    assert_eq!(coverage.adopt("a", &reported(3, 9), Some(at(10))), None);
    assert_eq!(coverage.watermark(at(90)).unwrap(), Watermark { time: at(90), revision: Revision(5), term: 1, since: Revision(0) });
    // The Lease was deleted, and terms began anew: a status of the same term is not this leader's.
    assert_eq!(first().adopt("a", &reported(3, 1), Some(at(10))), Some(at(10)));
}

#[test]
fn who_has_not_seen_that_a_check_is_gone_has_not_reached_the_revision() {
    let mut coverage = leading();
    coverage.forget(&"a", Revision(9));
    assert_eq!(coverage.watermark(at(50)).unwrap(), Watermark { time: at(50), revision: Revision(9), term: 1, since: Revision(0) });
    // An answer that comes afterwards brings nothing back.
    coverage.written(&"a", Revision(6), Revision(8));
    coverage.write_failed(&"a");
    assert!(coverage.checks.is_empty() && coverage.holds.is_empty());
}

#[derive(Clone, Debug)]
enum Event {
    Evaluated { check: u8, took: i64, passes: bool },
    Sent(u8),
    Acknowledged(u8),
    Lost(u8),
    Arrives(u8),
    Gone(u8),
    Later(i64),
}

fn event() -> impl Strategy<Value = Event> {
    let check = || 0..3_u8;
    prop_oneof![
        4 => (check(), 0..25_i64, any::<bool>()).prop_map(|(check, took, passes)| Event::Evaluated { check, took, passes }),
        4 => check().prop_map(Event::Sent),
        4 => check().prop_map(Event::Acknowledged),
        1 => check().prop_map(Event::Lost),
        1 => check().prop_map(Event::Arrives),
        1 => check().prop_map(Event::Gone),
        4 => (1..9_i64).prop_map(Event::Later),
    ]
}

/// The API server's side of a check: whether the status in it is covered, and what is on its way, each with its guard.
#[derive(Clone, Default)]
struct Stored {
    revision: u64,
    covered: bool,
    sent: Option<(u64, bool)>,
    lost: Option<(u64, bool)>,
    passed: Option<i64>,
}

impl Stored {
    fn arrive(&mut self, guard: u64, covered: bool, revisions: &mut u64) -> bool {
        if guard != self.revision {
            return false;
        }
        *revisions += 1;
        (self.revision, self.covered) = (*revisions, covered);
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever happens, a status in the store that a watermark covers claims no more than was seen, and nothing is kept of what is gone.
    #[test]
    fn nothing_is_vouched_for_that_was_not_seen(events in prop::collection::vec(event(), 0..120)) {
        let mut coverage = Coverage::begin(1, Revision(0), None).unwrap();
        let (mut now, mut revisions, mut last) = (0, 0, Timestamp::MIN);
        let mut checks: [Stored; 3] = Default::default();
        for event in events {
            match event {
                Event::Evaluated { check, took, passes } => {
                    let began = now - took;
                    let stored = &mut checks[usize::from(check)];
                    if stored.passed.is_some_and(|passed| passed > began) {
                        continue;
                    }
                    if passes {
                        stored.passed = Some(began);
                    }
                    let changed = stored.covered != passes;
                    coverage.evaluated(&check, Evaluated { began: at(began), beat: beat(), passed: passes, changed });
                }
                Event::Sent(check) => {
                    let stored = &mut checks[usize::from(check)];
                    if stored.sent.is_none() && coverage.checks.contains_key(&check) {
                        stored.sent = Some((stored.revision, coverage.write(&check, at(now)) == Mark::Covered));
                    }
                }
                Event::Acknowledged(check) => {
                    let stored = &mut checks[usize::from(check)];
                    if let Some((guard, covered)) = stored.sent.take() {
                        if stored.arrive(guard, covered, &mut revisions) {
                            coverage.written(&check, Revision(guard), Revision(stored.revision));
                        } else {
                            coverage.write_failed(&check);
                        }
                    }
                }
                Event::Lost(check) => {
                    let stored = &mut checks[usize::from(check)];
                    if let Some(sent) = stored.sent.take() {
                        stored.lost = Some(sent);
                        coverage.write_failed(&check);
                    }
                }
                Event::Arrives(check) => {
                    let stored = &mut checks[usize::from(check)];
                    if let Some((guard, covered)) = stored.lost.take() {
                        stored.arrive(guard, covered, &mut revisions);
                    }
                }
                Event::Gone(check) => {
                    revisions += 1;
                    coverage.forget(&check, Revision(revisions));
                    checks[usize::from(check)] = Stored { revision: revisions, ..Stored::default() };
                }
                Event::Later(seconds) => now += seconds,
            }
            let watermark = coverage.watermark(at(now)).unwrap();
            prop_assert!(watermark.time >= last && watermark.time <= at(now));
            last = watermark.time;
            for stored in checks.iter().filter(|stored| stored.covered) {
                let claimed = watermark.time.checked_sub(SignedDuration::from_secs(INTERVAL)).unwrap();
                prop_assert!(claimed <= at(stored.passed.unwrap()), "{claimed} is later than {:?} at {now}", stored.passed);
            }
            prop_assert!(coverage.checks.len() <= 3 && coverage.holds.len() <= coverage.checks.len());
        }
    }
}
