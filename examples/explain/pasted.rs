//! What was pasted, taken apart: whatever people have at hand becomes records as Firehose hands them over, which the function's
//! own readers take from there.
//!
//! ```text
//! H4sIAAAA…                                             base64, gzip and BOMs are undone
//! {"awslogs":{"data":"H4sI…"}}                          so is the event of a Lambda subscription
//! {"records":[{"recordId":"1","data":"H4sI…"}]}         a Firehose event: its records
//! {"attemptsMade":1,…,"rawData":"H4sI…"}                an object of failed/: a record a line
//! {"events":[{"message":…}]}                            aws logs filter-log-events: an envelope
//! 2026-11-21T18:59:00.123000+00:00 stream message       aws logs tail: an envelope
//! ```

use std::borrow::Cow;

use apigw_log_forwarder::firehose::{FirehoseEvent, Record};
use apigw_log_forwarder::inflate::Inflater;
use jiff::civil::DateTime;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Most that is inflated, in bytes: Firehose's largest object is half of it.
const MAX_BYTES: usize = 256 << 20;
/// How often something may be wrapped in base64, gzip, JSON strings and events.
const MAX_WRAPPINGS: usize = 6;

/// A record, and what is to be said of it before its lines.
#[derive(Debug)]
pub(crate) struct Pasted {
    pub(crate) note: String,
    pub(crate) record: Record<'static>,
}

/// Takes a paste apart. Log events that come without their log group are of `group`.
pub(crate) fn take_apart(bytes: &[u8], group: &str) -> Vec<Pasted> {
    take(bytes, group, String::new(), MAX_WRAPPINGS)
}

/// `note` says what was undone so far.
fn take(bytes: &[u8], group: &str, note: String, wrappings: usize) -> Vec<Pasted> {
    let said = |what: &str| if note.is_empty() { what.to_owned() } else { format!("{note}, {what}") };
    if let Some(left) = wrappings.checked_sub(1) {
        if let Some(inflated) = inflated(bytes) {
            return take(&inflated, group, said("gzip"), left);
        }
        if let Some(text) = without_mark(bytes) {
            return take(text.as_bytes(), group, note, left);
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            if let Some(inside) = base64(text) {
                return take(&inside, group, said("base64"), left);
            }
            if let Some((what, inside)) = inside(text) {
                return take(&inside, group, said(what), left);
            }
            if let Some(found) = firehose_event(text).or_else(|| failed_object(text)) {
                return found;
            }
            if let Some((what, text)) = envelope(text, group).or_else(|| one_line_each(text)) {
                return vec![Pasted { note: said(what), record: record(text.as_bytes()) }];
            }
        }
    }
    vec![Pasted { note, record: record(bytes) }]
}

fn record(content: &[u8]) -> Record<'static> {
    Record { id: "".into(), arrival: None, data: Some(base64_simd::STANDARD.encode_to_string(content).into()) }
}

fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut inflated = Vec::new();
    let is_gzip = bytes.starts_with(&[0x1f, 0x8b]);
    (is_gzip && Inflater::default().inflate(bytes, MAX_BYTES, &mut inflated).is_ok()).then_some(inflated)
}

/// Undoes a byte-order mark: that of UTF-8, or the UTF-16 that a shell of Windows writes into files.
fn without_mark(bytes: &[u8]) -> Option<String> {
    if let Some(text) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return String::from_utf8(text.to_vec()).ok();
    }
    let (text, order): (_, fn([u8; 2]) -> u16) = match bytes {
        [0xff, 0xfe, text @ ..] => (text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => (text, u16::from_be_bytes),
        _ => return None,
    };
    let units: Vec<u16> = text.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(order)).collect();
    String::from_utf16(&units).ok()
}

/// Undoes base64, if gzip or JSON comes out: other words are base64 too.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    let bytes = base64_simd::STANDARD.decode_to_vec(text.trim_matches(['"', '\'', ','])).ok()?;
    bytes.starts_with(&[0x1f, 0x8b]).then_some(()).or_else(|| bytes.starts_with(b"{").then_some(()))?;
    Some(bytes)
}

/// Takes the content out of a JSON string, and out of the event that CloudWatch Logs invokes a function with.
fn inside(text: &str) -> Option<(&'static str, Vec<u8>)> {
    match serde_json::from_str(text).ok()? {
        Value::String(inside) => Some(("a JSON string", inside.into_bytes())),
        event => {
            let data = event.pointer("/awslogs/data")?.as_str()?;
            let bytes = base64_simd::STANDARD.decode_to_vec(data).ok()?;
            Some(("the event of a Lambda subscription (awslogs)", bytes))
        }
    }
}

/// Reads the event of a Firehose transformation.
fn firehose_event(text: &str) -> Option<Vec<Pasted>> {
    let event = FirehoseEvent::parse(text).ok()?;
    let count = event.records.len();
    let pasted = |(number, record): (usize, Record<'_>)| Pasted {
        note: format!("record {number} of {count} of a Firehose event"),
        record: Record {
            id: Cow::Owned(record.id.into_owned()),
            arrival: record.arrival,
            data: record.data.map(|data| Cow::Owned(data.into_owned())),
        },
    };
    // An object without records is any JSON.
    (count > 0).then(|| (1..).zip(event.records).map(pasted).collect())
}

/// Reads an object that Firehose writes for records that were not delivered: one a line, with the reason.
fn failed_object(text: &str) -> Option<Vec<Pasted>> {
    let lines: Vec<Value> = serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().ok()?;
    let count = lines.len();
    let pasted = |(number, line): (usize, &Value)| {
        let said = |key: &str| line.get(key).and_then(Value::as_str).map(|said| format!(", {said}"));
        let said: String = ["errorCode", "errorMessage", "parkedReason"].into_iter().filter_map(said).collect();
        let data = match (line.get("rawData"), line.get("line")) {
            (Some(data), _) => data.as_str()?.to_owned(),
            (None, Some(Value::String(text))) if line.get("parkedReason").is_some() => {
                base64_simd::STANDARD.encode_to_string(text)
            }
            _ => return None,
        };
        let arrival = line.get("arrivalTimestamp").and_then(Value::as_i64);
        let note = format!("record {number} of {count} that was not delivered{said}");
        Some(Pasted { note, record: Record { id: "".into(), arrival, data: Some(data.into()) } })
    };
    if count == 0 { None } else { (1..).zip(&lines).map(pasted).collect() }
}

/// Makes an envelope of what the AWS CLI shows of a log group.
fn envelope(text: &str, group: &str) -> Option<(&'static str, String)> {
    const LISTED: &str = "log events as the AWS CLI lists them";
    let (what, stream, events) = if let Ok(value) = serde_json::from_str(text) {
        (LISTED, String::new(), listed_events(value)?)
    } else if let Some(events) =
        text.lines().map(listed_in_text).collect::<Option<Vec<_>>>().filter(|events| !events.is_empty())
    {
        (LISTED, String::new(), events)
    } else {
        let (stream, events) = tail(text)?;
        ("the output of aws logs tail", stream, events)
    };
    let envelope = json!({
        "messageType": "DATA_MESSAGE", "owner": "", "logGroup": group, "logStream": stream, "logEvents": events,
    });
    Some((what, envelope.to_string()))
}

/// Reads what `filter-log-events` and `get-log-events` list, whole or what a query has left of it.
fn listed_events(value: Value) -> Option<Vec<Value>> {
    let Value::Array(events) = value.get("events").cloned().unwrap_or(value) else { return None };
    let event = |event: &Value| {
        let message = event.as_str().or_else(|| event.get("message")?.as_str())?;
        let mut listed = Map::from_iter([("message".to_owned(), message.into())]);
        for (name, of) in [("id", "eventId"), ("timestamp", "timestamp")] {
            listed.extend(event.get(of).map(|value| (name.to_owned(), value.clone())));
        }
        Some(Value::Object(listed))
    };
    if events.is_empty() { None } else { events.iter().map(event).collect() }
}

/// Reads a line of the same with `--output text`: columns in the order of their names.
fn listed_in_text(line: &str) -> Option<Value> {
    let mut columns = line.strip_prefix("EVENTS\t")?.splitn(4, '\t');
    let (id, _, _, rest) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
    let (message, timestamp) = rest.rsplit_once('\t')?;
    Some(json!({"id": id, "message": message, "timestamp": timestamp.parse::<i64>().ok()?}))
}

/// Reads what `aws logs tail` writes: a time, in the long form the log stream, and the message, which may go on for several
/// lines. Returns the stream of the first event.
fn tail(text: &str) -> Option<(String, Vec<Value>)> {
    let text = console::strip_ansi_codes(text);
    let mut stream = None;
    let mut events: Vec<(i64, String)> = Vec::new();
    for line in text.lines() {
        match (tailed(line), events.last_mut()) {
            (Some((timestamp, of, message)), _) => {
                stream.get_or_insert_with(|| of.to_owned());
                events.push((timestamp, message.to_owned()));
            }
            (None, Some((_, message))) => {
                *message += "\n";
                *message += line;
            }
            (None, None) if line.trim().is_empty() => {}
            (None, None) => return None,
        }
    }
    let events = events.into_iter().map(|(timestamp, message)| {
        let message = message.trim_ascii_end();
        json!({"timestamp": timestamp, "message": message})
    });
    Some((stream?, events.collect()))
}

/// Reads a line that starts an event: its time, its stream, its message.
fn tailed(line: &str) -> Option<(i64, &str, &str)> {
    let (time, rest) = line.split_once(' ')?;
    // No access log has such a time: API Gateway writes that of CLF, or milliseconds.
    if let Ok(time) = time.parse::<Timestamp>() {
        let (stream, message) = rest.split_once(' ')?;
        return Some((time.as_millisecond(), stream, message));
    }
    let is_whole = time.contains('T');
    let time = time.parse::<DateTime>().ok().filter(|_| is_whole)?.to_zoned(TimeZone::UTC).ok()?;
    Some((time.timestamp().as_millisecond(), "", rest))
}

/// Puts each JSON object on a line of its own, if one is laid out over several.
fn one_line_each(text: &str) -> Option<(&'static str, String)> {
    let values: Vec<&RawValue> = serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().ok()?;
    let is_laid_out = |value: &&RawValue| value.get().contains('\n');
    let is_envelope = |value: &&RawValue| value.get().contains("\"logEvents\"");
    if !values.iter().any(is_laid_out) || values.iter().any(is_envelope) {
        return None;
    }
    // No line feed stands inside a string.
    let lines = values.iter().map(|value| value.get().lines().map(str::trim_ascii).collect::<String>());
    Some(("JSON over several lines, each object read as one", lines.collect::<Vec<_>>().join("\n")))
}

#[cfg(test)]
mod tests {
    use apigw_log_forwarder::compress::gzip;
    use apigw_log_forwarder::subscription::{self, Buffers};

    use super::*;

    /// What is said of each record, and its text as the function decodes it.
    #[track_caller]
    fn is(pasted: impl AsRef<[u8]>, expected: &[(&str, &str)]) {
        let records = take_apart(pasted.as_ref(), "g");
        let mut buffers = Buffers::default();
        let mut text = |record: &Record<'_>| match subscription::decode(record, MAX_BYTES, &mut buffers) {
            Ok(decoded) => decoded.text.to_owned(),
            Err(error) => error.to_string(),
        };
        let found: Vec<_> = records.iter().map(|pasted| (pasted.note.clone(), text(&pasted.record))).collect();
        let found: Vec<_> = found.iter().map(|(note, text)| (note.as_str(), text.as_str())).collect();
        assert_eq!(found, expected);
    }

    fn base64_of(content: impl AsRef<[u8]>) -> String {
        base64_simd::STANDARD.encode_to_string(content)
    }

    const ENVELOPE: &str = r#"{"messageType":"DATA_MESSAGE","logGroup":"h","logEvents":[{"message":"a 1"}]}"#;

    #[test]
    fn lines_are_what_they_are() {
        for text in ["a 1", "a 1\nb 2\n", "", "{\"a\":1}\n{\"a\":2}", "deadbeef", "{}", "[1]", "2026-11-21 a"] {
            is(text, &[("", text)]);
        }
        is(b"\xff\xff\xff", &[("", "the content is not UTF-8 at byte 0")]);
        is(b"\x1f\x8b\x08\x00", &[("", "the gzip data is damaged or cut short")]);
    }

    #[test]
    fn wrappings_are_undone() {
        let zipped = gzip(ENVELOPE.as_bytes());
        is(&zipped, &[("gzip", ENVELOPE)]);
        is(base64_of(&zipped), &[("base64, gzip", ENVELOPE)]);
        let wrapped = base64_of(&zipped);
        is(format!("{}\n{}\n", &wrapped[..40], &wrapped[40..]), &[("base64, gzip", ENVELOPE)]);
        is(
            format!(r#"{{"awslogs":{{"data":"{wrapped}"}}}}"#),
            &[("the event of a Lambda subscription (awslogs), gzip", ENVELOPE)],
        );
        is(r#""{\"a\":1}""#, &[("a JSON string", r#"{"a":1}"#)]);
        is("\u{feff}a 1", &[("", "a 1")]);
        is(b"\xff\xfea\x00 \x001\x00", &[("", "a 1")]);
        is(
            "{\n  \"a\": 1\n}\n{\n  \"b\": \"x  y\"\n}\n",
            &[("JSON over several lines, each object read as one", "{\"a\": 1}\n{\"b\": \"x  y\"}")],
        );
    }

    #[test]
    fn events_and_objects_of_firehose_are_their_records() {
        let (first, second) = (base64_of(gzip(ENVELOPE.as_bytes())), base64_of("a 1"));
        is(
            format!(r#"{{"invocationId":"i","records":[{{"recordId":"1","data":"{first}"}},{{"data":"{second}"}}]}}"#),
            &[("record 1 of 2 of a Firehose event", ENVELOPE), ("record 2 of 2 of a Firehose event", "a 1")],
        );
        let failed = format!(
            "{{\"attemptsMade\":1,\"arrivalTimestamp\":7,\"errorCode\":\"Lambda.FunctionError\",\"rawData\":\"{second}\"}}\n{{\"rawData\":\"{second}\",\"parkedReason\":\"the API answers 422\"}}\n{{\"line\":\"b 2\",\"parkedReason\":\"not Firehose's\"}}\n"
        );
        let expected = [
            ("record 1 of 3 that was not delivered, Lambda.FunctionError", "a 1"),
            ("record 2 of 3 that was not delivered, the API answers 422", "a 1"),
            ("record 3 of 3 that was not delivered, not Firehose's", "b 2"),
        ];
        is(&failed, &expected);
        is(gzip(failed.as_bytes()), &expected);
        assert_eq!(take_apart(failed.as_bytes(), "")[0].record.arrival, Some(7));
    }

    #[test]
    fn what_the_aws_cli_shows_is_an_envelope() {
        let envelope = |stream: &str, events: &str| {
            format!(
                r#"{{"logEvents":[{events}],"logGroup":"g","logStream":"{stream}","messageType":"DATA_MESSAGE","owner":""}}"#
            )
        };
        let sorted = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        for (pasted, note, stream, events) in [
            (
                r#"{"events":[{"eventId":"3","logStreamName":"s","timestamp":7,"message":"a 1","ingestionTime":8}]}"#,
                "log events as the AWS CLI lists them",
                "",
                r#"{"id":"3","message":"a 1","timestamp":7}"#,
            ),
            (
                "EVENTS\t3\t8\ts\ta\t1\t7",
                "log events as the AWS CLI lists them",
                "",
                r#"{"id":"3","message":"a\t1","timestamp":7}"#,
            ),
            (r#"["a 1"]"#, "log events as the AWS CLI lists them", "", r#"{"message":"a 1"}"#),
            (
                "1970-01-01T00:00:00.007000+00:00 s a 1\n1970-01-01T00:00:01+00:00 s b 2\n}\n\n",
                "the output of aws logs tail",
                "s",
                r#"{"timestamp":7,"message":"a 1"},{"timestamp":1000,"message":"b 2\n}"}"#,
            ),
            (
                "\u{1b}[32m1970-01-01T00:00:01\u{1b}[0m a 1",
                "the output of aws logs tail",
                "",
                r#"{"timestamp":1000,"message":"a 1"}"#,
            ),
        ] {
            let [found] = &take_apart(pasted.as_bytes(), "g")[..] else { panic!("one record") };
            let mut buffers = Buffers::default();
            let decoded = subscription::decode(&found.record, MAX_BYTES, &mut buffers).expect("text");
            assert_eq!(found.note, note);
            assert_eq!(sorted(decoded.text), sorted(&envelope(stream, events)), "{pasted}");
        }
    }
}
