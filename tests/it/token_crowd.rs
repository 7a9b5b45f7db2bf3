//! Many environments on one token, in a store with Parameter Store's quotas: one asks, all deliver, and the store is read seldom.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::loopback::parameter_store::Operation;
use crate::loopback::{Answer, FunctionProcess};
use crate::token::{Fleet, fails, lock, record, seconds, stored};
use crate::world::{TOKEN_PARAMETER, World, event};

/// What a crowd's invocations have.
const FORTY_SECONDS: Duration = Duration::from_secs(40);

/// When each environment has read the store, by the key that it signs with.
fn reads(world: &World) -> BTreeMap<String, Vec<Instant>> {
    let mut reads: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    for request in world.store.requests() {
        if Operation::of(&request.headers) == Some(Operation::GetSeveral) {
            let signature = request.header("authorization").expect("a signature");
            let key = signature.split(['=', '/']).nth(1).expect("a key");
            reads.entry(key.to_owned()).or_default().push(request.started);
        }
    }
    reads
}

/// No environment has read more than so often, nor three times in a second.
#[track_caller]
fn read_seldom(world: &World, most: usize) {
    for (environment, times) in reads(world) {
        assert!(times.len() <= most, "{environment}: {} reads", times.len());
        let is_slow = times.windows(3).all(|three| three[2].duration_since(three[0]) > Duration::from_secs(1));
        assert!(is_slow, "{environment} has read three times in a second: {times:?}");
    }
}

/// A fleet on an expired token in a store with quotas: so many requests at most, and all deliver. Returns the slowest answer.
async fn renews(environments: usize, is_warm: bool, requests: usize) -> Duration {
    let world = World::start(&[]).await;
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() - 1));
    let fleet = Fleet::start(&world, environments).await;
    if is_warm {
        let lifetime = Duration::from_secs(25);
        world.store.put(TOKEN_PARAMETER, &stored("old", seconds() + 25));
        world.analytics.tokens().allow_for("old", lifetime);
        fleet.deliver().await;
        tokio::time::sleep(lifetime).await;
    }
    let before = world.endpoint.count();
    world.store.set_quotas(40, 3);
    let outcomes = fleet.invoke(FORTY_SECONDS).await;
    let delivered = outcomes.iter().filter(|(result, _)| result == "Dropped").count();
    let asked = world.endpoint.count() - before;
    assert_eq!(delivered, environments, "{asked} requests");
    assert!(asked <= requests, "{asked} requests");
    read_seldom(&world, if is_warm { 11 } else { 10 });
    outcomes.into_iter().map(|(_, took)| took).max().expect("some")
}

#[tokio::test]
async fn twenty_cold_environments_under_the_quotas_of_an_account_make_two_requests_at_most() {
    renews(20, false, 2).await;
}

#[tokio::test]
async fn twenty_warm_environments_under_the_quotas_of_an_account_make_two_requests_at_most() {
    renews(20, true, 2).await;
}

#[tokio::test]
#[ignore = "a hundred processes: `cargo test --test it -- --ignored a_hundred_environments`"]
async fn a_hundred_environments_under_the_quotas_of_an_account_make_two_requests_at_most() {
    for is_warm in [false, true] {
        let slowest = renews(100, is_warm, 2).await;
        assert!(slowest < FORTY_SECONDS / 2, "{slowest:?}");
    }
}

#[tokio::test]
async fn a_store_whose_reads_are_late_makes_no_further_request() {
    let world = World::start(&[]).await;
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() - 1));
    let fleet = Fleet::start(&world, 10).await;
    world.store.set_read_delay(Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    fleet.deliver().await;
    assert!(world.endpoint.count() <= 2, "{}", world.endpoint.count());
    read_seldom(&world, 10);
}

#[tokio::test]
async fn a_lock_that_lives_on_is_waited_for_with_few_reads_and_nobody_asks() {
    let world = World::start(&[]).await;
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() - 1));
    let fleet = Fleet::start(&world, 3).await;
    // A holder that is at work for as long as anybody waits, and gets no token.
    let holder = async {
        for _ in 0..10 {
            world.store.put(&lock(1), &(seconds() + 6).to_string());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (outcomes, ()) = tokio::join!(fleet.invoke(Duration::from_secs(16)), holder);
    assert!(outcomes.iter().all(|(result, _)| result == "ProcessingFailed"), "{outcomes:?}");
    assert_eq!(world.endpoint.count(), 0);
    read_seldom(&world, 10);
}

#[tokio::test]
async fn a_holder_whose_endpoint_is_slow_keeps_its_lock_alive() {
    let world = World::start(&[]).await;
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() - 1));
    world.endpoint.script([Answer::status(200).delay(Duration::from_secs(9))]);
    let fleet = Fleet::start(&world, 5).await;
    fleet.deliver().await;
    assert_eq!(world.endpoint.count(), 1);
    read_seldom(&world, 10);
}

#[tokio::test]
async fn the_times_of_a_cool_down_and_of_a_holder_are_told_apart() {
    // A cool-down of another: nobody waits.
    let world = World::start(&[]).await;
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() - 1));
    world.store.put(&lock(1), &(seconds() + 60).to_string());
    let start = Instant::now();
    for _ in 0..3 {
        fails(&world).await;
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(world.endpoint.count(), 0);
    // One that nobody would write is that of a lock made now.
    let world = World::start(&[]).await;
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() - 1));
    world.store.put(&lock(1), &(seconds() + 100_000).to_string());
    assert_eq!(world.results(&[record(0)]).await, ["Dropped"]);
    assert_eq!(world.endpoint.count(), 1);
}

fn signal(signal: &str, function: &FunctionProcess) {
    let id = function.id().expect("it runs").to_string();
    assert!(Command::new("kill").args([signal, &id]).status().expect("a kill command").success());
}

#[tokio::test]
async fn a_holder_that_was_frozen_until_its_lock_was_dead_does_not_ask() {
    let world = World::start(&[]).await;
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() - 1));
    let mut fleet = Fleet::start(&world, 2).await;
    let (other, patient) = fleet.0.remove(1);
    // The lock is written, and its answer comes when the process is frozen.
    world.store.script(Operation::Put, [Answer::status(200).delay(Duration::from_millis(500))]);
    let frozen = &fleet.0[0];
    let data = base64_simd::STANDARD.encode_to_string(record(0));
    let payload = event([data]).to_string();
    let thaw = async {
        world.store.received(2).await;
        signal("-STOP", &frozen.1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let invocation = other.invoke(payload.clone(), FORTY_SECONDS).await;
        assert_eq!(invocation.json()["records"][0]["result"], "Dropped", "{:#?}", patient.lines());
        signal("-CONT", &frozen.1);
    };
    let (first, ()) = tokio::join!(frozen.0.invoke(payload.clone(), FORTY_SECONDS), thaw);
    assert_eq!(first.json()["records"][0]["result"], "Dropped", "{:#?}", frozen.1.lines());
    assert_eq!(world.endpoint.count(), 1);
}
