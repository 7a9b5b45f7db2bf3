//! Compression: of bodies, and of what Firehose keeps of delivered records. The fastest levels: the size is paid for in CPU time.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Compresses into one gzip member.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}

/// Compresses into one frame of Zstandard.
#[must_use]
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).expect("memory for it is there")
}
