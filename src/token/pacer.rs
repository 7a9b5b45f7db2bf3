//! How often one environment may read Parameter Store: twice a second, and ten times for each expiry of the token.
//!
//! Parameter Store takes 40 reads a second from a whole account. A hundred environments whose token expires at the same moment
//! stay within that only if each of them reads seldom, and more seldom the longer it waits. So every read goes through here, and
//! so do the pauses between two of them: ten reads are to last for all the time that there is.

use std::time::Duration;

/// Reads for each expiry of the token.
pub(super) const READS: u8 = 10;

/// Time in which two reads may go out: a second, and by how much two requests can differ in the time they take to arrive.
const WINDOW: Duration = Duration::from_millis(1500);

/// Time after which one more read is allowed: a renewal that has failed for long is still tried now and then.
const REFILL: Duration = Duration::from_mins(1);

/// Shortest pause between two reads of one renewal.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How much longer each pause is than the one before, where ten of them are to last for a while.
const GROWTH: f64 = 1.35;

/// How much longer each pause is at the least.
const LEAST_GROWTH: f64 = 1.6;

/// The reads of one environment. Times count from any one moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pacer {
    left: u8,
    /// When the last two reads went out, the older one first.
    sent: [Option<Duration>; 2],
    /// Since when reads are added.
    refilled: Duration,
}

impl Default for Pacer {
    fn default() -> Self {
        Self { left: READS, sent: [None; 2], refilled: Duration::ZERO }
    }
}

impl Pacer {
    /// Begins another expiry: its reads are its own.
    pub(super) fn renew(&mut self) {
        self.left = READS;
    }

    /// Returns how many reads are left.
    pub(super) fn left(&self, now: Duration) -> u8 {
        let added = now.saturating_sub(self.refilled).as_secs() / REFILL.as_secs();
        self.left.saturating_add(u8::try_from(added).unwrap_or(READS)).min(READS)
    }

    /// Returns when the next read may go out, at the earliest.
    pub(super) fn next(&self, now: Duration) -> Duration {
        self.sent[0].map_or(now, |sent| now.max(sent + WINDOW))
    }

    /// Returns when the last read went out.
    pub(super) fn last(&self) -> Option<Duration> {
        self.sent[1]
    }

    /// Enters a read. `false` if none is allowed now.
    #[must_use]
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let left = self.left(now);
        if left == 0 || self.next(now) > now {
            return false;
        }
        if left == READS {
            self.refilled = now;
        } else {
            let whole = now.saturating_sub(self.refilled).as_secs() / REFILL.as_secs();
            self.refilled += Duration::from_secs(whole * REFILL.as_secs());
        }
        self.left = left - 1;
        self.sent = [self.sent[1], Some(now)];
        true
    }

    /// Returns how long to wait before the next read, so that those that are left last until `until`.
    ///
    /// Pauses grow: a token is mostly renewed within a second or two. `number` counts those of this renewal from 0. By `random`
    /// (0 to 1) between half and one and a half of what is planned, so that those who wait together do not read together; after
    /// a read that was throttled (`is_busy`) half as long again, since there are too many of them.
    pub(super) fn pause(&self, number: u32, is_busy: bool, now: Duration, until: Duration, random: f64) -> Duration {
        let left = until.saturating_sub(now);
        let reads = i32::from(self.left(now).max(1));
        let planned = left.mul_f64((GROWTH - 1.0) / (GROWTH.powi(reads) - 1.0));
        // Not more than double the one before, so that the first ones are short; and enough longer than it that reads are left for
        // whatever comes after this renewal, should it fail.
        let number = i32::try_from(number.min(16)).unwrap_or(16);
        let [shortest, longest] = [LEAST_GROWTH, 2.0].map(|growth| FIRST_PAUSE.mul_f64(growth.powi(number)));
        let pause = planned.clamp(shortest, longest);
        let pause = if is_busy { pause.mul_f64(1.5) } else { pause };
        let then = now + pause.mul_f64(0.5 + random.clamp(0.0, 1.0));
        // The last read is better made early than left out.
        let then = then.min(until).max(self.next(now));
        then.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// How many reads go out until `until`, if one is tried every 10 ms.
    fn greedy(pacer: &mut Pacer, from: u64, until: u64) -> usize {
        (from..until).step_by(10).filter(|now| pacer.take(ms(*now))).count()
    }

    #[test]
    fn two_reads_go_out_in_a_second_and_ten_for_an_expiry() {
        let mut pacer = Pacer::default();
        assert_eq!(greedy(&mut pacer, 0, 1000), 2);
        assert_eq!(greedy(&mut pacer, 1000, 50_000), 8);
        pacer.renew();
        assert_eq!(greedy(&mut pacer, 50_000, 59_000), 10);
    }

    #[test]
    fn one_more_is_allowed_a_minute_and_no_more_than_ten() {
        let mut pacer = Pacer::default();
        assert_eq!(greedy(&mut pacer, 0, 59_990), 10);
        assert_eq!(greedy(&mut pacer, 60_000, 119_990), 1);
        assert_eq!(pacer.left(ms(119_990)), 0);
        assert_eq!(greedy(&mut pacer, 7_200_000, 7_210_000), 10);
        assert_eq!(pacer.last().map(|last| last > ms(7_200_000)), Some(true));
    }

    #[test]
    fn pauses_begin_short_and_ten_reads_last_as_long_as_there_is_time() {
        for seconds in [5, 15, 20, 150] {
            let (mut pacer, mut now, mut number) = (Pacer::default(), Duration::ZERO, 0);
            let until = Duration::from_secs(seconds);
            let mut first = Duration::ZERO;
            while pacer.take(now) && now < until && pacer.left(now) > 0 {
                let pause = pacer.pause(number, false, now, until, 0.5);
                first = if number == 0 { pause } else { first };
                now += pause;
                number += 1;
            }
            assert!((ms(500)..ms(600)).contains(&first), "{seconds}: {first:?}");
            assert!(now >= until.mul_f64(0.7), "{seconds}: {now:?}");
        }
    }

    proptest! {
        #[test]
        fn no_second_has_three_reads_whatever_is_asked(asked in prop::collection::vec(0_u64..2000, 1..60)) {
            let mut pacer = Pacer::default();
            let mut now = 0;
            let mut sent = Vec::new();
            for pause in asked {
                now += pause;
                if pacer.take(ms(now)) {
                    sent.push(now);
                }
            }
            prop_assert!(sent.windows(3).all(|three| three[2] - three[0] > 1000));
        }
    }
}
