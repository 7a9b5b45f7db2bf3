//! Any format, any line: what is written is JSON with each key once, and a line reads the same in an envelope and alone,
//! whatever lines came before it.

#![no_main]

use apigw_log_forwarder_fuzz::{assert_strict_json, deliver, envelope, record, settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&str, &str, &str)| {
    let (format, first, second) = data;
    let Some(settings) = settings(&[("ACCESS_LOG_FORMAT", format)]) else { return };
    let bodies = |messages: &[&str]| deliver(&settings, vec![record(envelope("g", messages).as_bytes())]).bodies;
    let both = bodies(&[first, second]);
    both.iter().for_each(|body| assert_strict_json(body));
    let events: Vec<serde_json::Value> = both
        .iter()
        .flat_map(|body| serde_json::from_slice::<Vec<serde_json::Value>>(body).unwrap_or_default())
        .collect();
    let alone = bodies(&[second]);
    let alone: Vec<serde_json::Value> = alone
        .iter()
        .flat_map(|body| serde_json::from_slice::<Vec<serde_json::Value>>(body).unwrap_or_default())
        .collect();
    if let ([_, after], [alone]) = (&events[..], &alone[..]) {
        for key in ["kind", "context", "fields", "message", "parseError", "truncated", "apiId", "stage"] {
            assert_eq!(after.get(key), alone.get(key), "{key}");
        }
    }
});
