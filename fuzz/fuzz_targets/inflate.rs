//! Any bytes: the quick gunzip says what flate2 says.

#![no_main]

use std::io::Read;

use apigw_log_forwarder::inflate::{InflateError, Inflater};
use flate2::Compression;
use flate2::read::GzEncoder;
use libfuzzer_sys::fuzz_target;

const CAP: usize = 100_000;

fuzz_target!(|data: (&[u8], bool)| {
    let (bytes, is_content) = data;
    let mut gzip = Vec::new();
    if is_content {
        GzEncoder::new(bytes, Compression::new(6)).read_to_end(&mut gzip).expect("memory");
    } else {
        gzip.extend_from_slice(bytes);
    }
    let mut ours = Vec::new();
    let outcome = Inflater::default().inflate(&gzip, CAP, &mut ours);
    let mut theirs = Vec::new();
    let mut reader = flate2::bufread::MultiGzDecoder::new(&gzip[..]).take(CAP as u64 + 1);
    match (outcome, reader.read_to_end(&mut theirs)) {
        (Ok(()), Ok(_)) => assert_eq!(ours, theirs),
        (Err(InflateError::TooLarge), _) => assert!(theirs.len() > CAP),
        (Err(InflateError::Damaged), read) => assert!(read.is_err() || theirs.len() <= CAP),
        (Ok(()), Err(error)) => panic!("{error}"),
    }
    if is_content && bytes.len() <= CAP {
        assert_eq!((outcome, &ours[..]), (Ok(()), bytes));
    }
});
