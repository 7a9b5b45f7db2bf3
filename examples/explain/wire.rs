//! Events as they leave: text as it is, log records of the OpenTelemetry protocol read back.

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::ScopeLogs;
use prost::Message as _;
use serde_json::{Map, Value, json};

use crate::pretty;

/// Shows what a destination is sent of an event.
pub(crate) fn show(event: &[u8]) -> String {
    // An entry of `log_records` is a message of its own that has nothing else.
    if let Some(0x12) = event.first()
        && let Ok(logs) = ScopeLogs::decode(event)
        && let [record] = logs.log_records.as_slice()
    {
        let attributes: Map<String, Value> = record
            .attributes
            .iter()
            .map(|pair| (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, value)))
            .collect();
        let trace_id = <[u8; 16]>::try_from(record.trace_id.as_slice()).map(u128::from_be_bytes);
        let trace_id = trace_id.map_or_else(|_| String::new(), |id| format!("{id:032x}"));
        let shown = json!({
            "timeUnixNano": record.time_unix_nano.to_string(),
            "severityNumber": record.severity_number,
            "eventName": record.event_name,
            "body": record.body.as_ref().map_or(Value::Null, value),
            "traceId": trace_id,
            "attributes": attributes,
        });
        return pretty::json(&shown.to_string());
    }
    let text = String::from_utf8_lossy(event);
    // What is not one JSON value, as an action and its document, stays as it is.
    if serde_json::from_str::<Value>(&text).is_ok() { pretty::json(&text) } else { text.into_owned() }
}

fn value(value: &AnyValue) -> Value {
    match value.value.as_ref() {
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::IntValue(number)) => json!(number),
        Some(any_value::Value::DoubleValue(number)) => json!(number),
        Some(any_value::Value::BoolValue(value)) => json!(value),
        Some(any_value::Value::ArrayValue(list)) => list.values.iter().map(self::value).collect(),
        Some(any_value::Value::KvlistValue(list)) => list
            .values
            .iter()
            .map(|pair| (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, self::value)))
            .collect(),
        _ => Value::Null,
    }
}
