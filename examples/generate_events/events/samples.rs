//! The sample events: small files that show each shape of a record, each with what must become of its records.

use super::access::{
    HTTP_CLF, HTTP_CSV, HTTP_JSON, HTTP_XML, REST_CLF, REST_CSV, REST_JSON, REST_XML, WEBSOCKET_CLF, WEBSOCKET_JSON,
    render,
};
use super::call::{ACCOUNT, Api, Inventor};
use super::envelope::{Envelope, execution_group, gzip};
use super::execution::{trace, vended};
use super::firehose::FirehoseEvent;
use super::firehose::Verdict::{self, Dropped, ProcessingFailed};
use super::secrets;

/// One file of `events/`.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The file's name, without `.json`.
    pub name: &'static str,
    /// What becomes of each record, in order, where nothing is archived, no setting is other than its default, and the
    /// analytics API takes everything.
    pub verdicts: &'static [Verdict],
    records: fn(&mut FirehoseEvent, &mut Inventor),
}

impl Sample {
    /// Makes the event: the same each time.
    #[must_use]
    pub fn event(&self) -> FirehoseEvent {
        // Each its own seed, so that a new sample does not change the others.
        let seed = self.name.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let mut inventor = Inventor::new(seed);
        let mut event = FirehoseEvent::new(&mut inventor);
        (self.records)(&mut event, &mut inventor);
        event
    }

    const fn new(
        name: &'static str,
        verdicts: &'static [Verdict],
        records: fn(&mut FirehoseEvent, &mut Inventor),
    ) -> Self {
        Self { name, verdicts, records }
    }
}

/// The most that a record inflates to before it is too large, as the function has it by default.
const MAX_RECORD_BYTES: usize = 33_554_432;
/// The most bytes of a body, as the function has it by default.
const MAX_BATCH_BYTES: usize = 1_000_000;
/// The log group of the function itself, as the sample tells it.
pub const OWN_LOG_GROUP: &str = "/aws/lambda/forwarder";

const ACCESS_GROUP: &str = "/aws/apigateway/rest-access";
const HTTP_GROUP: &str = "/aws/vendedlogs/http-access";
const SOCKET_GROUP: &str = "/aws/apigateway/websocket-access";

/// Every file of `events/`.
pub const SAMPLES: &[Sample] = &[
    Sample::new("bad-base64", &[Dropped, ProcessingFailed, Dropped], bad_base64),
    Sample::new("bare-lines", &[Dropped, Dropped], bare_lines),
    Sample::new("control-message", &[Dropped, Dropped], control_message),
    Sample::new(
        "corrupt-gzip",
        &[Dropped, ProcessingFailed, ProcessingFailed, ProcessingFailed, Dropped],
        corrupt_gzip,
    ),
    Sample::new(
        "damaged-envelopes",
        &[Dropped, ProcessingFailed, ProcessingFailed, ProcessingFailed, ProcessingFailed, Dropped],
        damaged_envelopes,
    ),
    Sample::new("empty", &[], |_, _| ()),
    Sample::new("event-over-the-batch-cap", &[Dropped, ProcessingFailed, Dropped], event_over_the_batch_cap),
    Sample::new("execution-logs", &[Dropped, Dropped], execution_logs),
    Sample::new("http-access-json", &[Dropped, Dropped], http_access_json),
    Sample::new("mixed", &[Dropped; 6], mixed),
    Sample::new("own-log-group", &[Dropped, Dropped], own_log_group),
    Sample::new("plain-envelopes", &[Dropped, Dropped, Dropped], plain_envelopes),
    Sample::new("record-over-the-inflate-cap", &[Dropped, ProcessingFailed, Dropped], record_over_the_inflate_cap),
    Sample::new("rest-access-clf", &[Dropped, Dropped], rest_access_clf),
    Sample::new("rest-access-csv-xml", &[Dropped, Dropped, Dropped], rest_access_csv_xml),
    Sample::new("rest-access-json", &[Dropped, Dropped, Dropped], rest_access_json),
    Sample::new("secrets", &[Dropped, Dropped, Dropped], planted_secrets),
    Sample::new("several-gzip-members", &[Dropped, Dropped], several_gzip_members),
    Sample::new("several-log-groups", &[Dropped, Dropped, Dropped], several_log_groups),
    Sample::new("unparsed-lines", &[Dropped], unparsed_lines),
    Sample::new("vended-execution-logs", &[Dropped, Dropped], vended_execution_logs),
    Sample::new("websocket-access-json", &[Dropped, Dropped], websocket_access_json),
];

fn access(api: Api, format: &str, calls: usize, inventor: &mut Inventor) -> Envelope {
    let group = match api {
        Api::Rest => ACCESS_GROUP,
        Api::Http => HTTP_GROUP,
        Api::WebSocket => SOCKET_GROUP,
    };
    let mut envelope = Envelope::of(group, inventor);
    for _ in 0..calls {
        let call = inventor.call(api);
        envelope.push_at(call.at_ms, &render(format, &call), inventor);
    }
    envelope
}

fn push_access(event: &mut FirehoseEvent, api: Api, format: &str, calls: usize, inventor: &mut Inventor) {
    let envelope = access(api, format, calls, inventor);
    event.push(&envelope.gzip(), inventor);
}

/// A record that nothing is wrong with, to stand beside one that is.
fn push_good(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_access(event, Api::Rest, REST_JSON, 3, inventor);
}

fn rest_access_json(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    for calls in [1, 12, 30] {
        push_access(event, Api::Rest, REST_JSON, calls, inventor);
    }
}

fn rest_access_clf(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_access(event, Api::Rest, REST_CLF, 12, inventor);
    // Older pages of the documentation have a space behind the time.
    push_access(event, Api::Rest, &REST_CLF.replace("]\"", "] \""), 12, inventor);
}

fn rest_access_csv_xml(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_access(event, Api::Rest, REST_CSV, 12, inventor);
    push_access(event, Api::Rest, REST_XML, 12, inventor);
    let mut both = access(Api::Rest, REST_CSV, 3, inventor);
    for _ in 0..3 {
        let call = inventor.call(Api::Rest);
        both.push_at(call.at_ms, &render(REST_XML, &call), inventor);
    }
    event.push(&both.gzip(), inventor);
}

fn http_access_json(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_access(event, Api::Http, HTTP_JSON, 1, inventor);
    push_access(event, Api::Http, HTTP_JSON, 20, inventor);
}

fn websocket_access_json(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_access(event, Api::WebSocket, WEBSOCKET_JSON, 1, inventor);
    push_access(event, Api::WebSocket, WEBSOCKET_JSON, 20, inventor);
}

/// Three requests, of which the second begins in the first record and ends in the second one.
fn execution_logs(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    let [first, second, third] = [(); 3].map(|()| trace(&inventor.call(Api::Rest)));
    let (begin, end) = second.split_at(second.len() / 2);
    for pair in [(&first[..], begin), (end, &third[..])] {
        let mut envelope = Envelope::of(&execution_group(Api::Rest), inventor);
        interleave(&mut envelope, pair, inventor);
        event.push(&envelope.gzip(), inventor);
    }
}

fn interleave(envelope: &mut Envelope, (one, other): (&[String], &[String]), inventor: &mut Inventor) {
    for number in 0..one.len().max(other.len()) {
        for line in [one.get(number), other.get(number)].into_iter().flatten() {
            envelope.push(line, inventor);
        }
    }
}

fn several_log_groups(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_access(event, Api::Rest, REST_JSON, 5, inventor);
    let mut stream = access(Api::Http, HTTP_JSON, 4, inventor).json();
    stream.push_str(&access(Api::WebSocket, WEBSOCKET_JSON, 4, inventor).json());
    event.push(&gzip(stream.as_bytes()), inventor);
    let mut filtered = Envelope::of("/aws/lambda/pets", inventor);
    let fields =
        serde_json::json!({"@aws.account": ACCOUNT, "@aws.region": "us-east-1", "@source.log": "/aws/lambda/pets"});
    filtered.push_with_fields("INFO pets loaded in 12 ms", &fields, inventor);
    event.push(&filtered.gzip(), inventor);
}

/// The check of the destination, and the empty record that it becomes where Firehose extracts messages.
fn control_message(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    let control = Envelope::control(inventor).gzip();
    event.push(&control, inventor);
    event.push(b"", inventor);
}

/// One envelope cut over three members, and two members with an envelope each.
fn several_gzip_members(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    let json = access(Api::Rest, REST_JSON, 6, inventor).json();
    let (begin, rest) = json.as_bytes().split_at(json.len() / 3);
    let (middle, end) = rest.split_at(rest.len() / 2);
    event.push(&[begin, middle, end].map(gzip).concat(), inventor);
    let envelopes = [access(Api::Rest, REST_CLF, 3, inventor), access(Api::Http, HTTP_CLF, 3, inventor)];
    event.push(&envelopes.map(|envelope| envelope.gzip()).concat(), inventor);
}

/// What Firehose's own decompression leaves: one envelope, two back to back, two on a line each.
fn plain_envelopes(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    for join in [None, Some(""), Some("\n")] {
        let mut plain = access(Api::Rest, REST_JSON, 3, inventor).json();
        if let Some(join) = join {
            plain = [plain, access(Api::Http, HTTP_JSON, 3, inventor).json()].map(|json| json + join).concat();
        }
        event.push(plain.as_bytes(), inventor);
    }
}

/// What API Gateway writes to a stream itself, and what Firehose's message extraction leaves.
fn bare_lines(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    let line = render(REST_JSON, &inventor.call(Api::Rest));
    event.push(line.as_bytes(), inventor);
    let lines: String = (0..8).map(|_| render(HTTP_CLF, &inventor.call(Api::Http)) + "\n").collect();
    event.push(lines.as_bytes(), inventor);
}

/// Execution logs as API Gateway has been able to deliver them since September 2026: to a log group, and straight to
/// Firehose.
fn vended_execution_logs(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    let mut envelope = Envelope::of("/aws/vendedlogs/execution", inventor);
    for line in vended(&inventor.call(Api::Rest)) {
        envelope.push(&line, inventor);
    }
    event.push(&envelope.gzip(), inventor);
    let lines: String = vended(&inventor.call(Api::Rest)).into_iter().map(|line| line + "\n").collect();
    event.push(lines.as_bytes(), inventor);
}

/// Cut in the middle, a wrong checksum, and something behind the last member.
fn corrupt_gzip(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_good(event, inventor);
    let mut cut = access(Api::Rest, REST_JSON, 5, inventor).gzip();
    cut.truncate(cut.len() / 2);
    event.push(&cut, inventor);
    let mut wrong = access(Api::Rest, REST_JSON, 5, inventor).gzip();
    // A member ends with its checksum and its length, four bytes each.
    if let Some(checksum) = wrong.iter_mut().nth_back(7) {
        *checksum ^= 1;
    }
    event.push(&wrong, inventor);
    let mut followed = access(Api::Rest, REST_JSON, 5, inventor).gzip();
    followed.extend_from_slice(&[0x1f, 0x8b, 0x08]);
    event.push(&followed, inventor);
    push_good(event, inventor);
}

/// Cut, of a type that nobody knows, without events, and not UTF-8.
fn damaged_envelopes(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_good(event, inventor);
    let mut cut = access(Api::Rest, REST_JSON, 5, inventor).json().into_bytes();
    cut.truncate(cut.len() / 2);
    event.push(&gzip(&cut), inventor);
    let unknown = access(Api::Rest, REST_JSON, 2, inventor).of_unknown_type();
    event.push(&unknown.gzip(), inventor);
    let eventless = Envelope::of(ACCESS_GROUP, inventor).json().replace(r#","logEvents":[]"#, "");
    event.push(&gzip(eventless.as_bytes()), inventor);
    let mut no_text = access(Api::Rest, REST_JSON, 2, inventor).json().into_bytes();
    // No byte of UTF-8, in the middle of a message.
    no_text.insert(no_text.len() / 2, 0xff);
    event.push(&gzip(&no_text), inventor);
    push_good(event, inventor);
}

fn bad_base64(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_good(event, inventor);
    event.push_text("H4sIAAAA this is no base64!", inventor);
    push_good(event, inventor);
}

/// Some 35 KB of gzip that inflate to more than the function reads.
fn record_over_the_inflate_cap(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_good(event, inventor);
    let mut large = Envelope::of("/aws/lambda/pets", inventor);
    let message = "0".repeat(500_000);
    for _ in 0..=MAX_RECORD_BYTES / message.len() {
        large.push(&message, inventor);
    }
    event.push(&large.gzip(), inventor);
    push_good(event, inventor);
}

/// One event of three that no body can hold.
fn event_over_the_batch_cap(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_good(event, inventor);
    let mut envelope = Envelope::of("/aws/lambda/pets", inventor);
    for message in ["INFO before", &"0".repeat(MAX_BATCH_BYTES), "INFO after"] {
        envelope.push(message, inventor);
    }
    event.push(&envelope.gzip(), inventor);
    push_good(event, inventor);
}

/// Lines that no documented format takes: they are delivered as text.
fn unparsed_lines(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    let mut envelope = Envelope::of(ACCESS_GROUP, inventor);
    let call = inventor.call(Api::Rest);
    let unquoted = r#"{"requestId":"$context.requestId","status":$context.authorizer.status}"#;
    let quoting = render(REST_JSON, &call).replace(call.resource, r#"/pets/"rex""#);
    let mut half = render(REST_JSON, &call);
    half.truncate(half.len() / 2);
    for line in [
        &render(unquoted, &call),
        &quoting,
        &half,
        " ",
        "Großer Hund, kleine Katze 🐕",
        "a line with \"quotes\", a \\ backslash,\na line feed and a \u{1} control character",
        "START RequestId: none Version: $LATEST",
        "[1,2,3]",
        "192.0.2.1 - -",
    ] {
        envelope.push(line, inventor);
    }
    event.push(&envelope.gzip(), inventor);
}

fn planted_secrets(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    for envelope in [secrets::execution, secrets::access, secrets::text] {
        let envelope = envelope(inventor);
        event.push(&envelope.gzip(), inventor);
    }
}

/// A log that would feed itself.
fn own_log_group(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    let mut own = Envelope::of(OWN_LOG_GROUP, inventor);
    own.push(r#"{"level":"INFO","message":"records delivered"}"#, inventor);
    event.push(&own.gzip(), inventor);
    push_good(event, inventor);
}

fn mixed(event: &mut FirehoseEvent, inventor: &mut Inventor) {
    push_access(event, Api::Rest, REST_JSON, 8, inventor);
    push_access(event, Api::Http, HTTP_CSV, 8, inventor);
    push_access(event, Api::WebSocket, WEBSOCKET_CLF, 8, inventor);
    let mut execution = Envelope::of(&execution_group(Api::Rest), inventor);
    let traces = [(); 2].map(|()| trace(&inventor.call(Api::Rest)));
    let [one, other] = &traces;
    interleave(&mut execution, (one, other), inventor);
    event.push(&execution.gzip(), inventor);
    let control = Envelope::control(inventor).gzip();
    event.push(&control, inventor);
    let lines: String = (0..3).map(|_| render(HTTP_XML, &inventor.call(Api::Http)) + "\n").collect();
    event.push(lines.as_bytes(), inventor);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Read as _;
    use std::path::{Path, PathBuf};

    use flate2::read::MultiGzDecoder;
    use serde_json::Value;

    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("events")
    }

    fn path(name: &str) -> PathBuf {
        folder().join(name).with_extension("json")
    }

    fn file(name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
    }

    fn records(event: &Value) -> &[Value] {
        event["records"].as_array().unwrap()
    }

    /// A record's bytes, inflated as far as that goes: compressed bytes differ between processors.
    fn content(record: &Value) -> Vec<u8> {
        let data = record["data"].as_str().unwrap();
        let Ok(bytes) = base64_simd::STANDARD.decode_to_vec(data) else { return data.into() };
        let mut inflated = Vec::new();
        match MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut inflated) {
            Ok(_) => inflated,
            Err(_) if bytes.starts_with(&[0x1f, 0x8b]) => Vec::new(),
            Err(_) => bytes,
        }
    }

    #[test]
    fn the_folder_holds_the_samples_and_no_other_file() {
        let files = std::fs::read_dir(folder()).unwrap();
        let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(files, SAMPLES.iter().map(|sample| format!("{}.json", sample.name)).collect());
    }

    #[test]
    fn every_file_is_what_its_sample_makes() {
        for sample in SAMPLES {
            let [file, made] = [file(sample.name), sample.event().value()].map(|event| {
                let contents: Vec<_> =
                    records(&event).iter().map(|record| (record["recordId"].clone(), content(record))).collect();
                (event["invocationId"].clone(), contents)
            });
            assert!(file == made, "{}: run `cargo run --example generate_events`", sample.name);
        }
    }

    #[test]
    fn every_record_has_a_verdict_and_an_id_of_its_own() {
        for sample in SAMPLES {
            let event = file(sample.name);
            let ids: BTreeSet<_> = records(&event).iter().map(|record| record["recordId"].to_string()).collect();
            assert_eq!((ids.len(), records(&event).len()), (sample.verdicts.len(), sample.verdicts.len()));
        }
    }

    #[test]
    fn every_file_is_small() {
        for sample in SAMPLES {
            let bytes = path(sample.name).metadata().unwrap().len();
            assert!(bytes <= 60_000, "{} has {bytes} bytes", sample.name);
        }
    }

    #[test]
    fn the_samples_past_a_limit_are_past_it_by_little() {
        let inflated = |name| content(&records(&file(name))[1]).len();
        assert!(
            (MAX_RECORD_BYTES + 1..MAX_RECORD_BYTES + 1_000_000).contains(&inflated("record-over-the-inflate-cap"))
        );
        assert!((MAX_BATCH_BYTES..MAX_BATCH_BYTES + 1000).contains(&inflated("event-over-the-batch-cap")));
    }
}
