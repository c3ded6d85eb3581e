//! What the checks of a namespace may cost together, so that one tenant's expressions do not take the time of another's.
//!
//! A purse fills by [`PER_SECOND`] units (see [`super::expr`]: about 0.1 µs each) up to [`MOST`]. Whose purse is empty waits for its own.

use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

/// What a namespace's checks may cost in the long run, in units a second: about a fiftieth of a core.
pub const PER_SECOND: u64 = 200_000;
/// What they may cost at once: about 0.1 s.
pub const MOST: u64 = 1_000_000;
/// When there are more purses than this, full ones are forgotten.
const MANY: usize = 1024;

/// The purses of all namespaces. A namespace that is not known has a full one.
#[derive(Clone, Debug, Default)]
pub struct Allowances {
    purses: HashMap<Arc<str>, Purse>,
}

#[derive(Clone, Copy, Debug)]
struct Purse {
    units: u64,
    at: Timestamp,
}

impl Purse {
    /// What is in it at a time. A clock that went back fills nothing.
    fn left(self, now: Timestamp) -> u64 {
        let milliseconds = u64::try_from(now.duration_since(self.at).as_millis()).unwrap_or(0);
        self.units.saturating_add(milliseconds.saturating_mul(PER_SECOND / 1000)).min(MOST)
    }
}

impl Allowances {
    /// What a namespace may spend now.
    pub fn left(&self, namespace: &str, now: Timestamp) -> u64 {
        self.purses.get(namespace).map_or(MOST, |purse| purse.left(now))
    }

    /// Takes what was spent.
    pub fn spend(&mut self, namespace: &Arc<str>, units: u64, now: Timestamp) {
        if units == 0 {
            return;
        }
        let left = self.left(namespace, now).saturating_sub(units);
        self.purses.insert(namespace.clone(), Purse { units: left, at: now });
        if self.purses.len() > MANY {
            self.purses.retain(|_, purse| purse.left(now) < MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn a_purse_is_emptied_fills_again_and_is_nobody_elses() {
        let mut allowances = Allowances::default();
        let (shop, bank): (Arc<str>, Arc<str>) = ("shop".into(), "bank".into());
        assert_eq!(allowances.left(&shop, at(0)), MOST);
        allowances.spend(&shop, MOST + 5, at(0));
        assert_eq!((allowances.left(&shop, at(0)), allowances.left(&bank, at(0))), (0, MOST));
        assert_eq!(allowances.left(&shop, at(10)), PER_SECOND / 100);
        allowances.spend(&shop, 1_000, at(10));
        assert_eq!(allowances.left(&shop, at(10)), PER_SECOND / 100 - 1_000);
        assert_eq!(allowances.left(&shop, at(1_010)), PER_SECOND / 100 - 1_000 + PER_SECOND);
        assert_eq!(allowances.left(&shop, at(60_000)), MOST);
        assert_eq!(allowances.left(&shop, at(-60_000)), PER_SECOND / 100 - 1_000, "a clock that went back fills nothing");
    }

    #[test]
    fn full_purses_are_forgotten_when_there_are_many() {
        let mut allowances = Allowances::default();
        for n in 0..3 * i64::try_from(MANY).unwrap() {
            allowances.spend(&format!("n{n}").into(), 1, at(1_000 * n));
        }
        assert!(allowances.purses.len() <= MANY + 1, "{}", allowances.purses.len());
    }

    proptest! {
        /// Whatever is asked for, no namespace spends more than it started with and what came in since.
        #[test]
        fn nobody_spends_more_than_comes_in(spends in prop::collection::vec((0_u64..2 * MOST, 0_i64..3_000), 1..50)) {
            let mut allowances = Allowances::default();
            let shop: Arc<str> = "shop".into();
            let (mut now, mut spent) = (0, 0_u64);
            for (units, pause) in spends {
                now += pause;
                let units = units.min(allowances.left(&shop, at(now)));
                allowances.spend(&shop, units, at(now));
                spent += units;
                prop_assert!(spent <= MOST + PER_SECOND * u64::try_from(now).unwrap() / 1000);
            }
        }
    }
}
