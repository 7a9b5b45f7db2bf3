//! How the API fares, and so what may still be asked of it: a breaker, as data and arithmetic.
//!
//! Within an invocation three things end the asking before the deadline does: bodies that use up their attempts (the API is
//! down), batches of which event after event is refused (the API refuses everything), and a hundred requests in a row without
//! any event accepted, whatever they were answered. Between invocations one thing is remembered: that the API took nothing.
//!
//! ```text
//! invocation 1   503 503 503 503 503 …            took nothing
//! invocation 2   one body: 503                    the others fail without a request
//! invocation 3   one body: 200, then the others   as if nothing had been
//! ```

use std::time::{Duration, Instant};

/// Requests in a row without any event accepted after which an invocation makes no more.
pub(super) const MAX_FRUITLESS: usize = 100;

/// Bodies in a row that have used up their attempts, after which those behind them have a single one.
const DOUBTFUL_AFTER: usize = 2;

/// Bodies with a single attempt that have failed, after which the API counts as down for the rest of the invocation.
const DOWN_AFTER: usize = 2;

/// Batches in a row of which too many events were refused one by one, after which the others are not tried.
const REFUSING_AFTER: usize = 2;

/// How long it is remembered that an invocation delivered nothing.
const MEMORY: Duration = Duration::from_mins(1);

/// How long it is remembered what size was too large.
const SIZE_MEMORY: Duration = Duration::from_mins(10);

/// A body this much smaller than one that was too large says nothing of the API's limit.
const NEAR: usize = 4;

/// What an environment remembers of the API from one invocation to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    /// When the last invocation ended, if it asked and nothing was accepted.
    fruitless: Option<Instant>,
    /// The smallest body of several events that was too large, in bytes, and when that was learned.
    too_large: Option<(usize, Instant)>,
}

/// How the API fares in one invocation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Health {
    /// Requests since an event was accepted last.
    fruitless: usize,
    /// Requests.
    asked: usize,
    /// Bodies that were accepted.
    accepted: usize,
    /// Whether the invocation before delivered nothing, and this one has not yet.
    is_probing: bool,
    /// Whether the first body of such an invocation has failed.
    is_closed: bool,
    /// Bodies in a row that have used up their attempts. Any final answer, whatever it says, starts it anew.
    exhausted: usize,
    /// Bodies behind those that have used up the single attempt that they had.
    probes: usize,
    /// Batches in a row of which too many events were refused one by one.
    refusing: usize,
    /// Size of the smallest body of several events that was too large.
    too_large: Option<usize>,
    /// Size of the largest body that was accepted.
    largest: usize,
}

impl Health {
    /// Starts an invocation at `now`.
    pub(super) fn start(memory: Memory, now: Instant) -> Self {
        let within = |since: Instant, time: Duration| now.saturating_duration_since(since) < time;
        Self {
            fruitless: 0,
            asked: 0,
            accepted: 0,
            is_probing: memory.fruitless.is_some_and(|since| within(since, MEMORY)),
            is_closed: false,
            exhausted: 0,
            probes: 0,
            refusing: 0,
            too_large: memory.too_large.filter(|(_, since)| within(*since, SIZE_MEMORY)).map(|(size, _)| size),
            largest: 0,
        }
    }

    /// What to remember of an invocation that ends at `now`; `before` is what was remembered when it started.
    pub(super) fn end(self, before: Memory, now: Instant) -> Memory {
        if self.asked == 0 {
            return before;
        }
        // If nothing of nearly that size was accepted, the API took nothing: the size is not a limit.
        let too_large = self.too_large.filter(|size| self.largest.saturating_mul(NEAR) >= *size);
        let since = before.too_large.filter(|(size, _)| Some(*size) == too_large).map_or(now, |(_, since)| since);
        Memory { fruitless: (self.accepted == 0).then_some(now), too_large: too_large.map(|size| (size, since)) }
    }

    /// Returns whether the API may be asked at all.
    pub(super) fn is_open(self) -> bool {
        !self.is_closed && self.probes < DOWN_AFTER && self.refusing < REFUSING_AFTER && self.fruitless < MAX_FRUITLESS
    }

    /// Returns whether a body is to be settled before the next one is begun.
    pub(super) fn is_probing(self) -> bool {
        self.is_probing && self.accepted == 0
    }

    /// Returns whether the next body has a single attempt.
    pub(super) fn is_doubtful(self) -> bool {
        self.exhausted >= DOUBTFUL_AFTER
    }

    /// Returns whether a body of several events and this size is known to be too large.
    pub(super) fn is_too_large(self, size: usize) -> bool {
        self.too_large.is_some_and(|too_large| size >= too_large)
    }

    /// Enters a request.
    pub(super) fn asked(&mut self) {
        self.asked += 1;
        self.fruitless += 1;
    }

    /// Enters an answer that is final: the API is not down.
    pub(super) fn answered(&mut self) {
        self.exhausted = 0;
        self.probes = 0;
    }

    /// Enters that a body of this size was accepted.
    pub(super) fn accepted(&mut self, size: usize) {
        self.fruitless = 0;
        self.accepted += 1;
        self.largest = self.largest.max(size);
    }

    /// Enters that a body of several events and this size was too large.
    pub(super) fn too_large(&mut self, size: usize) {
        self.too_large = Some(self.too_large.map_or(size, |before| before.min(size)));
    }

    /// Enters a body that has used up its attempts; whether it had a single one.
    pub(super) fn exhausted(&mut self, is_probe: bool) {
        self.exhausted += 1;
        self.probes += usize::from(is_probe);
    }

    /// Enters the end of a batch; whether too many of its events were refused one by one.
    pub(super) fn ended(&mut self, is_refusing: bool) {
        // One that was not tried says nothing.
        if !self.is_open() {
            return;
        }
        self.refusing = if is_refusing { self.refusing + 1 } else { 0 };
        self.is_closed |= self.is_probing();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn just_under(time: Duration) -> Duration {
        time.saturating_sub(SECOND)
    }

    fn fresh() -> Health {
        Health::start(Memory::default(), Instant::now())
    }

    #[test]
    fn a_hundred_requests_without_an_event_accepted_are_enough() {
        let mut health = fresh();
        for _ in 0..MAX_FRUITLESS {
            assert!(health.is_open());
            health.asked();
            health.answered();
        }
        assert!(!health.is_open());

        let mut health = fresh();
        for request in 0..10 * MAX_FRUITLESS {
            assert!(health.is_open());
            health.asked();
            if request % (MAX_FRUITLESS - 1) == 0 {
                health.accepted(1);
            }
        }
    }

    #[test]
    fn an_api_that_uses_up_all_attempts_is_doubted_and_then_down() {
        let mut health = fresh();
        for is_probe in [false, false] {
            assert!(!health.is_doubtful());
            health.exhausted(is_probe);
        }
        assert!(health.is_doubtful() && health.is_open());
        health.exhausted(true);
        assert!(health.is_open());
        health.exhausted(true);
        assert!(!health.is_open());

        health.answered();
        assert!(health.is_open() && !health.is_doubtful());
    }

    #[test]
    fn two_batches_in_a_row_of_refused_events_are_enough() {
        let mut health = fresh();
        for is_refusing in [true, false, true] {
            health.ended(is_refusing);
            assert!(health.is_open());
        }
        health.ended(true);
        assert!(!health.is_open());
        health.ended(false);
        assert!(!health.is_open());
    }

    #[test]
    fn an_invocation_that_took_nothing_is_remembered_for_a_minute() {
        let start = Instant::now();
        let mut health = Health::start(Memory::default(), start);
        assert!(!health.is_probing());
        health.asked();
        health.ended(false);
        let memory = health.end(Memory::default(), start);

        let mut next = Health::start(memory, start + just_under(MEMORY));
        assert!(next.is_probing() && next.is_open());
        next.asked();
        next.ended(false);
        assert!(!next.is_open());
        let memory = next.end(memory, start + MEMORY);
        assert!(Health::start(memory, start + MEMORY + just_under(MEMORY)).is_probing());
        assert!(!Health::start(memory, start + 2 * MEMORY).is_probing());

        let mut next = Health::start(memory, start + MEMORY);
        next.asked();
        next.accepted(1);
        next.ended(false);
        assert!(next.is_open() && !next.is_probing());
        assert!(!Health::start(next.end(memory, start + MEMORY), start + MEMORY).is_probing());
    }

    #[test]
    fn an_invocation_that_asked_nothing_changes_no_memory() {
        let now = Instant::now();
        let memory = Memory { fruitless: Some(now), too_large: Some((9, now)) };
        let after = Health::start(memory, now).end(memory, now + SECOND);
        assert_eq!((after.fruitless, after.too_large), (memory.fruitless, memory.too_large));
    }

    #[test]
    fn a_size_that_was_too_large_is_remembered_where_something_near_it_was_accepted() {
        let start = Instant::now();
        let learns = |accepted: Option<usize>| {
            let mut health = Health::start(Memory::default(), start);
            health.asked();
            health.too_large(1000);
            health.too_large(800);
            health.too_large(900);
            if let Some(size) = accepted {
                health.accepted(size);
            }
            assert!(health.is_too_large(800) && !health.is_too_large(799));
            health.end(Memory::default(), start)
        };
        let memory = learns(Some(200));
        assert!(Health::start(memory, start + just_under(SIZE_MEMORY)).is_too_large(800));
        assert!(!Health::start(memory, start + SIZE_MEMORY).is_too_large(800));
        assert!(!Health::start(learns(Some(199)), start).is_too_large(1_000_000));
        assert!(!Health::start(learns(None), start).is_too_large(1_000_000));

        // It is not known anew for being kept to.
        let mut health = Health::start(memory, start + SECOND);
        health.asked();
        health.accepted(700);
        let later = health.end(memory, start + just_under(SIZE_MEMORY));
        assert!(!Health::start(later, start + SIZE_MEMORY).is_too_large(800));
    }
}
