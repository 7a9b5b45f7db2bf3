//! The services and the environments of a simulation, on one clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use fastrand::Rng;

use super::super::bearer::Bearer;
use super::super::clock::offset;
use super::super::cool_down::said_by;
use super::super::endpoint::EndpointError;
use super::super::memory::Memory;
use super::super::renewal::{Event, Hold, Known, Lock, Now, Renewal, Sight, Step};
use super::super::value::Token;
use super::super::{HAND_OVER, LONGEST_WRITE_PAUSE, TokenError};
use crate::retry;
use crate::secret::Secret;

/// The store's time at the start, in milliseconds since the Unix epoch.
const EPOCH: u64 = 1_795_283_940_000;

/// What becomes of a token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuer {
    Issues,
    /// Issues tokens that the API takes so many milliseconds later.
    IssuesLate(u64),
    /// Refuses for good.
    Refuses,
    /// Refuses until then, in milliseconds.
    RefusesUntil(u64),
    /// Issues one token in so many milliseconds, and else asks to come back then.
    Limits(u64),
}

/// What is played. Times are in milliseconds.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) environments: usize,
    /// Whether they start without credentials and knowledge of the store.
    pub(super) cold: bool,
    pub(super) issuer: Issuer,
    /// How long a token request takes.
    pub(super) endpoint: Range<u64>,
    /// How long a request to the store takes.
    pub(super) store: Range<u64>,
    pub(super) reads_per_second: usize,
    pub(super) writes_per_second: usize,
    /// How long after a write a read may still not see it.
    pub(super) delay: u64,
    /// Most by which an environment's clock is off, in milliseconds. It is corrected by the dates of the store's answers.
    pub(super) skew: u64,
    /// How many holders of a lock are killed, and frozen for ten seconds, right before they ask.
    pub(super) killed: usize,
    pub(super) frozen: usize,
    /// Lifetime of a token, in seconds.
    pub(super) lifetime: i64,
    /// When each environment is invoked: these rounds, spread over a second, or `every` so often until the last of them.
    pub(super) rounds: Vec<u64>,
    /// The time that an invocation has.
    pub(super) timeout: u64,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            environments: 100,
            cold: false,
            issuer: Issuer::Issues,
            endpoint: 50..400,
            store: 5..60,
            reads_per_second: 40,
            writes_per_second: 3,
            delay: 0,
            skew: 0,
            killed: 0,
            frozen: 0,
            lifetime: 3600,
            rounds: vec![0],
            timeout: 39_500,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// When tokens were asked for.
    pub(super) asked: Vec<u64>,
    pub(super) delivered: usize,
    pub(super) failed: usize,
    /// When each environment has read.
    pub(super) reads: Vec<Vec<u64>>,
    /// When the last one that delivers did so, counted from its invocation.
    pub(super) slowest: u64,
}

/// A parameter, and what it was before.
#[derive(Debug, Clone)]
struct Written<T> {
    at: u64,
    value: T,
}

/// The last writes of a parameter, the newest last.
type History<T> = Vec<Written<T>>;

#[derive(Debug, Default)]
struct Store {
    /// Version and token; the version alone where it holds none of use.
    token: History<(i64, Option<Token>)>,
    locks: BTreeMap<i64, History<Lock>>,
    reads: VecDeque<u64>,
    writes: VecDeque<u64>,
}

/// Enters a request. `false` if there were so many within the last second.
fn admits(window: &mut VecDeque<u64>, quota: usize, now: u64) -> bool {
    while window.front().is_some_and(|at| at + 1000 <= now) {
        window.pop_front();
    }
    let admitted = window.len() < quota;
    if admitted {
        window.push_back(now);
    }
    admitted
}

/// What a read at `now` sees that may be so late.
fn seen<T: Clone>(history: &[Written<T>], now: u64, late: u64) -> Option<T> {
    history.iter().rev().find(|written| written.at + late <= now).map(|written| written.value.clone())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Then {
    Invoke,
    /// The request of the step arrives at the store.
    Arrive,
    /// What came of the step is known.
    Take,
    /// The endpoint answers.
    Answer,
    /// Sends the token in memory to the API.
    Send,
    /// Writes the token.
    Write,
    /// Writes the lock again while it asks.
    Beat,
}

#[derive(Debug)]
struct Environment {
    memory: Memory,
    renewal: Option<(Renewal, Step)>,
    event: Event,
    found: Option<Token>,
    hold: Option<Hold>,
    /// The token that the API has refused and that is to be replaced.
    refused: Option<Bearer>,
    invoked: Option<u64>,
    pauses: u32,
    is_busy: bool,
    writes: usize,
    /// What its machine's clock says more than the store's, in milliseconds.
    skew: i64,
    /// What it adds to that clock, by the dates of the store's answers.
    offset: i64,
    dead: bool,
}

pub(super) struct World {
    scene: Scene,
    random: Rng,
    queue: BinaryHeap<Reverse<(u64, u64, usize, Then)>>,
    sequence: u64,
    store: Store,
    environments: Vec<Environment>,
    outcome: Outcome,
    /// The last token issued, and when.
    issued: Option<u64>,
    killed: usize,
    frozen: usize,
}

impl World {
    pub(super) fn new(seed: u64, scene: &Scene) -> Self {
        let mut random = Rng::with_seed(seed);
        let most = i64::try_from(scene.skew).expect("small");
        let environments: Vec<Environment> = (0..scene.environments)
            .map(|_| {
                let mut memory = Memory::default();
                if !scene.cold {
                    memory.version = Some(7);
                    memory.credentials = Some(credentials());
                }
                Environment {
                    memory,
                    renewal: None,
                    event: Event::Paused,
                    found: None,
                    hold: None,
                    refused: None,
                    invoked: None,
                    pauses: 0,
                    is_busy: false,
                    writes: 0,
                    skew: random.i64(-most..=most),
                    offset: 0,
                    dead: false,
                }
            })
            .collect();
        let store = Store { token: vec![Written { at: 0, value: (7, None) }], ..Store::default() };
        let outcome = Outcome { reads: vec![Vec::new(); scene.environments], ..Outcome::default() };
        let mut world = Self {
            scene: scene.clone(),
            random,
            queue: BinaryHeap::new(),
            sequence: 0,
            store,
            environments,
            outcome,
            issued: None,
            killed: 0,
            frozen: 0,
        };
        for round in &scene.rounds {
            for index in 0..scene.environments {
                let at = round + 5000 + world.random.u64(0..1000);
                world.push(at, index, Then::Invoke);
            }
        }
        world
    }

    fn push(&mut self, at: u64, index: usize, then: Then) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence, index, then)));
    }

    pub(super) fn run(mut self) -> Outcome {
        while let Some(Reverse((now, _, index, then))) = self.queue.pop() {
            if self.environments[index].dead {
                continue;
            }
            match then {
                Then::Invoke => self.invoke(index, now),
                Then::Arrive => self.arrive(index, now),
                Then::Take => self.take(index, now),
                Then::Answer => self.answer(index, now),
                Then::Send => self.send(index, now),
                Then::Write => self.write(index, now),
                Then::Beat => self.beat(index, now),
            }
        }
        self.outcome
    }

    fn clock(&self, index: usize, now: u64) -> i64 {
        let Environment { skew, offset, .. } = self.environments[index];
        i64::try_from(EPOCH + now).expect("small") + skew + offset
    }

    /// Takes the time from an answer that the store gave at `given`, a while after its request.
    fn note_date(&mut self, index: usize, given: u64, now: u64) {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(EPOCH + given));
        let environment = &mut self.environments[index];
        let machine = i64::try_from(EPOCH + now).expect("small") + environment.skew;
        let machine = UNIX_EPOCH + Duration::from_millis(u64::try_from(machine).expect("after the epoch"));
        if let Some(offset) = offset(&date, machine, 2 * Duration::from_millis(now - given)) {
            environment.offset = offset;
        }
    }

    fn moment(&self, index: usize, now: u64) -> Now {
        let environment = &self.environments[index];
        let at = Duration::from_millis(now);
        Now {
            at,
            clock: self.clock(index, now),
            patience: Duration::from_millis(environment.invoked.expect("invoked") + self.scene.timeout / 2),
            reads: environment.memory.pacer.left(at),
            able: environment.memory.credentials.is_some(),
        }
    }

    fn latency(&mut self) -> u64 {
        self.random.u64(self.scene.store.clone())
    }

    /// An invocation: the token in memory, else a renewal.
    fn invoke(&mut self, index: usize, now: u64) {
        // One that is still at work takes no other.
        if self.environments[index].invoked.is_some() {
            return;
        }
        self.environments[index].invoked = Some(now);
        let clock = self.clock(index, now) / 1000;
        if self.environments[index].memory.bearer(clock, Duration::from_millis(now)).is_some() {
            self.send(index, now);
        } else {
            self.renew(index, now);
        }
    }

    fn finish(&mut self, index: usize, now: u64, delivered: bool) {
        let environment = &mut self.environments[index];
        let invoked = environment.invoked.take().expect("invoked");
        environment.renewal = None;
        environment.refused = None;
        if delivered {
            self.outcome.delivered += 1;
            self.outcome.slowest = self.outcome.slowest.max(now - invoked);
        } else {
            self.outcome.failed += 1;
        }
    }

    /// As `obtain` does.
    fn renew(&mut self, index: usize, now: u64) {
        let at = Duration::from_millis(now);
        let memory = &self.environments[index].memory;
        let mut start = now;
        if memory.resting(at).is_some() {
            let next = memory.next_look(at).map(|next| u64::try_from(next.as_millis()).expect("small"));
            match next.filter(|next| next.saturating_sub(now) <= 1000) {
                Some(next) => start = next,
                None => return self.finish(index, now, false),
            }
        }
        let rest = memory.resting(at);
        let known = Known {
            version: memory.version,
            mine: memory.mine,
            rest: rest.map(|failing| failing.until),
            rest_lock: rest.and_then(|failing| failing.lock),
        };
        let moment = self.moment(index, start);
        let (renewal, step) = Renewal::start(false, known, moment);
        let environment = &mut self.environments[index];
        environment.pauses = 0;
        environment.renewal = Some((renewal, step));
        self.step(index, start);
    }

    /// Begins the step that is decided.
    fn step(&mut self, index: usize, now: u64) {
        let at = Duration::from_millis(now);
        let moment = self.moment(index, now);
        let Some((_, step)) = self.environments[index].renewal else { return };
        match step {
            Step::Look { .. } => {
                let next = self.environments[index].memory.pacer.next(at);
                let next = u64::try_from(next.as_millis()).expect("small");
                if self.environments[index].memory.pacer.take(Duration::from_millis(next)) {
                    self.outcome.reads[index].push(next);
                    let then = next + self.latency() / 2;
                    self.push(then, index, Then::Arrive);
                } else {
                    self.environments[index].event = Event::Busy;
                    self.push(now, index, Then::Take);
                }
            }
            Step::Lock { .. } | Step::Claim { .. } => {
                let then = now + self.latency() / 2;
                self.push(then, index, Then::Arrive);
            }
            Step::Pause => {
                let random = self.random.f64();
                let environment = &mut self.environments[index];
                let pause = environment.memory.pacer.pause(
                    environment.pauses,
                    environment.is_busy,
                    at,
                    moment.patience,
                    random,
                );
                environment.pauses += 1;
                environment.event = Event::Paused;
                let then = now + u64::try_from(pause.as_millis()).expect("small");
                self.push(then, index, Then::Take);
            }
            Step::Use => {
                let token = self.environments[index].found.take().expect("found");
                self.remember(index, now, token, false);
                self.send(index, now);
            }
            Step::Ask(hold) => {
                if hold.is_some() && self.killed < self.scene.killed {
                    self.killed += 1;
                    self.environments[index].dead = true;
                    return;
                }
                let mut now = now;
                if hold.is_some() && self.frozen < self.scene.frozen {
                    self.frozen += 1;
                    now += 10_000;
                }
                self.ask(index, now, hold);
            }
            Step::Leave => unreachable!("nobody renews early here"),
            Step::Rest(until) => {
                self.environments[index].memory.rest(until, at);
                self.finish(index, now, false);
            }
            Step::GiveUp => self.finish(index, now, false),
        }
    }

    /// As `request` does.
    fn ask(&mut self, index: usize, now: u64, hold: Option<Hold>) {
        let moment = self.moment(index, now);
        if self.environments[index].memory.credentials.is_none() {
            return self.finish(index, now, false);
        }
        if hold.is_some_and(|hold| !hold.lives(moment)) {
            self.environments[index].event = Event::Lapsed;
            return self.push(now, index, Then::Take);
        }
        self.environments[index].hold = hold;
        self.outcome.asked.push(now);
        let takes = self.random.u64(self.scene.endpoint.clone());
        self.push(now + takes, index, Then::Answer);
        if let Some(hold) = hold {
            self.push(millis(hold.until) - 3000, index, Then::Beat);
        }
    }

    fn beat(&mut self, index: usize, now: u64) {
        let Some(hold) = self.environments[index].hold else { return };
        if !hold.lives(self.moment(index, now)) || now + 3500 < millis(hold.until) {
            return;
        }
        let dead_at = self.moment(index, now).dead_at();
        if !admits(&mut self.store.writes, self.scene.writes_per_second, now) {
            return self.push(now + 500, index, Then::Beat);
        }
        let lock = self.overwrite(hold.version, dead_at, now);
        if lock == hold.lock + 1 {
            let hold = Hold::new(hold.version, lock, dead_at, self.moment(index, now));
            self.environments[index].hold = Some(hold);
            self.push(millis(hold.until) - 3000, index, Then::Beat);
        }
    }

    fn overwrite(&mut self, version: i64, dead_at: i64, now: u64) -> i64 {
        let history = self.store.locks.entry(version).or_default();
        let lock = history.last().map_or(1, |last| last.value.version + 1);
        let life = dead_at - i64::try_from((EPOCH + now) / 1000).expect("small");
        history.push(Written { at: now, value: Lock { version: lock, dead_at: Some(dead_at), life: Some(life) } });
        lock
    }

    /// A step's request arrives at the store.
    fn arrive(&mut self, index: usize, now: u64) {
        let Some((_, step)) = self.environments[index].renewal else { return };
        let late = if self.scene.delay > 0 { self.random.u64(0..self.scene.delay) } else { 0 };
        let event = match step {
            Step::Look { version } => {
                if admits(&mut self.store.reads, self.scene.reads_per_second, now) {
                    self.environments[index].is_busy = false;
                    Event::Saw(self.sight(index, now, late, version))
                } else {
                    self.environments[index].is_busy = true;
                    Event::Busy
                }
            }
            Step::Lock { .. } | Step::Claim { .. }
                if !admits(&mut self.store.writes, self.scene.writes_per_second, now) =>
            {
                Event::Busy
            }
            Step::Lock { version, .. } if self.store.locks.contains_key(&version) => Event::Exists,
            Step::Lock { version, dead_at } | Step::Claim { version, dead_at } => {
                Event::Written(self.overwrite(version, dead_at, now))
            }
            _ => unreachable!("no request"),
        };
        self.environments[index].event = event;
        let then = now + self.latency() / 2;
        self.note_date(index, now, then);
        self.push(then, index, Then::Take);
    }

    fn sight(&mut self, index: usize, now: u64, late: u64, asked: Option<i64>) -> Sight {
        let (version, token) = seen(&self.store.token, now, late).expect("there from the start");
        let lock = asked.and_then(|version| seen(self.store.locks.get(&version)?, now, late));
        let clock = self.clock(index, now) / 1000;
        let environment = &mut self.environments[index];
        environment.memory.credentials.get_or_insert_with(credentials);
        environment.memory.version = Some(version);
        if let Some(lock) = &lock {
            environment.memory.said = said_by(lock);
            environment.memory.lock = Some(lock.version);
        }
        let refused = &environment.refused;
        let is_of_use =
            |token: &Token| token.lives(clock) && refused.as_ref().is_none_or(|refused| !refused.is_same(token));
        environment.found = token.filter(is_of_use);
        Sight { version, fresh: environment.found.is_some(), rotated: false, lock }
    }

    fn take(&mut self, index: usize, now: u64) {
        let moment = self.moment(index, now);
        let environment = &mut self.environments[index];
        let Some((renewal, step)) = &mut environment.renewal else { return };
        *step = renewal.next(environment.event, moment);
        self.step(index, now);
    }

    /// The endpoint's answer.
    fn answer(&mut self, index: usize, now: u64) {
        let hold = self.environments[index].hold.take();
        let limited = |issued: Option<u64>, every| issued.map(|at| at + every).filter(|until| now < *until);
        let refusal = match self.scene.issuer {
            Issuer::Issues | Issuer::IssuesLate(_) => None,
            Issuer::Refuses => Some(None),
            Issuer::RefusesUntil(until) => (now < until).then_some(None),
            Issuer::Limits(every) => limited(self.issued, every).map(|until| Some(Duration::from_millis(until - now))),
        };
        if let Some(retry_after) = refusal {
            let reason = TokenError::Endpoint(EndpointError::InvalidClient);
            let memory = &mut self.environments[index].memory;
            let length = memory.fail(&reason, retry_after, false, Duration::from_millis(now));
            if let Some(hold) = hold {
                self.tell(index, hold.version, length, now);
            }
            return self.finish(index, now, false);
        }
        self.issued = Some(now);
        let issued_at = self.clock(index, now) / 1000;
        let name = format!("token-{now}-{index}");
        let token = Token { access_token: Secret::new(name), issued_at, expires_at: issued_at + self.scene.lifetime };
        let bearer = self.remember(index, now, token, true);
        let environment = &mut self.environments[index];
        environment.memory.unwritten = Some(bearer);
        environment.writes = 0;
        self.push(now, index, Then::Write);
        self.send(index, now);
    }

    fn tell(&mut self, index: usize, version: i64, length: i64, now: u64) {
        let dead_at = self.clock(index, now) / 1000 + length;
        // Tried again where it is too busy, as in `tell`.
        let at = now + self.random.u64(0..2000);
        let lock = self.overwrite(version, dead_at, at);
        if let Some(failing) = &mut self.environments[index].memory.failing {
            failing.lock = Some(lock);
        }
    }

    fn remember(&mut self, index: usize, now: u64, token: Token, made_here: bool) -> Bearer {
        let clock = self.clock(index, now) / 1000;
        let bearer = Bearer::new(token, made_here).expect("header text");
        self.environments[index].memory.remember(&bearer, clock);
        bearer
    }

    /// A delivery with the token in memory.
    fn send(&mut self, index: usize, now: u64) {
        let at = Duration::from_millis(now);
        let clock = self.clock(index, now) / 1000;
        let invoked = self.environments[index].invoked.expect("invoked");
        let Some(bearer) = self.environments[index].memory.bearer(clock, at) else { return self.renew(index, now) };
        // When it was issued is part of its name.
        let issued: u64 =
            bearer.token().access_token.expose().split('-').nth(1).and_then(|at| at.parse().ok()).expect("a time");
        let is_taken = match self.scene.issuer {
            Issuer::IssuesLate(late) => now >= issued + late,
            _ => true,
        };
        if is_taken {
            self.environments[index].memory.accept(&bearer, at);
            return self.finish(index, now, true);
        }
        bearer.refuse(clock);
        if bearer.is_young(clock) {
            if now + 1000 > invoked + self.scene.timeout {
                return self.finish(index, now, false);
            }
            return self.push(now + 1000, index, Then::Send);
        }
        let memory = &mut self.environments[index].memory;
        if memory.resting(at).is_none() && bearer.has_failed(clock) {
            let length = memory.fail(&TokenError::Refused, None, true, at);
            if let Some(version) = memory.version {
                self.tell(index, version, length, now);
            }
            return self.finish(index, now, false);
        }
        self.environments[index].refused = Some(bearer);
        self.renew(index, now);
    }

    /// As `keep` and `hand_over` do, in a time that both have.
    fn write(&mut self, index: usize, now: u64) {
        let Some(bearer) = self.environments[index].memory.unwritten.clone() else { return };
        self.environments[index].writes += 1;
        if admits(&mut self.store.writes, self.scene.writes_per_second, now) {
            let (version, _) = self.store.token.last().expect("there from the start").value;
            self.store.token.push(Written { at: now, value: (version + 1, Some(bearer.token().clone())) });
            self.store.locks.remove(&(version - 1));
            let memory = &mut self.environments[index].memory;
            memory.version = Some(version + 1);
            memory.unwritten = None;
        } else if self.environments[index].writes < 12 {
            let pause = retry::pause(self.environments[index].writes + 1, self.random.f64()).min(LONGEST_WRITE_PAUSE);
            let then = now + u64::try_from(pause.min(HAND_OVER).as_millis()).expect("small");
            self.push(then, index, Then::Write);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("small")
}

fn credentials() -> std::sync::Arc<super::super::Credentials> {
    let credentials = serde_json::from_str(r#"{"client_id":"client","client_secret":"no real one"}"#);
    std::sync::Arc::new(credentials.expect("credentials"))
}
