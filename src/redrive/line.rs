//! A line of an object of failed records, as Firehose writes it, and what it becomes when it is parked.
//!
//! ```text
//! {"attemptsMade":1,"arrivalTimestamp":1795287540123,"errorCode":"Lambda.ProcessingFailedStatus",…,"rawData":"H4sIAAAA…"}
//! {"attemptsMade":1,…,"rawData":"H4sIAAAA…","parkedReason":"the gzip data is damaged or cut short"}
//! {"line":"something else","parkedReason":"not a line of Firehose: …"}
//! ```
//!
//! Source: <https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-failure-handling.html>

use std::borrow::Cow;

use base64_simd::STANDARD as BASE64;
use serde_json::json;

use crate::firehose::{Record, parse_milliseconds};
use crate::json::{Cursor, JsonError, Kind, write_string};

/// Why a line goes that holds no record.
pub(super) const NOT_FIREHOSE: &str = "not a line of Firehose: no JSON object with `rawData`";

/// Most bytes of a line that are parked as one: as JSON they may be several times as many, and have to be read again.
const WRAPPED_BYTES: usize = 1 << 20;

/// What a parked line says of itself.
const REASON: &str = "parkedReason";

/// Returns what a line was before it was parked as it stood; any other is what it is.
pub(super) fn as_it_came(line: Vec<u8>) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parked {
        line: String,
        #[serde(rename = "lineBase64")]
        bytes: Option<String>,
        #[serde(rename = "parkedReason")]
        _reason: String,
    }
    // Few lines are; these alone are decoded.
    if !line.trim_ascii_start().starts_with(br#"{"line"#) {
        return line;
    }
    match serde_json::from_slice::<Parked>(&line) {
        Ok(Parked { bytes: Some(bytes), .. }) => BASE64.decode_to_vec(bytes).unwrap_or(line),
        Ok(parked) => parked.line.into_bytes(),
        Err(_) => line,
    }
}

/// Reads the record of a line, named by what the log calls it. `None` if the line is none of Firehose's.
pub(super) fn record(line: &[u8], id: String) -> Option<Record<'_>> {
    let line = std::str::from_utf8(line).ok()?;
    parse(line, id).ok().flatten()
}

fn parse(line: &str, id: String) -> Result<Option<Record<'_>>, JsonError> {
    let mut record = Record { id: Cow::Owned(id), arrival: None, data: None };
    let mut cursor = Cursor::new(line);
    cursor.open()?;
    let mut first = true;
    while let Some(key) = cursor.next_key(&mut first)? {
        match (key.decode().as_ref(), cursor.kind()?) {
            ("rawData", Kind::String) => record.data = Some(cursor.string()?.decode()),
            ("arrivalTimestamp", _) => record.arrival = parse_milliseconds(cursor.value()?),
            _ => drop(cursor.value()?),
        }
    }
    Ok((record.data.is_some() && cursor.at_end()).then_some(record))
}

/// Writes the lines for a line that is parked: one, unless it is very long and none of Firehose's.
pub(super) fn park(line: &[u8], reason: &str) -> Vec<Vec<u8>> {
    if let Ok(text) = std::str::from_utf8(line)
        && record(line, String::new()).is_some()
        && let Ok(parked) = with_reason(text, reason)
    {
        return vec![parked];
    }
    line.chunks(WRAPPED_BYTES).map(|piece| wrap(piece, reason)).collect()
}

/// Writes the members of an object as they are, and the reason behind them.
fn with_reason(line: &str, reason: &str) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::with_capacity(line.len() + reason.len() + 32);
    let mut cursor = Cursor::new(line);
    cursor.open()?;
    let mut first = true;
    out.push(b'{');
    while let Some(key) = cursor.next_key(&mut first)? {
        let key = key.decode();
        let value = cursor.value()?;
        if key != REASON {
            write_string(&mut out, &key);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
            out.push(b',');
        }
    }
    write_string(&mut out, REASON);
    out.push(b':');
    write_string(&mut out, reason);
    out.push(b'}');
    Ok(out)
}

fn wrap(line: &[u8], reason: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    let parked = match text {
        Cow::Borrowed(text) => json!({"line": text, REASON: reason}),
        // What is no text would not survive as one.
        Cow::Owned(text) => json!({"line": text, "lineBase64": BASE64.encode_to_string(line), REASON: reason}),
    };
    parked.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read(line: &str) -> Option<(Option<i64>, String)> {
        record(line.as_bytes(), String::new()).map(|record| (record.arrival, record.data.expect("data").into_owned()))
    }

    #[test]
    fn a_line_is_read_whether_its_numbers_are_numbers_or_text() {
        for time in ["1795287540123", "\"1795287540123\"", "\"2026-11-21T18:59:00.123Z\""] {
            let line = format!(
                r#"{{"attemptsMade":"1","arrivalTimestamp":{time},"x":[{{}}],"rawData":"eA==","lambdaARN":null}}"#
            );
            assert_eq!(read(&line), Some((Some(1_795_287_540_123), "eA==".to_owned())), "{line}");
        }
        assert_eq!(read(r#"{"rawData":""}"#), Some((None, String::new())));
        for line in ["", "x", "[]", "{}", r#"{"rawData":7}"#, r#"{"rawData":"eA==""#, r#"{"rawData":"eA=="} x"#] {
            assert_eq!(read(line), None, "{line}");
        }
        assert!(record(b"{\"rawData\":\"\xff\"}", String::new()).is_none());
    }

    #[test]
    fn a_parked_line_is_a_line_and_says_why_once() {
        let park = |line: &[u8], reason| super::park(line, reason).concat();
        let parked = park(br#"{"rawData":"eA==","attemptsMade":1}"#, "no \"gzip\"");
        assert_eq!(parked, br#"{"rawData":"eA==","attemptsMade":1,"parkedReason":"no \"gzip\""}"#);
        assert_eq!(park(&parked, "else"), br#"{"rawData":"eA==","attemptsMade":1,"parkedReason":"else"}"#);
        assert_eq!(read(std::str::from_utf8(&parked).expect("text")), Some((None, "eA==".to_owned())));
    }

    proptest! {
        #[test]
        fn whatever_a_line_is_it_comes_back_from_where_it_is_parked(line in prop::collection::vec(any::<u8>(), 1..40), reason in ".*") {
            let parked = park(&line, &reason).concat();
            let value: Value = serde_json::from_slice(&parked).expect("JSON");
            prop_assert_eq!(value[REASON].as_str(), Some(reason.as_str()));
            prop_assert_eq!(as_it_came(parked), line);
        }
    }
}
