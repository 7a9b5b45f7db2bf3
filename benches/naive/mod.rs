//! The obvious Rust: what the pipeline's speed is compared with.
//!
//! Every JSON is a `serde_json::Value`, every member of gzip a stream that is read to its end, every event a `json!`, and a body
//! is an array of those. It does what it must for access logs in JSON: the same events as the function's, with the line's keys
//! in `fields` (a test holds the two together). Any other line goes out as text, which is less work than the function does.
//! There is no redaction, no cap, no verdict.
//!
//! A program that needs it includes this folder at its root, where it must be `pub`:
//!
//! ```ignore
//! #[path = "../../benches/naive/mod.rs"]
//! pub mod naive;
//! ```

use std::error::Error;
use std::io::{Read, Write};

use base64_simd::STANDARD;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Most bytes of a body, as the function's default.
const MAX_BODY_BYTES: usize = 1_000_000;

/// What a line that no format takes says of itself.
const NO_FORMAT: &str = "no format takes this line";

/// Makes the bodies of a Firehose event.
///
/// # Errors
/// If anything in it is not as it should be.
pub fn bodies(payload: &[u8]) -> Result<Vec<Vec<u8>>, Box<dyn Error + Send + Sync>> {
    let event: Value = serde_json::from_slice(payload)?;
    let mut bodies = Vec::new();
    let mut batch: Vec<String> = Vec::new();
    let mut bytes = 2;
    for record in event.get("records").and_then(Value::as_array).ok_or("no records")? {
        let data = record.get("data").and_then(Value::as_str).ok_or("no data")?;
        for event in events(data)? {
            let event = event.to_string();
            if bytes + event.len() > MAX_BODY_BYTES && !batch.is_empty() {
                bodies.push(body(&batch));
                batch.clear();
                bytes = 2;
            }
            bytes += event.len() + 1;
            batch.push(event);
        }
    }
    if !batch.is_empty() {
        bodies.push(body(&batch));
    }
    Ok(bodies)
}

/// Compresses a body as libraries do when nothing else is said: at level 6.
///
/// # Errors
/// Never: memory takes every write.
pub fn gzip(body: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body)?;
    encoder.finish()
}

fn body(batch: &[String]) -> Vec<u8> {
    format!("[{}]", batch.join(",")).into_bytes()
}

/// Makes the events of a record.
fn events(data: &str) -> Result<Vec<Value>, Box<dyn Error + Send + Sync>> {
    let compressed = STANDARD.decode_to_vec(data)?;
    let mut text = String::new();
    MultiGzDecoder::new(compressed.as_slice()).read_to_string(&mut text)?;
    let envelope: Value = serde_json::from_str(&text)?;
    if envelope.get("messageType").and_then(Value::as_str) != Some("DATA_MESSAGE") {
        return Ok(Vec::new());
    }
    let log_events = envelope.get("logEvents").and_then(Value::as_array).ok_or("no logEvents")?;
    log_events.iter().map(|log_event| event(&envelope, log_event)).collect()
}

/// Makes the event of a line.
fn event(envelope: &Value, log_event: &Value) -> Result<Value, Box<dyn Error + Send + Sync>> {
    let field = |name| envelope.get(name).cloned().unwrap_or_default();
    let timestamp = log_event.get("timestamp").and_then(Value::as_i64).ok_or("no timestamp")?;
    let message = log_event.get("message").and_then(Value::as_str).ok_or("no message")?;
    let mut event = json!({
        "id": log_event.get("id").cloned().unwrap_or_default(),
        "timestamp": format!("{:.3}", Timestamp::from_millisecond(timestamp)?),
        "kind": "access",
        "owner": field("owner"),
        "logGroup": field("logGroup"),
        "logStream": field("logStream"),
    });
    if let Some(event) = event.as_object_mut() {
        if let Ok(fields @ Value::Object(_)) = serde_json::from_str(message) {
            for name in ["apiId", "stage"] {
                event.extend(fields.get(name).map(|value| (name.to_owned(), value.clone())));
            }
            event.insert("fields".to_owned(), fields);
        } else {
            event.insert("kind".to_owned(), "text".into());
            event.insert("message".to_owned(), message.into());
            event.insert("parseError".to_owned(), NO_FORMAT.into());
        }
    }
    Ok(event)
}
