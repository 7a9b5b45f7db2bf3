//! An API that takes nothing is asked little, in one invocation and the next; and answers that are no success.

use std::time::{Duration, Instant};

use crate::loopback::Answer;
use crate::world::{World, gzip, many, records};

const ONE_AT_A_TIME: (&str, &str) = ("DELIVERY_CONCURRENCY", "1");
const ONE_EVENT: (&str, &str) = ("MAX_BATCH_EVENTS", "1");

/// The most requests that an invocation makes of an API that takes nothing.
const MOST: usize = 100;

#[tokio::test]
async fn an_api_that_takes_nothing_gets_at_most_a_hundred_requests_an_invocation() {
    let answers = [
        Answer::status(413),
        Answer::status(400),
        Answer::status(422),
        Answer::status(429).retry_after("3600"),
        Answer::status(503).retry_after("3600"),
        Answer::status(503),
        Answer::status(409).retry_after("0"),
        Answer::status(403),
        Answer::status(404),
        Answer::status(302),
        Answer::status(207).body("{}"),
        Answer::status(200).body("<html>Sign in</html>"),
        Answer::status(401),
        Answer::closed_after_body(),
    ];
    for answer in answers {
        for settings in
            [&[("MAX_BATCH_EVENTS", "25"), ("MAX_ATTEMPTS", "3")][..], &[("MAX_BATCH_EVENTS", "25"), ONE_AT_A_TIME]]
        {
            let world = World::start(settings).await;
            world.analytics.otherwise(Some(answer.clone()));
            assert_eq!(world.results(&[many(3000)]).await, ["ProcessingFailed"], "{answer:?}");
            let first = world.analytics.count();
            assert!((1..=MOST).contains(&first), "{first} requests: {answer:?}");
            world.results(&[many(3000)]).await;
            let second = world.analytics.count() - first;
            assert!((1..=MOST / 2).contains(&second), "{second} requests in the second invocation: {answer:?}");
        }
    }
}

#[tokio::test]
async fn bodies_that_have_waited_for_a_token_are_bounded_too() {
    let world = World::start(&[ONE_EVENT, ("DELIVERY_CONCURRENCY", "1000")]).await;
    world.endpoint.script([Answer::status(200).delay(Duration::from_secs(2))]);
    world.analytics.otherwise(Some(Answer::status(404)));
    assert_eq!(world.results(&records(400)).await, ["ProcessingFailed"; 400]);
    assert_eq!(world.analytics.count(), MOST);
}

#[tokio::test]
async fn a_size_that_is_refused_is_remembered() {
    // Eight bodies of 100 events, of which the API takes 30: without memory each would be refused twice.
    let world = World::start(&[("MAX_BATCH_EVENTS", "100"), ONE_AT_A_TIME]).await;
    world.analytics.set_max_events(30);
    assert_eq!(world.results(&[many(800)]).await, ["Dropped"]);
    let refused = || world.analytics.statuses().iter().filter(|status| **status == 413).count();
    let in_first = refused();
    assert!(in_first <= 6, "{in_first}");
    assert_eq!(world.results(&[many(800)]).await, ["Dropped"]);
    assert!(refused() - in_first <= 2, "{}", refused());
}

#[tokio::test]
async fn events_that_are_too_large_one_by_one_end_their_batch() {
    let world = World::start(&[]).await;
    world.analytics.otherwise(Some(Answer::status(413)));
    assert_eq!(world.results(&[many(1000)]).await, ["ProcessingFailed"]);
    let alone = world.analytics.requests().iter().filter(|request| request.events.len() == 1).count();
    assert_eq!(alone, 16);
    assert!(world.analytics.count() <= 32, "{}", world.analytics.count());
}

#[tokio::test]
async fn after_two_batches_of_refused_events_the_others_are_not_tried() {
    let world = World::start(&[("MAX_BATCH_EVENTS", "64"), ONE_AT_A_TIME]).await;
    world.analytics.otherwise(Some(Answer::status(400)));
    world.results(&[many(64 * 10)]).await;
    let alone = world.analytics.requests().iter().filter(|request| request.events.len() == 1).count();
    assert_eq!(alone, 2 * 16);
}

#[tokio::test]
async fn a_wait_that_is_too_long_costs_no_more_requests_than_a_short_one() {
    for status in [429, 503] {
        let world = World::start(&[ONE_EVENT]).await;
        world.analytics.otherwise(Some(Answer::status(status).retry_after("3600")));
        let start = Instant::now();
        assert_eq!(world.results(&records(60)).await, ["ProcessingFailed"; 60]);
        assert!(world.analytics.count() <= 12, "{}", world.analytics.count());
        assert!(start.elapsed() < Duration::from_secs(5));
        // The next invocation asks with one body.
        assert_eq!(world.results(&records(60)).await, ["ProcessingFailed"; 60]);
        assert!(world.analytics.count() <= 13, "{}", world.analytics.count());
    }
}

#[tokio::test]
async fn after_an_invocation_without_success_one_body_goes_first() {
    let world = World::start(&[ONE_EVENT, ("MAX_ATTEMPTS", "1")]).await;
    world.analytics.otherwise(Some(Answer::status(503)));
    world.results(&records(20)).await;
    let before = world.analytics.count();
    assert_eq!(world.results(&records(20)).await, ["ProcessingFailed"; 20]);
    assert_eq!(world.analytics.count(), before + 1);

    // It takes that body, and so the others: all of them.
    world.analytics.otherwise(None);
    let before = world.analytics.count();
    world.analytics.script([Answer::status(200).delay(Duration::from_millis(300))]);
    assert_eq!(world.results(&records(20)).await, ["Dropped"; 20]);
    let requests = &world.analytics.requests()[before..];
    assert_eq!(requests.len(), 20);
    let first_ended = requests[0].received.finished.expect("answered");
    assert!(requests[1..].iter().all(|request| request.received.started >= first_ended));
}

#[tokio::test]
async fn a_part_of_the_first_body_is_enough_to_go_on() {
    let world = World::start(&[("MAX_BATCH_EVENTS", "8"), ("MAX_ATTEMPTS", "1")]).await;
    world.analytics.otherwise(Some(Answer::status(503)));
    world.results(&records(16)).await;
    world.analytics.otherwise(None);
    world.analytics.refuse(400, |event| event["fields"]["n"] == 3);
    let mut results = world.results(&records(32)).await;
    assert_eq!(results.remove(3), "ProcessingFailed");
    assert_eq!(results, ["Dropped"; 31]);
}

#[tokio::test]
async fn a_conflict_is_tried_again() {
    let world = World::start(&[("REQUEST_TIMEOUT_MS", "300")]).await;
    world.analytics.script([Answer::hang(), Answer::status(409).retry_after("1")]);
    let start = Instant::now();
    assert_eq!(world.results(&records(1)).await, ["Dropped"]);
    assert_eq!(world.analytics.count(), 3);
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_success_that_is_none_is_refused() {
    let page = "<!DOCTYPE html><html><body>Please sign in</body></html>";
    for answer in [
        Answer::status(207).json(&serde_json::json!({"errors": []})),
        Answer::status(200).body(page),
        Answer::status(200)
            .header("content-type", "Text/HTML; charset=utf-8")
            .body(page)
            .drip(Duration::from_millis(10)),
        Answer::status(200).header("content-encoding", "gzip").body(gzip(page)),
        Answer::status(200).header("content-encoding", "X-GZIP").body(gzip(page.to_owned() + &" ".repeat(9_000_000))),
    ] {
        let world = World::start(&[]).await;
        world.analytics.otherwise(Some(answer.clone()));
        assert_eq!(world.results(&records(1)).await, ["ProcessingFailed"], "{answer:?}");
        assert_eq!(world.analytics.count(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn what_an_answer_says_is_checked_where_the_setting_says_so() {
    let check = ("ANSWER_CHECK", "/errors");
    for (body, result) in [
        ("", "Dropped"),
        (r#"{"errors":false}"#, "Dropped"),
        (r#"{"took":3}"#, "Dropped"),
        (r#"{"errors":true}"#, "ProcessingFailed"),
        (r#"{"errors":["x"]}"#, "ProcessingFailed"),
        ("accepted", "ProcessingFailed"),
        ("<html>", "ProcessingFailed"),
    ] {
        for status in [200, 202, 207] {
            let world = World::start(&[check]).await;
            world.analytics.otherwise(Some(Answer::status(status).body(body)));
            assert_eq!(world.results(&records(1)).await, [result], "{status} {body}");
            assert_eq!(world.analytics.count(), 1, "{status} {body}");
        }
    }
    for (body, result) in [
        (r#"{"errors":false}"#, "Dropped"),
        (r#"{"errors":true}"#, "ProcessingFailed"),
        ("accepted", "ProcessingFailed"),
        (&format!("{{\"x\":\"{}\"}}", "x".repeat(9_000_000)), "ProcessingFailed"),
    ] {
        let world = World::start(&[check]).await;
        world.analytics.otherwise(Some(Answer::status(200).header("content-encoding", "gzip").body(gzip(body))));
        assert_eq!(world.results(&records(1)).await, [result], "{}", &body[..body.len().min(80)]);
        assert_eq!(world.analytics.count(), 1);
    }
    // An answer that comes slowly is waited for; one that breaks off tells nothing, and is no success.
    let world = World::start(&[check]).await;
    let slow = Answer::status(200).body(r#"{"errors":true}"#).drip(Duration::from_millis(50));
    world.analytics.script([slow]);
    assert_eq!(world.results(&records(1)).await, ["ProcessingFailed"]);
    world.analytics.script([Answer::status(200).body(r#"{"errors":false}"#).content_length(99)]);
    assert_eq!(world.results(&records(1)).await, ["Dropped"]);
    assert_eq!(world.analytics.count(), 3);
}

#[tokio::test]
async fn statuses_of_the_setting_are_tried_again() {
    let world = World::start(&[("RETRY_STATUSES", "404,400")]).await;
    world.analytics.script([Answer::status(404), Answer::status(400)]);
    assert_eq!(world.results(&records(2)).await, ["Dropped"; 2]);
    assert_eq!(world.analytics.statuses(), [404, 400, 200]);
}
