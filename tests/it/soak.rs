//! Many invocations with seeded random faults: every event is delivered, or its record was answered `ProcessingFailed`.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use crate::loopback::parameter_store::{self, Operation};
use crate::loopback::{Answer, Posted};
use crate::world::{World, envelope, gzip, id};

/// An answer that leaves it open whether the API took the body: the only kind that may lead to a second delivery.
fn ambiguous(rng: &mut Rng) -> Answer {
    match rng.u8(0..3) {
        0 => Answer::status(200).cut_after(rng.usize(0..12)),
        1 => Answer::status(200).delay(Duration::from_millis(400)),
        _ => Answer::raw("no HTTP\r\n\r\n"),
    }
}

fn fault(rng: &mut Rng) -> Answer {
    match rng.u8(0..12) {
        0 => Answer::status(500),
        1 => Answer::status(503).retry_after("0"),
        2 => Answer::status(429).retry_after("3600"),
        3 => Answer::status(413),
        4 => Answer::status(400),
        5 => Answer::status(401),
        6 => Answer::status(403),
        7 => Answer::closed_before_body(),
        8 => Answer::closed_after_body(),
        9 => Answer::status(200).then_close(),
        10 => Answer::status(200).content_length(100),
        _ => ambiguous(rng),
    }
}

async fn soak(invocations: usize, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let settings = [
        ("MAX_ATTEMPTS", "3"),
        ("MAX_BATCH_EVENTS", "4"),
        ("REQUEST_TIMEOUT_MS", "300"),
        ("DELIVERY_CONCURRENCY", "3"),
    ];
    let world = World::start(&settings).await;
    let mut next = 0;
    let mut kept: Vec<usize> = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..invocations {
        let faults = rng.usize(0..4);
        world.analytics.script((0..faults).map(|_| fault(&mut rng)).collect::<Vec<_>>());
        if rng.u8(0..8) == 0 {
            world.endpoint.valid().revoke_all();
            world.store.script(Operation::Put, [parameter_store::throttled()]);
        }
        let mut firsts = Vec::new();
        let mut records = Vec::new();
        for _ in 0..rng.usize(1..6) {
            let count = rng.usize(1..8);
            let record = gzip(envelope("g", next, &vec!["x"; count]));
            let damaged = rng.u8(0..10) == 0;
            records.push(if damaged { record[..record.len() / 2].to_vec() } else { record });
            firsts.push(next..next + count);
            next += count;
        }
        let verdicts = world.invoke(&records).await;
        assert_eq!(verdicts.len(), records.len());
        for ((verdict, record), range) in verdicts.iter().zip(&records).zip(firsts) {
            match verdict.result.as_str() {
                "Dropped" => {}
                "ProcessingFailed" => {
                    assert_eq!(verdict.data.as_ref(), Some(record));
                    kept.extend(range);
                }
                other => panic!("{other}"),
            }
        }
        memory.extend(world.function.peak_memory_bytes());
    }
    balance(&world.analytics.requests(), next, &kept);
    let (early, late) = (memory[memory.len() / 2], memory[memory.len() - 1]);
    assert!(late < early + (4 << 20), "memory grows: {early} to {late}");
}

/// Compares what the API took with what was answered.
fn balance(requests: &[Posted], events: usize, kept: &[usize]) {
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for event in requests.iter().filter(|request| request.accepted()).flat_map(|request| &request.events) {
        *taken.entry(event["id"].as_str().expect("an id")).or_default() += 1;
    }
    for number in 0..events {
        let id = id(number);
        assert!(taken.contains_key(id.as_str()) || kept.contains(&number), "event {number} is lost");
    }
    // A body that was taken comes again only if its answer did not arrive as one.
    let mut answered: BTreeMap<&str, usize> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.received.status == Some(200)) {
        *answered.entry(request.received.header("idempotency-key").expect("a key")).or_default() += 1;
    }
    let repeated = answered.values().filter(|times| **times > 1).count();
    assert!(repeated * 20 <= answered.len(), "{repeated} of {} bodies came twice", answered.len());
}

#[tokio::test]
async fn a_short_soak_loses_nothing() {
    soak(60, 7).await;
}

#[tokio::test]
#[ignore = "takes minutes: `cargo test --test it -- --ignored soak`"]
async fn a_long_soak_loses_nothing() {
    for seed in 0..4 {
        soak(300, seed).await;
    }
}
