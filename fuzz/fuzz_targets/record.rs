//! Any record: every line of it is in a body, or the record fails; what leaves is JSON with each key once.

#![no_main]

use apigw_log_forwarder::firehose::Verdict;
use apigw_log_forwarder_fuzz::{assert_strict_json, deliver, record, settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (u8, &[u8])| {
    let (choice, content) = data;
    let encoding = if choice & 1 == 0 { "json" } else { "ndjson" };
    let cap = if choice & 2 == 0 { "1000000" } else { "700" };
    let archive = if choice & 4 == 0 { "none" } else { "structured" };
    let further =
        [("PAYLOAD_FORMAT", encoding), ("MAX_BATCH_BYTES", cap), ("ARCHIVE", archive), ("MAX_RECORD_BYTES", "1000000")];
    let settings = settings(&further).expect("valid settings");
    // Twice: what the first record has taught must not change the second.
    let outcome = deliver(&settings, vec![record(content), record(content)]);
    for body in &outcome.bodies {
        assert!(!body.is_empty() && body.len() <= cap.parse().expect("a number"));
        if encoding == "json" {
            assert_strict_json(body);
        } else {
            body.split_inclusive(|byte| *byte == b'\n').for_each(assert_strict_json);
        }
    }
    let verdicts: Vec<Verdict> = outcome.response.records.iter().map(|answer| answer.result).collect();
    assert_eq!(verdicts.len(), 2);
    let counts = outcome.counts;
    assert_eq!(counts.lines, counts.lines_delivered + counts.lines_failed);
    if counts.events_failed == 0 {
        assert_eq!(verdicts[0], verdicts[1]);
        assert!(verdicts[0] == Verdict::ProcessingFailed || counts.lines_failed == 0);
    }
    // A line is an event, or one of a request's; none is lost.
    assert!(outcome.events + counts.events_failed <= counts.lines);
    assert!(counts.lines == 0 || outcome.events + counts.events_failed > 0);
});
