//! What an operator invokes the second function with: a replay of objects, a backfill from a log group.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::loopback::object_store::{self, Operation};
use crate::loopback::{Answer, Outcome, log_groups, queue};
use crate::redrive_world::{FOLDER, RedriveWorld, failed_object};
use crate::world::{TIMEOUT, record};

const OBJECTS: usize = 2500;
const HOUR: u64 = 1_795_287_600_000;

fn replay(prefix: &str, from: Option<&str>) -> Value {
    from.map_or_else(
        || json!({"replay": {"prefix": prefix}}),
        |from| json!({"replay": {"prefix": prefix, "from": from}}),
    )
}

fn backfill(group: &str) -> Value {
    json!({"backfill": {"logGroup": group, "from": "2026-11-21T19:00:00Z", "to": "2026-11-21T20:00:00.500Z"}})
}

/// A bucket of so many objects whose messages are lost.
async fn forgotten(objects: usize) -> RedriveWorld {
    let world = RedriveWorld::start(&[]).await;
    for number in 0..objects {
        world.objects.put(&format!("{FOLDER}logs 1+{number:05}"), failed_object(&[record(number)]));
    }
    world.queue.advance(Duration::from_hours(14 * 24));
    assert!(world.queue.bodies().is_empty());
    world
}

/// The keys that messages tell of.
fn told(world: &RedriveWorld) -> BTreeSet<String> {
    let key = |body: &String| {
        let body: Value = serde_json::from_str(body).expect("JSON");
        body["Records"][0]["s3"]["object"]["key"].as_str().expect("a key").to_owned()
    };
    world.queue.bodies().iter().map(key).collect()
}

#[tokio::test]
async fn a_replay_queues_any_number_of_objects() {
    let world = forgotten(OBJECTS).await;
    assert_eq!(world.ask(&replay(FOLDER, None)).await, json!({"queued": OBJECTS, "next": null}));
    assert_eq!((told(&world).len(), world.queue.bodies().len()), (OBJECTS, OBJECTS));
    assert_eq!(world.queue.asked(queue::Operation::SendBatch).len(), OBJECTS / 10);
    assert_eq!(world.objects.count(Operation::List), 3);
    for _ in 0..3 {
        assert!(world.take().await.expect("a message").is_done);
    }
    assert_eq!((world.delivered().len(), world.objects.keys("").len()), (3, OBJECTS - 3));
}

#[tokio::test]
async fn a_replay_goes_on_after_a_key() {
    let world = forgotten(30).await;
    let from = format!("{FOLDER}logs 1+{:05}", 9);
    assert_eq!(world.ask(&replay("failed/", Some(&from))).await, json!({"queued": 20, "next": null}));
    assert_eq!(world.ask(&replay("failed/2025/", None)).await, json!({"queued": 0, "next": null}));
    assert_eq!(told(&world).len(), 20);
}

#[tokio::test]
async fn a_replay_that_runs_out_of_time_says_where_to_go_on() {
    let world = forgotten(300).await;
    world.queue.otherwise(queue::Operation::SendBatch, Some(Answer::status(200).delay(Duration::from_millis(200))));
    let mut next = Value::Null;
    let mut queued = 0;
    for _ in 0..20 {
        let payload = replay("failed/", next.as_str()).to_string();
        let answer = world.runtime.invoke(payload, Duration::from_secs(7)).await.json();
        queued += answer["queued"].as_u64().expect("a number");
        next = answer["next"].clone();
        if next.is_null() {
            break;
        }
    }
    assert_eq!((queued, told(&world).len()), (300, 300));
    assert!(world.queue.asked(queue::Operation::SendBatch).len() == 30, "nothing is queued twice");
}

#[tokio::test]
async fn a_replay_outlasts_throttling_and_batches_that_fail_in_part() {
    let world = forgotten(45).await;
    world.queue.script(queue::Operation::SendBatch, [queue::throttled(), Answer::closed_after_body()]);
    world.queue.fail_entries(2);
    world.objects.script(Operation::List, [object_store::slow_down()]);
    assert_eq!(world.ask(&replay("failed/", None)).await, json!({"queued": 45, "next": null}));
    assert_eq!(told(&world).len(), 45);
}

#[tokio::test]
async fn a_replay_elsewhere_is_refused() {
    let world = forgotten(1).await;
    for prefix in ["", "archive/", "failed", "fail", "/failed/", "parkedx/"] {
        let outcome = world.runtime.invoke(replay(prefix, None).to_string(), TIMEOUT).await.outcome;
        let Outcome::Error(error) = outcome else { panic!("{prefix} is taken: {outcome:?}") };
        assert!(error["errorMessage"].as_str().expect("a message").contains("prefix"), "{error}");
    }
    for event in [json!({}), json!({"replay": {}}), json!({"records": []}), json!([]), json!("x")] {
        let outcome = world.runtime.invoke(event.to_string(), TIMEOUT).await.outcome;
        assert!(matches!(outcome, Outcome::Error(_)), "{event} is taken");
    }
    assert!(world.queue.bodies().is_empty());
}

#[tokio::test]
async fn a_replay_that_may_not_send_says_so_and_where_it_stopped() {
    let world = forgotten(25).await;
    world.queue.script(queue::Operation::SendBatch, [Answer::status(200), queue::access_denied()]);
    let answer = world.ask(&replay("failed/", None)).await;
    assert_eq!((&answer["queued"], &answer["next"]), (&json!(10), &json!(format!("{FOLDER}logs 1+00009"))));
    assert!(world.metric("RedriveFaults") > 0);
    assert_eq!(world.ask(&replay("failed/", answer["next"].as_str())).await["queued"], 15);
    assert_eq!((told(&world).len(), world.queue.bodies().len()), (25, 25));
}

#[tokio::test]
async fn a_backfill_delivers_what_the_group_holds_with_the_ids_of_a_subscription() {
    let world = RedriveWorld::start(&[]).await;
    world.groups.set_pages(7);
    let early = world.groups.put("/aws/api", "s", HOUR - 1, "early");
    let mut expected: Vec<String> = (0..40)
        .map(|number| {
            let stream = if number % 3 == 0 { "a" } else { "b" };
            world.groups.put("/aws/api", stream, HOUR + number / 4, &format!("{{\"n\":{number}}}"))
        })
        .collect();
    expected.push(world.groups.put("/aws/api", "a", HOUR + 3_600_500, "last"));
    let late = world.groups.put("/aws/api", "a", HOUR + 3_600_501, "late");
    world.groups.script([log_groups::throttled(), Answer::status(200), log_groups::throttled()]);
    assert_eq!(world.ask(&backfill("/aws/api")).await, json!({"delivered": 41, "failed": 0, "next": null}));
    expected.sort();
    assert_eq!(world.delivered(), expected);
    assert!(!expected.contains(&early) && !expected.contains(&late));
    for event in world.analytics.accepted_events() {
        assert_eq!((&event["owner"], &event["logGroup"]), (&json!("111122223333"), &json!("/aws/api")));
        assert!(event["logStream"] == "a" || event["logStream"] == "b", "{event}");
        assert!(event["timestamp"].as_str().expect("a text").starts_with("2026-11-21T"), "{event}");
    }
}

#[tokio::test]
async fn a_backfill_that_fails_says_so_in_its_answer_and_its_metrics() {
    let world = RedriveWorld::start(&[("MAX_ATTEMPTS", "1")]).await;
    for number in 0..5 {
        drop(world.groups.put("g", "s", HOUR + number, "x"));
    }
    world.analytics.otherwise(Some(Answer::status(503)));
    let answer = world.ask(&backfill("g")).await;
    assert_eq!((&answer["delivered"], &answer["failed"]), (&json!(0), &json!(5)));
    assert!(answer["next"].is_string(), "{answer}");
    assert_eq!(world.metric("EventsFailed"), 5);
    world.analytics.otherwise(None);
    let mut again = backfill("g");
    again["backfill"]["from"] = answer["next"].clone();
    assert_eq!(world.ask(&again).await, json!({"delivered": 5, "failed": 0, "next": null}));
}

#[tokio::test]
async fn a_backfill_that_runs_out_of_time_is_passed_on() {
    let world = RedriveWorld::start(&[]).await;
    world.groups.set_pages(2);
    let mut expected: Vec<String> = (0..20).map(|number| world.groups.put("g", "s", HOUR + number, "x")).collect();
    let mut request = backfill("g");
    for _ in 0..30 {
        let answer = world.runtime.invoke(request.to_string(), Duration::from_secs(4)).await.json();
        assert_eq!(answer["failed"], 0);
        if answer["next"].is_null() {
            break;
        }
        request["backfill"]["from"] = answer["next"].clone();
    }
    expected.sort();
    let mut delivered = world.delivered();
    delivered.dedup();
    assert_eq!(delivered, expected);
}

#[tokio::test]
async fn a_backfill_of_nothing_or_of_nonsense_is_told() {
    let world = RedriveWorld::start(&[]).await;
    drop(world.groups.put("g", "s", 0, "x"));
    assert_eq!(world.ask(&backfill("g")).await, json!({"delivered": 0, "failed": 0, "next": null}));
    let missing = world.ask(&backfill("missing")).await;
    assert!(missing.to_string().contains("ResourceNotFoundException"), "{missing}");
    for (from, to) in [("x", "y"), ("2026-11-21T20:00:00Z", "2026-11-21T19:00:00Z")] {
        let event = json!({"backfill": {"logGroup": "g", "from": from, "to": to}});
        let outcome = world.runtime.invoke(event.to_string(), TIMEOUT).await.outcome;
        assert!(matches!(outcome, Outcome::Error(_)), "{event} is taken");
    }
    assert!(world.delivered().is_empty());
}
