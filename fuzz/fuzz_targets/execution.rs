//! Any execution lines: every line is part of an event, which is JSON with each key once, in whatever order they come.

#![no_main]

use apigw_log_forwarder_fuzz::{assert_strict_json, deliver, envelope, record, settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let settings = settings(&[("ACCESS_LOG_FORMAT", "$context.requestId")]).expect("valid settings");
    let prefixed: Vec<String> = text.split('\u{1}').map(|line| format!("(r-1) {line}")).collect();
    let lines: Vec<&str> = prefixed.iter().map(String::as_str).chain(text.split('\u{2}')).collect();
    let record = record(envelope("API-Gateway-Execution-Logs_a1/prod", &lines).as_bytes());
    let outcome = deliver(&settings, vec![record]);
    outcome.bodies.iter().for_each(|body| assert_strict_json(body));
    assert_eq!(outcome.counts.lines, lines.len());
    assert_eq!(outcome.counts.lines_failed, if outcome.counts.events_failed > 0 { lines.len() } else { 0 });
});
