//! How many runs go on at once, and which of those that are over are kept.

use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// How many runs of one namespace go on at once.
pub const MAX_ACTIVE_IN_NAMESPACE: usize = 64;
/// How many go on at once in all.
pub const MAX_ACTIVE: usize = 256;
/// How many that are over are kept, of one gate, or of one namespace those without a gate.
pub const MAX_KEPT: usize = 20;

/// How many that are over are kept of one gate because something else needs what they tell, whatever their number and time: requests that come back for
/// them, places that were granted by them, and starts that are remembered by them. More than the ledger of starts remembers, so that none of those that
/// it does not remember in particular is forgotten altogether.
pub const MAX_NEEDED: usize = 512;

/// Why a run is not begun, if too many go on: a sentence with the limit's name.
pub fn too_many(in_namespace: usize, in_all: usize) -> Option<String> {
    if in_namespace >= MAX_ACTIVE_IN_NAMESPACE {
        return Some(format!(
            "{in_namespace} runs of this namespace go on, and at most {MAX_ACTIVE_IN_NAMESPACE} may (maxActiveRunsPerNamespace): make another when some are over"
        ));
    }
    let sentence = || format!("{in_all} runs go on, and at most {MAX_ACTIVE} may (maxActiveRuns): make another when some are over");
    (in_all >= MAX_ACTIVE).then(sentence)
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished<K> {
    /// Which.
    pub key: K,
    /// With which others it is counted: its namespace, and the gate if it has one.
    pub group: (String, Option<String>),
    /// When it was over.
    pub completed: Timestamp,
    /// For how long it is kept.
    pub ttl_seconds: i32,
    /// Whether something else needs what it tells.
    pub needed: bool,
}

impl<K> Finished<K> {
    fn until(&self) -> Timestamp {
        self.completed.checked_add(SignedDuration::from_secs(i64::from(self.ttl_seconds.max(0)))).unwrap_or(Timestamp::MAX)
    }
}

/// Which runs are deleted now, and when to look again.
pub fn collect<K: Clone + Ord>(finished: &[Finished<K>], now: Timestamp) -> (Vec<K>, Option<Timestamp>) {
    let mut groups: BTreeMap<_, Vec<&Finished<K>>> = BTreeMap::new();
    let mut gone = Vec::new();
    let mut again = None;
    for run in finished {
        if !run.needed && run.until() <= now {
            gone.push(run.key.clone());
            continue;
        }
        if !run.needed {
            again = [again, Some(run.until())].into_iter().flatten().min();
        }
        groups.entry((&run.group, run.needed)).or_default().push(run);
    }
    for ((_, needed), runs) in &mut groups {
        runs.sort_by(|a, b| (b.completed, &b.key).cmp(&(a.completed, &a.key)));
        gone.extend(runs.iter().skip(if *needed { MAX_NEEDED } else { MAX_KEPT }).map(|run| run.key.clone()));
    }
    (gone, again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn run(key: u32, group: &str, completed: i64, ttl_seconds: i32) -> Finished<u32> {
        Finished { key, group: (group.to_owned(), None), completed: at(completed), ttl_seconds, needed: false }
    }

    #[test]
    fn a_run_is_deleted_when_its_time_is_up_and_not_before() {
        let runs = [run(1, "shop", 100, 60), run(2, "shop", 100, 0)];
        assert_eq!(collect(&runs, at(100)), (vec![2], Some(at(160))));
        assert_eq!(collect(&runs, at(159)).0, [2]);
        assert_eq!(collect(&runs, at(160)), (vec![1, 2], None));
    }

    #[test]
    fn what_is_needed_outlives_its_time_and_does_not_count_for_others() {
        let needed = |key| Finished { needed: true, ..run(key, "shop", i64::from(key), 60) };
        let count = u32::try_from(MAX_NEEDED).unwrap();
        let mut runs: Vec<_> = (1..=count).map(needed).collect();
        runs.push(run(count + 1, "shop", 10_000, 60));
        assert_eq!(collect(&runs, at(10_001)), (vec![], Some(at(10_060))));
        runs.push(needed(count + 2));
        assert_eq!(collect(&runs, at(10_001)).0, [1], "the oldest goes when there are too many");
    }

    #[test]
    fn the_limits_are_named() {
        assert_eq!(too_many(MAX_ACTIVE_IN_NAMESPACE - 1, MAX_ACTIVE - 1), None);
        assert!(too_many(MAX_ACTIVE_IN_NAMESPACE, 70).unwrap().contains("maxActiveRunsPerNamespace"));
        assert!(too_many(0, MAX_ACTIVE).unwrap().contains("(maxActiveRuns)"));
    }

    proptest! {
        #[test]
        fn the_latest_are_kept_and_no_more_than_the_limit(times in proptest::collection::vec((0_u8..3, 0_i64..1000), 0..100)) {
            let runs: Vec<_> =
                times.iter().zip(0..).map(|((group, completed), key)| run(key, &group.to_string(), *completed, 100_000)).collect();
            let (gone, _) = collect(&runs, at(1000));
            for group in ["0", "1", "2"] {
                let of_group = || runs.iter().filter(|run| run.group.0 == group);
                let kept: Vec<_> = of_group().filter(|run| !gone.contains(&run.key)).collect();
                prop_assert_eq!(kept.len(), of_group().count().min(MAX_KEPT));
                let oldest = kept.iter().map(|run| run.completed).min();
                prop_assert!(of_group().filter(|run| gone.contains(&run.key)).all(|run| Some(run.completed) <= oldest));
            }
        }
    }
}
