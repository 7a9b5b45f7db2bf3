//! From a Firehose event to bodies that are ready to be sent: each stage alone, the whole, and a naive implementation.
//!
//! `cargo bench --bench pipeline`. Bytes are those of decoded JSON throughout, so that rates compare; libdeflate's gunzip is in
//! the same run because only a ratio to it says something on a machine that is shared.

#[path = "cases/mod.rs"]
pub mod cases;
#[path = "../examples/generate_events/events/mod.rs"]
#[cfg_attr(test, expect(unused_imports, dead_code, reason = "cargo sets `test` for a benchmark and collects no tests"))]
pub mod events;
#[path = "naive/mod.rs"]
pub mod naive;

use apigw_log_forwarder::firehose::FirehoseEvent;
use apigw_log_forwarder::subscription::{self, Buffers};
use cases::{Case, SEEDS, SHAPES, Shape, bodies, settings};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use libdeflater::Decompressor;
use serde_json::Value;

/// Size of the events of single stages, in bytes of payload.
const PAYLOAD_BYTES: usize = 3_000_000;

fn main() {
    divan::main();
}

fn shapes() -> impl Iterator<Item = &'static str> {
    SHAPES.into_iter().map(|shape| shape.name)
}

/// The shapes that are access logs alone.
fn access_shapes() -> impl Iterator<Item = &'static str> {
    SHAPES.into_iter().filter(|shape| shape.is_access_log()).map(|shape| shape.name)
}

/// The event of a shape, of the first seed: `benches/instructions` counts all seeds.
fn case(shape: &str, payload_bytes: usize) -> Case {
    let [seed, ..] = SEEDS;
    Case::new(Shape::named(shape), payload_bytes, seed)
}

/// Base64 of all records undone.
#[divan::bench(args = shapes(), sample_size = 1, sample_count = 20)]
fn stage_1_base64(bencher: Bencher<'_, '_>, shape: &str) {
    let case = case(shape, PAYLOAD_BYTES);
    let event = FirehoseEvent::parse(&case.payload).unwrap_or_else(|error| panic!("{error}"));
    let mut bytes = Vec::new();
    bencher.counter(BytesCount::new(case.decoded_bytes())).bench_local(|| {
        for data in event.records.iter().filter_map(|record| record.data.as_deref()) {
            bytes.clear();
            base64_simd::STANDARD.decode_append(black_box(data), &mut bytes).unwrap_or_else(|error| panic!("{error}"));
        }
        bytes.len()
    });
}

/// What there is to compare with: libdeflate's gunzip, into a buffer that is there.
#[divan::bench(args = shapes(), sample_size = 1, sample_count = 20)]
fn stage_2_gunzip_by_libdeflate(bencher: Bencher<'_, '_>, shape: &str) {
    let case = case(shape, PAYLOAD_BYTES);
    let gzip = case.gzip();
    let mut inflated = vec![0; case.texts().iter().map(String::len).max().unwrap_or_default()];
    let mut decompressor = Decompressor::new();
    bencher.counter(BytesCount::new(case.decoded_bytes())).bench_local(|| {
        for gzip in &gzip {
            let size = decompressor.gzip_decompress(black_box(gzip), &mut inflated);
            black_box(size.unwrap_or_else(|error| panic!("{error}")));
        }
    });
}

/// Base64, gunzip and the check that it is text.
#[divan::bench(args = shapes(), sample_size = 1, sample_count = 20)]
fn stage_3_decoded(bencher: Bencher<'_, '_>, shape: &str) {
    let case = case(shape, PAYLOAD_BYTES);
    let (event, cap) = (FirehoseEvent::parse(&case.payload), settings("").max_record_bytes);
    let event = event.unwrap_or_else(|error| panic!("{error}"));
    let mut buffers = Buffers::default();
    bencher.counter(BytesCount::new(case.decoded_bytes())).bench_local(|| {
        for record in &event.records {
            let decoded = subscription::decode(black_box(record), cap, &mut buffers);
            black_box(decoded.unwrap_or_else(|error| panic!("{error}")));
        }
    });
}

/// Envelopes read from their text.
#[divan::bench(args = shapes(), sample_size = 1, sample_count = 20)]
fn stage_4_envelopes(bencher: Bencher<'_, '_>, shape: &str) {
    let texts = case(shape, PAYLOAD_BYTES).texts();
    let bytes: usize = texts.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        for text in &texts {
            black_box(subscription::read(black_box(text)).unwrap_or_else(|error| panic!("{error}")));
        }
    });
}

/// Access-log lines parsed, by the way that takes any line; the whole reads most lines by a shorter one, as they stand in the
/// envelope.
#[divan::bench(args = access_shapes(), sample_size = 1, sample_count = 20)]
fn stage_5_lines_parsed(bencher: Bencher<'_, '_>, shape: &str) {
    let case = case(shape, PAYLOAD_BYTES);
    let (lines, settings) = (lines(&case), settings(&case.format));
    bencher.counter(BytesCount::new(case.decoded_bytes())).bench_local(|| {
        for line in &lines {
            black_box(settings.formats.parse(black_box(line)).is_ok());
        }
    });
}

/// Access-log lines parsed the same way, and written, redacted.
#[divan::bench(args = access_shapes(), sample_size = 1, sample_count = 20)]
fn stage_6_lines_written(bencher: Bencher<'_, '_>, shape: &str) {
    let case = case(shape, PAYLOAD_BYTES);
    let (lines, settings) = (lines(&case), settings(&case.format));
    let mut out = Vec::new();
    bencher.counter(BytesCount::new(case.decoded_bytes())).bench_local(|| {
        for line in &lines {
            out.clear();
            if let Ok(log) = settings.formats.parse(black_box(line)) {
                log.write([",\"context\":", ",\"fields\":"], &settings.redactor, &mut out);
            }
            black_box(&out);
        }
    });
}

/// From event to bodies, by the size of the payload in MB.
#[divan::bench(args = shapes(), consts = [1, 3, 6], sample_size = 1, sample_count = 10)]
fn whole<const MEGABYTES: usize>(bencher: Bencher<'_, '_>, shape: &str) {
    let case = case(shape, MEGABYTES * 1_000_000);
    let settings = settings(&case.format);
    bencher.counter(BytesCount::new(case.decoded_bytes())).bench_local(|| bodies(black_box(&case.payload), &settings));
}

/// The same by the naive implementation.
#[divan::bench(args = shapes(), sample_size = 1, sample_count = 5)]
fn whole_naive(bencher: Bencher<'_, '_>, shape: &str) {
    let case = case(shape, PAYLOAD_BYTES);
    bencher.counter(BytesCount::new(case.decoded_bytes())).bench_local(|| {
        let bodies = naive::bodies(black_box(case.payload.as_bytes())).unwrap_or_else(|error| panic!("{error}"));
        // Dropped one by one, as if sent.
        bodies.iter().map(Vec::len).sum::<usize>()
    });
}

/// The messages of an event.
fn lines(case: &Case) -> Vec<String> {
    let mut lines = Vec::new();
    for text in case.texts() {
        let envelope: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let events = envelope.get("logEvents").and_then(Value::as_array).into_iter().flatten();
        lines.extend(events.filter_map(|event| event.get("message")?.as_str().map(str::to_owned)));
    }
    lines
}
