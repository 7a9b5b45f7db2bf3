//! The store's clock, as far as its answers tell it.
//!
//! What one environment writes for the others to compare, when a lock is dead and when a token expires, must mean the same to all.
//! Clocks of machines may be minutes apart; the store's is one for all, and each of its answers says its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_ssm::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ssm::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_types::config_bag::{Storable, StoreReplace};

/// By how much this machine's clock must differ to be corrected, in milliseconds: a `Date` has whole seconds, and takes its time
/// to come.
const TOLERANCE: i64 = 2000;

/// Longest time of a request whose answer tells the time: longer, nobody knows when in it that was. The process may have been
/// frozen meanwhile.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(2);

/// The clock of the store. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock {
    /// What is to be added to this machine's clock, in milliseconds.
    offset: Arc<AtomicI64>,
}

impl Clock {
    /// Returns the time, in milliseconds since the Unix epoch.
    pub(super) fn milliseconds(&self) -> i64 {
        epoch_milliseconds(now()).saturating_add(self.offset.load(Ordering::Relaxed))
    }

    /// Returns the time, in seconds since the Unix epoch.
    pub(super) fn seconds(&self) -> i64 {
        self.milliseconds().div_euclid(1000)
    }

    /// Returns the time.
    pub(super) fn time(&self) -> SystemTime {
        let offset = self.offset.load(Ordering::Relaxed);
        let by = Duration::from_millis(offset.unsigned_abs());
        let time = if offset < 0 { now().checked_sub(by) } else { now().checked_add(by) };
        time.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Takes the time from an answer of the store that has just come, so long after its request.
    fn note(&self, date: &str, now: SystemTime, round_trip: Duration) {
        if let Some(offset) = offset(date, now, round_trip) {
            self.offset.store(offset, Ordering::Relaxed);
        }
    }
}

/// Returns what is to be added to a clock that says `now`; `None` if the answer does not tell.
pub(super) fn offset(date: &str, now: SystemTime, round_trip: Duration) -> Option<i64> {
    if round_trip > MAX_ROUND_TRIP {
        return None;
    }
    let date = httpdate::parse_http_date(date).ok()?;
    // Somewhere in the second that it names.
    let offset = epoch_milliseconds(date)
        .saturating_add(500)
        .saturating_sub(epoch_milliseconds(now.checked_sub(round_trip / 2).unwrap_or(now)));
    Some(if offset.abs() > TOLERANCE { offset } else { 0 })
}

/// Milliseconds since the Unix epoch. A time before it, which no clock that works says, is the epoch.
fn epoch_milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Returns the time of day.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where it is read: for lifetimes, and dates in `Retry-After`"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// When a request to the store was sent.
#[derive(Debug)]
struct Sent(Instant);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Clock {
    fn name(&self) -> &'static str {
        "Clock"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(Sent(Instant::now()));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(date), Some(Sent(sent))) = (context.response().headers().get("date"), bag.load::<Sent>()) {
            self.note(date, now(), sent.elapsed());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sat, 21 Nov 2026 18:59:00 GMT";

    /// The offset of a clock that is so many milliseconds ahead of the answer's second.
    fn ahead(milliseconds: i64, round_trip: Duration) -> Option<i64> {
        let date = httpdate::parse_http_date(DATE).expect("a date");
        let by = Duration::from_millis(milliseconds.unsigned_abs());
        offset(DATE, if milliseconds < 0 { date - by } else { date + by }, round_trip)
    }

    #[test]
    fn a_clock_that_is_off_is_corrected_and_one_that_is_right_is_left_alone() {
        let quick = Duration::ZERO;
        assert_eq!(ahead(0, Duration::from_millis(50)), Some(0));
        assert_eq!(ahead(2500, quick), Some(0));
        assert_eq!(ahead(2501, quick), Some(-2001));
        assert_eq!(ahead(300_500, quick), Some(-300_000));
        assert_eq!(ahead(-299_500, quick), Some(300_000));
    }

    #[test]
    fn an_answer_that_was_long_under_way_or_has_no_date_tells_nothing() {
        assert_eq!(ahead(300_500, Duration::from_millis(2001)), None);
        assert_eq!(offset("yesterday", SystemTime::UNIX_EPOCH, Duration::ZERO), None);
    }

    #[test]
    fn all_that_is_asked_of_a_clock_moves_with_its_offset() {
        let clock = Clock::default();
        let before = clock.milliseconds();
        clock.note("Thu, 01 Jan 1970 00:00:10 GMT", now(), Duration::ZERO);
        assert!(before > 1_000_000_000_000 && (10_000..12_000).contains(&clock.milliseconds()));
        assert!((10..12).contains(&clock.seconds()));
        assert!(clock.time() < SystemTime::UNIX_EPOCH + Duration::from_secs(12));
    }
}
