//! Every state that can be reached: all of them, or the nearest first.

use super::world::{Bounds, Step, World};
use crate::core::verdict::Standing;
use std::collections::{HashSet, VecDeque};
use std::fmt::Write;

/// So many answers of a replica show that it gives any.
const ENOUGH: usize = 100;

/// What a search came to.
pub struct Found {
    /// How many different states there are, or were seen up to the false open.
    pub states: usize,
    /// In how many of them each replica answers Passing, as far as that was counted.
    pub passing: [usize; 2],
    /// The shortest way to a false open, in lines.
    pub false_open: Option<String>,
}

/// Which state is looked at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The nearest, so that the first false open has the shortest way.
    Nearest,
    /// The latest, which needs less memory.
    Latest,
}

/// Searches from what these first steps lead to, until nothing is left or a false open is found.
pub fn search(bounds: &Bounds, first_steps: &[Step], order: Order) -> Found {
    let first = begin(bounds, first_steps);
    let mut known = HashSet::from([first.fingerprint()]);
    let mut ways: Vec<(usize, Step)> = vec![(0, Step::Tick)];
    let mut queue = VecDeque::from([(0, first)]);
    let mut found = Found { states: 0, passing: [0, 0], false_open: None };
    while let Some((place, world)) = if order == Order::Nearest { queue.pop_front() } else { queue.pop_back() } {
        found.states += 1;
        let too_old = world.too_old(bounds);
        for replica in 0..2 {
            if (too_old || found.passing[replica] < ENOUGH) && world.answer(bounds, replica) == Some(Standing::Passing) {
                if too_old {
                    found.false_open = Some(tell(bounds, first_steps, &ways, place, replica));
                    return found;
                }
                found.passing[replica] += 1;
            }
        }
        for step in world.steps(bounds) {
            let Some(next) = world.after(step, bounds) else { continue };
            if known.insert(next.fingerprint()) {
                ways.push((place, step));
                queue.push_back((ways.len() - 1, next));
            }
        }
    }
    found
}

fn begin(bounds: &Bounds, steps: &[Step]) -> World {
    steps.iter().fold(World::quiet(bounds), |world, step| world.after(*step, bounds).unwrap())
}

fn tell(bounds: &Bounds, first: &[Step], ways: &[(usize, Step)], mut place: usize, replica: usize) -> String {
    let mut steps = Vec::new();
    while place > 0 {
        steps.push(ways[place].1);
        place = ways[place].0;
    }
    steps.extend(first.iter().rev());
    let mut world = World::quiet(bounds);
    let mut told = String::new();
    let mut before = Vec::new();
    for step in [None].into_iter().chain(steps.iter().rev().map(Some)) {
        if let Some(step) = step {
            world = world.after(*step, bounds).unwrap();
        }
        let parts = world.parts();
        let changed: Vec<&str> = parts.iter().filter(|part| !before.contains(*part)).map(String::as_str).collect();
        let name = step.map_or("(quiet)".to_owned(), |step| format!("{step:?}"));
        writeln!(told, "{name:20}{}", changed.join(" | ")).unwrap();
        before = parts;
    }
    writeln!(told, "replica {replica} answers Passing: {}", world.truth(bounds)).unwrap();
    told
}
