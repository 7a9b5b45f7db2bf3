//! The structured event that leaves, and how it is written: one JSON object, in one fixed order of fields.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::Offset;
use ring::digest::{Context, SHA256};

use crate::access_log::AccessLog;
use crate::execution_log::vended::{self, Vended};
use crate::execution_log::{NotExecutionLine, Request, Stitcher};
use crate::json;
use crate::redact::Redactor;

/// What API Gateway writes at the end of what it cut.
const TRUNCATED: &str = " [TRUNCATED]";

/// Start of the name of every log group that API Gateway makes for execution logs; `{api}/{stage}` follows.
const EXECUTION_LOG_GROUP: &str = "API-Gateway-Execution-Logs_";

/// Where log lines come from: what is the same for all events of an envelope, written once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// `,"owner":…,"logGroup":…,"logStream":…`, as far as they are known.
    json: Vec<u8>,
    log_group: Arc<str>,
    api_id: Option<String>,
    stage: Option<String>,
}

impl Origin {
    /// The origin that an envelope tells. Empty texts are unknown.
    #[must_use]
    pub fn new(owner: &str, log_group: &str, log_stream: &str) -> Self {
        let mut json = Vec::new();
        for (key, value) in [("owner", owner), ("logGroup", log_group), ("logStream", log_stream)] {
            write_field(&mut json, key, Some(value).filter(|value| !value.is_empty()));
        }
        let (api_id, stage) = log_group
            .strip_prefix(EXECUTION_LOG_GROUP)
            .and_then(|rest| rest.split_once('/'))
            .map(|(api_id, stage)| (api_id.to_owned(), stage.to_owned()))
            .filter(|(api_id, stage)| !api_id.is_empty() && !stage.is_empty())
            .unzip();
        Self { json, log_group: log_group.into(), api_id, stage }
    }

    /// Returns the name of the log group; empty where it is not known.
    #[must_use]
    pub fn log_group(&self) -> &Arc<str> {
        &self.log_group
    }

    /// Returns whether API Gateway writes execution logs there.
    #[must_use]
    pub fn holds_execution_logs(&self) -> bool {
        self.log_group.starts_with(EXECUTION_LOG_GROUP)
    }
}

/// What every event says of itself, whatever its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'a> {
    /// The key for de-duplication.
    pub id: Cow<'a, str>,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Where the line comes from.
    pub origin: Arc<Origin>,
    /// The JSON object of fields that a filter pattern extracted.
    pub extracted_fields: Option<Cow<'a, str>>,
}

impl Head<'_> {
    /// Copies what is borrowed, so that the head outlives the record.
    #[must_use]
    pub fn into_owned(self) -> Head<'static> {
        Head {
            id: Cow::Owned(self.id.into_owned()),
            timestamp: self.timestamp,
            origin: self.origin,
            extracted_fields: self.extracted_fields.map(|fields| Cow::Owned(fields.into_owned())),
        }
    }

    /// Returns how many bytes of memory the head takes beside its own size. The origin counts in full, though heads of one
    /// envelope share it.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let Origin { json, log_group, api_id, stage } = self.origin.as_ref();
        let names = [api_id, stage].into_iter().flatten().map(String::len).sum::<usize>();
        let origin = size_of::<Origin>() + json.capacity() + log_group.len() + names;
        origin + self.id.len() + self.extracted_fields.as_ref().map_or(0, |fields| fields.len())
    }

    /// Returns how many bytes of text the head brings into its event, about.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.id.len() + self.origin.json.len() + self.extracted_fields.as_ref().map_or(0, |fields| fields.len())
    }

    /// Writes the event of an access-log line.
    pub fn write_access(&self, log: &AccessLog<'_>, redactor: &Redactor, out: &mut Vec<u8>) {
        let shown = log.without_scattered(redactor);
        let log = shown.as_ref().unwrap_or(log);
        self.write("access", redactor, out);
        self.write_api(log.api_id().as_deref(), log.stage().as_deref(), redactor, out);
        log.write(redactor, out);
        out.push(b'}');
    }

    /// Gives a line of the record at index `record` to the stitcher, if it is part of a request's execution log: a line of an
    /// execution-log group, or a vended record that stands there.
    ///
    /// # Errors
    /// If it is neither; it is not taken.
    pub fn stitch(
        &self,
        line: &str,
        record: usize,
        stitcher: &mut Stitcher<Head<'static>>,
    ) -> Result<(), NotExecutionLine> {
        stitcher.push(self.origin.log_group(), &self.id, line, record, || self.clone().into_owned()).or_else(|error| {
            let vended = vended::parse(line).ok_or(error)?;
            self.stitch_vended(&vended, record, stitcher)
        })
    }

    /// Gives a vended record, of any log group, to the stitcher.
    ///
    /// # Errors
    /// If it belongs to no request; it is not taken.
    pub fn stitch_vended(
        &self,
        vended: &Vended<'_>,
        record: usize,
        stitcher: &mut Stitcher<Head<'static>>,
    ) -> Result<(), NotExecutionLine> {
        stitcher.push_vended(vended, &self.id, record, || self.of_vended(vended))
    }

    /// The head of a vended record, which tells its API and stage and, where no log event does, its time.
    #[must_use]
    pub fn of_vended(&self, vended: &Vended<'_>) -> Head<'static> {
        let mut head = self.clone().into_owned();
        let mut origin = Origin::clone(&head.origin);
        if origin.log_group.is_empty()
            && let Some(timestamp) = vended.timestamp_ms().and_then(valid_timestamp)
        {
            head.timestamp = timestamp;
        }
        origin.api_id = origin.api_id.or_else(|| vended.api_id().map(str::to_owned));
        origin.stage = origin.stage.or_else(|| vended.stage().map(str::to_owned));
        head.origin = Arc::new(origin);
        head
    }

    /// Gives a request whose lines are all there the id of its event. Until then its head has that of its first line.
    pub fn identify(request: &mut Request<Head<'static>>) {
        request.head.id = Cow::Owned(id_of_lines(request.line_ids()));
    }

    /// Writes the event of one request's execution-log lines.
    pub fn write_execution(request: &Request<Head<'static>>, redactor: &Redactor, out: &mut Vec<u8>) {
        request.head.write("execution", redactor, out);
        request.head.write_api(None, None, redactor, out);
        out.extend_from_slice(b",\"execution\":");
        request.write(redactor, out);
        if request.truncated() {
            out.extend_from_slice(b",\"truncated\":true");
        }
        out.push(b'}');
    }

    /// Writes the event of a line that no format took, and why.
    pub fn write_text(&self, message: &str, parse_error: &dyn Display, redactor: &Redactor, out: &mut Vec<u8>) {
        self.write("text", redactor, out);
        self.write_api(None, None, redactor, out);
        write_field(out, "message", Some(&redactor.of_unparsed().text(message)));
        if message.trim_end().ends_with(TRUNCATED) {
            out.extend_from_slice(b",\"truncated\":true");
        }
        write_field(out, "parseError", Some(&parse_error.to_string()));
        out.push(b'}');
    }

    /// Writes the fields that all kinds have, from the opening brace on.
    fn write(&self, kind: &str, redactor: &Redactor, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        json::write_string(out, &self.id);
        out.extend_from_slice(b",\"timestamp\":\"");
        write_timestamp(self.timestamp, out);
        out.extend_from_slice(b"\",\"kind\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        out.extend_from_slice(&self.origin.json);
        if let Some(fields) = &self.extracted_fields {
            out.extend_from_slice(b",\"extractedFields\":");
            redactor.write_json(&json::sound(fields), out);
        }
    }

    /// Writes API and stage: those of the origin, else those that the line tells. A name can be digits that are to be hidden.
    fn write_api(&self, api_id: Option<&str>, stage: Option<&str>, redactor: &Redactor, out: &mut Vec<u8>) {
        for (key, known, told) in [("apiId", &self.origin.api_id, api_id), ("stage", &self.origin.stage, stage)] {
            write_field(out, key, known.as_deref().or(told).map(|name| redactor.text(name)).as_deref());
        }
    }
}

fn write_field(out: &mut Vec<u8>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        json::write_string(out, value);
    }
}

/// Returns the time if it has a form in RFC 3339, that is, a year of four digits.
#[must_use]
pub fn valid_timestamp(milliseconds: i64) -> Option<i64> {
    const YEAR_0: i64 = -62_167_219_200_000;
    (milliseconds >= YEAR_0 && Timestamp::from_millisecond(milliseconds).is_ok()).then_some(milliseconds)
}

/// Writes a time as RFC 3339 in UTC with milliseconds.
fn write_timestamp(milliseconds: i64, out: &mut Vec<u8>) {
    let time = Timestamp::from_millisecond(milliseconds).expect("a head's time has a form: see `valid_timestamp`");
    let time = Offset::UTC.to_datetime(time);
    let (year, month, day) = (time.year().unsigned_abs(), time.month().unsigned_abs(), time.day().unsigned_abs());
    let [hour, minute, second] = [time.hour(), time.minute(), time.second()].map(i8::unsigned_abs);
    let millisecond = time.millisecond().unsigned_abs();
    let [y1, y2, y3, y4] = digits(year);
    let [_, _, m1, m2] = digits(month.into());
    let [_, _, d1, d2] = digits(day.into());
    let [_, _, h1, h2] = digits(hour.into());
    let [_, _, n1, n2] = digits(minute.into());
    let [_, _, s1, s2] = digits(second.into());
    let [_, f1, f2, f3] = digits(millisecond);
    out.extend_from_slice(&[
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.', f1, f2, f3, b'Z',
    ]);
}

/// Returns the last four decimal digits of a number.
fn digits(number: u16) -> [u8; 4] {
    // A digit is less than ten.
    [number / 1000, number / 100, number / 10, number].map(|number| b'0' + (number % 10) as u8)
}

/// Makes ids for the lines of a record that come without one: the same in a retry and in a replay.
///
/// `sha256:` and the first 32 hex digits of SHA-256 over the record's bytes, a line feed and the line's position in decimal.
#[derive(Clone)]
pub struct Ids<'a> {
    bytes: &'a [u8],
    /// The hash of the bytes, once the first line has asked for it.
    hash: Option<Context>,
}

impl<'a> Ids<'a> {
    /// Starts with a record's bytes, base64 undone.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, hash: None }
    }

    /// Makes the id of the line at `position`, counted from 0.
    #[must_use]
    pub fn id(&mut self, position: usize) -> String {
        let bytes = self.bytes;
        let of_record = self.hash.get_or_insert_with(|| {
            let mut hash = Context::new(&SHA256);
            hash.update(bytes);
            hash
        });
        let mut hash = of_record.clone();
        hash.update(format!("\n{position}").as_bytes());
        made_id(hash)
    }
}

/// Makes the id of an event that several lines make, from the ids of those: `sha256:` and the first 32 hex digits of SHA-256
/// over them, sorted as text, each followed by a line feed.
///
/// In whatever order the lines come, from whichever records and however often: the same lines are the same event, and others
/// another one. So a receiver that drops what it knows keeps an event that has lines more than the one before it.
fn id_of_lines<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    // Firehose delivers at least once: a line that comes twice in one event makes it no other one.
    ids.dedup();
    let mut hash = Context::new(&SHA256);
    for id in ids {
        hash.update(id.as_bytes());
        hash.update(b"\n");
    }
    made_id(hash)
}

/// Writes a hash as an id that is none of CloudWatch's.
fn made_id(hash: Context) -> String {
    let mut id = String::with_capacity("sha256:".len() + 32);
    id.push_str("sha256:");
    id.push_str(&hex(hash.finish().as_ref(), 16));
    id
}

/// Returns the first `bytes` bytes of a digest in lowercase hex.
#[must_use]
pub fn hex(digest: &[u8], bytes: usize) -> String {
    let mut text = String::with_capacity(2 * bytes);
    for byte in digest.iter().take(bytes) {
        // Two hex digits are always there.
        text.extend([byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)));
    }
    text
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::access_log::Formats;
    use crate::redact::ValueKind;

    #[track_caller]
    fn timestamp(milliseconds: i64, expected: &str) {
        let mut out = Vec::new();
        write_timestamp(milliseconds, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn a_time_is_written_with_its_milliseconds() {
        timestamp(1_795_287_540_123, "2026-11-21T18:59:00.123Z");
        timestamp(1_795_287_540_000, "2026-11-21T18:59:00.000Z");
        timestamp(0, "1970-01-01T00:00:00.000Z");
        timestamp(-1, "1969-12-31T23:59:59.999Z");
        timestamp(-62_167_219_200_000, "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_time_without_a_form_is_none() {
        assert_eq!(valid_timestamp(1_795_287_540_123), Some(1_795_287_540_123));
        assert_eq!(valid_timestamp(-62_167_219_200_000), Some(-62_167_219_200_000));
        assert_eq!(valid_timestamp(-62_167_219_200_001), None);
        // The last moment that every time zone has: from there on it can be the year 10000 somewhere.
        assert_eq!(valid_timestamp(253_402_207_200_000), Some(253_402_207_200_000));
        assert_eq!(valid_timestamp(253_402_207_200_001), None);
        assert_eq!(valid_timestamp(i64::MAX), None);
        assert_eq!(valid_timestamp(i64::MIN), None);
    }

    #[test]
    fn an_id_is_made_of_the_record_and_the_position() {
        // printf 'abc\n0' | sha256sum
        let mut ids = Ids::new(b"abc");
        let expected = hex(&Sha256::digest(b"abc\n0"), 16);
        assert_eq!(ids.id(0), format!("sha256:{expected}"));
        assert_eq!(ids.id(12), format!("sha256:{}", hex(&Sha256::digest(b"abc\n12"), 16)));
        assert_eq!(ids.id(0).len(), "sha256:".len() + 32);
    }

    #[track_caller]
    fn is_of_lines(ids: &[&str], hashed: &[u8]) {
        let expected = hex(&Sha256::digest(hashed), 16);
        assert_eq!(id_of_lines(ids.iter().copied()), format!("sha256:{expected}"), "{ids:?}");
    }

    #[test]
    fn the_id_of_several_lines_is_made_of_theirs_in_whatever_order_and_however_often_they_come() {
        is_of_lines(&["7"], b"7\n");
        is_of_lines(&["9", "10", "7"], b"10\n7\n9\n");
        is_of_lines(&["7", "9", "10"], b"10\n7\n9\n");
        is_of_lines(&["7", "9", "7", "10", "9"], b"10\n7\n9\n");
        is_of_lines(&["7", "9"], b"7\n9\n");
    }

    #[test]
    fn the_execution_log_group_names_api_and_stage() {
        let origin = Origin::new("1", "API-Gateway-Execution-Logs_abc123/prod", "s");
        assert!(origin.holds_execution_logs());
        assert_eq!((origin.api_id.as_deref(), origin.stage.as_deref()), (Some("abc123"), Some("prod")));
        assert!(!Origin::new("1", "/aws/apigateway/x", "s").holds_execution_logs());
    }

    fn access(formats: &Formats, line: &str, redactor: &Redactor) -> String {
        let origin = Arc::new(Origin::default());
        let head = Head { id: Cow::Borrowed("7"), timestamp: 0, origin, extracted_fields: None };
        let mut out = Vec::new();
        head.write_access(&formats.parse(line).unwrap(), redactor, &mut out);
        let event = String::from_utf8(out).unwrap();
        let start = r#"{"id":"7","timestamp":"1970-01-01T00:00:00.000Z","kind":"access","#;
        event.strip_prefix(start).unwrap().to_owned()
    }

    #[test]
    fn json_of_no_format_hides_what_a_format_calls_a_credential() {
        let formats = Formats::compile(r#"{"id":"$context.requestId","k":"$context.identity.apiKey"}"#).unwrap();
        let redactor = Redactor::new(std::iter::empty::<&str>());
        let redactor = redactor.with_format_names(formats.secret_names(&redactor));
        let event = access(&formats, r#"{"k":"s3cr3t","o":{"k":"1"},"n":1}"#, &redactor);
        assert_eq!(event, r#""fields":{"k":"[REDACTED]","o":{"k":"1"},"n":1}}"#);
        let event = access(&formats, r#"{"id":"r","k":"-","o":{"k":"1"}}"#, &redactor);
        assert_eq!(event, r#""context":{"requestId":"r"},"fields":{"o":{"k":"1"}}}"#);
    }

    #[test]
    fn api_and_stage_lose_kinds_of_values_that_are_hidden() {
        let redactor = Redactor::new(std::iter::empty::<&str>()).with_values(&[ValueKind::Card]);
        let event = access(&Formats::documented(), r#"{"apiId":"a1","stage":"4111111111111111"}"#, &redactor);
        assert_eq!(event, r#""apiId":"a1","stage":"[REDACTED]","fields":{"apiId":"a1","stage":"[REDACTED]"}}"#);
    }

    #[test]
    fn no_field_of_an_access_event_holds_a_credential_of_another_values_name() {
        let formats = Formats::compile("$context.requestId $context.error.message $context.stage").unwrap();
        let redactor = Redactor::new(std::iter::empty::<&str>());
        let event = access(&formats, "got Cookie=a=b; Authorization: s3cr3t", &redactor);
        let expected = r#""context":{"requestId":"got","error":{"message":"Cookie=[REDACTED]; Authorization:"},"stage":"[REDACTED]"}}"#;
        assert_eq!(event, expected);
    }

    #[test]
    fn a_text_event_is_written_in_order() {
        let head = Head {
            id: Cow::Borrowed("7"),
            timestamp: 0,
            origin: Arc::new(Origin::new("o", "g", "s")),
            extracted_fields: Some(Cow::Borrowed(r#"{ "a": "b" }"#)),
        };
        let mut out = Vec::new();
        head.write_text("a\nb [TRUNCATED]", &"no format", &Redactor::off(), &mut out);
        let expected = r#"{"id":"7","timestamp":"1970-01-01T00:00:00.000Z","kind":"text","owner":"o","logGroup":"g","logStream":"s","extractedFields":{"a":"b"},"message":"a\nb [TRUNCATED]","truncated":true,"parseError":"no format"}"#;
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
