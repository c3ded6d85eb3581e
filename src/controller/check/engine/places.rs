//! How many probed evaluations run at once: in all, for one namespace and for one host, so that nobody's slow endpoints delay another's checks.
//! Some places are kept for priority 0, which must never be late because of what comes after it.

use std::collections::HashMap;
use std::sync::Arc;

/// In all.
pub const MAX_IN_FLIGHT: usize = 512;
/// For the checks of one namespace.
pub const MAX_PER_NAMESPACE: usize = 16;
/// That talk to one host.
pub const MAX_PER_HOST: usize = 8;
/// Of each of these numbers, one part in this many is kept for priority 0.
const KEPT: usize = 4;

/// The places that are taken.
#[derive(Debug, Default)]
pub struct Places {
    total: usize,
    by_namespace: HashMap<Arc<str>, usize>,
    by_host: HashMap<Arc<str>, usize>,
}

impl Places {
    /// Takes a place, if there is one. An empty host is none in particular.
    pub fn take(&mut self, priority: i32, namespace: &Arc<str>, host: &Arc<str>) -> bool {
        let limit = |max: usize| if priority == 0 { max } else { max - max / KEPT };
        let taken = |places: &HashMap<Arc<str>, usize>, key: &Arc<str>| places.get(key).copied().unwrap_or(0);
        let free = self.total < limit(MAX_IN_FLIGHT)
            && taken(&self.by_namespace, namespace) < limit(MAX_PER_NAMESPACE)
            && (host.is_empty() || taken(&self.by_host, host) < limit(MAX_PER_HOST));
        if free {
            self.total += 1;
            *self.by_namespace.entry(namespace.clone()).or_default() += 1;
            *self.by_host.entry(host.clone()).or_default() += 1;
        }
        free
    }

    /// Gives a place back.
    pub fn give_back(&mut self, namespace: &Arc<str>, host: &Arc<str>) {
        self.total = self.total.saturating_sub(1);
        for (places, key) in [(&mut self.by_namespace, namespace), (&mut self.by_host, host)] {
            if let Some(taken) = places.get_mut(key) {
                *taken = taken.saturating_sub(1);
                if *taken == 0 {
                    places.remove(key);
                }
            }
        }
    }

    /// Whether none is left for anybody.
    pub fn are_full(&self) -> bool {
        self.total >= MAX_IN_FLIGHT
    }

    /// How many are taken.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_namespace_nor_a_host_takes_all_and_some_are_kept_for_priority_0() {
        let mut places = Places::default();
        let (mut mine, mut theirs) = (0, 0);
        while places.take(10, &"mine".into(), &format!("host-{mine}").into()) {
            mine += 1;
        }
        while places.take(10, &format!("team-{theirs}").into(), &"db".into()) {
            theirs += 1;
        }
        assert_eq!((mine, theirs), (12, 6));
        assert!(places.take(0, &"mine".into(), &"db".into()), "kept");
        let mut others = 0;
        while places.take(10, &format!("team-{others}").into(), &format!("host-{others}").into()) {
            others += 1;
        }
        assert_eq!(places.taken(), 384);
        assert!(places.take(0, &"late".into(), &"late".into()) && !places.are_full());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_leaves_nothing() {
        let mut places = Places::default();
        for _ in 0..1000 {
            assert!(places.take(10, &"shop".into(), &"db".into()));
            places.give_back(&"shop".into(), &"db".into());
        }
        assert_eq!((places.total, places.by_namespace.len(), places.by_host.len()), (0, 0, 0));
    }
}
