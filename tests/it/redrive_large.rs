//! Objects that do not fit into memory, nor into the time of one invocation.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::loopback::object_store::Operation;
use crate::loopback::{Answer, Gate, Outcome};
use crate::redrive_world::{FOLDER, RedriveWorld, failed_line};
use crate::world::{CREDENTIALS_PARAMETER, envelope, id, records};

const RECORDS: usize = 150;

/// A record of 100 kB.
fn record(number: usize) -> Vec<u8> {
    let text = "a line of a hundred thousand bytes ".repeat(2900);
    envelope("g", number, &[&text]).into_bytes()
}

/// A world with an object of 20 MB in it.
async fn world(settings: &[(&str, &str)]) -> (RedriveWorld, String) {
    let world = RedriveWorld::start(settings).await;
    let key = format!("{FOLDER}large");
    let object: Vec<String> = (0..RECORDS).map(|number| failed_line(&record(number)) + "\n").collect();
    let object = object.concat();
    assert!(object.len() > 20_000_000, "{}", object.len());
    world.objects.put(&key, object);
    (world, key)
}

/// The numbers of the records that lines hold.
fn numbers(lines: &[Value]) -> Vec<usize> {
    let number = |line: &Value| {
        let data = base64_simd::STANDARD.decode_to_vec(line["rawData"].as_str()?).ok()?;
        let envelope: Value = serde_json::from_slice(&data).ok()?;
        envelope["logEvents"][0]["id"].as_str()?.parse().ok()
    };
    lines.iter().map(|line| number(line).expect("a record")).collect()
}

fn delivered(world: &RedriveWorld) -> BTreeSet<usize> {
    world.delivered().iter().map(|id| id.parse().expect("a number")).collect()
}

async fn take(world: &RedriveWorld) -> bool {
    world.take_within(Duration::from_mins(5)).await.expect("a message").is_done
}

#[tokio::test]
async fn a_large_object_passes_in_little_memory() {
    let (world, _) = world(&[]).await;
    assert!(take(&world).await);
    assert_eq!((delivered(&world).len(), world.objects.keys("").len()), (RECORDS, 0));
    let peak = world.function.peak_memory_bytes().expect("it runs");
    assert!(peak < 128 << 20, "{} MB", peak >> 20);
}

/// Two bodies, of nine events each, are taken; then the API is down.
async fn half_delivered() -> (RedriveWorld, String) {
    let (world, key) = world(&[("MAX_ATTEMPTS", "1"), ("DELIVERY_CONCURRENCY", "1")]).await;
    world.analytics.script([Answer::status(200), Answer::status(200)]);
    world.analytics.otherwise(Some(Answer::status(503)));
    (world, key)
}

#[tokio::test]
async fn an_api_that_goes_down_in_the_middle_leaves_the_rest_in_pieces() {
    let (world, key) = half_delivered().await;
    assert!(take(&world).await);
    let left = numbers(&world.lines("failed/"));
    let done = delivered(&world);
    assert!(!done.is_empty() && left.len() > RECORDS / 3, "{} are delivered, {} left", done.len(), left.len());
    let all: BTreeSet<usize> = left.iter().copied().chain(done.iter().copied()).collect();
    assert_eq!((all.len(), done.len() + left.len()), (RECORDS, RECORDS), "each is there once");
    let calls = world.objects.calls();
    let puts = calls.iter().filter(|(operation, _)| *operation == Operation::Put).count();
    assert!((2..5).contains(&puts) && calls.last() == Some(&(Operation::Delete, key)), "{calls:?}");
    // The bodies of one group that was taken in part, and of one of which nothing was taken.
    assert!(world.analytics.count() <= 12, "{}", world.analytics.count());
    let peak = world.function.peak_memory_bytes().expect("it runs");
    assert!(peak < 128 << 20, "{} MB", peak >> 20);
    world.analytics.otherwise(None);
    world.drain().await;
    assert_eq!((delivered(&world).len(), world.objects.keys("").len()), (RECORDS, 0));
    assert_eq!(world.delivered().len(), RECORDS, "none came twice");
}

#[tokio::test]
async fn a_large_object_that_meets_a_dead_api_stays_one_object() {
    let (world, key) = world(&[("MAX_ATTEMPTS", "1")]).await;
    world.analytics.otherwise(Some(Answer::status(503)));
    for _ in 0..2 {
        assert!(!take(&world).await);
    }
    assert_eq!(world.objects.keys(""), [key]);
    assert!(world.objects.calls().iter().all(|(operation, _)| *operation == Operation::Get));
    assert!(world.analytics.count() <= 8, "{}", world.analytics.count());
}

#[tokio::test]
async fn a_process_that_dies_between_two_pieces_loses_nothing() {
    for piece in 0..2 {
        let (mut world, _) = half_delivered().await;
        let pass = (0..piece).map(|_| Answer::status(200));
        world.objects.script(Operation::Put, pass.chain([Answer::status(200).after(&Gate::closed())]));
        world.queue.advance_to_next().expect("a message");
        let delivery = world.queue.take(1).expect("a message");
        tokio::select! {
            invocation = world.runtime.invoke(delivery.event.to_string(), Duration::from_mins(5)) => {
                panic!("{:?}", invocation.outcome)
            }
            () = world.objects.received(2 + piece) => {}
        }
        world.restart().await;
        world.analytics.otherwise(None);
        world.objects.heal();
        world.drain().await;
        assert_eq!((delivered(&world).len(), world.objects.keys("").len()), (RECORDS, 0), "after piece {piece}");
    }
}

#[tokio::test]
async fn an_object_that_takes_longer_than_an_invocation_comes_back_in_several() {
    let settings = [("MAX_BATCH_EVENTS", "1"), ("DELIVERY_CONCURRENCY", "1")];
    let world = RedriveWorld::start(&settings).await;
    world.analytics.otherwise(Some(Answer::status(200).delay(Duration::from_millis(100))));
    world.keep("slow", &records(60));
    let mut takes = 0;
    while let Some(taken) = world.take_within(Duration::from_secs(4)).await {
        assert!(matches!(taken.invocation.outcome, Outcome::Response(_)), "{:?}", taken.invocation.outcome);
        assert!(taken.is_done, "something of it was done: the rest is a new object");
        takes += 1;
    }
    assert!((2..8).contains(&takes), "{takes}");
    // A body that is under way when the time is over may have been taken.
    let mut delivered = world.delivered();
    delivered.dedup();
    assert_eq!(delivered, (0..60).map(id).collect::<Vec<_>>());
    assert!(world.objects.keys("").is_empty());
}

#[tokio::test]
async fn events_that_a_destination_may_drop_for_their_age_are_warned_of() {
    let world = RedriveWorld::start(&[("DESTINATION", "datadog"), ("AUTH", "key")]).await;
    world.store.put(CREDENTIALS_PARAMETER, "k3y");
    world.analytics.speak("datadog");
    let old = envelope("g", 0, &["x"]).replace("1795287540123", "1700000000000");
    world.keep("old", &[old.into_bytes()]);
    world.drain().await;
    let warned =
        world.function.lines().iter().filter(|line| line.contains("WARN") && line.contains("of this age")).count();
    assert_eq!((warned, world.objects.keys("").len()), (1, 0), "{:#?}", world.function.lines());
}
