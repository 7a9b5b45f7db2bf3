//! One renewal of the token by one environment, as decisions: what the store has said in, what to do next out.
//!
//! No clock, no store, no waiting: [`Tokens`](super::Tokens) carries the steps out, and the tests carry out all orders in which
//! several environments can take theirs.

use std::time::Duration;

use super::cool_down::{self, LONGEST_ASKED};
use super::pacer::FIRST_PAUSE;

/// How long a lock lives, in seconds: a renewal takes one or two, and a winner that died must not hold the others up. A holder
/// that takes longer makes its lock live on.
pub(super) const LOCK_SECONDS: i64 = 6;

/// How far ahead the time of a lock may lie and be believed, in milliseconds: the longest cool-down, and clocks that differ.
const LATEST: i64 = (LONGEST_ASKED + 60) * 1000;

/// What must be left of a lock's life for the endpoint to be asked under it.
const TO_ASK: Duration = Duration::from_secs(1);

/// How long an environment with credentials tries to read a store that is too busy before it goes on without it.
///
/// It does not know then whether another has the lock. So it is long enough for a hundred environments, each of which reads more
/// and more seldom, to have been answered.
const BLIND: Duration = Duration::from_secs(9);

/// Writes of the lock that a busy store has refused, with a look after each that has seen no lock, after which a renewal goes on
/// without.
const MAX_BUSY_WRITES: u8 = 4;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Step {
    /// Read token and credentials, and the lock of this version where that is known.
    Look {
        /// The version.
        version: Option<i64>,
    },
    /// Create the lock of this version of the token.
    Lock {
        /// The version.
        version: i64,
        /// What the lock is to hold: the time after which it counts as dead, in epoch seconds.
        dead_at: i64,
    },
    /// Overwrite the lock of this version, which is dead.
    Claim {
        /// The version.
        version: i64,
        /// As in a new lock.
        dead_at: i64,
    },
    /// Wait for a while, and for the next read that is allowed.
    Pause,
    /// Use the token that was seen last: the end.
    Use,
    /// Ask the token endpoint, under this lock or without one.
    Ask(Option<Hold>),
    /// Leave the renewal to others and use the token in memory on: the end.
    Leave,
    /// A cool-down is on until then: the end.
    Rest(Duration),
    /// Another environment renews, and there is no time left to wait for it: the end.
    GiveUp,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Event {
    /// A look has seen this.
    Saw(Sight),
    /// The lock was written and has this version of its own.
    Written(i64),
    /// The lock was there already.
    Exists,
    /// The store is too busy, and may do the same later.
    Busy,
    /// The store does not do it.
    Failed,
    /// The pause is over.
    Paused,
    /// The lock has died before the endpoint was asked under it: the process was frozen.
    Lapsed,
}

/// What the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Sight {
    /// Version of the token; 0 if there is none.
    pub(super) version: i64,
    /// Whether the token is of use.
    pub(super) fresh: bool,
    /// Whether the credentials have changed since those failed for which a cool-down is on.
    pub(super) rotated: bool,
    /// The lock of the version that was looked for.
    pub(super) lock: Option<Lock>,
}

/// A lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Lock {
    /// Its own version: 1 when it was created, one more each time it is written again.
    pub(super) version: i64,
    /// The time after which it counts as dead, in epoch seconds, if that can be read.
    pub(super) dead_at: Option<i64>,
    /// How far ahead that was when it was written, in seconds, by the store's clock.
    pub(super) life: Option<i64>,
}

/// A lock that is one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Hold {
    /// The version of the token.
    pub(super) version: i64,
    /// The lock's own version.
    pub(super) lock: i64,
    /// The time after which it counts as dead, in epoch seconds.
    pub(super) dead_at: i64,
    /// When that is, by this environment's monotonic clock.
    pub(super) until: Duration,
}

impl Hold {
    /// Enters that a lock was written with this time.
    pub(super) fn new(version: i64, lock: i64, dead_at: i64, now: Now) -> Self {
        Self { version, lock, dead_at, until: now.at + life(dead_at, now.clock) }
    }

    /// Returns whether the lock lives for long enough to ask the endpoint under it. By both clocks: either may have stood still
    /// while the process was frozen.
    pub(super) fn lives(&self, now: Now) -> bool {
        now.at + TO_ASK <= self.until && life(self.dead_at, now.clock) >= TO_ASK
    }
}

/// How long a lock still lives that is dead after this second, where the clock says so many milliseconds.
fn life(dead_at: i64, clock: i64) -> Duration {
    let ahead = dead_at.saturating_add(1).saturating_mul(1000).saturating_sub(clock);
    // What nobody would write dies like a lock that was made now.
    let ahead = if ahead > LATEST { LOCK_SECONDS * 1000 } else { ahead };
    Duration::from_millis(u64::try_from(ahead).unwrap_or(0))
}

/// When something has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Now {
    /// The time by this environment's monotonic clock, from any one moment.
    pub(super) at: Duration,
    /// The time by the store's clock, in milliseconds since the Unix epoch.
    pub(super) clock: i64,
    /// Until when others, and a busy store, may be waited for.
    pub(super) patience: Duration,
    /// How many reads are left.
    pub(super) reads: u8,
    /// Whether there are credentials to ask with.
    pub(super) able: bool,
}

impl Now {
    /// The time that a lock made now is to hold.
    pub(super) fn dead_at(self) -> i64 {
        self.clock.div_euclid(1000) + LOCK_SECONDS
    }
}

/// What an environment knows before a renewal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Known {
    /// The version of the token in the store when that was last seen.
    pub(super) version: Option<i64>,
    /// The lock that this environment holds since a renewal that was given up.
    pub(super) mine: Option<Hold>,
    /// Until when a cool-down is on.
    pub(super) rest: Option<Duration>,
    /// The own version of the lock that says so to the others, if it does.
    pub(super) rest_lock: Option<i64>,
}

/// One renewal under way.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all of them can be true together")]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Renewal {
    /// Whether there is a token that lives: then nothing is waited for.
    early: bool,
    known: Known,
    start: Duration,
    doing: Doing,
    /// The version of the token that is to be replaced, and was looked for with its lock.
    version: Option<i64>,
    holder: Option<Holder>,
    /// Whether the store has been too busy: then it is looked at before anything is written.
    contended: bool,
    /// Whether no look has been answered yet.
    blind: bool,
    /// Whether a lock that lives was met: then its holder asks, and nobody else.
    led: bool,
    busy_writes: u8,
}

/// The request to the store that is under way, or was last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Doing {
    Look,
    Lock {
        version: i64,
        dead_at: i64,
    },
    /// The lock that was found dead had this version.
    Claim {
        version: i64,
        dead_at: i64,
        dead: i64,
    },
}

/// Another environment that holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Holder {
    /// The lock's own version, once it was seen.
    lock: Option<i64>,
    /// Until when it lives, by this environment's monotonic clock.
    until: Duration,
}

impl Renewal {
    /// Starts a renewal; the first step is to look.
    pub(super) fn start(early: bool, known: Known, now: Now) -> (Self, Step) {
        let mut renewal = Self {
            early,
            known,
            start: now.at,
            doing: Doing::Look,
            version: known.version,
            holder: None,
            contended: false,
            blind: true,
            led: false,
            busy_writes: 0,
        };
        let step = if now.reads > 0 { renewal.look() } else { renewal.out() };
        (renewal, step)
    }

    /// Tells what to do after this.
    pub(super) fn next(&mut self, event: Event, now: Now) -> Step {
        match (self.doing, event) {
            (_, Event::Paused) => self.look(),
            (_, Event::Saw(sight)) => self.saw(sight, now),
            (Doing::Claim { dead, .. }, Event::Written(version)) if version > dead + 1 => {
                // Another has claimed it in between.
                self.follow(Some(version), now);
                self.wait(now)
            }
            (Doing::Lock { version, dead_at } | Doing::Claim { version, dead_at, .. }, Event::Written(lock)) => {
                let hold = Hold::new(version, lock, dead_at, now);
                // An answer that took so long is that of a process that was frozen.
                if hold.lives(now) { Step::Ask(Some(hold)) } else { self.wait(now) }
            }
            (_, Event::Exists) => {
                self.follow(None, now);
                // Whoever does not wait looks at once: the lock may be dead.
                if self.early && now.reads > 0 { self.look() } else { self.wait(now) }
            }
            (Doing::Look, Event::Busy) => {
                self.contended = true;
                let is_given_up = self.blind && self.holder.is_none() && now.able && now.at >= self.start + BLIND;
                if is_given_up { self.alone() } else { self.wait(now) }
            }
            (Doing::Look, Event::Failed) if self.holder.is_some_and(|holder| now.at <= holder.until) => self.wait(now),
            (_, Event::Busy) => {
                self.contended = true;
                self.busy_writes += 1;
                if self.busy_writes >= MAX_BUSY_WRITES && !self.led { self.alone() } else { self.wait(now) }
            }
            (_, Event::Lapsed) => {
                self.holder = None;
                self.wait(now)
            }
            (_, Event::Failed | Event::Written(_)) => self.alone(),
        }
    }

    fn saw(&mut self, sight: Sight, now: Now) -> Step {
        self.blind = false;
        if sight.fresh {
            return Step::Use;
        }
        if let Some(until) = self.known.rest.filter(|until| now.at < *until && !sight.rotated) {
            return self.rest(until);
        }
        if self.version != Some(sight.version) {
            // Its lock was not looked for. The version is the first that is seen, or another than was known, and of no use.
            self.version = Some(sight.version);
            self.holder = None;
            // Writes are the scarcest: where there is a crowd, somebody has the lock.
            let is_looked_for = self.contended && self.can_wait(now);
            return if is_looked_for { Step::Pause } else { self.lock(sight.version, now) };
        }
        let Some(lock) = sight.lock else {
            return match self.holder {
                // It exists and cannot be seen yet.
                Some(holder) if now.at <= holder.until => self.wait(now),
                _ => self.lock(sight.version, now),
            };
        };
        let is_mine = |mine: &Hold| (mine.version, mine.lock) == (sight.version, lock.version) && mine.lives(now);
        if let Some(mine) = self.known.mine.filter(is_mine) {
            return Step::Ask(Some(mine));
        }
        // A lock that was seen before dies by one's own clock.
        let seen = self.holder.filter(|holder| holder.lock == Some(lock.version));
        let until = seen.map_or_else(|| now.at + life(lock.dead_at.unwrap_or(i64::MAX), now.clock), |seen| seen.until);
        self.holder = Some(Holder { lock: Some(lock.version), until });
        let left = until.saturating_sub(now.at);
        let is_cool_down = cool_down::is_one(&lock, left) || self.known.rest_lock == Some(lock.version);
        if left.is_zero() || sight.rotated && is_cool_down {
            let dead_at = now.dead_at();
            self.doing = Doing::Claim { version: sight.version, dead_at, dead: lock.version };
            return Step::Claim { version: sight.version, dead_at };
        }
        if is_cool_down {
            return self.rest(until);
        }
        self.led = true;
        self.wait(now)
    }

    /// Enters that another environment has the lock.
    fn follow(&mut self, lock: Option<i64>, now: Now) {
        self.led = true;
        self.holder = Some(Holder { lock, until: now.at + life(now.dead_at(), now.clock) });
    }

    fn lock(&mut self, version: i64, now: Now) -> Step {
        let dead_at = now.dead_at();
        self.doing = Doing::Lock { version, dead_at };
        Step::Lock { version, dead_at }
    }

    fn look(&mut self) -> Step {
        self.doing = Doing::Look;
        Step::Look { version: self.version }
    }

    /// Waits, unless there is no time to, or no need.
    fn wait(&self, now: Now) -> Step {
        if self.can_wait(now) { Step::Pause } else { self.out() }
    }

    fn can_wait(&self, now: Now) -> bool {
        !self.early && now.reads > 0 && now.at + FIRST_PAUSE <= now.patience
    }

    /// Goes on when nothing can be waited for any more. Whoever has met a lock that lives, or has not been told that there is none,
    /// leaves asking to others: of a hundred that ask because their time is over, ninety-nine are too many.
    fn out(&self) -> Step {
        let is_alone = !self.led && (self.busy_writes > 0 || self.blind && self.contended);
        match (self.early, is_alone) {
            (true, _) => Step::Leave,
            (false, true) => Step::Ask(None),
            (false, false) => Step::GiveUp,
        }
    }

    fn rest(&self, until: Duration) -> Step {
        if self.early { Step::Leave } else { Step::Rest(until) }
    }

    /// Goes on without the store and without the others; a token that lives is no reason to.
    fn alone(&self) -> Step {
        if self.early { Step::Leave } else { Step::Ask(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: i64 = 1_000_000;
    const NOW: Now = Now { at: Duration::ZERO, clock: CLOCK, patience: Duration::from_secs(20), reads: 10, able: true };

    fn after(seconds: u64) -> Now {
        let milliseconds = i64::try_from(seconds).expect("few") * 1000;
        Now { at: Duration::from_secs(seconds), clock: CLOCK + milliseconds, ..NOW }
    }

    fn nothing(version: i64) -> Sight {
        Sight { version, fresh: false, rotated: false, lock: None }
    }

    /// A lock that is dead after so many seconds from the start.
    fn locked(version: i64, seconds: i64) -> Event {
        let lock = Lock { version: 1, dead_at: Some(CLOCK / 1000 + seconds), life: Some(seconds.max(6)) };
        Event::Saw(Sight { lock: Some(lock), ..nothing(version) })
    }

    fn sees(version: i64) -> Event {
        Event::Saw(nothing(version))
    }

    /// The step after these events at these seconds.
    #[track_caller]
    fn leads(early: bool, known: Known, events: &[(u64, Event)], expected: Step) {
        let (mut renewal, mut step) = Renewal::start(early, known, NOW);
        for (seconds, event) in events {
            step = renewal.next(*event, after(*seconds));
        }
        assert_eq!(step, expected, "{events:?}");
    }

    #[track_caller]
    fn at_once(events: &[Event], expected: Step) {
        let events: Vec<(u64, Event)> = events.iter().map(|event| (0, *event)).collect();
        leads(false, Known::default(), &events, expected);
    }

    const DEAD_AT: i64 = CLOCK / 1000 + LOCK_SECONDS;

    fn hold(lock: i64) -> Hold {
        Hold { version: 7, lock, dead_at: DEAD_AT, until: Duration::from_secs(7) }
    }

    #[test]
    fn whoever_creates_the_lock_asks_and_whoever_does_not_looks_again() {
        at_once(&[sees(7)], Step::Lock { version: 7, dead_at: DEAD_AT });
        at_once(&[sees(7), Event::Written(1)], Step::Ask(Some(hold(1))));
        at_once(&[sees(7), Event::Exists], Step::Pause);
        at_once(&[sees(7), Event::Exists, Event::Paused], Step::Look { version: Some(7) });
        let used = Event::Saw(Sight { fresh: true, ..nothing(8) });
        at_once(&[sees(7), Event::Exists, Event::Paused, used], Step::Use);
    }

    #[test]
    fn whoever_knows_the_version_sees_the_lock_at_once() {
        let known = Known { version: Some(7), ..Known::default() };
        leads(false, known, &[(0, locked(7, 3))], Step::Pause);
        leads(false, known, &[(0, sees(7))], Step::Lock { version: 7, dead_at: DEAD_AT });
        leads(false, known, &[(0, sees(8))], Step::Lock { version: 8, dead_at: DEAD_AT });
    }

    #[test]
    fn a_lock_is_dead_after_its_time_and_the_first_to_overwrite_it_asks() {
        let held = [sees(7), Event::Exists, Event::Paused];
        let claim = Step::Claim { version: 7, dead_at: DEAD_AT };
        at_once(&[&held[..], &[locked(7, 0)]].concat(), Step::Pause);
        at_once(&[&held[..], &[locked(7, -1)]].concat(), claim);
        at_once(&[&held[..], &[locked(7, -1), Event::Written(2)]].concat(), Step::Ask(Some(hold(2))));
        at_once(&[&held[..], &[locked(7, -1), Event::Written(3)]].concat(), Step::Pause);
    }

    #[test]
    fn a_lock_dies_by_the_clock_of_whoever_saw_it() {
        let held = [(0, sees(7)), (0, Event::Exists), (0, Event::Paused), (0, locked(7, 3))];
        let (mut renewal, _) = Renewal::start(false, Known::default(), NOW);
        for (seconds, event) in held {
            renewal.next(event, after(seconds));
        }
        // The store's clock has jumped.
        let now = Now { clock: CLOCK - 300_000, ..after(4) };
        assert!(matches!(renewal.next(locked(7, 3), now), Step::Claim { .. }));
    }

    #[test]
    fn a_time_that_nobody_would_write_is_that_of_a_lock_made_now() {
        for dead_at in [Some(CLOCK), Some(i64::MAX), None] {
            let lock = Lock { version: 1, dead_at, life: None };
            let seen = Event::Saw(Sight { lock: Some(lock), ..nothing(7) });
            let known = Known { version: Some(7), ..Known::default() };
            leads(false, known, &[(0, seen), (0, Event::Paused), (5, seen)], Step::Pause);
            let dead_at = DEAD_AT + 6;
            leads(false, known, &[(0, seen), (0, Event::Paused), (6, seen)], Step::Claim { version: 7, dead_at });
        }
    }

    #[test]
    fn a_cool_down_is_not_waited_for_unless_the_credentials_have_changed() {
        let known = Known { version: Some(7), ..Known::default() };
        leads(false, known, &[(0, locked(7, 20))], Step::Rest(Duration::from_secs(21)));
        leads(false, known, &[(0, locked(7, 3600))], Step::Rest(Duration::from_secs(3601)));
        leads(true, known, &[(0, locked(7, 20))], Step::Leave);
        let Event::Saw(sight) = locked(7, 20) else { unreachable!() };
        let rotated = Event::Saw(Sight { rotated: true, ..sight });
        leads(false, known, &[(0, rotated)], Step::Claim { version: 7, dead_at: DEAD_AT });

        let resting = Known { rest: Some(Duration::from_secs(5)), ..known };
        leads(false, resting, &[(0, sees(7))], Step::Rest(Duration::from_secs(5)));
        leads(false, resting, &[(0, Event::Saw(Sight { fresh: true, ..nothing(8) }))], Step::Use);
        let rotated = Event::Saw(Sight { rotated: true, ..nothing(7) });
        leads(false, resting, &[(0, rotated)], Step::Lock { version: 7, dead_at: DEAD_AT });
    }

    #[test]
    fn of_those_who_see_that_credentials_have_changed_one_asks() {
        let Event::Saw(sight) = locked(7, 4) else { unreachable!() };
        let rotated = Event::Saw(Sight { rotated: true, ..sight });
        let resting = Known { version: Some(7), rest: Some(Duration::from_secs(5)), ..Known::default() };
        // The lock is that of the cool-down, or of whoever was first to see it.
        let told = Known { rest_lock: Some(1), ..resting };
        leads(false, told, &[(0, rotated)], Step::Claim { version: 7, dead_at: DEAD_AT });
        leads(false, Known { rest_lock: Some(0), ..resting }, &[(0, rotated)], Step::Pause);
    }

    #[test]
    fn a_crowded_store_is_looked_at_before_it_is_written_to() {
        at_once(&[Event::Busy, Event::Paused, sees(7)], Step::Pause);
        let busy = [sees(7), Event::Busy, Event::Paused];
        at_once(&busy, Step::Look { version: Some(7) });
        at_once(&[&busy[..], &[sees(7)]].concat(), Step::Lock { version: 7, dead_at: DEAD_AT });
        at_once(&[&busy[..], &[locked(7, 1)]].concat(), Step::Pause);
    }

    #[test]
    fn a_store_that_is_too_busy_for_long_is_gone_without_unless_somebody_has_the_lock() {
        leads(false, Known::default(), &[(8, Event::Busy)], Step::Pause);
        leads(false, Known::default(), &[(9, Event::Busy)], Step::Ask(None));
        let write = [(1, sees(7)), (1, Event::Busy), (1, Event::Paused)];
        leads(false, Known::default(), &[write, write, write, write].concat()[..11], Step::Ask(None));
        let held = [(0, sees(7)), (0, Event::Exists), (0, Event::Paused), (9, Event::Busy)];
        leads(false, Known::default(), &held, Step::Pause);
        let (mut renewal, _) = Renewal::start(false, Known::default(), NOW);
        assert_eq!(renewal.next(Event::Busy, Now { able: false, ..after(9) }), Step::Pause);
    }

    #[test]
    fn a_version_that_was_replaced_by_nothing_of_use_has_a_lock_of_its_own() {
        let again = Step::Lock { version: 8, dead_at: DEAD_AT };
        at_once(&[sees(7), Event::Exists, Event::Paused, sees(8)], again);
    }

    #[test]
    fn whoever_was_frozen_until_its_lock_was_dead_looks_again() {
        leads(false, Known::default(), &[(0, sees(7)), (6, Event::Written(1))], Step::Ask(Some(hold(1))));
        leads(false, Known::default(), &[(0, sees(7)), (7, Event::Written(1))], Step::Pause);
        leads(false, Known::default(), &[(0, sees(7)), (0, Event::Written(1)), (9, Event::Lapsed)], Step::Pause);
        assert!(hold(1).lives(after(6)));
        assert!(!hold(1).lives(after(7)));
        assert!(!hold(1).lives(Now { at: Duration::ZERO, ..after(7) }));
        assert!(!hold(1).lives(Now { clock: CLOCK, ..after(7) }));
    }

    #[test]
    fn a_lock_of_ones_own_is_not_waited_for() {
        let known = Known { version: Some(7), mine: Some(hold(1)), ..Known::default() };
        leads(false, known, &[(0, locked(7, 6))], Step::Ask(Some(hold(1))));
    }

    #[test]
    fn whoever_has_a_token_that_lives_asks_only_with_the_lock_and_waits_for_nobody() {
        let leads = |events: &[Event], expected| {
            let events: Vec<(u64, Event)> = events.iter().map(|event| (0, *event)).collect();
            leads(true, Known::default(), &events, expected);
        };
        leads(&[sees(7), Event::Written(1)], Step::Ask(Some(hold(1))));
        leads(&[sees(7), Event::Exists], Step::Look { version: Some(7) });
        leads(&[sees(7), Event::Exists, locked(7, 0)], Step::Leave);
        leads(&[sees(7), Event::Busy], Step::Leave);
        leads(&[sees(7), Event::Failed], Step::Leave);
        leads(&[Event::Busy], Step::Leave);
        leads(&[Event::Failed], Step::Leave);
    }

    #[test]
    fn out_of_patience_or_reads_only_whoever_knows_of_nobody_asks() {
        let out = [Now { patience: Duration::ZERO, ..NOW }, Now { reads: 0, ..NOW }];
        for now in out {
            let (mut renewal, _) = Renewal::start(false, Known::default(), NOW);
            renewal.next(sees(7), NOW);
            assert_eq!(renewal.next(Event::Exists, now), Step::GiveUp);
            let (mut renewal, _) = Renewal::start(false, Known::default(), NOW);
            assert_eq!(renewal.next(Event::Busy, now), Step::Ask(None));
            // There is time to create the lock, if not to look for it.
            assert_eq!(renewal.next(sees(7), now), Step::Lock { version: 7, dead_at: DEAD_AT });
            assert_eq!(renewal.next(Event::Exists, now), Step::GiveUp);
        }
        assert_eq!(Renewal::start(false, Known::default(), out[1]).1, Step::GiveUp);
        assert_eq!(Renewal::start(true, Known::default(), out[1]).1, Step::Leave);
    }
}
