//! Any payload: read or refused, and each record of one that is read has its answer, in order, within the size of an answer.

#![no_main]

use apigw_log_forwarder::firehose::{FirehoseEvent, MAX_RESPONSE_BYTES};
use apigw_log_forwarder_fuzz::{deliver, settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &str| {
    let Ok(event) = FirehoseEvent::parse(payload) else { return };
    let ids: Vec<String> = event.records.iter().map(|record| record.id.clone().into_owned()).collect();
    let settings = settings(&[("MAX_RECORD_BYTES", "1000000")]).expect("valid settings");
    let outcome = deliver(&settings, event.records);
    let answered: Vec<&String> = outcome.response.records.iter().map(|answer| &answer.id).collect();
    assert!(ids.iter().zip(&answered).all(|(id, answered)| id == *answered));
    assert!(answered.len() <= ids.len());
    let answer = serde_json::to_vec(&outcome.response).expect("JSON");
    assert!(answer.len() < MAX_RESPONSE_BYTES);
    assert!(answered.len() == ids.len() || answer.len() > MAX_RESPONSE_BYTES / 2);
});
