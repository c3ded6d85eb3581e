//! Waiting for something to hold: never with a fixed sleep, always with a deadline.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Result};

const INTERVAL: Duration = Duration::from_millis(50);

/// Calls `attempt` every 50 ms until it succeeds, and gives its value. When `deadline` has passed, the error says
/// `what` was waited for and how the last attempt failed. At least one attempt is made.
pub fn eventually<T, E: Display>(deadline: Duration, what: &str, mut attempt: impl FnMut() -> Result<T, E>) -> Result<T> {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(last) if started.elapsed() >= deadline => {
                return Err(Error::Deadline { what: what.to_owned(), after: deadline, last: last.to_string() });
            }
            Err(_) => thread::sleep(INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_first_success() {
        let mut attempts = 0;
        let value = eventually(Duration::from_secs(5), "three", || {
            attempts += 1;
            if attempts == 3 { Ok(attempts) } else { Err("too early") }
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn names_what_was_waited_for_and_the_last_failure() {
        let error = eventually(Duration::from_millis(60), "the moon", || Err::<(), _>("clouds")).unwrap_err();
        assert_eq!(error.to_string(), "waited 0.06 s for the moon; last seen: clouds");
    }
}
