//! A process that dies, and services that fail, at every single request: nothing is lost, whatever the step.

use std::time::Duration;

use futures_util::future::join_all;

use crate::loopback::object_store::access_denied;
use crate::loopback::{Answer, Gate};
use crate::redrive_world::RedriveWorld;
use crate::world::{envelope, gzip, id, record};

/// What an object holds: delivered at once, refused for a while, poison, and a line that is none.
const SETTINGS: [(&str, &str); 4] =
    [("MAX_BATCH_EVENTS", "1"), ("DELIVERY_CONCURRENCY", "1"), ("MAX_ATTEMPTS", "1"), ("REQUEST_TIMEOUT_MS", "2000")];

async fn world() -> RedriveWorld {
    let world = RedriveWorld::start(&SETTINGS).await;
    world.analytics.refuse(422, |event| event["fields"]["poison"] == true);
    let poison = gzip(envelope("g", 1, &[r#"{"poison":true}"#]));
    let key = world.keep("logs-1-a", &[record(0), poison, record(2)]);
    let mut object = world.objects.object(&key).expect("it is there").to_vec();
    object.extend_from_slice(b"junk\n");
    world.objects.put(&key, object);
    world.queue.advance_to_next().expect("a message");
    // The third event is for a second try.
    world.analytics.script([Answer::status(200), Answer::status(200), Answer::status(503)]);
    world
}

/// Delivers what is left and compares.
async fn nothing_is_lost(world: &RedriveWorld, step: &str) {
    world.drain().await;
    let mut delivered = world.delivered();
    delivered.dedup();
    assert_eq!(delivered, [id(0), id(2)], "{step}");
    assert!(world.objects.keys("failed/").is_empty(), "{step}: {:?}", world.objects.keys(""));
    let parked = world.lines("parked/");
    assert!(parked.iter().any(|line| line["rawData"].is_string()), "{step}: {parked:?}");
    assert!(parked.iter().any(|line| line["line"] == "junk"), "{step}: {parked:?}");
    assert!(parked.iter().all(|line| line["parkedReason"].is_string()), "{step}: {parked:?}");
    assert!(world.queue.bodies().is_empty() && world.queue.dead_letters().is_empty(), "{step}");
}

/// Kills the process while its request of this number to S3 is under way; returns whether there was one.
async fn killed_at(request: usize, has_effect: bool) -> bool {
    let mut world = world().await;
    let pass = std::iter::repeat_n(Answer::status(200), request);
    let gate = Gate::closed();
    let last = if has_effect { Answer::status(200).after(&gate) } else { Answer::hang() };
    world.objects.script_any(pass.chain([last]));
    let delivery = world.queue.take(1).expect("a message");
    let invoked = world.runtime.invoke(delivery.event.to_string(), Duration::from_secs(20));
    let is_there = tokio::select! {
        invocation = invoked => {
            world.queue.settle(&delivery, &invocation.outcome);
            false
        }
        () = world.objects.received(request + 1) => true,
    };
    // The request has had its effect: nothing lies between its arrival and that which another task could run in.
    world.restart().await;
    world.objects.heal();
    nothing_is_lost(&world, &format!("killed at request {request} of S3, effect {has_effect}")).await;
    is_there
}

#[tokio::test]
async fn a_process_that_is_killed_at_any_request_to_s3_loses_nothing() {
    for has_effect in [false, true] {
        let mut request = 0;
        while killed_at(request, has_effect).await {
            request += 1;
        }
        // One object read, one left and one parked written, one deleted.
        assert_eq!(request, 4);
    }
}

#[tokio::test]
async fn a_process_that_is_killed_at_any_request_to_the_api_loses_nothing() {
    for request in 0..3 {
        let mut world = world().await;
        let delivery = world.queue.take(1).expect("a message");
        let invoked = world.runtime.invoke(delivery.event.to_string(), Duration::from_secs(20));
        tokio::select! {
            invocation = invoked => panic!("{:?}", invocation.outcome),
            () = world.analytics.received(request + 1) => {}
        }
        world.restart().await;
        nothing_is_lost(&world, &format!("killed at request {request} of the API")).await;
    }
}

#[tokio::test]
async fn a_request_to_s3_that_fails_for_good_loses_nothing() {
    let faults = [Answer::closed_after_body(), Answer::status(200).cut_after(0), access_denied()];
    let cases = (0..4).flat_map(|request| faults.clone().map(|fault| (request, fault)));
    join_all(cases.map(async |(request, fault)| {
        let world = world().await;
        let pass = std::iter::repeat_n(Answer::status(200), request);
        // All attempts, and the reopened ones.
        world.objects.script_any(pass.chain(std::iter::repeat_n(fault.clone(), 12)));
        let delivery = world.queue.take(1).expect("a message");
        let invocation = world.runtime.invoke(delivery.event.to_string(), Duration::from_secs(30)).await;
        world.queue.settle(&delivery, &invocation.outcome);
        world.objects.heal();
        nothing_is_lost(&world, &format!("request {request} of S3 fails: {fault:?}")).await;
    }))
    .await;
}
