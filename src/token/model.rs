//! Proof of the protocol: [`Renewal`]s of several environments against a model of Parameter Store.
//!
//! [`explore`] goes through every order in which two or three environments can take their steps, with so many faults at any
//! of them: answers that are refused or lost, reads that miss the last write, environments that are killed, tokens that are not
//! issued, time that passes. [`simulate`] runs many environments on a clock, with latencies and the store's quota.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};

use super::renewal::{Event, LOCK_SECONDS, Lock, Now, Renewal, Sight, Step, pause};

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
        self.now.locks.insert(version, Lock { version: 1, dead_at });
        self.before = self.now.clone();
        self
    }

    fn sight(held: &Held, lock_of: Option<i64>) -> Event {
        let lock = lock_of.and_then(|version| held.locks.get(&version).copied());
        Event::Saw(Sight { version: held.version, fresh: held.fresh, lock })
    }

    /// Does what a step asks for.
    fn perform(&mut self, step: Step) -> Event {
        match step {
            Step::Read => Self::sight(&self.now, None),
            Step::Look { version } => Self::sight(&self.now, Some(version)),
            Step::Lock { version, .. } if self.now.locks.contains_key(&version) => Event::Exists,
            Step::Lock { version, dead_at } | Step::Claim { version, dead_at } => {
                self.before = self.now.clone();
                let lock = self.now.locks.entry(version).or_insert(Lock { version: 0, dead_at: None });
                *lock = Lock { version: lock.version + 1, dead_at: Some(dead_at) };
                Event::Written(lock.version)
            }
            Step::Pause => Event::Paused,
            Step::Use | Step::Ask | Step::Leave => unreachable!("the end"),
        }
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
    /// With a token, of another or its own.
    Done,
    /// The endpoint gave none.
    Refused,
    Left,
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
}

impl Environment {
    fn start(early: bool) -> Self {
        let (renewal, step) = Renewal::start(early);
        Self { renewal, at: At::Step(step), won: None, has_asked: false, patient: true }
    }

    /// Takes what came of a step.
    fn take(&mut self, step: Step, event: Event, seconds: i64) {
        let next = self.renewal.next(event, Now { seconds, patient: self.patient });
        self.at = match next {
            Step::Use => At::Done,
            Step::Leave => At::Left,
            Step::Ask => {
                // Out of patience it asks after a claim that came second, too.
                if let (true, Event::Written(_), Step::Lock { version, .. } | Step::Claim { version, .. }) =
                    (self.patient, event, step)
                {
                    self.won = Some(version);
                }
                self.has_asked = true;
                At::Asking
            }
            next => At::Step(next),
        };
    }

    fn has_ended(&self) -> bool {
        !matches!(self.at, At::Step(_) | At::Asking | At::Writing)
    }
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
                        Step::Read => next.extend(met(Store::sight(&self.store.before, None))),
                        Step::Look { version } => next.extend(met(Store::sight(&self.store.before, Some(version)))),
                        // It is done, and the answer is lost.
                        Step::Lock { .. } | Step::Claim { .. } => next.extend(self.fault(|world| {
                            world.store.perform(step);
                            world.environments[index].take(step, Event::Failed, seconds);
                        })),
                        _ => {}
                    }
                }
                At::Asking => next.extend(self.fault(|world| world.environments[index].at = At::Refused)),
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

    /// Without further faults every environment that was not killed ends, with a token unless the endpoint gave it none.
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
        }
    }
}

/// Goes through all worlds that can come of this one, and returns how many there are.
fn explore(store: Store, environments: usize, early: bool, faults: u32, ticks: u32) -> usize {
    let environments = vec![Environment::start(early); environments];
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
                environment.renewal = Renewal::start(early).0;
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

/// How the services of a simulation fare. Times are in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Services {
    /// Longest time of one request to the store.
    store: u64,
    /// Time of a token request.
    endpoint: u64,
    /// Writes a second that the store takes from all.
    writes_per_second: u32,
    /// Most by which two clocks differ, in seconds.
    skew: i64,
    /// The first environment to win is killed.
    kill: bool,
}

const QUICK: Services = Services { store: 50, endpoint: 200, writes_per_second: 1000, skew: 0, kill: false };

/// Runs so many environments that start within a second, and returns how many have asked the endpoint, and when the last one
/// had its token, in milliseconds.
fn simulate(seed: u64, environments: usize, mut store: Store, services: Services) -> (u32, u64) {
    /// What happens to an environment.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Happens {
        /// Its request arrives.
        Arrives,
        /// The answer comes.
        Answered,
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let skews: Vec<i64> = (0..environments).map(|_| random.i64(0..=services.skew)).collect();
    let mut all = vec![Environment::start(false); environments];
    let mut pauses = vec![0; environments];
    let mut answers = vec![Event::Paused; environments];
    let mut queue: BinaryHeap<_> =
        (0..environments).map(|index| Reverse((random.u64(0..1000), index, Happens::Arrives))).collect();
    let (mut window, mut written, mut last, mut to_kill) = (0, 0, 0, services.kill);
    while let Some(Reverse((now, index, happens))) = queue.pop() {
        let environment = &mut all[index];
        let seconds = 1000 + i64::try_from(now / 1000).unwrap() + skews[index];
        if window != now / 1000 {
            (window, written) = (now / 1000, 0);
        }
        let mut may_write = || {
            written += 1;
            written <= services.writes_per_second
        };
        let mut latency = || 1 + random.u64(0..services.store.max(1)) / 2;
        match (environment.at, happens) {
            (At::Step(step), Happens::Arrives) => {
                let is_write = matches!(step, Step::Lock { .. } | Step::Claim { .. });
                answers[index] = if is_write && !may_write() { Event::Busy } else { store.perform(step) };
                queue.push(Reverse((now + latency(), index, Happens::Answered)));
            }
            (At::Step(step), Happens::Answered) => {
                environment.take(step, answers[index], seconds);
                let then = match environment.at {
                    At::Step(Step::Pause) => {
                        pauses[index] += 1;
                        now + u64::try_from(pause(pauses[index] - 1, random.f64()).as_millis()).unwrap()
                    }
                    At::Asking => now + services.endpoint,
                    _ => now + latency(),
                };
                if environment.at == At::Asking && std::mem::take(&mut to_kill) {
                    environment.at = At::Killed;
                }
                last = last.max(now);
                queue.push(Reverse((then, index, Happens::Arrives)));
            }
            (At::Asking, _) => {
                environment.at = At::Writing;
                last = last.max(now);
                queue.push(Reverse((now + latency(), index, Happens::Arrives)));
            }
            (At::Writing, _) => {
                if may_write() {
                    store.write();
                    environment.at = At::Done;
                } else {
                    queue.push(Reverse((now + 100 + random.u64(0..400), index, Happens::Arrives)));
                }
            }
            _ => {}
        }
    }
    assert!(all.iter().all(Environment::has_ended), "seed {seed}");
    (all.iter().map(|environment| u32::from(environment.has_asked)).sum(), last)
}

#[track_caller]
fn asks(expected: u32, within_seconds: u64, services: Services) {
    for store in stores() {
        for seed in 0..50 {
            let (asked, last) = simulate(seed, 20, store.clone(), services);
            assert_eq!(asked, expected, "seed {seed}, {services:?}, {store:?}");
            assert!(last <= within_seconds * 1000, "seed {seed}, {last} ms, {services:?}, {store:?}");
        }
    }
}

#[test]
fn twenty_environments_make_one_request() {
    asks(1, 15, QUICK);
}

#[test]
fn twenty_environments_make_one_request_under_the_quota_of_an_account() {
    asks(1, 15, Services { writes_per_second: 3, ..QUICK });
}

#[test]
fn twenty_environments_make_one_request_of_a_slow_store_and_endpoint() {
    asks(1, 20, Services { store: 1000, endpoint: 3000, ..QUICK });
    asks(1, 20, Services { store: 1000, endpoint: 1000, writes_per_second: 3, ..QUICK });
}

#[test]
fn twenty_environments_make_one_request_where_clocks_differ_by_seconds() {
    asks(1, 15, Services { skew: 3, ..QUICK });
}

#[test]
fn a_winner_that_is_killed_costs_one_more_request_and_some_seconds() {
    asks(2, 20, Services { kill: true, ..QUICK });
    asks(2, 20, Services { kill: true, writes_per_second: 3, ..QUICK });
}
