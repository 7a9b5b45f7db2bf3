//! What gzip of a body takes, by who compresses it: how the encoding of bodies was chosen.

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use libdeflater::{CompressionLvl, Compressor};

use crate::in_process::median;

/// What one way to compress takes.
pub(crate) struct Encoding {
    pub(crate) name: String,
    pub(crate) time: Duration,
    /// Bytes of the body for one of what is sent.
    pub(crate) ratio: f64,
}

/// Times each way on this body. zlib-rs at level 1 is what `PAYLOAD_ENCODING=gzip` sends.
pub(crate) fn time(body: &[u8], rounds: u32) -> Result<Vec<Encoding>, Box<dyn Error>> {
    let mut encodings = Vec::new();
    for level in [1, 2, 3, 6] {
        encodings.push(timed(format!("zlib-rs {level}"), body, rounds, || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(body)?;
            Ok(encoder.finish()?.len())
        })?);
    }
    for level in [1, 2, 3, 6] {
        let mut compressor = Compressor::new(CompressionLvl::new(level).map_err(|_| "no such level")?);
        let mut out = vec![0; compressor.gzip_compress_bound(body.len())];
        let compress = || Ok(compressor.gzip_compress(body, &mut out)?);
        encodings.push(timed(format!("libdeflate {level}"), body, rounds, compress)?);
    }
    Ok(encodings)
}

fn timed(
    name: String,
    body: &[u8],
    rounds: u32,
    mut compress: impl FnMut() -> Result<usize, Box<dyn Error>>,
) -> Result<Encoding, Box<dyn Error>> {
    let mut times = Vec::new();
    let mut sent = 0;
    for _ in 0..rounds {
        let start = Instant::now();
        sent = black_box(compress()?);
        times.push(start.elapsed());
    }
    Ok(Encoding { name, time: median(&mut times), ratio: body.len() as f64 / sent as f64 })
}
