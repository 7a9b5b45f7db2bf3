//! Events of any size, for benchmarks and for trying things by hand.

use super::access::{HTTP_JSON, REST_CLF, REST_JSON, WIDE_JSON, render};
use super::call::{Api, Call, Inventor};
use super::envelope::{Envelope, execution_group, gzip};
use super::execution::trace;
use super::firehose::FirehoseEvent;

/// What a bulk event holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Access-log lines in [`WIDE_JSON`].
    AccessJson,
    /// Access-log lines in the documented common log format of a REST API.
    AccessClf,
    /// Execution logs, the lines of several requests at once interleaved.
    Execution,
    /// Access logs in documented formats and execution logs.
    Mixed,
}

/// Requests in one record.
const CALLS_PER_RECORD: usize = 240;
/// Requests whose execution logs are interleaved.
const CALLS_AT_ONCE: usize = 6;

/// Makes an event of at most so many bytes of payload, but of one record at least.
#[must_use]
pub fn event(kind: Kind, payload_bytes: usize, seed: u64) -> FirehoseEvent {
    event_of(payload_bytes, seed, |number, inventor| envelope(kind, number, inventor))
}

/// Makes an event of at most so many bytes of payload, but of one record at least: each of the envelope of its number.
#[must_use]
pub fn event_of(
    payload_bytes: usize,
    seed: u64,
    mut envelope: impl FnMut(usize, &mut Inventor) -> Envelope,
) -> FirehoseEvent {
    let mut inventor = Inventor::new(seed);
    let mut event = FirehoseEvent::new(&mut inventor);
    for number in 0_usize.. {
        let record = envelope(number, &mut inventor).gzip();
        event.push(&record, &mut inventor);
        if event.bytes() > payload_bytes {
            break;
        }
    }
    if event.len() > 1 {
        event.pop();
    }
    event
}

/// Makes an event of one record that inflates to exactly so many bytes and is still no larger than Firehose takes: a few log
/// events again and again, and white space behind the envelope for the rest.
#[must_use]
pub fn bomb(inflated_bytes: usize, seed: u64) -> FirehoseEvent {
    let mut inventor = Inventor::new(seed);
    let mut event = FirehoseEvent::new(&mut inventor);
    let mut envelope = Envelope::of("/aws/apigateway/access", &mut inventor);
    for _ in 0..CALLS_AT_ONCE {
        let call = inventor.call(Api::Rest);
        envelope.push_at(call.at_ms, &render(WIDE_JSON, &call), &mut inventor);
    }
    envelope.repeat_within(inflated_bytes);
    let mut json = envelope.json().into_bytes();
    json.resize(inflated_bytes.max(json.len()), b' ');
    event.push(&gzip(&json), &mut inventor);
    event
}

/// Makes the envelope of this number of a kind.
#[must_use]
pub fn envelope(kind: Kind, number: usize, inventor: &mut Inventor) -> Envelope {
    let access = |api, format, inventor: &mut _| access(api, |call| render(format, call), inventor);
    match (kind, number % 4) {
        (Kind::AccessJson, _) => access(Api::Rest, WIDE_JSON, inventor),
        (Kind::AccessClf, _) | (Kind::Mixed, 2) => access(Api::Rest, REST_CLF, inventor),
        (Kind::Mixed, 0) => access(Api::Rest, REST_JSON, inventor),
        (Kind::Mixed, 1) => access(Api::Http, HTTP_JSON, inventor),
        (Kind::Execution | Kind::Mixed, _) => execution(&execution_group(Api::Rest), trace, inventor),
    }
}

/// Makes an envelope of access-log lines, one of each call.
pub fn access(api: Api, line: impl Fn(&Call) -> String, inventor: &mut Inventor) -> Envelope {
    let mut envelope = Envelope::of("/aws/apigateway/access", inventor);
    for _ in 0..CALLS_PER_RECORD {
        let call = inventor.call(api);
        envelope.push_at(call.at_ms, &line(&call), inventor);
    }
    envelope
}

/// Makes an envelope of execution-log lines in this log group, those of several calls interleaved.
pub fn execution(group: &str, lines: impl Fn(&Call) -> Vec<String>, inventor: &mut Inventor) -> Envelope {
    let mut envelope = Envelope::of(group, inventor);
    for _ in 0..CALLS_PER_RECORD / CALLS_AT_ONCE / 4 {
        let mut traces: Vec<_> = (0..CALLS_AT_ONCE).map(|_| lines(&inventor.call(Api::Rest)).into_iter()).collect();
        while !traces.is_empty() {
            traces.retain_mut(|lines| lines.next().map(|line| envelope.push(&line, inventor)).is_some());
        }
    }
    envelope
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_fills_its_size_and_does_not_pass_it() {
        for kind in [Kind::AccessJson, Kind::AccessClf, Kind::Execution, Kind::Mixed] {
            let event = event(kind, 300_000, 7);
            assert!((200_000..=300_000).contains(&event.bytes()), "{kind:?}: {} bytes", event.bytes());
        }
        assert_eq!(event(Kind::AccessJson, 1, 7).len(), 1);
    }

    #[test]
    fn a_bomb_inflates_to_exactly_its_size_and_fits_a_record_of_firehose() {
        let event = bomb(3_000_001, 7).value();
        let data = event["records"][0]["data"].as_str().unwrap();
        let gzip = base64_simd::STANDARD.decode_to_vec(data).unwrap();
        let told = gzip.last_chunk::<4>().map(|size| u32::from_le_bytes(*size));
        assert_eq!((event["records"].as_array().unwrap().len(), told), (1, Some(3_000_001)));
        assert!(gzip.len() < 3_000_001 / 34, "{}", gzip.len());
    }
}
