//! Every file of `events/`: each record's verdict, and what of it was delivered.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::events::firehose::Verdict;
use crate::events::samples::SAMPLES;
use crate::events::secrets;
use crate::world::{TIMEOUT, World};

fn sample(name: &str) -> Value {
    let path = format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn every_sample_has_its_verdicts() {
    for sample_event in SAMPLES {
        let world = World::start(&[]).await;
        let event = sample(sample_event.name);
        let verdicts = world.invoke_event(&event, TIMEOUT).await;
        let results: Vec<&str> = verdicts.iter().map(|verdict| verdict.result.as_str()).collect();
        let expected: Vec<&str> = sample_event
            .verdicts
            .iter()
            .map(|verdict| match verdict {
                Verdict::Dropped => "Dropped",
                Verdict::ProcessingFailed => "ProcessingFailed",
            })
            .collect();
        assert_eq!(results, expected, "{}", sample_event.name);
        let events = world.analytics.accepted_events();
        let ids: BTreeSet<&str> = events.iter().filter_map(|event| event["id"].as_str()).collect();
        assert_eq!(ids.len(), events.len(), "{}: every event once", sample_event.name);
    }
}

#[tokio::test]
async fn no_planted_secret_leaves_in_a_body_an_archive_or_a_log() {
    let world = World::start(&[("ARCHIVE", "structured"), ("AWS_LAMBDA_LOG_LEVEL", "TRACE")]).await;
    let verdicts = world.invoke_event(&sample("secrets"), TIMEOUT).await;
    let mut written: Vec<String> = world
        .analytics
        .requests()
        .iter()
        .map(|request| String::from_utf8_lossy(&request.decoded).into_owned())
        .collect();
    for verdict in &verdicts {
        assert_eq!(verdict.result, "Ok");
        let mut text = String::new();
        let member = verdict.data.as_deref().expect("an archive");
        std::io::Read::read_to_string(&mut flate2::bufread::MultiGzDecoder::new(member), &mut text).expect("text");
        written.push(text);
    }
    written.extend(world.function.lines());
    let written = written.join("\n");
    assert!(!written.contains(secrets::PLANTED), "{}", excerpt(&written, secrets::PLANTED));
    assert!(written.contains(secrets::KEPT));
    assert!(!written.contains(&world.endpoint.tokens()[0]));
}

fn excerpt<'a>(text: &'a str, needle: &str) -> &'a str {
    let at = text.find(needle).unwrap_or(0);
    text.get(at.saturating_sub(200)..(at + 60).min(text.len())).unwrap_or_default()
}

/// The wire types are our own because they are lenient; on what is well formed they agree with the published ones.
#[test]
fn the_wire_types_agree_with_the_published_ones() {
    use apigw_log_forwarder::firehose::Verdict::Ok;
    use apigw_log_forwarder::firehose::{Answer, FirehoseEvent, FirehoseResponse};
    use aws_lambda_events::firehose::{KinesisFirehoseEvent, KinesisFirehoseResponse};

    let mut compared = 0;
    for sample_event in SAMPLES {
        let payload = sample(sample_event.name).to_string();
        let ours = FirehoseEvent::parse(&payload).expect("an event");
        // One record of bad base64 fails their whole event.
        let Some(theirs) = serde_json::from_str::<KinesisFirehoseEvent>(&payload).ok() else {
            assert_eq!(sample_event.name, "bad-base64");
            continue;
        };
        assert_eq!(ours.records.len(), theirs.records.len());
        for (our, their) in ours.records.iter().zip(&theirs.records) {
            assert_eq!(Some(our.id.as_ref()), their.record_id.as_deref());
            let data = our.data.as_deref().map(|data| base64_simd::STANDARD.decode_to_vec(data).expect("base64"));
            assert_eq!(data.as_deref(), Some(their.data.as_slice()));
            assert_eq!(our.arrival, Some(their.approximate_arrival_timestamp.timestamp_millis()));
            compared += 1;
        }
    }
    assert!(compared > 40);

    let answer =
        FirehoseResponse { records: vec![Answer { id: "1".to_owned(), result: Ok, data: Some("eA==".to_owned()) }] };
    let mut answer = serde_json::to_value(&answer).expect("JSON");
    // What Firehose takes as optional, they require.
    answer["records"][0]["metadata"] = serde_json::json!({"partitionKeys": {}});
    let theirs: KinesisFirehoseResponse = serde_json::from_value(answer).expect("an answer");
    let [record] = theirs.records.as_slice() else { panic!("one record") };
    assert_eq!((record.record_id.as_deref(), record.result.as_deref()), (Some("1"), Some("Ok")));
    assert_eq!(record.data.as_slice(), b"x");
}
