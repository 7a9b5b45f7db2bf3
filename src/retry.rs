//! When to try again, and until when: data and arithmetic. Nothing here waits or reads a clock.

use std::time::{Duration, Instant, SystemTime};

/// What is kept of an invocation's time for settling and for the way of the answer.
///
/// Settling and writing the largest answer, 6 MB of originals, takes 8 to 15 ms of a whole CPU (`cargo bench --bench answer`), which
/// is 0.2 s of the share that a function of 128 MB has; the rest is for a machine that is slow that day.
pub const RESERVE: Duration = Duration::from_millis(500);

/// Longest pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause of all.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The time at which an invocation must be ready to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline that leaves [`RESERVE`] of the `left` of an invocation, counted from `now`.
    #[must_use]
    pub fn of_invocation(left: Duration, now: Instant) -> Self {
        Self(now + left.saturating_sub(RESERVE))
    }

    /// A deadline at `instant`.
    #[must_use]
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// Returns when it is.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Returns how much time there is at `now`, at most `longest`; `None` if there is none.
    #[must_use]
    pub fn allows(self, longest: Duration, now: Instant) -> Option<Duration> {
        Some(self.0.saturating_duration_since(now).min(longest)).filter(|left| !left.is_zero())
    }

    /// Returns the time at `pause` after `now`, if something can still be done then.
    #[must_use]
    pub fn after(self, pause: Duration, now: Instant) -> Option<Instant> {
        now.checked_add(pause).filter(|then| *then < self.0)
    }

    /// Returns the earlier of two deadlines.
    #[must_use]
    pub fn or_after(self, longest: Duration, now: Instant) -> Self {
        Self(now.checked_add(longest).map_or(self.0, |then| then.min(self.0)))
    }
}

/// Returns how much time an invocation has: `deadline` and `now` are in milliseconds since the Unix epoch.
///
/// `cargo lambda watch` writes `600000` there, a duration. No deadline lies in the first day of 1970, so that is read as one.
#[must_use]
pub fn time_left(deadline: u64, now: u64) -> Duration {
    const DAY: u64 = 24 * 3600 * 1000;
    Duration::from_millis(if deadline < DAY { deadline } else { deadline.saturating_sub(now) })
}

/// Returns the pause after the attempt of this number, counted from 1: exponential, and by `random` (0 to 1) between half and
/// the whole of it, so that those who failed together do not come back together.
#[must_use]
pub fn pause(attempt: usize, random: f64) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let longest = FIRST_PAUSE.saturating_mul(1 << doublings).min(MAX_PAUSE);
    longest.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
}

/// Reads the value of a `Retry-After` header: seconds, or a date, which is compared with `now`.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>
#[must_use]
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Seconds beyond what fits are later than any deadline.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let longest: Vec<u128> = (1..=8).map(|attempt| pause(attempt, 1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pause(1, 0.0).as_millis(), 50);
        assert_eq!(pause(usize::MAX, 1.0), MAX_PAUSE);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 18:59:00 GMT").expect("a date");
        assert_eq!(retry_after("0", now), Some(Duration::ZERO));
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Sat, 21 Nov 2026 18:59:07 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sat, 21 Nov 2026 18:58:00 GMT", now), Some(Duration::ZERO));
        assert!(retry_after("99999999999999999999999", now) > Some(Duration::from_secs(1_000_000)));
        for odd in ["", "soon", "-1", "1.5", "Sat, 99 Nov 2026"] {
            assert_eq!(retry_after(odd, now), None, "{odd}");
        }
    }

    #[test]
    fn a_deadline_of_1970_is_a_duration() {
        let now = 1_795_287_540_000;
        assert_eq!(time_left(now + 30_000, now), Duration::from_secs(30));
        assert_eq!(time_left(now - 1, now), Duration::ZERO);
        assert_eq!(time_left(600_000, now), Duration::from_mins(10));
        assert_eq!(time_left(86_400_000, now), Duration::ZERO);
    }

    #[test]
    fn a_deadline_keeps_the_reserve() {
        let now = Instant::now();
        let deadline = Deadline::of_invocation(RESERVE + Duration::from_millis(10), now);
        assert_eq!(deadline.allows(Duration::from_secs(1), now), Some(Duration::from_millis(10)));
        assert_eq!(deadline.allows(Duration::from_millis(3), now), Some(Duration::from_millis(3)));
        assert_eq!(deadline.allows(Duration::from_secs(1), now + Duration::from_millis(10)), None);
        assert_eq!(Deadline::of_invocation(Duration::ZERO, now).allows(Duration::from_secs(1), now), None);
    }

    #[test]
    fn a_pause_that_ends_at_the_deadline_is_too_long() {
        let now = Instant::now();
        let deadline = Deadline::at(now + Duration::from_millis(10));
        assert!(deadline.after(Duration::from_millis(9), now).is_some());
        assert_eq!(deadline.after(Duration::from_millis(10), now), None);
        assert_eq!(deadline.after(Duration::MAX, now), None);
    }

    proptest! {
        #[test]
        fn no_pause_that_is_allowed_passes_the_deadline(left in 0_u64..10_000, waits in prop::collection::vec((1_usize..20, 0.0_f64..1.0), 0..20)) {
            let start = Instant::now();
            let deadline = Deadline::at(start + Duration::from_millis(left));
            let mut now = start;
            for (attempt, random) in waits {
                match deadline.after(pause(attempt, random), now) {
                    Some(then) => now = then,
                    None => break,
                }
                prop_assert!(now < deadline.instant());
            }
        }
    }
}
