//! Proof of the protocol: [`Renewal`]s of several environments against a model of Parameter Store.
//!
//! [`explore`] goes through every order in which two or three environments can take their steps, with so many faults at any
//! of them: answers that are throttled, refused or lost, reads that miss the last write, environments that are frozen until their
//! lock is dead or killed, tokens that are not issued, reads that are used up, time that passes. `simulation/` runs many of them
//! on a clock.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::renewal::{Event, Known, LOCK_SECONDS, Lock, Now, Renewal, Sight, Step};

/// What the store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Held {
    version: i64,
    fresh: bool,
    locks: BTreeMap<i64, Lock>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Store {
    now: Held,
    /// As it was before the last write: what a read may still see.
    before: Held,
}

impl Store {
    /// A store whose token has this version and is of no use.
    fn expired(version: i64) -> Self {
        let held = Held { version, ..Held::default() };
        Self { now: held.clone(), before: held }
    }

    fn with_lock(mut self, version: i64, dead_at: Option<i64>) -> Self {
        self.now.locks.insert(version, Lock { version: 1, dead_at, life: Some(LOCK_SECONDS) });
        self.before = self.now.clone();
        self
    }

    fn sight(held: &Held, lock_of: Option<i64>) -> Event {
        let lock = lock_of.and_then(|version| held.locks.get(&version).copied());
        Event::Saw(Sight { version: held.version, fresh: held.fresh, rotated: false, lock })
    }

    /// Does what a step asks for.
    fn perform(&mut self, step: Step) -> Event {
        match step {
            Step::Look { version } => Self::sight(&self.now, version),
            Step::Lock { version, .. } if self.now.locks.contains_key(&version) => Event::Exists,
            Step::Lock { version, dead_at } | Step::Claim { version, dead_at } => {
                Event::Written(self.overwrite(version, dead_at, LOCK_SECONDS))
            }
            Step::Pause => Event::Paused,
            Step::Use | Step::Ask(_) | Step::Leave | Step::Rest(_) | Step::GiveUp => unreachable!("the end"),
        }
    }

    /// Writes a lock, and returns its own version.
    fn overwrite(&mut self, version: i64, dead_at: i64, life: i64) -> i64 {
        self.before = self.now.clone();
        let lock = self.now.locks.entry(version).or_insert(Lock { version: 0, dead_at: None, life: None });
        *lock = Lock { version: lock.version + 1, dead_at: Some(dead_at), life: Some(life) };
        lock.version
    }

    /// Writes a token, and deletes the lock that nobody can want any more.
    fn write(&mut self) {
        self.before = self.now.clone();
        self.now.version += 1;
        self.now.fresh = true;
        self.now.locks.remove(&(self.now.version - 2));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum At {
    Step(Step),
    Asking,
    Writing,
    /// The endpoint gave none: the others are to be told.
    Telling,
    /// With a token, of another or its own.
    Done,
    /// The endpoint gave none, and the others know.
    Refused,
    Left,
    /// Another's turn or a cool-down has left it without a token.
    Without,
    Killed,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Environment {
    renewal: Renewal,
    at: At,
    /// The version whose lock it has won.
    won: Option<i64>,
    has_asked: bool,
    patient: bool,
    reads: u8,
}

/// So many reads that they need not be counted.
const ENOUGH: u8 = u8::MAX;

/// How long a cool-down of the model is, in seconds.
const COOL_DOWN: i64 = 20;

impl Environment {
    fn start(early: bool, reads: u8) -> Self {
        let (renewal, step) = Renewal::start(early, Known::default(), now(1000, true, reads));
        Self { renewal, at: At::Step(step), won: None, has_asked: false, patient: true, reads }
    }

    /// Takes what came of a step.
    fn take(&mut self, step: Step, event: Event, seconds: i64) {
        if matches!(step, Step::Look { .. }) && self.reads != ENOUGH {
            self.reads -= 1;
        }
        self.at = match self.renewal.next(event, now(seconds, self.patient, self.reads)) {
            Step::Use => At::Done,
            Step::Leave => At::Left,
            Step::Rest(_) | Step::GiveUp => At::Without,
            Step::Ask(hold) => {
                self.won = hold.map(|hold| hold.version);
                self.has_asked = true;
                At::Asking
            }
            next => At::Step(next),
        };
    }

    fn has_ended(&self) -> bool {
        !matches!(self.at, At::Step(_) | At::Asking | At::Writing | At::Telling)
    }
}

fn now(seconds: i64, patient: bool, reads: u8) -> Now {
    let at = Duration::from_secs((seconds - 1000).unsigned_abs());
    let patience = if patient { Duration::from_hours(1) } else { Duration::ZERO };
    Now { at, clock: seconds * 1000, patience, reads, able: true }
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    seconds: i64,
    store: Store,
    environments: Vec<Environment>,
    /// Faults that may still happen.
    faults: u32,
    /// Times that the clock may still move on, by [`TICK`] seconds.
    ticks: u32,
}

/// Two of these outlive a lock.
const TICK: i64 = LOCK_SECONDS / 2 + 1;

impl World {
    fn asked(&self) -> u32 {
        self.environments.iter().map(|environment| u32::from(environment.has_asked)).sum()
    }

    /// A fault from here: the same world with one fault less.
    fn fault(&self, change: impl FnOnce(&mut Self)) -> Option<Self> {
        let mut next = self.clone();
        next.faults = next.faults.checked_sub(1)?;
        change(&mut next);
        Some(next)
    }

    /// Every world that can be next.
    fn successors(&self) -> Vec<Self> {
        let mut next = Vec::new();
        if self.ticks > 0 {
            let mut later = self.clone();
            later.ticks -= 1;
            later.tick();
            next.push(later);
        }
        for (index, environment) in self.environments.iter().enumerate() {
            if environment.has_ended() {
                continue;
            }
            let mut advanced = self.clone();
            advanced.advance(index);
            next.push(advanced);
            next.extend(self.fault(|world| world.environments[index].at = At::Killed));
            match environment.at {
                At::Step(step) => {
                    let seconds = self.seconds;
                    let met = |event| self.fault(|world| world.environments[index].take(step, event, seconds));
                    match step {
                        Step::Pause if environment.patient => next.extend(self.fault(|world| {
                            world.environments[index].patient = false;
                        })),
                        Step::Pause => {}
                        _ => next.extend([met(Event::Busy), met(Event::Failed)].into_iter().flatten()),
                    }
                    match step {
                        Step::Look { version } => next.extend(met(Store::sight(&self.store.before, version))),
                        // It is done, and the answer is lost.
                        Step::Lock { .. } | Step::Claim { .. } => next.extend(self.fault(|world| {
                            world.store.perform(step);
                            world.environments[index].take(step, Event::Failed, seconds);
                        })),
                        _ => {}
                    }
                    match step {
                        // It is done, and the process is frozen until the lock is dead. Two show what there is to see.
                        Step::Lock { .. } | Step::Claim { .. } if self.environments.len() <= 2 => {
                            next.extend(self.fault(|world| {
                                let event = world.store.perform(step);
                                world.tick();
                                world.tick();
                                let seconds = world.seconds;
                                world.environments[index].take(step, event, seconds);
                            }));
                        }
                        _ => {}
                    }
                }
                At::Asking => next.extend(self.fault(|world| world.environments[index].at = At::Telling)),
                At::Telling => next.extend(self.fault(|world| world.environments[index].at = At::Refused)),
                At::Writing => next.extend(self.fault(|world| world.environments[index].at = At::Done)),
                _ => {}
            }
        }
        next
    }

    fn tick(&mut self) {
        self.seconds += TICK;
        self.store.before = self.store.now.clone();
    }

    /// Lets one environment do its step, without a fault.
    fn advance(&mut self, index: usize) {
        let World { store, environments, seconds, .. } = self;
        let environment = &mut environments[index];
        match environment.at {
            At::Step(step) => {
                let event = store.perform(step);
                environment.take(step, event, *seconds);
            }
            At::Asking => environment.at = At::Writing,
            At::Writing => {
                store.write();
                environment.at = At::Done;
            }
            At::Telling => {
                if let Some(version) = environment.won {
                    store.overwrite(version, *seconds + COOL_DOWN, COOL_DOWN);
                }
                environment.at = At::Refused;
            }
            _ => unreachable!("the end"),
        }
    }

    /// Nobody wins a lock that lives: so none has two winners while it does.
    fn check_winners(&self, next: &Self) {
        for (before, after) in self.environments.iter().zip(&next.environments) {
            if let (None, Some(version)) = (before.won, after.won) {
                let lives = |lock: &Lock| lock.dead_at.is_some_and(|dead_at| self.seconds <= dead_at);
                assert!(!self.store.now.locks.get(&version).is_some_and(lives), "{self:?} -> {next:?}");
            }
        }
    }

    /// Without further faults every environment that was not killed ends; with a token unless the endpoint gave none, or time or
    /// reads were used up.
    fn check_liveness(&self, early: bool) {
        let mut world = self.clone();
        for _ in 0..100 {
            if world.environments.iter().all(Environment::has_ended) {
                break;
            }
            for index in 0..world.environments.len() {
                if !world.environments[index].has_ended() {
                    world.advance(index);
                }
            }
            world.tick();
        }
        for environment in &world.environments {
            assert!(environment.has_ended(), "it never ends: {self:?}");
            assert!(early || environment.at != At::Left, "a token was needed: {self:?}");
            let is_owed = world
                .environments
                .iter()
                .any(|other| !other.patient || other.reads == 0 || matches!(other.at, At::Refused | At::Killed));
            assert!(environment.at != At::Without || is_owed, "there was time for a token: {self:?}");
        }
    }
}

/// Goes through all worlds that can come of this one, and returns how many there are.
fn explore(store: Store, environments: usize, early: bool, faults: u32, ticks: u32) -> usize {
    explore_with(store, environments, early, faults, ticks, ENOUGH)
}

/// The same where each of them has so many reads.
fn explore_with(store: Store, environments: usize, early: bool, faults: u32, ticks: u32, reads: u8) -> usize {
    let environments = vec![Environment::start(early, reads); environments];
    let start = World { seconds: 1000, store, environments, faults, ticks };
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some(world) = open.pop() {
        world.check_liveness(early);
        // A further request is owed to a fault, or to a renewal that outlasted its lock.
        let is_disturbed = world.faults < faults || ticks - world.ticks >= 2;
        assert!(world.asked() <= 1 || is_disturbed, "{world:?}");
        for mut next in world.successors() {
            world.check_winners(&next);
            // They are all alike: their order makes no difference.
            next.environments.sort_unstable();
            // What an ended one knew makes none either.
            for environment in next.environments.iter_mut().filter(|environment| environment.has_ended()) {
                environment.renewal = Environment::start(early, reads).renewal;
                // The reads of one that has ended count only where there were none left.
                environment.reads = environment.reads.min(1);
            }
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen.len()
}

/// The stores that a renewal may meet.
fn stores() -> [Store; 7] {
    [
        // Nothing was ever written.
        Store::expired(0),
        // The operator deleted the token; the lock of its former life is dead.
        Store::expired(0).with_lock(0, Some(900)),
        // A placeholder.
        Store::expired(1),
        Store::expired(7),
        // The last winner got no token.
        Store::expired(7).with_lock(7, Some(999)),
        // It may yet get one, or was killed.
        Store::expired(7).with_lock(7, Some(1003)),
        // Not a time, or one that is far ahead.
        Store::expired(7).with_lock(7, None),
    ]
}

#[test]
fn two_environments_in_any_order_have_one_winner_and_end_whatever_the_store_holds() {
    for store in stores() {
        for early in [false, true] {
            assert!(explore(store.clone(), 2, early, 1, 2) > 100);
        }
    }
}

#[test]
fn two_environments_in_any_order_with_two_faults_have_one_winner_and_end() {
    assert!(explore(Store::expired(7).with_lock(7, Some(999)), 2, false, 2, 2) > 20_000);
}

#[test]
fn three_environments_in_any_order_with_a_fault_have_one_winner_and_end() {
    assert!(explore(Store::expired(7).with_lock(7, Some(999)), 3, false, 1, 1) > 20_000);
}

#[test]
fn two_environments_with_few_reads_in_any_order_have_one_winner_and_end() {
    for reads in 1..4 {
        assert!(explore_with(Store::expired(7).with_lock(7, Some(1003)), 2, false, 1, 2, reads) > 50);
    }
}

#[test]
fn a_cool_down_in_the_lock_is_asked_through_by_nobody() {
    let mut store = Store::expired(7);
    store.overwrite(7, 1000 + COOL_DOWN, COOL_DOWN);
    let environments = vec![Environment::start(false, ENOUGH); 2];
    let mut world = World { seconds: 1000, store, environments, faults: 0, ticks: 0 };
    for _ in 0..20 {
        for index in 0..2 {
            if !world.environments[index].has_ended() {
                world.advance(index);
            }
        }
    }
    assert!(world.environments.iter().all(|environment| environment.at == At::Without));
    assert_eq!(world.asked(), 0);
}
