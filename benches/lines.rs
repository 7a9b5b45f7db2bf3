//! What a log line costs: parsed and written, with redaction and without, and the worst that a line can be.
//!
//! `cargo bench --bench lines`. The lines of separators come in two sizes: a parser that is linear takes four times as long for
//! four times the bytes, which shows as the same throughput.

#[path = "../examples/generate_events/events/mod.rs"]
#[cfg_attr(test, expect(unused_imports, dead_code, reason = "cargo sets `test` for a benchmark and collects no tests"))]
pub mod events;

use apigw_log_forwarder::access_log::Formats;
use apigw_log_forwarder::redact::Redactor;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use events::access::{HTTP_CLF, REST_CLF, REST_CSV, REST_JSON, REST_XML, WIDE_JSON, render};
use events::call::{Api, Inventor};

fn main() {
    divan::main();
}

/// Lines of a format, as API Gateway would write them.
fn lines(format: &str) -> Vec<String> {
    let mut inventor = Inventor::new(7);
    (0..100).map(|_| render(format, &inventor.call(Api::Rest))).collect()
}

fn parse_and_write(bencher: Bencher<'_, '_>, formats: &Formats, format: &str, redactor: &Redactor) {
    let lines = lines(format);
    let bytes: usize = lines.iter().map(String::len).sum();
    let mut out = Vec::new();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        for line in &lines {
            out.clear();
            if let Ok(log) = formats.parse(black_box(line)) {
                log.write([",\"context\":", ",\"fields\":"], redactor, &mut out);
            }
            black_box(&out);
        }
    });
}

fn redactor() -> Redactor {
    Redactor::new(std::iter::empty::<&str>())
}

#[divan::bench(args = ["REST JSON", "REST CLF", "REST CSV", "REST XML", "HTTP CLF"])]
fn documented_format(bencher: Bencher<'_, '_>, name: &str) {
    let format = match name {
        "REST JSON" => REST_JSON,
        "REST CLF" => REST_CLF,
        "REST CSV" => REST_CSV,
        "REST XML" => REST_XML,
        _ => HTTP_CLF,
    };
    parse_and_write(bencher, &Formats::documented(), format, &redactor());
}

#[divan::bench]
fn wide_json_by_the_setting(bencher: Bencher<'_, '_>) {
    let formats = Formats::compile(WIDE_JSON).unwrap_or_else(|errors| panic!("{errors:?}"));
    parse_and_write(bencher, &formats, WIDE_JSON, &redactor());
}

#[divan::bench]
fn wide_json_by_the_setting_without_redaction(bencher: Bencher<'_, '_>) {
    let formats = Formats::compile(WIDE_JSON).unwrap_or_else(|errors| panic!("{errors:?}"));
    parse_and_write(bencher, &formats, WIDE_JSON, &Redactor::off());
}

#[divan::bench]
fn wide_json_of_no_format(bencher: Bencher<'_, '_>) {
    parse_and_write(bencher, &Formats::documented(), WIDE_JSON, &redactor());
}

#[divan::bench(args = [250_000, 1_000_000], consts = [b' ', b',', b'"', b'-', b'{', b'<'])]
fn line_of_separators<const SEPARATOR: u8>(bencher: Bencher<'_, '_>, bytes: usize) {
    let formats = Formats::documented();
    let line = String::from(char::from(SEPARATOR)).repeat(bytes);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| formats.parse(black_box(&line)).is_ok());
}

#[divan::bench(args = [250_000, 1_000_000], consts = [b'=', b':', b'"', b'\\', b'%', b'&'])]
fn text_of_separators<const SEPARATOR: u8>(bencher: Bencher<'_, '_>, bytes: usize) {
    let redactor = redactor();
    let text = String::from(char::from(SEPARATOR)).repeat(bytes);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| redactor.text(black_box(&text)).len());
}
