//! The chaos laboratory: both functions as processes, Firehose's and SQS's rules around them, and seeded faults of everything
//! that they talk to.
//!
//! One run puts records in while faults happen, ends the faults, and lets the queue's clock run until nothing waits. Then the
//! law holds: each event has arrived at least once, or its record stands under `parked/` with a reason; nothing else is left
//! anywhere; and what both functions say that they did is what the API and the bucket have seen.
//!
//! `CHAOS_SEEDS=2000 cargo test --test it chaos -- --nocapture` plays so many seeds instead of a few; `CHAOS_SEED=17` only that one.

mod faults;
mod firehose;
mod lab;
mod law;

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::future::{FutureExt as _, join_all};
use futures_util::stream::{StreamExt as _, iter};

use self::faults::Faults;
use self::firehose::Firehose;
use self::lab::{Instance, Lab};
use self::law::{Given, Record};
use crate::redrive_world::{FOLDER, failed_line};
use crate::world::{envelope, gzip};

/// Seeds that are always played.
const SEEDS: u64 = 8;
/// Runs under way at once: most of their time is spent waiting.
const AT_ONCE: usize = 8;
/// Time in which the queue runs empty after the faults: no pause before a token is longer here.
const DRAIN_LIMIT: Duration = Duration::from_mins(1);
/// Tries in a row that bring nothing, after which the process is another.
const TRIES: u32 = 4;

/// What a run did.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    events: usize,
    kept: usize,
    parked: usize,
    invocations: usize,
    unanswered: usize,
    requests: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.kept += other.kept;
        self.parked += other.parked;
        self.invocations += other.invocations;
        self.unanswered += other.unanswered;
        self.requests += other.requests;
    }
}

/// Puts some records into the stream.
fn put_records(given: &mut Given, firehose: &mut Firehose, faults: &Faults, rng: &mut Rng) {
    for _ in 0..rng.usize(1..6) {
        let events = if faults.are_calm() { 1 } else { rng.usize(1..6) };
        let is_poison = faults.poison && rng.u8(0..5) == 0;
        let is_damaged = faults.poison && rng.u8(0..8) == 0;
        let bad = rng.usize(0..events);
        let messages: Vec<String> =
            (0..events)
                .map(|index| {
                    if is_poison && index == bad {
                        r#"{"poison":true}"#.to_owned()
                    } else {
                        format!("{{\"n\":{index}}}")
                    }
                })
                .collect();
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        let text = envelope("g", given.events, &messages);
        let mut bytes = if rng.u8(0..4) == 0 { text.into_bytes() } else { gzip(text) };
        if is_damaged {
            bytes.truncate(bytes.len() / 2);
        }
        firehose.put(bytes.clone());
        let first = given.events;
        given.events += events;
        given.records.push(Record {
            bytes,
            events: first..given.events,
            poison: is_poison.then_some(first + bad),
            is_damaged,
        });
    }
}

/// Lets a redrive take some messages while faults happen.
async fn redrive_side(lab: &Lab, faults: &Faults, redrive: &mut Instance, mut rng: Rng) {
    for _ in 0..rng.usize(0..8) {
        // By more than a message is hidden, now and then: then two processes have one object.
        lab.queue.advance(Duration::from_mins(rng.u64(0..60)));
        lab.take(redrive, faults.mishap(&mut rng)).await;
    }
}

async fn firehose_side(lab: &Lab, faults: &Faults, firehose: &mut Firehose, forwarder: &mut Instance, mut rng: Rng) {
    while let Some(batch) = firehose.next_batch() {
        firehose.transform(&batch, async |event| forwarder.invoke(event, faults.mishap(&mut rng)).await).await;
    }
    if rng.u8(0..3) > 0 {
        firehose.flush(&lab.objects);
    }
}

/// Runs one seed to its end.
async fn run(seed: u64) -> Result<Tally, Vec<String>> {
    let mut rng = Rng::with_seed(seed);
    let faults = Faults::draw(&mut rng);
    let lab = Lab::start(&faults, &mut rng).await;
    let (mut forwarder, mut redrives) = (lab.forwarder().await, vec![lab.redrive().await]);
    if !faults.are_calm() && rng.bool() {
        redrives.push(lab.redrive().await);
    }
    let mut firehose = Firehose::new(rng.fork());
    let mut given = Given::default();
    for _ in 0..rng.usize(2..5) {
        faults.arm(&lab, &mut rng);
        put_records(&mut given, &mut firehose, &faults, &mut rng);
        if faults.poison && rng.u8(0..4) == 0 {
            let junk = format!("junk {:x} \"of\" nobody", rng.u32(..));
            lab.objects.put(&format!("{FOLDER}junk-{}", given.junk.len()), format!("{junk}\n{}\n", failed_line(b"")));
            given.junk.push(junk);
        }
        let mut forks: Vec<Rng> = redrives.iter().map(|_| rng.fork()).collect();
        let firehose_rng = rng.fork();
        let redriving =
            redrives.iter_mut().map(|redrive| redrive_side(&lab, &faults, redrive, forks.pop().expect("one for each")));
        tokio::join!(firehose_side(&lab, &faults, &mut firehose, &mut forwarder, firehose_rng), join_all(redriving));
    }
    lab.heal();
    firehose.flush(&lab.objects);
    drain(&lab, &mut redrives[0]).await;

    let mut second_log = Vec::new();
    for redrive in &mut redrives {
        second_log.extend_from_slice(redrive.end().await);
    }
    let first_log = forwarder.end().await.to_vec();
    let all = || redrives.iter().chain([&forwarder]);
    let unanswered = all().map(|instance| instance.unanswered).sum();
    let violations = law::violations(&law::Run {
        faults: &faults,
        lab: &lab,
        firehose: &firehose,
        given: &given,
        first_log: &first_log,
        second_log: &second_log,
        is_definite: faults.are_definite() && unanswered == 0,
    });
    if violations.is_empty() {
        return Ok(Tally {
            events: given.events,
            kept: firehose.answered_failed + firehose.exhausted,
            parked: law::parked(&lab).len(),
            invocations: all().map(|instance| instance.invocations).sum(),
            unanswered,
            requests: lab.analytics.count(),
        });
    }
    let log =
        first_log.iter().chain(&second_log).filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\""));
    Err(violations.into_iter().chain([format!("{faults:?}")]).chain(log.cloned()).collect())
}

/// Lets the queue's clock run until nothing waits.
///
/// That of the functions does not run with it. So a try that brings nothing is followed by a pause, in which one before a token
/// can end, and by another process now and then: by the queue's clock, what a process remembers for a minute is long forgotten.
async fn drain(lab: &Lab, redrive: &mut Instance) {
    let (start, mut tries) = (Instant::now(), 0);
    while start.elapsed() < DRAIN_LIMIT && lab.queue.advance_to_next().is_some() {
        if lab.take(redrive, None).await == Some(false) {
            tries += 1;
            tokio::time::sleep(Duration::from_millis(100) * tries.min(10)).await;
            if tries.is_multiple_of(TRIES) {
                redrive.restart().await;
            }
        } else {
            tries = 0;
        }
    }
}

/// Plays seeds, some at once, and tells of those that break the law.
async fn play(seeds: Range<u64>) {
    let (start, count) = (Instant::now(), seeds.end - seeds.start);
    let runs = seeds.map(async |seed| {
        let run = AssertUnwindSafe(run(seed)).catch_unwind().await;
        (seed, run.unwrap_or_else(|_| Err(vec!["it panics".to_owned()])))
    });
    let mut runs = iter(runs).buffer_unordered(AT_ONCE);
    let (mut tally, mut failed) = (Tally::default(), Vec::new());
    for played in 1..=count {
        let (seed, result) = runs.next().await.expect("one for each seed");
        match result {
            Ok(run) => tally += run,
            Err(violations) => {
                tell(&format!("CHAOS_SEED={seed}: {violations:#?}"));
                failed.push(seed);
            }
        }
        if played % 100 == 0 || played == count {
            tell(&format!("{played} seeds in {:.0?}: {tally:?}", start.elapsed()));
        }
    }
    assert!(failed.is_empty(), "{} of {count} seeds break the law: {failed:?}", failed.len());
}

#[expect(clippy::print_stdout, reason = "what a long run has found is told when it is found")]
fn tell(what: &str) {
    println!("{what}");
}

#[expect(clippy::disallowed_methods, reason = "how much is played is for whoever starts the test to say")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test]
async fn every_event_arrives_or_is_parked_with_a_reason() {
    play(number("CHAOS_SEED").map_or(0..number("CHAOS_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1)).await;
}
