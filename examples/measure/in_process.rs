//! From event to bodies in this process, beside what libdeflate takes for the gunzip alone.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use libdeflater::Decompressor;

use crate::cases::{Case, bodies, settings};
use crate::naive;

/// Times of one case, each the median of its rounds.
pub(crate) struct Times {
    /// libdeflate's gunzip of all records into one buffer.
    pub(crate) gunzip: Duration,
    /// Event to bodies.
    pub(crate) pipeline: Duration,
    /// The same by the naive implementation.
    pub(crate) naive: Duration,
}

/// Times a case, the three in turn.
pub(crate) fn time(case: &Case, rounds: u32) -> Result<Times, Box<dyn Error>> {
    let settings = settings(case.format);
    let records = case.gzip();
    let mut inflated = vec![0; case.texts().iter().map(String::len).max().unwrap_or_default()];
    let mut decompressor = Decompressor::new();
    let (mut gunzip, mut pipeline, mut naive) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        for record in &records {
            black_box(decompressor.gzip_decompress(record, &mut inflated)?);
        }
        gunzip.push(start.elapsed());

        let start = Instant::now();
        black_box(bodies(&case.payload, &settings));
        pipeline.push(start.elapsed());

        let start = Instant::now();
        black_box(naive::bodies(case.payload.as_bytes()).map_err(|error| error.to_string())?);
        naive.push(start.elapsed());
    }
    Ok(Times { gunzip: median(&mut gunzip), pipeline: median(&mut pipeline), naive: median(&mut naive) })
}

/// Returns the median, the later of two.
pub(crate) fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
