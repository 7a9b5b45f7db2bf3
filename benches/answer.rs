//! What is left to do when the time of an invocation is over: settling, and writing the largest answer. `retry::RESERVE` is for it.
//!
//! `cargo bench --bench answer`

use std::borrow::Cow;

use apigw_log_forwarder::firehose::{FirehoseEvent, Record};
use apigw_log_forwarder::ledger::Ledger;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// An answer of six megabytes of originals, of so many records.
#[divan::bench(args = [1, 100, 10_000])]
fn six_megabytes_of_originals(bencher: Bencher<'_, '_>, records: usize) {
    let data = "A".repeat(6_000_000 / records);
    let record = |index: usize| Record {
        id: Cow::Owned(format!("{index:056}")),
        arrival: None,
        data: Some(Cow::Borrowed(data.as_str())),
    };
    let event = FirehoseEvent { records: (0..records).map(record).collect() };
    bencher.bench_local(|| {
        let mut ledger = Ledger::open(black_box(&event));
        (0..records).for_each(|record| ledger.line(record, 0));
        let (response, _) = ledger.settle(|_| None);
        serde_json::to_vec(&response).map(|answer| answer.len())
    });
}
