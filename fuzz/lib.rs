//! What several fuzz targets need: settings, records, and a strict look at what leaves.

use std::collections::HashSet;

use apigw_log_forwarder::config::Settings;
use apigw_log_forwarder::counts::Counts;
use apigw_log_forwarder::firehose::{FirehoseEvent, FirehoseResponse, Record};
use apigw_log_forwarder::intake::Intake;
use apigw_log_forwarder::subscription::Buffers;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A time in November 2026, in milliseconds since the Unix epoch.
pub const NOW: i64 = 1_795_287_540_123;

/// Settings that are enough, with these beside them.
pub fn settings(further: &[(&str, &str)]) -> Option<Settings> {
    let required = [
        ("ANALYTICS_URL", "http://127.0.0.1/"),
        ("TOKEN_URL", "http://127.0.0.1/"),
        ("TOKEN_PARAMETER", "/token"),
        ("CREDENTIALS_PARAMETER", "/credentials"),
    ];
    let value = |name: &str| {
        let all = further.iter().chain(&required);
        all.into_iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    Settings::read(value).ok()
}

/// A record with this content.
pub fn record(content: &[u8]) -> Record<'static> {
    let data = base64_simd::STANDARD.encode_to_string(content);
    Record { id: "r".into(), arrival: Some(NOW), data: Some(data.into()) }
}

/// An envelope with these messages.
pub fn envelope(group: &str, messages: &[&str]) -> String {
    let events: Vec<_> = messages
        .iter()
        .enumerate()
        .map(|(at, message)| serde_json::json!({"id": at.to_string(), "timestamp": NOW, "message": message}))
        .collect();
    serde_json::json!({
        "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": group, "logStream": "s", "logEvents": events,
    })
    .to_string()
}

/// What comes of records of which every body is accepted.
pub struct Outcome {
    pub bodies: Vec<Vec<u8>>,
    pub response: FirehoseResponse,
    pub counts: Counts,
    /// Events in the bodies.
    pub events: usize,
}

/// Takes records in and accepts every body.
pub fn deliver(settings: &Settings, records: Vec<Record<'_>>) -> Outcome {
    let event = FirehoseEvent { records };
    let mut intake = Intake::new(settings, &event);
    let mut buffers = Buffers::default();
    let mut batches = Vec::new();
    for (index, record) in event.records.iter().enumerate() {
        if let Some(mut reading) = intake.open(index, record, NOW, &mut buffers) {
            while let Some(batch) = intake.fill(&mut reading) {
                batches.push(batch);
            }
        }
    }
    while let Some(batch) = intake.flush() {
        batches.push(batch);
    }
    let mut events = 0;
    for batch in &batches {
        events += batch.len();
        intake.ledger().accepted(batch.shares(0..batch.len()));
    }
    let bodies = batches.iter().map(|batch| batch.whole().to_vec()).collect();
    let (response, counts) = intake.settle(&event);
    Outcome { bodies, response, counts, events }
}

/// Checks that a text is JSON of which no object has a key twice.
pub fn assert_strict_json(text: &[u8]) {
    let mut reader = serde_json::Deserializer::from_slice(text);
    reader.disable_recursion_limit();
    let read = Strict::deserialize(&mut reader).and_then(|Strict| reader.end());
    assert!(read.is_ok(), "{}: {}", read.unwrap_err(), String::from_utf8_lossy(text));
}

/// Any JSON value without a key twice.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Strict)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Self;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Strict>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self, A::Error> {
        let mut keys = HashSet::new();
        while let Some((key, Strict)) = object.next_entry::<String, Strict>()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("a key twice"));
            }
        }
        Ok(self)
    }
}
