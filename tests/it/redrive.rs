//! What comes back from the bucket, object by object: what is delivered, what waits, what is parked, and what is harmless.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::loopback::object_store::{self, Created, Operation};
use crate::loopback::{Answer, notification, queue};
use crate::redrive_world::{BUCKET, FOLDER, RedriveWorld, failed_line, failed_object, lines};
use crate::world::{CREDENTIALS_PARAMETER, credentials, envelope, gzip, id, id_of_lines, record, records};

fn parked(name: &str) -> String {
    format!("parked/processing-failed/2026/11/21/18/{name}")
}

/// The records of Firehose's lines.
fn raw(lines: &[Value]) -> Vec<Vec<u8>> {
    let data = lines.iter().map(|line| line["rawData"].as_str().expect("a line of Firehose"));
    data.map(|data| base64_simd::STANDARD.decode_to_vec(data).expect("base64")).collect()
}

/// A record with one event that says so of itself.
fn poison(number: usize) -> Vec<u8> {
    gzip(envelope("g", number, &[r#"{"poison":true}"#]))
}

fn is_poison(event: &Value) -> bool {
    event["fields"]["poison"] == true
}

#[tokio::test]
async fn an_object_is_delivered_and_then_deleted() {
    let world = RedriveWorld::start(&[]).await;
    let key = world.keep("logs-1-a", &records(3));
    let taken = world.take().await.expect("a message");
    assert!(taken.is_done);
    assert_eq!(taken.invocation.json(), json!({"batchItemFailures": []}));
    assert_eq!(world.delivered(), [id(0), id(1), id(2)]);
    assert!(world.objects.keys("").is_empty() && world.queue.bodies().is_empty());
    assert_eq!(world.objects.calls(), [(Operation::Get, key.clone()), (Operation::Delete, key)]);
    assert_eq!((world.metric("EventsDelivered"), world.metric("ObjectsDelivered")), (3, 1));
    assert_eq!((world.metric("ObjectsLeft"), world.metric("RecordsParked"), world.metric("RedriveFaults")), (0, 0, 0));
}

#[tokio::test]
async fn ids_and_arrivals_are_those_of_the_first_time() {
    let world = RedriveWorld::start(&[]).await;
    let line = failed_line(b"a line without an envelope").replace("1795287540000", "\"1795287540123\"");
    world.objects.put(&format!("{FOLDER}x"), line);
    world.drain().await;
    let [event] = &world.analytics.accepted_events()[..] else { panic!("one event") };
    assert_eq!(event["timestamp"], "2026-11-21T18:59:00.123Z");
    let digest = Sha256::digest(b"a line without an envelope\n0");
    assert_eq!(event["id"], format!("sha256:{}", apigw_log_forwarder::ids::hex(&digest, 16)));
}

#[tokio::test]
async fn while_the_api_is_down_the_object_stays_and_its_message_comes_at_growing_pauses() {
    let world = RedriveWorld::start(&[("MAX_ATTEMPTS", "1")]).await;
    world.analytics.otherwise(Some(Answer::status(503)));
    let key = world.keep("logs-1-a", &records(2));
    let before = world.objects.object(&key);
    let mut pauses = Vec::new();
    for receipts in 1..=8 {
        let taken = world.take().await.expect("a message");
        let message = &taken.delivery.event["Records"][0]["messageId"];
        assert_eq!(taken.invocation.json(), json!({"batchItemFailures": [{"itemIdentifier": message}]}));
        let [(count, pause)] = world.queue.waiting()[..] else { panic!("one message") };
        assert_eq!(count, receipts);
        pauses.push(pause);
    }
    assert!(pauses[0] >= Duration::from_mins(1), "{pauses:?}");
    assert!(pauses.windows(2).all(|two| two[0] < two[1] || two[1] > Duration::from_mins(50)), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_hours(1)), "{pauses:?}");
    assert_eq!((world.objects.object(&key), world.objects.keys("").len()), (before, 1));
    assert_eq!((world.metric("ObjectsLeft"), world.metric("ObjectsDelivered")), (8, 0));
    world.analytics.otherwise(None);
    world.drain().await;
    assert_eq!((world.delivered(), world.objects.keys("").len()), (vec![id(0), id(1)], 0));
}

#[tokio::test]
async fn an_outage_of_two_weeks_ends_in_the_dead_letter_queue_and_loses_nothing() {
    let world = RedriveWorld::start(&[("MAX_ATTEMPTS", "1")]).await;
    world.analytics.otherwise(Some(Answer::status(503)));
    let key = world.keep("logs-1-a", &records(1));
    while world.take().await.is_some() {}
    assert_eq!(world.queue.dead_letters().len(), 1, "after {:?}", world.queue.elapsed());
    let elapsed = world.queue.elapsed();
    assert!((Duration::from_hours(12 * 24)..Duration::from_hours(14 * 24)).contains(&elapsed), "{elapsed:?}");
    assert_eq!(world.objects.keys(""), [key]);
}

#[tokio::test]
async fn what_is_left_of_an_object_is_a_new_one_before_the_first_is_deleted() {
    let world =
        RedriveWorld::start(&[("MAX_BATCH_EVENTS", "1"), ("MAX_ATTEMPTS", "1"), ("DELIVERY_CONCURRENCY", "1")]).await;
    world.analytics.script([Answer::status(200), Answer::status(503)]);
    world.analytics.otherwise(Some(Answer::status(503)));
    let key = world.keep("logs-1-a", &records(3));
    assert!(world.take().await.expect("a message").is_done);
    let [(left, bytes)] = &world.objects.objects("")[..] else { panic!("one object") };
    assert!(left.starts_with(&key) && *left != key, "{left}");
    assert_eq!(raw(&lines(bytes)), [record(1), record(2)]);
    let calls = [(Operation::Get, key.clone()), (Operation::Put, left.clone()), (Operation::Delete, key.clone())];
    assert_eq!(world.objects.calls(), calls);
    world.analytics.otherwise(None);
    world.drain().await;
    assert_eq!((world.delivered(), world.objects.keys("").len()), (vec![id(0), id(1), id(2)], 0));
    assert!(world.objects.calls().iter().all(|(_, name)| name.len() < key.len() + 30), "names do not grow");
}

#[tokio::test]
async fn what_would_fail_again_is_parked_with_its_reason() {
    let world = RedriveWorld::start(&[("MAX_RECORD_BYTES", "4096")]).await;
    world.analytics.refuse(422, is_poison);
    let damaged = record(1)[..20].to_vec();
    let large = gzip(vec![b'x'; 5000]);
    let key = world.keep("logs-1-a", &[record(0), damaged.clone(), large.clone(), poison(2), record(3)]);
    let junk = "no line of Firehose \"at all\"";
    let mut object = world.objects.object(&key).expect("it is there").to_vec();
    object.extend_from_slice(junk.as_bytes());
    world.objects.put(&key, object);
    world.drain().await;
    assert_eq!(world.delivered(), [id(0), id(3)]);
    assert!(world.objects.keys("failed/").is_empty());
    let keys = world.objects.keys("parked/");
    assert!(keys.len() == 1 && keys[0].starts_with(&parked("logs-1-a")), "{keys:?}");
    let lines = world.lines("parked/");
    assert_eq!(raw(&lines[..3]), [damaged, large, poison(2)]);
    assert!(lines[..3].iter().all(|line| line["lambdaARN"].is_string() && line["attemptsMade"] == 1), "{lines:?}");
    assert_eq!(lines[3]["line"], junk);
    let reasons: Vec<&str> = lines.iter().map(|line| line["parkedReason"].as_str().expect("a reason")).collect();
    assert!(reasons[0].contains("gzip") && reasons[1].contains("4096") && reasons[2].contains("422"), "{reasons:?}");
    assert_eq!(world.metric("RecordsParked"), 4);
}

#[tokio::test]
async fn what_is_too_large_is_parked() {
    let world = RedriveWorld::start(&[("MAX_BATCH_BYTES", "2000")]).await;
    world.analytics.set_max_bytes(1000);
    let large = |number: usize, bytes: usize| gzip(envelope("g", number, &[&"x".repeat(bytes)]));
    world.keep("logs-1-a", &[record(0), large(1, 1100), large(2, 2100), record(3)]);
    world.drain().await;
    assert_eq!(world.delivered(), [id(0), id(3)]);
    let lines = world.lines("parked/");
    assert_eq!(raw(&lines), [large(1, 1100), large(2, 2100)]);
    let reasons: Vec<&str> = lines.iter().map(|line| line["parkedReason"].as_str().expect("a reason")).collect();
    assert!(reasons[0].contains("413") && reasons[1].contains("2000"), "{reasons:?}");
}

#[tokio::test]
async fn a_request_whose_lines_are_in_two_records_keeps_its_id() {
    let group = "API-Gateway-Execution-Logs_a1b2c3d4e5/prod";
    let line = |text: &str| format!("(r-1) {text}");
    let start = line("Starting execution for request: r-1");
    let end = line("Method completed with status: 200");
    let records = [gzip(envelope(group, 1, &[&start])), gzip(envelope(group, 2, &[&end]))];
    let world = RedriveWorld::start(&[("MAX_ATTEMPTS", "1")]).await;
    world.keep("logs-1-a", &records);
    world.analytics.script([Answer::status(503)]);
    assert!(!world.take().await.expect("a message").is_done);
    world.drain().await;
    assert_eq!(world.delivered(), [id_of_lines(&[1, 2])]);
    assert_eq!(world.analytics.accepted_events()[0]["execution"]["complete"], true);
}

#[tokio::test]
async fn a_line_that_does_not_end_is_parked_and_takes_no_memory() {
    let world = RedriveWorld::start(&[]).await;
    world.objects.put("failed/bomb.gz", gzip(vec![b'x'; 40 << 20]));
    assert!(world.take_within(Duration::from_mins(2)).await.expect("a message").is_done);
    assert!(world.objects.keys("failed/").is_empty());
    assert!(world.lines("parked/").iter().all(|line| line["parkedReason"].is_string()));
    let peak = world.function.peak_memory_bytes().expect("it runs");
    assert!(peak < 128 << 20, "{} MB", peak >> 20);
}

#[tokio::test]
async fn what_is_refused_all_alike_is_not_parked() {
    join_all([401, 403, 404, 500, 501, 503].map(async |status: u16| {
        let world = RedriveWorld::start(&[("MAX_ATTEMPTS", "1")]).await;
        world.analytics.otherwise(Some(Answer::status(status)));
        world.keep("logs-1-a", &records(1));
        for _ in 0..3 {
            assert!(!world.take().await.expect("a message").is_done, "{status}");
        }
        assert_eq!((world.objects.keys("parked/").len(), world.objects.keys("failed/").len()), (0, 1), "{status}");
    }))
    .await;
}

#[tokio::test]
async fn without_a_token_the_object_waits() {
    let world = RedriveWorld::start(&[("REQUEST_TIMEOUT_MS", "300")]).await;
    world.endpoint.otherwise(Some(Answer::status(401).body(r#"{"error":"invalid_client"}"#)));
    let key = world.keep("logs-1-a", &records(1));
    assert!(!world.take().await.expect("a message").is_done);
    world.store.set_down(true);
    assert!(!world.take().await.expect("a message").is_done);
    assert_eq!((world.analytics.count(), world.objects.keys("")), (0, vec![key]));
    world.store.set_down(false);
    world.endpoint.otherwise(None);
    // What an operator does: only then is the endpoint asked again at once.
    world.endpoint.set_client("rotated", "also-not-real");
    world.store.put(CREDENTIALS_PARAMETER, &credentials("rotated", "also-not-real"));
    world.drain().await;
    assert_eq!((world.delivered(), world.objects.keys("").len()), (vec![id(0)], 0));
}

#[tokio::test]
async fn an_api_that_refuses_everything_with_400_parks_at_most_what_it_refused_one_by_one() {
    let world = RedriveWorld::start(&[]).await;
    world.analytics.otherwise(Some(Answer::status(400)));
    world.keep("logs-1-a", &records(40));
    world.take().await.expect("a message");
    let (left, parked) = (world.lines("failed/").len(), world.lines("parked/").len());
    assert_eq!(left + parked, 40);
    assert!(parked <= 16, "{parked} are parked: the rest of a batch is not refused one by one");
}

#[tokio::test]
async fn a_parked_object_can_be_taken_again() {
    let world = RedriveWorld::start(&[]).await;
    world.analytics.refuse(422, is_poison);
    world.keep("logs-1-a", &[poison(0), poison(1)]);
    world.drain().await;
    let parked = world.objects.objects("parked/");
    assert_eq!(parked.len(), 1);
    let replay = json!({"replay": {"prefix": "parked/"}});
    assert_eq!(world.ask(&replay).await, json!({"queued": 1, "next": null}));
    world.drain().await;
    assert_eq!(world.objects.objects("parked/"), parked, "what is still refused stays as it is");
    world.analytics.refuse(422, |_| false);
    world.ask(&replay).await;
    world.drain().await;
    assert_eq!((world.delivered(), world.objects.keys("").len()), (vec![id(0), id(1)], 0));
}

#[tokio::test]
async fn a_message_twice_for_one_object_delivers_it_once() {
    let world = RedriveWorld::start(&[]).await;
    world.keep("logs-1-a", &records(1));
    let body = world.queue.bodies().remove(0);
    world.queue.send(body);
    world.drain().await;
    assert_eq!((world.delivered(), world.objects.keys("").len()), (vec![id(0)], 0));
    assert_eq!(world.metric("RedriveFaults"), 0);
}

#[tokio::test]
async fn any_key_is_found() {
    let world = RedriveWorld::start(&[]).await;
    for (number, name) in ["a b", "a+b", "a%2Bb", "ü/é=1&x", "a'(b)*!~", "..", "a//b", "ключ"].iter().enumerate()
    {
        world.keep(name, &[record(number)]);
    }
    world.drain().await;
    assert_eq!(world.delivered(), (0..8).map(id).collect::<Vec<_>>());
    assert!(world.objects.keys("").is_empty());
}

#[tokio::test]
async fn a_test_message_is_taken_and_foreign_ones_stay_in_the_queue() {
    let world = RedriveWorld::start(&[]).await;
    world.queue.send(notification::set_up(BUCKET));
    assert!(world.take().await.expect("a message").is_done);
    world.objects.put("failed/x", failed_object(&records(1)));
    let own = world.queue.bodies().remove(0);
    world.drain().await;
    for body in [own.replace(BUCKET, "other"), "hello".to_owned(), "{}".to_owned()] {
        world.queue.send(body);
        assert!(!world.take().await.expect("a message").is_done);
    }
    assert_eq!((world.queue.bodies().len(), world.delivered()), (3, vec![id(0)]));
}

#[tokio::test]
async fn an_object_elsewhere_in_the_bucket_is_left_alone() {
    let world = RedriveWorld::start(&[]).await;
    world.objects.put("archive/x", failed_object(&records(1)));
    let created = Created {
        bucket: BUCKET.to_owned(),
        key: "archive/x".to_owned(),
        size: 1,
        etag: String::new(),
        sequencer: String::new(),
    };
    world.queue.send(notification::created(&created));
    assert!(world.take().await.expect("a message").is_done);
    assert_eq!((world.analytics.count(), world.objects.keys("")), (0, vec!["archive/x".to_owned()]));
}

#[tokio::test]
async fn several_messages_of_one_invocation_are_answered_one_by_one() {
    let world = RedriveWorld::start(&[("MAX_ATTEMPTS", "1")]).await;
    for name in ["a", "b", "c"] {
        world.keep(name, &[record(usize::from(name.as_bytes()[0] - b'a'))]);
    }
    world.queue.advance_to_next().expect("messages");
    world.analytics.script([Answer::status(200), Answer::status(503)]);
    let delivery = world.queue.take(10).expect("messages");
    let invocation = world.runtime.invoke(delivery.event.to_string(), Duration::from_secs(30)).await;
    assert_eq!(world.queue.settle(&delivery, &invocation.outcome), 1);
    // The API is down: the third object does not ask.
    assert_eq!((world.analytics.count(), world.objects.keys("failed/").len()), (2, 2));
    world.drain().await;
    assert_eq!(world.delivered(), [id(0), id(1), id(2)]);
}

#[tokio::test]
async fn a_gzip_object_is_read_and_a_damaged_one_is_left() {
    let world = RedriveWorld::start(&[]).await;
    let whole = [gzip(failed_object(&records(2))), gzip(failed_object(&[record(2)]))].concat();
    world.objects.put("failed/a.gz", whole.clone());
    world.drain().await;
    assert_eq!((world.delivered(), world.objects.keys("").len()), (vec![id(0), id(1), id(2)], 0));
    world.objects.put("failed/b.gz", whole[..whole.len() - 9].to_vec());
    assert!(!world.take().await.expect("a message").is_done);
    assert_eq!(world.objects.keys(""), ["failed/b.gz"]);
}

#[tokio::test]
async fn an_empty_object_is_done_with() {
    let world = RedriveWorld::start(&[]).await;
    world.objects.put("failed/a", "");
    world.objects.put("failed/b", "\n\r\n");
    world.drain().await;
    assert!(world.objects.keys("").is_empty());
}

#[tokio::test]
async fn faults_of_s3_and_sqs_cost_a_try_and_no_record() {
    let world = RedriveWorld::start(&[("MAX_ATTEMPTS", "1"), ("REQUEST_TIMEOUT_MS", "300")]).await;
    let gets = [
        object_store::slow_down(),
        Answer::closed_before_body(),
        Answer::hang(),
        Answer::status(200).cut_after(400),
        Answer::status(200).cut_after(600),
    ];
    world.objects.script(Operation::Get, gets);
    world.objects.script(Operation::Delete, [object_store::slow_down(), Answer::status(200).cut_after(0)]);
    let records: Vec<_> = records(20);
    world.keep("a", &records);
    world.drain().await;
    assert_eq!((world.delivered().len(), world.objects.keys("").len(), world.objects.unplayed()), (20, 0, 0));
    // A queue that cannot be told: the message comes when the queue says.
    world.analytics.otherwise(Some(Answer::status(503)));
    world.queue.otherwise(queue::Operation::ChangeVisibility, Some(queue::access_denied()));
    world.keep("b", &records);
    assert!(!world.take().await.expect("a message").is_done);
    assert_eq!(world.queue.waiting(), [(1, Duration::from_mins(30))]);
    assert_eq!(world.metric("RedriveFaults"), 1);
}

#[tokio::test]
async fn a_bucket_that_may_not_be_read_is_told_by_the_action() {
    let world = RedriveWorld::start(&[]).await;
    world.objects.otherwise(Operation::Get, Some(object_store::access_denied()));
    world.keep("a", &records(1));
    assert!(!world.take().await.expect("a message").is_done);
    let told = world.function.lines().iter().any(|line| line.contains("s3:GetObject") && line.contains("ERROR"));
    assert!(told, "{:#?}", world.function.lines());
}

#[tokio::test]
async fn a_record_of_nothing_but_poison_does_not_block_its_neighbours() {
    let world = RedriveWorld::start(&[]).await;
    world.analytics.refuse(422, is_poison);
    let poison = gzip(envelope("g", 100, &[r#"{"poison":true}"#; 40]));
    world.keep("logs-1-a", &[poison.clone(), record(0), record(1)]);
    world.drain().await;
    assert_eq!(world.delivered(), [id(0), id(1)]);
    assert_eq!((world.objects.keys("failed/").len(), raw(&world.lines("parked/"))), (0, vec![poison]));
}

#[tokio::test]
async fn an_answer_that_does_not_tell_its_end_is_no_object() {
    let world = RedriveWorld::start(&[]).await;
    let raw = |head: &str| Answer::raw(format!("HTTP/1.1 200 OK\r\n{head}\r\n{{\"rawData\":\"eA"));
    world.objects.script(Operation::Get, [raw(""), raw("content-length: 3\r\ncontent-length: 4\r\n")]);
    let key = world.keep("logs-1-a", &records(1));
    for _ in 0..2 {
        assert!(!world.take().await.expect("a message").is_done);
        assert_eq!(world.objects.keys(""), std::slice::from_ref(&key));
    }
    world.drain().await;
    assert_eq!((world.delivered(), world.objects.keys("").len()), (vec![id(0)], 0));
}
