//! What is measured: generated Firehose events, and all that the function does with one but send.
//!
//! A program that needs it includes this folder at its root, where it must be `pub`, and the generator's `events` beside it.

use std::io::Read;

use apigw_log_forwarder::config::{DEFAULT_MAX_RECORD_BYTES, Settings};
use apigw_log_forwarder::firehose::FirehoseEvent;
use apigw_log_forwarder::intake::Intake;
use apigw_log_forwarder::subscription::Buffers;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use crate::events::access::WIDE_JSON;
use crate::events::bulk;

mod shapes;

pub use shapes::{SHAPES, Shape};

/// The seeds of which a shape's figures are the mean.
pub const SEEDS: [u64; 2] = [7, 8];

/// A Firehose event, and the setting that it is measured with.
#[derive(Debug)]
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// `ACCESS_LOG_FORMAT`.
    pub format: String,
    /// The event as Firehose sends it.
    pub payload: String,
}

impl Case {
    /// Makes the event of a shape and a seed, of so many bytes of payload.
    #[must_use]
    pub fn new(shape: Shape, payload_bytes: usize, seed: u64) -> Self {
        Self { name: shape.name, format: shape.setting(seed), payload: shape.event(payload_bytes, seed) }
    }

    /// Makes an event of one record that inflates to what a record may by default.
    #[must_use]
    pub fn largest_record() -> Self {
        let payload = bulk::bomb(DEFAULT_MAX_RECORD_BYTES, 7).json();
        Self { name: "largest-record", format: WIDE_JSON.to_owned(), payload }
    }

    /// Returns the text of each record, base64 and gzip undone.
    ///
    /// # Panics
    /// Never: that is how events are generated.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let inflate = |gzip: Vec<u8>| {
            let mut text = String::new();
            let read = MultiGzDecoder::new(gzip.as_slice()).read_to_string(&mut text);
            read.map(|_| text).expect("generated records are gzip of text")
        };
        self.gzip().into_iter().map(inflate).collect()
    }

    /// Returns the bytes of each record, base64 undone.
    ///
    /// # Panics
    /// Never: that is how events are generated.
    #[must_use]
    pub fn gzip(&self) -> Vec<Vec<u8>> {
        let event = FirehoseEvent::parse(&self.payload).expect("a generated event");
        let data = event.records.iter().filter_map(|record| record.data.as_deref());
        data.map(|data| base64_simd::STANDARD.decode_to_vec(data).expect("generated data is base64")).collect()
    }

    /// Returns the decoded bytes of all records.
    #[must_use]
    pub fn decoded_bytes(&self) -> usize {
        self.texts().iter().map(String::len).sum()
    }
}

/// Returns the settings that the function has by default, with this format.
///
/// # Panics
/// If that is none.
#[must_use]
pub fn settings(format: &str) -> Settings {
    let settings = Settings::read(|name| {
        let value = match name {
            "ANALYTICS_URL" | "TOKEN_URL" => "https://example.com/",
            "TOKEN_PARAMETER" => "/token",
            "CREDENTIALS_PARAMETER" => "/credentials",
            "ACCESS_LOG_FORMAT" => format,
            _ => return None,
        };
        Some(value.to_owned())
    });
    settings.unwrap_or_else(|error| panic!("{error}"))
}

/// Takes an event from its text to bodies, each of which is dropped as if it had been sent. Returns their bytes.
///
/// # Panics
/// If the event or a record of it cannot be read.
#[must_use]
pub fn bodies(payload: &str, settings: &Settings) -> usize {
    let mut bytes = 0;
    each_body(payload, settings, |body| bytes += body.len());
    bytes
}

/// Takes an event from its text to bodies.
///
/// # Panics
/// If the event or a record of it cannot be read.
pub fn each_body(payload: &str, settings: &Settings, mut take: impl FnMut(Bytes)) {
    let event = FirehoseEvent::parse(payload).expect("a generated event");
    let mut intake = Intake::new(settings, &event);
    let mut buffers = Buffers::default();
    for (index, record) in event.records.iter().enumerate() {
        let mut reading = intake.open(index, record, 0, &mut buffers).expect("generated records can be read");
        while let Some(batch) = intake.fill(&mut reading) {
            take(batch.whole());
        }
    }
    while let Some(batch) = intake.flush() {
        take(batch.whole());
    }
}
