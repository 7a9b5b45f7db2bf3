//! One renewal of the token by one environment, as decisions: what the store has said in, what to do next out.
//!
//! No clock, no store, no waiting: [`Tokens`](super::Tokens) carries the steps out, and the tests carry out all orders in which
//! several environments can take theirs.

use std::time::Duration;

/// How long a lock lives, in seconds: a renewal takes one or two, and a winner that died must not hold the others up.
pub(super) const LOCK_SECONDS: i64 = 6;

/// First pause before another look at the store; each further one is half as long again.
const FIRST_PAUSE: Duration = Duration::from_millis(400);

/// Longest pause before another look: Parameter Store allows 40 reads a second to all of an account.
const MAX_PAUSE: Duration = Duration::from_millis(1500);

/// Answers of a store that is too busy after which a renewal goes on without it.
const MAX_BUSY: u8 = 6;

/// How many of those a read counts for that is answered so: a store that cannot even be read is no help.
const BUSY_READ: u8 = 2;

/// Returns how long the pause of this number lasts, counted from 0; by `random` (0 to 1) between half and the whole of it, so
/// that those who wait together do not look together.
pub(super) fn pause(number: i32, random: f64) -> Duration {
    FIRST_PAUSE.mul_f64(1.5_f64.powi(number.clamp(0, 16))).min(MAX_PAUSE).mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Step {
    /// Read token and credentials.
    Read,
    /// Create the lock of this version of the token.
    Lock {
        /// The version.
        version: i64,
        /// What the lock is to hold: the time after which it counts as dead.
        dead_at: i64,
    },
    /// Overwrite the lock of this version, which is dead.
    Claim {
        /// The version.
        version: i64,
        /// As in a new lock.
        dead_at: i64,
    },
    /// Wait for a while: see [`pause`].
    Pause,
    /// Read the token and the lock of this version.
    Look {
        /// The version.
        version: i64,
    },
    /// Use the token that was seen last: the end.
    Use,
    /// Ask the token endpoint: the end.
    Ask,
    /// Leave the renewal to others and use the token in memory on: the end.
    Leave,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Event {
    /// A read or a look has seen this.
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
}

/// What the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Sight {
    /// Version of the token; 0 if there is none.
    pub(super) version: i64,
    /// Whether the token is of use.
    pub(super) fresh: bool,
    /// The lock of the version that was looked for.
    pub(super) lock: Option<Lock>,
}

/// A lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Lock {
    /// Its own version: 1 when it was created, one more after each claim.
    pub(super) version: i64,
    /// The time after which it counts as dead, in epoch seconds, if that can be read.
    pub(super) dead_at: Option<i64>,
}

/// When something has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Now {
    /// Seconds since the Unix epoch.
    pub(super) seconds: i64,
    /// Whether there is time to wait for others.
    pub(super) patient: bool,
}

/// One renewal under way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Renewal {
    /// Whether there is a token that lives: then nothing is waited for.
    early: bool,
    doing: Doing,
    /// The version of the token that is to be replaced, once it was seen.
    version: Option<i64>,
    holder: Option<Holder>,
    busy: u8,
}

/// The request to the store that is under way, or was last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Doing {
    Read,
    Lock,
    Look,
    /// The lock that was found dead had this version.
    Claim {
        dead: i64,
    },
}

/// Another environment that holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Holder {
    /// The lock's own version, once it was seen.
    lock: Option<i64>,
    /// The last second of its life.
    until: i64,
}

impl Renewal {
    /// Starts a renewal; the first step is to read.
    pub(super) fn start(early: bool) -> (Self, Step) {
        let renewal = Self { early, doing: Doing::Read, version: None, holder: None, busy: 0 };
        (renewal, Step::Read)
    }

    /// Tells what to do after this.
    pub(super) fn next(&mut self, event: Event, now: Now) -> Step {
        match (self.doing, event) {
            (_, Event::Paused) => self.look(),
            (_, Event::Saw(sight)) => self.saw(sight, now),
            (Doing::Claim { dead }, Event::Written(version)) if version > dead + 1 => {
                // Another has claimed it in between.
                self.holder = Some(Holder { lock: Some(version), until: now.seconds + LOCK_SECONDS });
                self.wait(now)
            }
            (_, Event::Written(_)) => Step::Ask,
            (_, Event::Exists) => {
                self.holder = Some(Holder { lock: None, until: now.seconds + LOCK_SECONDS });
                // Whoever does not wait looks at once: the lock may be dead.
                if self.early { self.look() } else { self.wait(now) }
            }
            (Doing::Look, Event::Busy | Event::Failed) => match self.holder {
                Some(holder) if now.seconds > holder.until => self.alone(),
                Some(_) => self.wait(now),
                None => self.busy(BUSY_READ, now),
            },
            (Doing::Read, Event::Busy) => self.busy(BUSY_READ, now),
            (_, Event::Busy) => self.busy(1, now),
            (_, Event::Failed) => self.alone(),
        }
    }

    fn saw(&mut self, sight: Sight, now: Now) -> Step {
        if sight.fresh {
            return Step::Use;
        }
        if self.version != Some(sight.version) {
            // The first sight; or the version was replaced meanwhile, by something that is of no use.
            self.version = Some(sight.version);
            self.holder = None;
            return self.lock(sight.version, now);
        }
        match (sight.lock, self.holder) {
            // It exists and cannot be seen yet.
            (None, Some(holder)) if now.seconds <= holder.until => self.wait(now),
            // The store was too busy to create it, and nobody else has either.
            (None, _) => self.lock(sight.version, now),
            (Some(lock), holder) => {
                let seen = holder.filter(|holder| holder.lock == Some(lock.version));
                // A time further ahead than that of a lock made now is not believed.
                let latest = now.seconds + LOCK_SECONDS;
                let until = seen.map_or(lock.dead_at.unwrap_or(latest).min(latest), |holder| holder.until);
                self.holder = Some(Holder { lock: Some(lock.version), until });
                if now.seconds <= until {
                    return self.wait(now);
                }
                self.doing = Doing::Claim { dead: lock.version };
                Step::Claim { version: sight.version, dead_at: latest }
            }
        }
    }

    fn lock(&mut self, version: i64, now: Now) -> Step {
        self.doing = Doing::Lock;
        Step::Lock { version, dead_at: now.seconds + LOCK_SECONDS }
    }

    fn look(&mut self) -> Step {
        let Some(version) = self.version else {
            self.doing = Doing::Read;
            return Step::Read;
        };
        self.doing = Doing::Look;
        Step::Look { version }
    }

    /// Waits, unless there is no time to, or no need.
    fn wait(&self, now: Now) -> Step {
        if self.early || !now.patient {
            return self.alone();
        }
        Step::Pause
    }

    fn busy(&mut self, weight: u8, now: Now) -> Step {
        self.busy += weight;
        if self.busy < MAX_BUSY { self.wait(now) } else { self.alone() }
    }

    /// Goes on without the store and without the others; a token that lives is no reason to.
    fn alone(&self) -> Step {
        if self.early { Step::Leave } else { Step::Ask }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1000;
    const PATIENT: Now = Now { seconds: NOW, patient: true };

    fn sees(version: i64, dead_at: Option<i64>) -> Event {
        let lock = dead_at.map(|dead_at| Lock { version: 1, dead_at: Some(dead_at) });
        Event::Saw(Sight { version, fresh: false, lock })
    }

    /// The step after these events, all of them at once.
    #[track_caller]
    fn leads(early: bool, events: &[Event], expected: Step) {
        let (mut renewal, mut step) = Renewal::start(early);
        for event in events {
            step = renewal.next(*event, PATIENT);
        }
        assert_eq!(step, expected, "{events:?}");
    }

    #[test]
    fn whoever_creates_the_lock_asks_and_whoever_does_not_looks_again() {
        leads(false, &[sees(7, None)], Step::Lock { version: 7, dead_at: NOW + LOCK_SECONDS });
        leads(false, &[sees(7, None), Event::Written(1)], Step::Ask);
        leads(false, &[sees(7, None), Event::Exists], Step::Pause);
        leads(false, &[sees(7, None), Event::Exists, Event::Paused], Step::Look { version: 7 });
        let used = Event::Saw(Sight { version: 8, fresh: true, lock: None });
        leads(false, &[sees(7, None), Event::Exists, Event::Paused, used], Step::Use);
    }

    #[test]
    fn a_lock_is_dead_after_its_time_and_the_first_to_overwrite_it_asks() {
        let held = [sees(7, None), Event::Exists, Event::Paused];
        let claim = Step::Claim { version: 7, dead_at: NOW + LOCK_SECONDS };
        leads(false, &[&held[..], &[sees(7, Some(NOW))]].concat(), Step::Pause);
        leads(false, &[&held[..], &[sees(7, Some(NOW - 1))]].concat(), claim);
        leads(false, &[&held[..], &[sees(7, Some(NOW - 1)), Event::Written(2)]].concat(), Step::Ask);
        leads(false, &[&held[..], &[sees(7, Some(NOW - 1)), Event::Written(3)]].concat(), Step::Pause);
    }

    #[test]
    fn a_lock_that_says_a_time_far_ahead_dies_like_one_made_now() {
        let (mut renewal, _) = Renewal::start(false);
        for event in [sees(7, None), Event::Exists, Event::Paused, sees(7, Some(NOW * 1000))] {
            renewal.next(event, PATIENT);
        }
        let mut look = |seconds| {
            renewal.next(Event::Paused, PATIENT);
            renewal.next(sees(7, Some(NOW * 1000)), Now { seconds, patient: true })
        };
        assert_eq!(look(NOW + LOCK_SECONDS), Step::Pause);
        assert!(matches!(look(NOW + LOCK_SECONDS + 1), Step::Claim { .. }));
    }

    #[test]
    fn a_busy_store_is_looked_at_before_it_is_written_to_again() {
        let busy = [sees(7, None), Event::Busy, Event::Paused];
        leads(false, &busy, Step::Look { version: 7 });
        let again = Step::Lock { version: 7, dead_at: NOW + LOCK_SECONDS };
        leads(false, &[&busy[..], &[sees(7, None)]].concat(), again);
        leads(false, &[&busy[..], &[sees(7, Some(NOW + 1))]].concat(), Step::Pause);
        // A store that cannot even be read is given up sooner.
        leads(false, &[Event::Busy; 2], Step::Pause);
        leads(false, &[Event::Busy; 3], Step::Ask);
    }

    #[test]
    fn a_version_that_was_replaced_by_nothing_of_use_has_a_lock_of_its_own() {
        let again = Step::Lock { version: 8, dead_at: NOW + LOCK_SECONDS };
        leads(false, &[sees(7, None), Event::Exists, Event::Paused, sees(8, Some(NOW + 1))], again);
    }

    #[test]
    fn whoever_has_a_token_that_lives_asks_only_with_the_lock_and_waits_for_nobody() {
        leads(true, &[sees(7, None), Event::Written(1)], Step::Ask);
        leads(true, &[sees(7, None), Event::Exists], Step::Look { version: 7 });
        leads(true, &[sees(7, None), Event::Exists, sees(7, Some(NOW))], Step::Leave);
        leads(true, &[sees(7, None), Event::Busy], Step::Leave);
        leads(true, &[sees(7, None), Event::Failed], Step::Leave);
        leads(true, &[Event::Busy], Step::Leave);
        leads(true, &[Event::Failed], Step::Leave);
    }

    #[test]
    fn out_of_patience_it_asks() {
        let (mut renewal, _) = Renewal::start(false);
        renewal.next(sees(7, None), PATIENT);
        assert_eq!(renewal.next(Event::Exists, Now { seconds: NOW, patient: false }), Step::Ask);
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let longest: Vec<u128> = (0..6).map(|number| pause(number, 1.0).as_millis()).collect();
        assert_eq!(longest, [400, 600, 900, 1350, 1500, 1500]);
        assert_eq!(pause(0, 0.0).as_millis(), 200);
        assert_eq!(pause(i32::MAX, 1.0), MAX_PAUSE);
    }
}
