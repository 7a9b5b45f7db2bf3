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
