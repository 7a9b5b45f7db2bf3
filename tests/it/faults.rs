//! What happens when the analytics API, or the way to it, fails: one test for each row of the table in docs/delivery.md.

use std::time::{Duration, Instant};

use crate::loopback::Answer;
use crate::world::{World, gzip, id, ids, many, record, records};

const ONE_AT_A_TIME: (&str, &str) = ("DELIVERY_CONCURRENCY", "1");

#[tokio::test]
async fn every_2xx_accepts() {
    for status in [200, 201, 202, 204, 299] {
        let world = World::start(&[]).await;
        world.analytics.script([Answer::status(status)]);
        assert_eq!(world.results(&records(1)).await, ["Dropped"], "{status}");
        assert_eq!(world.analytics.count(), 1);
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_fails_only_its_own_batch() {
    for status in [301, 302, 307, 308, 402, 403, 404, 405, 410, 415, 451, 501] {
        let world = World::start(&[("MAX_BATCH_EVENTS", "1"), ONE_AT_A_TIME]).await;
        let answer = Answer::status(status).header("location", &format!("{}elsewhere", world.analytics.url()));
        world.analytics.script([answer]);
        assert_eq!(world.results(&records(2)).await, ["ProcessingFailed", "Dropped"], "{status}");
        assert_eq!(world.analytics.statuses(), [status, 200]);
        assert_eq!(world.endpoint.count(), 1);
    }
}

#[tokio::test]
async fn an_overloaded_api_is_asked_again_after_a_pause() {
    for status in [408, 409, 425, 429, 500, 502, 503, 504, 599] {
        let world = World::start(&[]).await;
        world.analytics.script([Answer::status(status), Answer::status(status)]);
        assert_eq!(world.results(&records(1)).await, ["Dropped"], "{status}");
        let requests = world.analytics.requests();
        assert_eq!(requests.len(), 3);
        let key = |at: usize| requests[at].received.header("idempotency-key").expect("a key").to_owned();
        assert_eq!(key(0), key(2));
        assert_eq!(requests[0].decoded, requests[2].decoded);
    }
}

#[tokio::test]
async fn attempts_end_at_their_maximum() {
    let world = World::start(&[("MAX_ATTEMPTS", "3")]).await;
    world.analytics.otherwise(Some(Answer::status(503)));
    assert_eq!(world.results(&records(2)).await, ["ProcessingFailed"; 2]);
    assert_eq!(world.analytics.count(), 3);
    world.analytics.otherwise(None);
    assert_eq!(world.results(&records(2)).await, ["Dropped"; 2]);
}

#[tokio::test]
async fn retry_after_is_kept_to_in_seconds_and_as_a_date() {
    let world = World::start(&[]).await;
    world.analytics.script([Answer::status(429).retry_after("1")]);
    let start = Instant::now();
    assert_eq!(world.results(&records(1)).await, ["Dropped"]);
    assert!(start.elapsed() >= Duration::from_secs(1));

    let world = World::start(&[]).await;
    world.analytics.script([Answer::status(503).retry_after("Thu, 01 Jan 1970 00:00:00 GMT")]);
    let start = Instant::now();
    assert_eq!(world.results(&records(1)).await, ["Dropped"]);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_pause_that_does_not_fit_fails_at_once() {
    for wait in ["3600", "Tue, 01 Jan 2999 00:00:00 GMT"] {
        let world = World::start(&[]).await;
        world.analytics.otherwise(Some(Answer::status(429).retry_after(wait)));
        let start = Instant::now();
        assert_eq!(world.results(&records(1)).await, ["ProcessingFailed"]);
        assert!(start.elapsed() < Duration::from_secs(2));
        assert_eq!(world.analytics.count(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again() {
    for fault in [
        Answer::closed_before_body(),
        Answer::closed_after_body(),
        Answer::status(503).cut_after(9),
        Answer::raw("no HTTP\r\n\r\n"),
    ] {
        let world = World::start(&[]).await;
        world.analytics.script([fault.clone()]);
        assert_eq!(world.results(&records(1)).await, ["Dropped"], "{fault:?}");
        assert!(world.analytics.count() <= 3);
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_failed_attempt() {
    let world = World::start(&[("REQUEST_TIMEOUT_MS", "200")]).await;
    world.analytics.script([Answer::hang()]);
    assert_eq!(world.results(&records(1)).await, ["Dropped"]);
    assert_eq!(world.analytics.count(), 2);
}

#[tokio::test]
async fn an_api_that_nobody_listens_for_fails_in_time() {
    let world = World::start(&[("MAX_ATTEMPTS", "2")]).await;
    world.analytics.set_down(true);
    let verdicts = world.invoke(&records(1)).await;
    assert_eq!((verdicts[0].result.as_str(), verdicts[0].data.as_ref()), ("ProcessingFailed", Some(&record(0))));
    world.analytics.set_down(false);
    assert_eq!(world.results(&records(1)).await, ["Dropped"]);
}

#[tokio::test]
async fn the_answer_comes_before_the_deadline_whatever_hangs() {
    let timeout = Duration::from_secs(2);
    for answer in [Answer::hang(), Answer::status(503)] {
        let world = World::start(&[("MAX_ATTEMPTS", "1000"), ("REQUEST_TIMEOUT_MS", "60000")]).await;
        world.analytics.otherwise(Some(answer));
        let start = Instant::now();
        let verdicts = world.invoke_within(&records(2), timeout).await;
        assert!(verdicts.iter().all(|verdict| verdict.result == "ProcessingFailed"));
        let took = start.elapsed();
        assert!(took + Duration::from_millis(100) < timeout, "{took:?}");
    }
}

#[tokio::test]
async fn more_lines_than_there_is_time_for_are_kept_in_time() {
    let world = World::start(&[("MAX_BATCH_EVENTS", "100")]).await;
    // Three million lines, which would take minutes.
    let bomb = gzip("a\n".repeat(3_000_000));
    let timeout = Duration::from_secs(2);
    let start = Instant::now();
    let verdicts = world.invoke_within(&[record(0), bomb.clone(), record(1)], timeout).await;
    assert!(start.elapsed() < timeout);
    let results: Vec<&str> = verdicts.iter().map(|verdict| verdict.result.as_str()).collect();
    assert_eq!(results, ["Dropped", "ProcessingFailed", "ProcessingFailed"]);
    assert_eq!(verdicts[1].data.as_ref(), Some(&bomb));
}

#[tokio::test]
async fn a_connection_that_died_between_invocations_is_no_failed_attempt() {
    let world = World::start(&[("MAX_ATTEMPTS", "1")]).await;
    for number in 0..5 {
        world.analytics.script([Answer::status(200).then_close()]);
        assert_eq!(world.results(&[record(number)]).await, ["Dropped"]);
    }
    assert_eq!(world.analytics.count(), 5);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_halved_down_to_one_event() {
    let world = World::start(&[]).await;
    world.analytics.set_max_events(3);
    assert_eq!(world.results(&[many(16)]).await, ["Dropped"]);
    let events = world.analytics.accepted_events();
    assert_eq!(ids(&events), (0..16).map(id).collect::<Vec<_>>());

    let world = World::start(&[]).await;
    world.analytics.otherwise(Some(Answer::status(413)));
    assert_eq!(world.results(&records(2)).await, ["ProcessingFailed"; 2]);
    assert_eq!(world.analytics.count(), 3);
}

#[tokio::test]
async fn a_poison_event_is_found_and_its_neighbours_are_delivered() {
    for status in [400, 422] {
        let world = World::start(&[]).await;
        world.analytics.refuse(status, |event| event["fields"]["n"] == 13);
        let mut results = world.results(&records(64)).await;
        assert_eq!(results.remove(13), "ProcessingFailed");
        assert_eq!(results, ["Dropped"; 63]);
        assert_eq!(world.analytics.accepted_events().len(), 63);
        // The whole, and two halves at each of six levels.
        assert_eq!(world.analytics.count(), 13);
    }
}

#[tokio::test]
async fn an_api_that_refuses_everything_is_not_asked_for_every_event() {
    let world = World::start(&[]).await;
    world.analytics.refuse(422, |_| true);
    assert_eq!(world.results(&[many(1024)]).await, ["ProcessingFailed"]);
    assert!(world.analytics.count() < 64, "{}", world.analytics.count());
    assert_eq!(world.analytics.requests().iter().filter(|request| request.events.len() == 1).count(), 16);
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let world = World::start(&[]).await;
    world.results(&records(1)).await;
    world.endpoint.revoke(&world.endpoint.tokens()[0]);
    assert_eq!(world.results(&records(2)).await, ["Dropped"; 2]);
    assert_eq!(world.analytics.statuses(), [200, 401, 200]);
    assert_eq!(world.endpoint.count(), 2);
}

#[tokio::test]
async fn a_new_token_that_is_refused_for_as_long_as_it_is_young_fails_this_batch_and_those_behind_it() {
    let world = World::start(&[("MAX_BATCH_EVENTS", "1"), ONE_AT_A_TIME]).await;
    world.analytics.otherwise(Some(Answer::status(401)));
    assert_eq!(world.results(&records(4)).await, ["ProcessingFailed"; 4]);
    // Once a second for five seconds, all of them for the first batch.
    assert!((5..=8).contains(&world.analytics.count()), "{}", world.analytics.count());
    assert_eq!(world.endpoint.count(), 1);
}

#[tokio::test]
async fn late_refusals_of_the_old_token_lead_to_one_renewal() {
    let world = World::start(&[("MAX_BATCH_EVENTS", "1"), ("DELIVERY_CONCURRENCY", "8")]).await;
    world.results(&records(1)).await;
    world.endpoint.revoke(&world.endpoint.tokens()[0]);
    assert_eq!(world.results(&records(8)).await, ["Dropped"; 8]);
    assert_eq!(world.endpoint.count(), 2);
}

#[tokio::test]
async fn an_api_that_is_down_is_not_asked_for_every_batch() {
    let world = World::start(&[("MAX_BATCH_EVENTS", "1"), ("REQUEST_TIMEOUT_MS", "100")]).await;
    world.analytics.otherwise(Some(Answer::hang()));
    assert_eq!(world.results(&records(200)).await, vec!["ProcessingFailed"; 200]);
    // Four that were under way with all their attempts, and a few that had one.
    assert!(world.analytics.count() <= 4 * 5 + 2 * 4, "{}", world.analytics.count());
}

#[tokio::test]
async fn an_api_that_comes_back_is_asked_for_every_batch() {
    let world = World::start(&[("MAX_BATCH_EVENTS", "1"), ("MAX_ATTEMPTS", "2"), ONE_AT_A_TIME]).await;
    // Two bodies use up their attempts and a third its only one; the API is there again before it counts as down.
    world.analytics.script((0..5).map(|_| Answer::status(503)));
    let results = world.results(&records(6)).await;
    assert_eq!(results, [["ProcessingFailed"; 3], ["Dropped"; 3]].concat());
    assert_eq!(world.analytics.count(), 8);
}

#[tokio::test]
async fn so_many_posts_are_under_way_at_once_and_no_more() {
    let world = World::start(&[("MAX_BATCH_EVENTS", "1"), ("DELIVERY_CONCURRENCY", "3")]).await;
    world.analytics.script((0..12).map(|_| Answer::status(200).delay(Duration::from_millis(50))));
    assert_eq!(world.results(&records(12)).await, ["Dropped"; 12]);
    assert_eq!(world.analytics.peak_in_flight(), 3);
    assert!(world.analytics.connections() <= 3);
}
