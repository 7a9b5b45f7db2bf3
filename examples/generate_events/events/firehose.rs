//! The transformation event with which Firehose invokes a function.
//!
//! Source: <https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html>

use serde_json::{Value, json};

use super::call::{ACCOUNT, Inventor, START_MS};

/// What a function must answer for one record where nothing is archived and the analytics API takes everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered, or nothing to deliver.
    Dropped,
    /// Unreadable, too large, or holding an event that is too large.
    ProcessingFailed,
}

impl Verdict {
    /// Returns the `result` of the answer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "Dropped",
            Self::ProcessingFailed => "ProcessingFailed",
        }
    }
}

/// One invocation's payload.
#[derive(Debug, Clone)]
pub struct FirehoseEvent {
    invocation: String,
    records: Vec<Value>,
    bytes: usize,
}

/// From the first request to the arrival of what was logged of it.
const ARRIVAL_DELAY_MS: i64 = 60_000;

impl FirehoseEvent {
    /// An event without records yet.
    #[must_use]
    pub fn new(inventor: &mut Inventor) -> Self {
        let event = Self { invocation: inventor.uuid(), records: Vec::new(), bytes: 0 };
        let bytes = event.json().len();
        Self { bytes, ..event }
    }

    /// Adds a record of these bytes.
    pub fn push(&mut self, record: &[u8], inventor: &mut Inventor) {
        self.push_text(&base64_simd::STANDARD.encode_to_string(record), inventor);
    }

    /// Adds a record whose `data` is this text, base64 or not.
    pub fn push_text(&mut self, data: &str, inventor: &mut Inventor) {
        let number = self.records.len() + 1;
        let record = json!({
            "recordId": format!("4966{number:08}{}000000", inventor.digits(44)),
            "approximateArrivalTimestamp": START_MS + ARRIVAL_DELAY_MS,
            "data": data,
        });
        self.bytes += record.to_string().len() + usize::from(!self.records.is_empty());
        self.records.push(record);
    }

    /// Takes the last record away.
    pub fn pop(&mut self) {
        if let Some(record) = self.records.pop() {
            self.bytes -= record.to_string().len() + usize::from(!self.records.is_empty());
        }
    }

    /// Returns how many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the size in bytes of the payload as Firehose writes it, on one line.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes the payload on one line.
    #[must_use]
    pub fn json(&self) -> String {
        self.value().to_string()
    }

    /// Writes the payload for people to read.
    #[must_use]
    pub fn pretty(&self) -> String {
        format!("{:#}\n", self.value())
    }

    pub(super) fn value(&self) -> Value {
        json!({
            "invocationId": self.invocation,
            "deliveryStreamArn": format!("arn:aws:firehose:us-east-1:{ACCOUNT}:deliverystream/api-logs"),
            "region": "us-east-1",
            "records": self.records,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_that_of_the_payload() {
        let mut inventor = Inventor::new(1);
        let mut event = FirehoseEvent::new(&mut inventor);
        for _ in 0..3 {
            assert_eq!(event.bytes(), event.json().len());
            event.push(b"bytes", &mut inventor);
        }
        event.pop();
        assert_eq!(event.bytes(), event.json().len());
    }
}
