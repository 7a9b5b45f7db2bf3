//! The pause after a failure, in which nobody asks for a token.
//!
//! A token endpoint that refuses is not made better by being asked again with every invocation of every environment. So a failure
//! is remembered, in memory and, as a time that is further ahead than that of a holder at work, in the lock's value.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::renewal::{LOCK_SECONDS, Lock};

/// The first pause, in seconds; it doubles with each further failure.
pub(super) const FIRST: i64 = 5;

/// The longest pause of its own, in seconds.
const LONGEST: i64 = 300;

/// The longest pause that a `Retry-After` can ask for, in seconds.
pub(super) const LONGEST_ASKED: i64 = 3600;

/// By how much a lock's time may be further ahead than it was when written and still be that of a holder at work, in seconds: a
/// lock lives for a part of a second longer than [`LOCK_SECONDS`], and clocks differ.
const SLACK: i64 = 2;

/// How long the lives of cool-downs are that can be told from that of a holder's lock, in seconds. None is longer.
const LIVES: RangeInclusive<i64> = LOCK_SECONDS + SLACK + 1..=LONGEST_ASKED + 60;

/// Returns how long the pause after a failure is, in seconds, where the last one was `last` seconds (0: none).
pub(super) fn after(last: i64, retry_after: Option<Duration>) -> i64 {
    let asked = retry_after.map_or(0, |asked| i64::try_from(asked.as_millis().div_ceil(1000)).unwrap_or(i64::MAX));
    last.saturating_mul(2).clamp(FIRST, LONGEST).max(asked.min(LONGEST_ASKED))
}

/// Returns whether a lock that has so long to live is a cool-down, rather than that of a holder at work. The store's own word on
/// when it was written counts for more than what one's own clock makes of it.
pub(super) fn is_one(lock: &Lock, left: Duration) -> bool {
    let life = lock.life.unwrap_or_else(|| i64::try_from(left.as_secs()).unwrap_or(i64::MAX));
    LIVES.contains(&life)
}

/// Returns how long the cool-down was that a lock says, in seconds; 0 if it says none.
///
/// The shortest one looks like the lock of a holder at work, but for the lock's version: somebody has written it again.
pub(super) fn said_by(lock: &Lock) -> i64 {
    match lock.life {
        Some(life) if LIVES.contains(&life) => life.min(LONGEST_ASKED),
        _ if lock.version > 1 => FIRST,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_from_five_seconds_to_five_minutes() {
        let mut last = 0;
        let pauses: Vec<i64> = std::iter::repeat_with(|| {
            last = after(last, None);
            last
        })
        .take(9)
        .collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn a_longer_retry_after_counts_up_to_an_hour_and_does_not_double() {
        assert_eq!(after(0, Some(Duration::from_millis(30_500))), 31);
        assert_eq!(after(40, Some(Duration::from_secs(30))), 80);
        assert_eq!(after(0, Some(Duration::from_hours(1))), 3600);
        assert_eq!(after(0, Some(Duration::MAX)), 3600);
        assert_eq!(after(3600, None), 300);
    }

    #[test]
    fn a_lock_tells_a_cool_down_by_its_life_or_by_its_version() {
        let lock = |version, life| Lock { version, dead_at: Some(1000), life };
        assert_eq!(said_by(&lock(1, Some(6))), 0);
        assert_eq!(said_by(&lock(1, Some(20))), 20);
        assert_eq!(said_by(&lock(2, Some(6))), 5);
        assert_eq!(said_by(&lock(4, Some(40))), 40);
        assert_eq!(said_by(&lock(2, Some(3605))), 3600);
        assert_eq!(said_by(&lock(1, Some(999_999))), 0);
        assert!(!is_one(&lock(1, Some(999_999)), Duration::from_secs(999_999)));
        assert_eq!(said_by(&lock(1, None)), 0);
        let left = Duration::from_secs;
        assert!(!is_one(&lock(1, Some(8)), left(12)) && is_one(&lock(1, Some(9)), left(1)));
        assert!(!is_one(&lock(1, None), left(8)) && is_one(&lock(1, None), left(9)));
    }
}
