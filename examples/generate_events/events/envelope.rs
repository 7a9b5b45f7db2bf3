//! The envelopes in which CloudWatch Logs hands log events to a subscription, and their compression.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::call::{ACCOUNT, Api, Inventor};

/// Events of one log stream.
#[derive(Debug, Clone)]
pub struct Envelope {
    message_type: &'static str,
    owner: &'static str,
    group: String,
    stream: String,
    filters: &'static str,
    /// Each one a JSON object.
    events: Vec<String>,
}

impl Envelope {
    /// An envelope of a log group without events yet, from a stream that is invented.
    #[must_use]
    pub fn of(group: &str, inventor: &mut Inventor) -> Self {
        Self {
            message_type: "DATA_MESSAGE",
            owner: ACCOUNT,
            group: group.to_owned(),
            stream: inventor.hex(32),
            filters: r#"["forwarder"]"#,
            events: Vec::new(),
        }
    }

    /// The message that asks whether the destination can be reached.
    #[must_use]
    pub fn control(inventor: &mut Inventor) -> Self {
        let message = "CWL CONTROL MESSAGE: Checking health of destination Firehose.";
        Self {
            message_type: "CONTROL_MESSAGE",
            owner: "CloudwatchLogs",
            group: String::new(),
            stream: String::new(),
            filters: "[]",
            events: vec![log_event("", inventor.tick(), message, "")],
        }
    }

    /// Changes the type of the message to one that there is none of.
    #[must_use]
    pub fn of_unknown_type(mut self) -> Self {
        self.message_type = "UNHEARD_OF_MESSAGE";
        self
    }

    /// Adds an event that happens now.
    pub fn push(&mut self, message: &str, inventor: &mut Inventor) {
        let now = inventor.tick();
        self.push_at(now, message, inventor);
    }

    /// Adds an event of a time, in milliseconds since the Unix epoch.
    pub fn push_at(&mut self, at_ms: i64, message: &str, inventor: &mut Inventor) {
        self.events.push(log_event(&inventor.event_id(at_ms), at_ms, message, ""));
    }

    /// Adds an event with `extractedFields`, as a filter pattern with named fields or one that emits system fields does.
    pub fn push_with_fields(&mut self, message: &str, fields: &Value, inventor: &mut Inventor) {
        let (now, fields) = (inventor.tick(), format!(r#","extractedFields":{fields}"#));
        self.events.push(log_event(&inventor.event_id(now), now, message, &fields));
    }

    /// Adds the events that there are again, from the first on, as long as the envelope stays within so many bytes.
    pub fn repeat_within(&mut self, bytes: usize) {
        let mut left = bytes.saturating_sub(self.json().len());
        let events = self.events.clone();
        for event in events.iter().cycle() {
            let Some(rest) = left.checked_sub(event.len() + 1) else { break };
            left = rest;
            self.events.push(event.clone());
        }
    }

    /// Returns how many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Writes the envelope as one line of JSON, its members in the order in which CloudWatch Logs writes them.
    #[must_use]
    pub fn json(&self) -> String {
        let (group, stream) = (quoted(&self.group), quoted(&self.stream));
        let mut json = format!(
            r#"{{"messageType":"{}","owner":"{}","logGroup":{group},"logStream":{stream},"subscriptionFilters":{},"logEvents":["#,
            self.message_type, self.owner, self.filters
        );
        json.push_str(&self.events.join(","));
        json.push_str("]}");
        json
    }

    /// Returns the envelope as one gzip member.
    #[must_use]
    pub fn gzip(&self) -> Vec<u8> {
        gzip(self.json().as_bytes())
    }
}

/// Returns the name of the log group that API Gateway writes a REST or WebSocket API's execution logs to.
#[must_use]
pub fn execution_group(api: Api) -> String {
    format!("API-Gateway-Execution-Logs_{}/{}", api.id(), api.stage())
}

/// Compresses into one gzip member, at the level that CloudWatch Logs uses.
///
/// # Panics
/// Never: memory takes every write.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).expect("memory takes every write");
    encoder.finish().expect("memory takes every write")
}

fn log_event(id: &str, at_ms: i64, message: &str, more: &str) -> String {
    let mut json = String::with_capacity(message.len() + 128);
    write!(json, r#"{{"id":"{id}","timestamp":{at_ms},"message":{}{more}}}"#, quoted(message))
        .expect("a string takes every write");
    json
}

fn quoted(text: &str) -> Value {
    Value::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_json_with_every_event() {
        let mut inventor = Inventor::new(1);
        let mut envelope = Envelope::of("group", &mut inventor);
        envelope.push("a \"quoted\"\nline", &mut inventor);
        envelope.push_with_fields("b", &serde_json::json!({"@aws.account": ACCOUNT}), &mut inventor);
        let json: Value = serde_json::from_str(&envelope.json()).unwrap();
        assert_eq!(json["logEvents"][0]["message"], "a \"quoted\"\nline");
        assert_eq!(json["logEvents"][1]["extractedFields"]["@aws.account"], ACCOUNT);
        assert_eq!(json["owner"], ACCOUNT);
    }
}
