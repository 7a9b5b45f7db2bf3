//! Many environments on one token, in a store with Parameter Store's quotas: one asks, all deliver, and the store is read seldom.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::loopback::parameter_store::{Operation, throttled};
use crate::loopback::{Answer, FunctionProcess, RuntimeApi};
use crate::token::{fails, lock, record, seconds, stored};
use crate::world::{CREDENTIALS_PARAMETER, TIMEOUT, TOKEN_PARAMETER, World, event};

/// What a crowd's invocations have.
const FORTY_SECONDS: Duration = Duration::from_secs(40);

/// Environments of one function.
pub(crate) struct Fleet(pub(crate) Vec<(RuntimeApi, FunctionProcess)>);

impl Fleet {
    pub(crate) async fn start(world: &World, environments: usize) -> Self {
        // Each signs with a key of its own, by which the store's requests can be told apart.
        let start = async |number| world.another(&[("AWS_ACCESS_KEY_ID", &format!("AKIDENV{number:04}"))]).await;
        let fleet = Self(join_all((0..environments).map(start)).await);
        join_all(fleet.0.iter().map(|(runtime, _)| runtime.received(1))).await;
        fleet
    }

    /// Invokes all at once; every one delivers. Returns how long the slowest took.
    pub(crate) async fn deliver(&self) -> Duration {
        let outcomes = self.invoke(TIMEOUT).await;
        for ((result, _), (_, function)) in outcomes.iter().zip(&self.0) {
            assert_eq!(result, "Dropped", "{:#?}", function.lines());
        }
        outcomes.into_iter().map(|(_, took)| took).max().expect("some")
    }

    /// Invokes all at once. Returns the result of each, and how long it took.
    pub(crate) async fn invoke(&self, timeout: Duration) -> Vec<(String, Duration)> {
        let data = base64_simd::STANDARD.encode_to_string(record(0));
        let payload = event([data]).to_string();
        let invoke = async |(runtime, _): &(RuntimeApi, FunctionProcess)| {
            let invocation = runtime.invoke(payload.clone(), timeout).await;
            (invocation.json()["records"][0]["result"].as_str().expect("a result").to_owned(), invocation.took)
        };
        join_all(self.0.iter().map(invoke)).await
    }
}

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

pub(crate) fn signal(signal: &str, function: &FunctionProcess) {
    let id = function.id().expect("it runs").to_string();
    assert!(Command::new("kill").args([signal, &id]).status().expect("a kill command").success());
}

#[tokio::test]
async fn a_holder_that_was_frozen_until_its_lock_was_dead_does_not_ask() {
    let world = World::start(&[]).await;
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() - 1));
    // However long the freeze lasts on a busy machine, the write is not given up: who gives it up knows of no lock.
    let start = async || world.another(&[("REQUEST_TIMEOUT_MS", "60000")]).await;
    let mut fleet = Fleet(vec![start().await, start().await]);
    join_all(fleet.0.iter().map(|(runtime, _)| runtime.received(1))).await;
    let (other, patient) = fleet.0.remove(1);
    // The lock is written, and its answer comes when the process is frozen.
    world.store.script(Operation::Put, [Answer::status(200).delay(Duration::from_secs(4))]);
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

#[tokio::test]
async fn twenty_environments_on_an_expired_token_make_one_request() {
    for value in [None, Some("placeholder".to_owned()), Some(stored("old", seconds() - 1))] {
        let world = World::start(&[]).await;
        if let Some(value) = &value {
            world.store.put(TOKEN_PARAMETER, value);
        }
        let fleet = Fleet::start(&world, 20).await;
        fleet.deliver().await;
        assert_eq!(world.endpoint.count(), 1, "{value:?}");
        let version = u64::from(value.is_some());
        assert_eq!(world.store.version(TOKEN_PARAMETER), Some(version + 1));
        assert_eq!(world.store.names(), [CREDENTIALS_PARAMETER, TOKEN_PARAMETER, &lock(version)]);
    }
}

#[tokio::test]
async fn twenty_environments_make_one_request_of_a_throttled_slow_store_and_a_slow_endpoint() {
    let world = World::start(&[]).await;
    world.store.script(Operation::Put, (0..17).map(|_| throttled()));
    let slow = Answer::status(200).delay(Duration::from_millis(500));
    world.store.otherwise(Operation::Put, Some(slow.clone()));
    world.store.otherwise(Operation::GetSeveral, Some(slow));
    world.endpoint.otherwise(Some(Answer::status(200).delay(Duration::from_secs(2))));
    Fleet::start(&world, 20).await.deliver().await;
    assert_eq!(world.endpoint.count(), 1);
}

#[tokio::test]
async fn twenty_environments_whose_winner_is_killed_deliver_after_one_more_request() {
    let world = World::start(&[]).await;
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() - 1));
    world.endpoint.script([Answer::hang()]);
    let mut fleet = Fleet::start(&world, 20).await;
    let (runtime, winner) = fleet.0.remove(0);
    let data = base64_simd::STANDARD.encode_to_string(record(0));
    let killed = async {
        world.endpoint.received(1).await;
        drop(winner);
    };
    let (_, ()) = tokio::join!(runtime.invoke(event([data]).to_string(), Duration::from_secs(1)), killed);
    assert!(world.store.value(&lock(1)).is_some());
    let took = fleet.deliver().await;
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(world.endpoint.count(), 2);
}

#[tokio::test]
async fn twenty_environments_whose_token_is_revoked_make_one_request() {
    let world = World::start(&[]).await;
    let fleet = Fleet::start(&world, 20).await;
    fleet.deliver().await;
    world.endpoint.valid().revoke_all();
    fleet.deliver().await;
    assert_eq!(world.endpoint.count(), 2);
}
