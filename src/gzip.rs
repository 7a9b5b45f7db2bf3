//! Gzip made: of bodies, and of what Firehose keeps of delivered records.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Compresses into one gzip member. The fastest level: the size is paid for in CPU time.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}
