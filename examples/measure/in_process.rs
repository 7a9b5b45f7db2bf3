//! From event to bodies in this process, beside what libdeflate takes for the gunzip alone.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use libdeflater::Decompressor;

use crate::cases::{Case, bodies, settings};
use crate::naive;

/// Times of some cases together, each the median of its rounds.
pub(crate) struct Times {
    /// libdeflate's gunzip of all records into one buffer.
    pub(crate) gunzip: Duration,
    /// Event to bodies.
    pub(crate) pipeline: Duration,
    /// The same by the naive implementation.
    pub(crate) naive: Duration,
}

/// Times the three in turn.
pub(crate) fn time(cases: &[Case], rounds: u32) -> Result<Times, Box<dyn Error>> {
    let records: Vec<_> = cases.iter().flat_map(Case::gzip).collect();
    let largest = cases.iter().flat_map(Case::texts).map(|text| text.len()).max();
    let mut inflated = vec![0; largest.unwrap_or_default()];
    let settings: Vec<_> = cases.iter().map(|case| settings(&case.format)).collect();
    let mut decompressor = Decompressor::new();
    let (mut gunzip, mut pipeline, mut naive) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        for record in &records {
            black_box(decompressor.gzip_decompress(record, &mut inflated)?);
        }
        gunzip.push(start.elapsed());

        let start = Instant::now();
        for (case, settings) in cases.iter().zip(&settings) {
            black_box(bodies(&case.payload, settings));
        }
        pipeline.push(start.elapsed());

        let start = Instant::now();
        for case in cases {
            black_box(naive::bodies(case.payload.as_bytes()).map_err(|error| error.to_string())?);
        }
        naive.push(start.elapsed());
    }
    Ok(Times { gunzip: median(&mut gunzip), pipeline: median(&mut pipeline), naive: median(&mut naive) })
}

/// Returns the median, the later of two.
pub(crate) fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
