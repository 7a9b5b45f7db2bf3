//! Endpoints that give no token and tokens that the API does not take: remembered, by all, and no reason to ask again at once.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use serde_json::json;

use crate::loopback::parameter_store::{Operation, internal_error, throttled};
use crate::loopback::{Answer, CLIENT_ID};
use crate::token::{COOL_DOWN, bearers, delivers, fails, lines_with, lock, record, seconds, stored};
use crate::token_crowd::Fleet;
use crate::world::{CREDENTIALS_PARAMETER, TIMEOUT, TOKEN_PARAMETER, World, credentials, id};

/// Invokes once a second for so many seconds; returns how many of the records were delivered.
async fn every_second(world: &World, seconds: u64) -> usize {
    let start = tokio::time::Instant::now();
    let mut delivered = 0;
    for second in 0..seconds {
        tokio::time::sleep_until(start + Duration::from_secs(second)).await;
        delivered += usize::from(world.results(&[record(0)]).await == ["Dropped"]);
    }
    delivered
}

/// The pauses between the requests to the endpoint, in seconds.
fn pauses(world: &World) -> Vec<f64> {
    let requests = world.endpoint.requests();
    requests.windows(2).map(|two| two[1].started.duration_since(two[0].started).as_secs_f64()).collect()
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_asked_after_growing_pauses() {
    let refusals = [
        Answer::status(401).body(r#"{"error":"invalid_client"}"#),
        Answer::status(400).body(r#"{"error":"invalid_scope"}"#),
        Answer::status(200).body("<html>sign in</html>"),
    ];
    join_all(refusals.map(async |refusal| {
        let world = World::start(&[]).await;
        world.endpoint.otherwise(Some(refusal));
        assert_eq!(every_second(&world, 20).await, 0);
        let pauses = pauses(&world);
        assert!((1..=2).contains(&pauses.len()), "{pauses:?}");
        assert!(pauses[0] >= 5.0 && pauses.get(1).is_none_or(|pause| *pause >= 10.0), "{pauses:?}");
        assert_eq!(lines_with(&world, "nobody asks for one before a pause").len(), pauses.len() + 1);
        assert!(world.store.count(Operation::GetSeveral) <= 10);
    }))
    .await;
}

#[tokio::test]
async fn an_endpoint_that_is_overloaded_has_its_attempts_once_and_its_retry_after() {
    let world = World::start(&[]).await;
    world.endpoint.otherwise(Some(Answer::status(503)));
    every_second(&world, 20).await;
    // Five attempts at first; after that, one tells whether it is over.
    assert!((6..=7).contains(&world.endpoint.count()), "{}", world.endpoint.count());

    let world = World::start(&[]).await;
    world.endpoint.otherwise(Some(Answer::status(429).retry_after("3600")));
    every_second(&world, 10).await;
    assert_eq!(world.endpoint.count(), 1);
    let dead_at: i64 = world.store.value(&lock(0)).expect("a lock").parse().expect("epoch seconds");
    assert!((3500..=3601).contains(&(dead_at - seconds())), "{}", dead_at - seconds());
}

#[tokio::test]
async fn a_failure_is_known_to_all_environments() {
    let world = World::start(&[]).await;
    world.endpoint.otherwise(Some(Answer::status(400).body(r#"{"error":"invalid_scope"}"#)));
    let fleet = Fleet::start(&world, 10).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        fleet.invoke(TIMEOUT).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(world.endpoint.count() <= 4, "{:?}", pauses(&world));
    // What was wrong is put right.
    world.endpoint.otherwise(None);
    let dead_at: i64 = world.store.value(&lock(0)).expect("a lock").parse().expect("epoch seconds");
    tokio::time::sleep(Duration::from_secs((dead_at + 2 - seconds()).unsigned_abs())).await;
    // Whoever has used up its reads comes later.
    let outcomes = fleet.invoke(TIMEOUT).await;
    assert!(outcomes.iter().any(|(result, _)| result == "Dropped"), "{outcomes:?}");
    assert!(world.endpoint.count() <= 6, "{:?}", pauses(&world));
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_remembered_too() {
    let world = World::start(&[("REQUEST_TIMEOUT_MS", "60000")]).await;
    world.endpoint.otherwise(Some(Answer::hang()));
    for _ in 0..3 {
        let verdicts = world.invoke_within(&[record(0)], Duration::from_secs(4)).await;
        assert_eq!(verdicts[0].result, "ProcessingFailed");
    }
    assert_eq!(world.endpoint.count(), 1);
    let dead_at: i64 = world.store.value(&lock(0)).expect("a lock").parse().expect("epoch seconds");
    assert!(dead_at >= seconds());
}

#[tokio::test]
async fn credentials_that_have_changed_end_the_pause_for_all() {
    let world = World::start(&[]).await;
    world.endpoint.set_client("rotated", "also-not-real");
    let fleet = Fleet::start(&world, 5).await;
    fails(&world).await;
    tokio::time::sleep(COOL_DOWN).await;
    fails(&world).await;
    assert_eq!(world.endpoint.count(), 2);
    // The second pause has ten seconds.
    world.store.put(CREDENTIALS_PARAMETER, &credentials("rotated", "also-not-real"));
    fleet.deliver().await;
    assert_eq!(world.endpoint.count(), 3);
    tokio::time::sleep(Duration::from_secs(6)).await;
    delivers(&world).await;
    assert_eq!(world.endpoint.count(), 3);
    assert_ne!(CLIENT_ID, "rotated");
}

#[tokio::test]
async fn a_token_that_the_api_takes_some_seconds_later_is_waited_for() {
    let world = World::start(&[]).await;
    world.endpoint.set_delay(Duration::from_secs(2));
    assert_eq!(every_second(&world, 5).await, 5);
    assert_eq!(world.endpoint.count(), 1);
}

#[tokio::test]
async fn the_token_before_serves_until_the_new_one_is_taken() {
    let world = World::start(&[]).await;
    world.analytics.tokens().allow("old");
    // So near its end that it is due, whatever the environment's place.
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() + 20));
    world.endpoint.set_delay(Duration::from_secs(3));
    let start = Instant::now();
    while world.endpoint.count() == 0 {
        delivers(&world).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(start.elapsed() < Duration::from_secs(20));
    let from = Instant::now();
    while from.elapsed() < Duration::from_secs(7) {
        let start = Instant::now();
        delivers(&world).await;
        assert!(start.elapsed() < Duration::from_secs(1), "nobody waits while the old one lives");
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert_eq!(world.endpoint.count(), 1);
    assert_eq!(bearers(&world).last(), world.endpoint.tokens().last());
}

#[tokio::test]
async fn an_api_that_takes_no_token_costs_few_requests() {
    let world = World::start(&[]).await;
    world.analytics.otherwise(Some(Answer::status(401)));
    assert_eq!(every_second(&world, 25).await, 0);
    assert!((2..=3).contains(&world.endpoint.count()), "{:?}", pauses(&world));
    assert!(world.store.count(Operation::GetSeveral) <= 10);
    // It comes to its senses: the token in memory is as good as any.
    let before = world.endpoint.count();
    world.analytics.otherwise(None);
    delivers(&world).await;
    assert!(world.endpoint.count() <= before + 1);
}

#[tokio::test]
async fn a_403_to_a_token_that_was_accepted_renews_it_once() {
    let world = World::start(&[]).await;
    delivers(&world).await;
    world.analytics.script([Answer::status(403)]);
    delivers(&world).await;
    assert_eq!((world.analytics.statuses(), world.endpoint.count()), (vec![200, 403, 200], 2));
    // One that has no other cause is no matter of the token.
    world.analytics.otherwise(Some(Answer::status(403)));
    fails(&world).await;
    fails(&world).await;
    assert_eq!(world.endpoint.count(), 3);

    // A cold environment finds an old one in the store, revoked since.
    let world = World::start(&[]).await;
    world.store.put(TOKEN_PARAMETER, &stored("revoked", seconds() + 600));
    world.analytics.script([Answer::status(403)]);
    delivers(&world).await;
    assert_eq!((world.analytics.statuses(), world.endpoint.count()), (vec![403, 200], 1));
}

#[tokio::test]
async fn bodies_under_way_with_a_token_that_dies_are_all_sent_again() {
    for status in [401, 403] {
        let world = World::start(&[("MAX_BATCH_EVENTS", "1"), ("DELIVERY_CONCURRENCY", "4")]).await;
        delivers(&world).await;
        let refused = Answer::status(status).delay(Duration::from_millis(200));
        world.analytics.script(vec![refused; 4]);
        let records: Vec<_> = (0..8).map(record).collect();
        assert_eq!(world.results(&records).await, ["Dropped"; 8], "{status}");
        assert_eq!((world.analytics.count(), world.endpoint.count()), (1 + 8 + 4, 2), "{status}");
    }
}

#[tokio::test]
async fn a_body_that_is_refused_with_tokens_that_serve_others_fails_alone() {
    for status in [401, 403] {
        let world = World::start(&[("MAX_BATCH_EVENTS", "1"), ("DELIVERY_CONCURRENCY", "4")]).await;
        delivers(&world).await;
        let poisoned = id(3);
        world.analytics.refuse(status, move |event| event["id"] == poisoned.as_str());
        for tokens in [2, 3] {
            world.analytics.script((0..100).map(|_| Answer::status(200).delay(Duration::from_millis(60))));
            let records: Vec<_> = (0..100).map(record).collect();
            let mut results = world.results(&records).await;
            assert_eq!(results.remove(3), "ProcessingFailed", "{status}");
            assert_eq!(results, ["Dropped"; 99], "{status}");
            assert_eq!(world.endpoint.count(), tokens, "{status}");
        }
    }
}

#[tokio::test]
async fn a_token_of_any_type_is_used_as_a_bearer_token_but_those_that_need_more() {
    let with_type = |kind: &str| json!({"access_token": "t-1", "token_type": kind, "expires_in": 600});
    for kind in ["BearerToken", "Application Access Token", "JWT", "", "Bearer "] {
        let world = World::start(&[]).await;
        world.analytics.tokens().allow("t-1");
        world.endpoint.otherwise(Some(Answer::status(200).json(&with_type(kind))));
        delivers(&world).await;
        delivers(&world).await;
        assert_eq!(bearers(&world), ["t-1", "t-1"]);
        let warnings = lines_with(&world, "token_type is not Bearer").len();
        assert_eq!(warnings, usize::from(kind != "Bearer "), "{kind}");
    }
    for kind in ["DPoP", "mac", "PoP", "N_A"] {
        let world = World::start(&[]).await;
        world.endpoint.otherwise(Some(Answer::status(200).json(&with_type(kind))));
        fails(&world).await;
        assert_eq!(world.analytics.count(), 0, "{kind}");
    }
}

#[tokio::test]
async fn an_answer_with_a_byte_order_mark_line_feeds_and_gzip_is_understood() {
    let expires_on = seconds() + 1234;
    let text = format!("\u{feff}{{\"access_token\":\"\\n t-1\\r\\n\",\"expires_on\":\"{expires_on}\"}}");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
    gzip.write_all(text.as_bytes()).expect("memory");
    let gzip = Answer::status(200).header("content-encoding", "gzip").body(gzip.finish().expect("memory"));
    for answer in [Answer::status(200).body(text.clone()), gzip] {
        let world = World::start(&[]).await;
        world.analytics.tokens().allow("t-1");
        world.endpoint.otherwise(Some(answer));
        delivers(&world).await;
        let kept = world.store.value(TOKEN_PARAMETER).expect("a token");
        assert!(kept.contains(&format!("\"expires_at\":{expires_on}")), "{kept}");
    }
}

#[tokio::test]
async fn a_cold_environment_waits_for_a_store_that_is_out_of_order_for_seconds() {
    join_all([throttled(), internal_error()].map(async |answer| {
        let world = World::start(&[]).await;
        world.store.otherwise(Operation::GetSeveral, Some(answer));
        let back = async {
            tokio::time::sleep(Duration::from_secs(8)).await;
            world.store.otherwise(Operation::GetSeveral, None);
        };
        let records = [record(0)];
        let (verdicts, ()) = tokio::join!(world.invoke_within(&records, Duration::from_secs(40)), back);
        assert_eq!(verdicts[0].result, "Dropped", "{:#?}", world.function.lines());
        assert!(world.store.count(Operation::GetSeveral) <= 10);
        assert_eq!((world.endpoint.count(), lines_with(&world, "Parameter Store").len()), (1, 1));
    }))
    .await;
}

#[tokio::test]
async fn a_stores_error_of_any_length_is_one_short_line() {
    let world = World::start(&[]).await;
    let code = "x\n".repeat(200_000);
    let body = json!({"__type": code, "message": ""}).to_string();
    world.store.otherwise(Operation::GetSeveral, Some(Answer::status(400).body(body)));
    fails(&world).await;
    let lines = world.function.lines();
    assert!(lines.iter().all(|line| line.len() < 3000 && line != "x"), "{}", lines.len());
    assert!(!lines_with(&world, "ssm:GetParameters is refused").is_empty(), "{lines:#?}");
}

#[tokio::test]
async fn times_are_those_of_the_stores_clock() {
    let world = World::start(&[]).await;
    let ahead = Duration::from_mins(5);
    #[expect(clippy::disallowed_methods, reason = "the store's clock is made to differ from this machine's")]
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() + ahead);
    for operation in [Operation::GetSeveral, Operation::Put] {
        world.store.otherwise(operation, Some(Answer::status(200).header("date", &date)));
    }
    // By this machine's clock it lives.
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() + 200));
    world.analytics.tokens().allow("old");
    delivers(&world).await;
    assert_eq!((world.endpoint.count(), bearers(&world)), (1, world.endpoint.tokens()));
    let told = |name: &str| world.store.value(name).expect("it is there");
    let dead_at: i64 = told(&lock(1)).parse().expect("epoch seconds");
    assert!((295..=315).contains(&(dead_at - seconds())), "{}", dead_at - seconds());
    let token: serde_json::Value = serde_json::from_str(&told(TOKEN_PARAMETER)).expect("JSON");
    assert!((290..=305).contains(&(token["issued_at"].as_i64().expect("a number") - seconds())), "{token}");
}
