//! What a Firehose record holds: CloudWatch Logs envelopes, or bare lines.
//!
//! A record's bytes alone say what it is. Gzip is inflated, however many members it has, up to a cap. The text is then either a
//! run of envelopes (back to back or a line each) or, where it does not start like one, bare lines: a stream that API Gateway
//! feeds itself, or one whose messages Firehose has extracted.
//!
//! A record is read as a whole before any of it is used: what is cut short or damaged anywhere fails in one piece and can be
//! replayed in one piece.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>

use std::borrow::Cow;
use std::collections::VecDeque;

use memchr::memchr;
use thiserror::Error;

use crate::firehose::Record;
use crate::inflate::{InflateError, Inflater};
use crate::json::{Cursor, JsonError, JsonErrorKind, Kind, Str};

/// Why a record cannot be read. Nothing of its content is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// There is no data, or not as text.
    #[error("the record has no `data` text")]
    NoData,
    /// The data is not base64.
    #[error("the record's data is not base64")]
    Base64,
    /// The gzip stream is damaged or cut short.
    #[error("the gzip data is damaged or cut short")]
    Gzip,
    /// The record inflates past the cap.
    #[error("the record inflates to more than {cap} bytes (MAX_RECORD_BYTES)")]
    TooLarge {
        /// The cap in bytes.
        cap: usize,
    },
    /// The content is not text.
    #[error("the content is not UTF-8 at byte {at}")]
    Utf8 {
        /// Bytes of the content that are text.
        at: usize,
    },
    /// An envelope is cut short or damaged.
    #[error("envelope {index} is cut short or damaged: {error}")]
    Envelope {
        /// Position of the envelope in the record, from 0.
        index: usize,
        /// What is wrong, and where in the record.
        error: JsonError,
    },
    /// An envelope is neither data nor control.
    #[error("envelope {index} has an unknown `messageType`")]
    MessageType {
        /// Position of the envelope in the record, from 0.
        index: usize,
    },
    /// An envelope's events are not a list of events with messages.
    #[error("envelope {index} has no usable `logEvents`")]
    LogEvents {
        /// Position of the envelope in the record, from 0.
        index: usize,
    },
    /// An envelope has a key twice: which of the two counts is not ours to guess.
    #[error("envelope {index} has two `{key}`")]
    Repeated {
        /// Position of the envelope in the record, from 0.
        index: usize,
        /// The key.
        key: &'static str,
    },
    /// Something that is not an envelope stands among envelopes.
    #[error("what stands at position {index} among envelopes is not an envelope")]
    Mixed {
        /// Position in the record, from 0.
        index: usize,
    },
}

/// Buffers that are used again for each record: memory follows the largest record, not the event.
#[derive(Debug, Default)]
pub struct Buffers {
    /// The record's bytes, base64 undone.
    bytes: Vec<u8>,
    /// The bytes inflated, where they were gzip.
    inflated: Vec<u8>,
    inflater: Inflater,
}

/// A record's content, readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The record's bytes, base64 undone: what an id is made of where a line has none.
    pub bytes: &'a [u8],
    /// The text that they hold.
    pub text: &'a str,
}

/// Undoes base64 and gzip and checks that the content is text.
///
/// # Errors
/// Past `cap` bytes of content, and whatever is damaged.
pub fn decode<'a>(record: &Record<'_>, cap: usize, buffers: &'a mut Buffers) -> Result<Decoded<'a>, DecodeError> {
    let Buffers { bytes, inflated, inflater } = buffers;
    let data = record.data.as_deref().ok_or(DecodeError::NoData)?;
    bytes.clear();
    base64_simd::STANDARD.decode_append(data, bytes).map_err(|_| DecodeError::Base64)?;
    let content = if bytes.starts_with(&[0x1f, 0x8b]) {
        inflater.inflate(bytes, cap, inflated).map_err(|error| match error {
            InflateError::Damaged => DecodeError::Gzip,
            InflateError::TooLarge => DecodeError::TooLarge { cap },
        })?;
        inflated.as_slice()
    } else {
        bytes.as_slice()
    };
    if content.len() > cap {
        return Err(DecodeError::TooLarge { cap });
    }
    match simdutf8::compat::from_utf8(content) {
        Ok(text) => Ok(Decoded { bytes, text }),
        Err(error) => Err(DecodeError::Utf8 { at: error.valid_up_to() }),
    }
}

/// Events of one record that are kept as they are read. Records have a few thousand; those of one with more (they would be a few
/// bytes each, and take more memory than the record) are read again when it is their turn.
const MAX_EVENTS_KEPT: usize = 65_536;

/// Envelopes of one record that are kept as they are read. Records have one, or as many as Firehose has put into one; those of a
/// record with more are read again when it is their turn.
const MAX_ENVELOPES_KEPT: usize = 1024;

/// What the text of a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// Data envelopes in their order; none where the record was only control messages.
    Envelopes(Envelopes<'a>),
    /// Lines that came without an envelope: see [`lines`].
    Lines(&'a str),
}

/// The data envelopes of a record, all of which were read once and are sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelopes<'a> {
    kept: VecDeque<Envelope<'a>>,
    /// Where the first envelope stands that is not kept, or, once that was read again, what follows the last one read.
    rest: Option<Cursor<'a>>,
}

/// Log events of one log stream, as CloudWatch Logs sends them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Account id of the log group.
    pub owner: Cow<'a, str>,
    /// The log group.
    pub log_group: Cow<'a, str>,
    /// The log stream.
    pub log_stream: Cow<'a, str>,
    /// The events in their order.
    pub events: Events<'a>,
}

/// The events of an envelope, all of which were read once and are sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events<'a> {
    kept: Vec<LogEvent<'a>>,
    /// How many of those have been taken.
    taken: usize,
    /// Where the first event stands that is not kept, or, once that was read again, what follows the last one read.
    rest: Option<Cursor<'a>>,
    left: usize,
}

/// One log event of an [`Envelope`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEvent<'a> {
    /// The event's id; `None` where there is none.
    pub id: Option<Str<'a>>,
    /// Milliseconds since the Unix epoch; `None` where there is no such number.
    pub timestamp: Option<i64>,
    /// What was logged.
    pub message: Str<'a>,
    /// The JSON object of fields that a filter pattern extracted.
    pub extracted_fields: Option<&'a str>,
}

impl<'a> Iterator for Envelopes<'a> {
    type Item = Envelope<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(envelope) = self.kept.pop_front() {
            return Some(envelope);
        }
        let rest = self.rest.as_mut()?;
        while !rest.at_end() {
            let mut room = MAX_EVENTS_KEPT;
            let envelope = read_envelope(rest, 0, &mut room).expect("the record was read before");
            if envelope.is_some() {
                return envelope;
            }
        }
        None
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = LogEvent<'a>;

    fn next(&mut self) -> Option<LogEvent<'a>> {
        const READ: &str = "the list was read before";
        self.left = self.left.checked_sub(1)?;
        let kept = self.kept.get(self.taken).copied();
        self.taken += 1;
        kept.or_else(|| {
            let rest = self.rest.as_mut()?;
            let event = event(rest).expect(READ).expect(READ);
            rest.next_element(&mut false).expect(READ);
            Some(event)
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Events<'_> {}

/// Reads the text of a record: all of it, or an error.
///
/// # Errors
/// An envelope that is damaged, of an unknown type, without usable events, or in other company.
pub fn read(text: &str) -> Result<Content<'_>, DecodeError> {
    if !starts_with_envelope(text) {
        return Ok(Content::Lines(text));
    }
    let mut cursor = Cursor::new(text);
    let mut envelopes = Envelopes::default();
    let mut index = 0;
    let mut room = MAX_EVENTS_KEPT;
    while !cursor.at_end() {
        if envelopes.kept.len() >= MAX_ENVELOPES_KEPT && envelopes.rest.is_none() {
            envelopes.rest = Some(cursor.clone());
            room = 0;
        }
        let envelope = read_envelope(&mut cursor, index, &mut room)?;
        if envelopes.rest.is_none() {
            envelopes.kept.extend(envelope);
        }
        index += 1;
    }
    Ok(Content::Envelopes(envelopes))
}

/// The bare lines of a record, each with its position in the record; blank ones are counted and passed over.
///
/// JSON objects that stand back to back, `{"a":1}{"a":2}`, are a line each.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    /// What is left of the line that is read.
    line: &'a str,
    /// What stands behind the line feed of that; `None` where there is none.
    behind: Option<&'a str>,
    position: usize,
}

/// Splits a record's bare lines.
#[must_use]
pub fn lines(text: &str) -> Lines<'_> {
    Lines { line: "", behind: Some(text), position: 0 }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.line.is_empty() {
                let text = self.behind?;
                (self.line, self.behind) =
                    text.split_once('\n').map_or((text, None), |(line, behind)| (line, Some(behind)));
            }
            let position = self.position;
            self.position += 1;
            let (line, rest) = split_objects(self.line).unwrap_or((self.line, ""));
            self.line = rest;
            if !line.trim_ascii().is_empty() {
                return Some((position, line));
            }
        }
    }
}

/// Splits a line of JSON objects that stand back to back behind the first one; `None` if it is anything else.
fn split_objects(line: &str) -> Option<(&str, &str)> {
    // Most lines end here: no brace that closes has one behind it that opens.
    let mut rest = line.as_bytes();
    loop {
        let end = memchr(b'}', rest)?;
        rest = rest.get(end + 1..)?;
        if rest.trim_ascii_start().starts_with(b"{") {
            break;
        }
    }
    let mut cursor = Cursor::new(line);
    if cursor.kind() != Ok(Kind::Object) {
        return None;
    }
    cursor.value().ok()?;
    let (object, rest) = line.split_at_checked(cursor.position())?;
    let rest = rest.trim_ascii_start();
    rest.starts_with('{').then_some((object, rest))
}

/// Tells an envelope from a bare line of JSON by its keys.
///
/// An object is an envelope if it has `logEvents`, or a `messageType` that is one of an envelope's or stands along with another of
/// an envelope's keys. Where the text
/// ends before that is decided, an object with none but an envelope's keys is taken for an envelope that was cut short.
fn starts_with_envelope(text: &str) -> bool {
    const KEYS: [&str; 7] =
        ["messageType", "owner", "logGroup", "logStream", "subscriptionFilters", "logEvents", "policyLevel"];
    let mut cursor = Cursor::new(text);
    if cursor.kind() != Ok(Kind::Object) || cursor.open().is_err() {
        return false;
    }
    let (mut message_type, mut envelope_keys, mut other_keys) = (false, 0, 0);
    let mut first = true;
    loop {
        let before = cursor.clone();
        let key_is_type;
        match cursor.next_key(&mut first) {
            Ok(Some(key)) => {
                let key = key.decode();
                key_is_type = key == "messageType";
                message_type |= key_is_type;
                if KEYS.contains(&key.as_ref()) {
                    envelope_keys += 1;
                } else {
                    other_keys += 1;
                }
                if key == "logEvents" || message_type && envelope_keys > 1 {
                    return true;
                }
            }
            Err(JsonError { kind: JsonErrorKind::Eof, .. }) => {
                // The text ends in or behind a key: what there is of it must be the start of an envelope's.
                let partial = before.rest().trim_start_matches([',', ' ', '\t', '\r', '\n']);
                let starts_a_key = KEYS.iter().any(|key| format!("\"{key}\"").starts_with(partial.trim_end()));
                return other_keys == 0 && starts_a_key;
            }
            Ok(None) | Err(_) => return false,
        }
        match cursor.value() {
            Ok(r#""DATA_MESSAGE""# | r#""CONTROL_MESSAGE""#) if key_is_type => return true,
            Ok(_) => {}
            Err(JsonError { kind: JsonErrorKind::Eof, .. }) => return other_keys == 0,
            Err(_) => return message_type && other_keys == 0 || envelope_keys > 1,
        }
    }
}

/// The keys of an envelope that decide what becomes of its events.
const USED_KEYS: [&str; 5] = ["messageType", "owner", "logGroup", "logStream", "logEvents"];

/// Reads the envelope that starts here; `None` if it is a control message.
///
/// `room` is how many events of the record are yet kept.
fn read_envelope<'a>(
    cursor: &mut Cursor<'a>,
    index: usize,
    room: &mut usize,
) -> Result<Option<Envelope<'a>>, DecodeError> {
    let damaged = |error| DecodeError::Envelope { index, error };
    if cursor.kind().map_err(damaged)? != Kind::Object {
        return Err(DecodeError::Mixed { index });
    }
    cursor.open().map_err(damaged)?;
    let mut envelope = Envelope::default();
    let mut message_type = None;
    let mut usable = false;
    let mut seen = [None; USED_KEYS.len()];
    let mut first = true;
    while let Some(key) = cursor.next_key(&mut first).map_err(damaged)? {
        let key = key.decode();
        if let Some((key, seen)) = USED_KEYS.iter().zip(&mut seen).find(|(used, _)| **used == key)
            && seen.replace(()).is_some()
        {
            return Err(DecodeError::Repeated { index, key });
        }
        match (key.as_ref(), cursor.kind().map_err(damaged)?) {
            ("messageType", Kind::String) => message_type = Some(cursor.string().map_err(damaged)?.decode()),
            ("owner", Kind::String) => envelope.owner = cursor.string().map_err(damaged)?.decode(),
            ("logGroup", Kind::String) => envelope.log_group = cursor.string().map_err(damaged)?.decode(),
            ("logStream", Kind::String) => envelope.log_stream = cursor.string().map_err(damaged)?.decode(),
            ("logEvents", Kind::Array) => {
                let events = read_events(cursor, room).map_err(damaged)?;
                usable = events.is_some();
                envelope.events = events.unwrap_or_default();
            }
            _ => drop(cursor.value().map_err(damaged)?),
        }
    }
    match message_type.as_deref() {
        Some("CONTROL_MESSAGE") => Ok(None),
        Some("DATA_MESSAGE") if usable => Ok(Some(envelope)),
        Some("DATA_MESSAGE") => Err(DecodeError::LogEvents { index }),
        _ if message_type.is_none() && !usable && envelope.log_group.is_empty() => Err(DecodeError::Mixed { index }),
        _ => Err(DecodeError::MessageType { index }),
    }
}

/// Reads the list of events; `None` if one of its elements is not an event with a message.
fn read_events<'a>(cursor: &mut Cursor<'a>, room: &mut usize) -> Result<Option<Events<'a>>, JsonError> {
    let mut usable = true;
    let (mut kept, mut rest, mut left) = (Vec::new(), None, 0);
    cursor.open()?;
    let mut first = true;
    while cursor.next_element(&mut first)? {
        if *room == 0 && rest.is_none() {
            rest = Some(cursor.clone());
        }
        match event(cursor)? {
            Some(event) if *room > 0 => {
                *room -= 1;
                kept.push(event);
            }
            Some(_) => {}
            None => usable = false,
        }
        left += 1;
    }
    Ok(usable.then_some(Events { kept, taken: 0, rest, left }))
}

/// Reads an event; `None` if it is not one with a message.
fn event<'a>(cursor: &mut Cursor<'a>) -> Result<Option<LogEvent<'a>>, JsonError> {
    match usual_event(cursor) {
        Some(event) => Ok(Some(event)),
        None => read_event(cursor),
    }
}

/// Reads an event in the form that CloudWatch Logs writes; `None` if it has another, or is damaged.
fn usual_event<'a>(cursor: &mut Cursor<'a>) -> Option<LogEvent<'a>> {
    let mut ahead = cursor.clone();
    let text = |ahead: &mut Cursor<'a>, text| ahead.skip_text(text).then_some(());
    text(&mut ahead, "{\"id\":")?;
    let id = ahead.string().ok()?;
    text(&mut ahead, ",\"timestamp\":")?;
    let timestamp = ahead.number().ok()?.parse().ok();
    text(&mut ahead, ",\"message\":")?;
    let message = ahead.string().ok()?;
    text(&mut ahead, "}")?;
    *cursor = ahead;
    Some(LogEvent { id: Some(id).filter(|id| !id.raw().is_empty()), timestamp, message, extracted_fields: None })
}

fn read_event<'a>(cursor: &mut Cursor<'a>) -> Result<Option<LogEvent<'a>>, JsonError> {
    if cursor.kind()? != Kind::Object {
        cursor.value()?;
        return Ok(None);
    }
    let (mut id, mut timestamp, mut message, mut extracted_fields) = (None, None, None, None);
    let mut is_told_once = true;
    cursor.open()?;
    let mut first = true;
    while let Some(key) = cursor.next_key(&mut first)? {
        match (key.decode().as_ref(), cursor.kind()?) {
            ("id", Kind::String) => id = Some(cursor.string()?).filter(|id| !id.raw().is_empty()),
            ("timestamp", Kind::Number) => timestamp = cursor.number()?.parse().ok(),
            ("message", Kind::String) => is_told_once &= message.replace(cursor.string()?).is_none(),
            ("extractedFields", Kind::Object) => extracted_fields = Some(cursor.value()?),
            _ => drop(cursor.value()?),
        }
    }
    // Of two messages one would be lost.
    Ok(message.filter(|_| is_told_once).map(|message| LogEvent { id, timestamp, message, extracted_fields }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    const ENVELOPE: &str = r#"{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[{"id":"1","timestamp":1795287540123,"message":"m"}]}"#;
    const CONTROL: &str = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn decoded(bytes: &[u8], cap: usize) -> Result<String, DecodeError> {
        let data = base64_simd::STANDARD.encode_to_string(bytes);
        let record = Record { id: Cow::Borrowed("r"), arrival: None, data: Some(Cow::Owned(data)) };
        decode(&record, cap, &mut Buffers::default()).map(|decoded| decoded.text.to_owned())
    }

    #[track_caller]
    fn envelopes(text: &str, expected: usize) {
        match read(text) {
            Ok(Content::Envelopes(envelopes)) => assert_eq!(envelopes.count(), expected, "{text}"),
            other => panic!("{other:?}: {text}"),
        }
    }

    #[track_caller]
    fn bare(text: &str, expected: &[(usize, &str)]) {
        match read(text) {
            Ok(Content::Lines(text)) => assert_eq!(lines(text).collect::<Vec<_>>(), expected),
            other => panic!("{other:?}: {text}"),
        }
    }

    #[test]
    fn the_members_of_a_gzip_are_one_stream() {
        let (head, tail) = ENVELOPE.split_at(50);
        let mut bytes = gzip(head.as_bytes());
        bytes.extend(gzip(b""));
        bytes.extend(gzip(tail.as_bytes()));
        assert_eq!(decoded(&bytes, 1000).as_deref(), Ok(ENVELOPE));
    }

    #[test]
    fn the_cap_is_on_what_comes_out() {
        let bytes = gzip(&[b'x'; 1000]);
        assert!(decoded(&bytes, 1001).is_ok());
        assert!(decoded(&bytes, 1000).is_ok());
        assert_eq!(decoded(&bytes, 999), Err(DecodeError::TooLarge { cap: 999 }));
        assert!(decoded(&[b'x'; 1000], 1000).is_ok());
        assert_eq!(decoded(&[b'x'; 1000], 999), Err(DecodeError::TooLarge { cap: 999 }));
    }

    #[test]
    fn a_gzip_that_is_cut_or_changed_or_followed_by_something_else_is_refused() {
        let whole = gzip(ENVELOPE.as_bytes());
        for length in 2..whole.len() {
            assert_eq!(decoded(&whole[..length], 1000), Err(DecodeError::Gzip), "{length}");
        }
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 0xff;
        assert!(decoded(&changed, 1000).is_err());
        assert_eq!(decoded(&[whole.as_slice(), b"garbage"].concat(), 1000), Err(DecodeError::Gzip));
    }

    #[test]
    fn what_is_no_base64_or_no_text_is_refused() {
        let mut buffers = Buffers::default();
        let mut record = Record { id: Cow::Borrowed("r"), arrival: None, data: Some(Cow::Borrowed("*")) };
        assert_eq!(decode(&record, 10, &mut buffers), Err(DecodeError::Base64));
        record.data = None;
        assert_eq!(decode(&record, 10, &mut buffers), Err(DecodeError::NoData));
        assert_eq!(decoded(b"ab\xff", 10), Err(DecodeError::Utf8 { at: 2 }));
    }

    #[test]
    fn envelopes_come_back_to_back_or_a_line_each_or_pretty() {
        envelopes(ENVELOPE, 1);
        envelopes(&format!("{ENVELOPE}{ENVELOPE}"), 2);
        envelopes(&format!("{ENVELOPE}\n{CONTROL}\n\n{ENVELOPE}\n"), 2);
        envelopes(CONTROL, 0);
        envelopes(&ENVELOPE.replace(',', ",\n  "), 1);
    }

    #[test]
    fn every_part_of_an_envelope_is_read() {
        let text = r#"{"logEvents":[{"message":"a\nb","extractedFields":{"k":"v"},"timestamp":5,"id":"7","new":[1]},{"id":"","message":""}],"policyLevel":"ACCOUNT_LEVEL_POLICY","logStream":"s","logGroup":"g","owner":"o","messageType":"DATA_MESSAGE"}"#;
        let Ok(Content::Envelopes(envelopes)) = read(text) else { panic!("an envelope") };
        let envelopes: Vec<_> = envelopes.collect();
        let [envelope] = envelopes.as_slice() else { panic!("one envelope") };
        assert_eq!((envelope.owner.as_ref(), envelope.log_group.as_ref()), ("o", "g"));
        assert_eq!(envelope.log_stream, "s");
        let events: Vec<_> = envelope.events.clone().collect();
        let [first, second] = events.as_slice() else { panic!("two events") };
        assert_eq!(first.message.decode(), "a\nb");
        assert_eq!((first.id.map(Str::raw), first.timestamp), (Some("7"), Some(5)));
        assert_eq!(first.extracted_fields, Some(r#"{"k":"v"}"#));
        assert_eq!((second.id, second.timestamp, second.message.raw()), (None, None, ""));
    }

    #[test]
    fn a_damaged_envelope_is_refused_at_every_cut() {
        for length in 1..ENVELOPE.len() {
            let outcome = read(&ENVELOPE[..length]);
            assert!(matches!(outcome, Err(DecodeError::Envelope { index: 0, .. })), "{length}: {outcome:?}");
            let second = format!("{ENVELOPE}{}", &ENVELOPE[..length]);
            assert!(matches!(read(&second), Err(DecodeError::Envelope { index: 1, .. })), "{length}");
        }
    }

    #[test]
    fn an_envelope_of_an_unknown_type_or_without_events_is_refused() {
        assert_eq!(read(&ENVELOPE.replace("DATA_", "OTHER_")), Err(DecodeError::MessageType { index: 0 }));
        for events in
            ["null", "\"x\"", "{}", "[1]", "[{}]", r#"[{"id":"1","message":7}]"#, r#"[{"message":"a","message":"b"}]"#]
        {
            let text = ENVELOPE.replace(r#"[{"id":"1","timestamp":1795287540123,"message":"m"}]"#, events);
            assert_eq!(read(&text), Err(DecodeError::LogEvents { index: 0 }), "{events}");
        }
        assert_eq!(read(r#"{"messageType":"DATA_MESSAGE"}"#), Err(DecodeError::LogEvents { index: 0 }));
        envelopes(r#"{"messageType":"CONTROL_MESSAGE"}"#, 0);
        let missing = r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s"}"#;
        assert_eq!(read(missing), Err(DecodeError::LogEvents { index: 0 }));
    }

    #[test]
    fn envelopes_and_other_things_do_not_mix() {
        assert_eq!(read(&format!("{ENVELOPE}\n[1]")), Err(DecodeError::Mixed { index: 1 }));
        assert_eq!(read(&format!("{ENVELOPE}\n{{\"status\":200}}")), Err(DecodeError::Mixed { index: 1 }));
        assert!(read(&format!("{ENVELOPE} garbage")).is_err());
    }

    #[test]
    fn what_does_not_start_like_an_envelope_is_lines() {
        bare("", &[]);
        bare(" \n\t\n", &[]);
        bare("a\n\nb\n", &[(0, "a"), (2, "b")]);
        bare(r#"{"status":"200","owner":"x"}"#, &[(0, r#"{"status":"200","owner":"x"}"#)]);
        bare(r#"{"messageType":"CONNECT","requestId":"1"}"#, &[(0, r#"{"messageType":"CONNECT","requestId":"1"}"#)]);
        bare(r#"{"status":-}"#, &[(0, r#"{"status":-}"#)]);
        bare("[[[[", &[(0, "[[[[")]);
    }

    #[test]
    fn json_objects_back_to_back_are_lines_each() {
        bare(r#"{"a":1}{"b":2}"#, &[(0, r#"{"a":1}"#), (1, r#"{"b":2}"#)]);
        bare(
            "{\"a\":\"}{\"} {\"b\":{\"c\":{}}}\t{}\n\n{\"d\":4}\r\n",
            &[(0, "{\"a\":\"}{\"}"), (1, "{\"b\":{\"c\":{}}}"), (2, "{}"), (4, "{\"d\":4}\r")],
        );
        bare(r#"{"a":1}{"b":"#, &[(0, r#"{"a":1}"#), (1, r#"{"b":"#)]);
        // What is not a run of JSON objects stays one line.
        for line in [r#"{"a":"}{"}"#, r#"{"a":{}},{"b":2}"#, "{a}{b}", r#"{"a":{}{}}"#, r#"{"a":1}x{"b":2}"#, "x{}{}"] {
            bare(line, &[(0, line)]);
        }
        let many = "{}".repeat(100_000);
        assert_eq!(lines(&many).count(), 100_000);
    }

    #[test]
    fn an_envelope_that_says_something_twice_is_refused() {
        for key in USED_KEYS {
            for second in ["null", "\"DATA_MESSAGE\"", "[]", r#"[{"id":"2","timestamp":1795287540123,"message":"n"}]"#]
            {
                let text = format!("{},\"{key}\":{second}}}", ENVELOPE.strip_suffix('}').expect("an object"));
                assert_eq!(read(&text), Err(DecodeError::Repeated { index: 0, key }), "{text}");
                let second = format!("{ENVELOPE}{text}");
                assert_eq!(read(&second), Err(DecodeError::Repeated { index: 1, key }));
            }
        }
        let text = ENVELOPE.replace("\"logEvents\"", "\"log\\u0045vents\":[],\"logEvents\"");
        assert_eq!(read(&text), Err(DecodeError::Repeated { index: 0, key: "logEvents" }));
        // What decides nothing may stand there as often as it likes.
        envelopes(&ENVELOPE.replace("\"subscriptionFilters\"", "\"x\":1,\"x\":2,\"subscriptionFilters\""), 1);
    }

    #[test]
    fn events_beyond_those_kept_are_read_again_when_it_is_their_turn() {
        for (first, second) in [(1, 1), (MAX_EVENTS_KEPT - 1, 2), (MAX_EVENTS_KEPT, 3), (MAX_EVENTS_KEPT + 5, 2)] {
            let mut number = 0;
            let mut envelope = |count: usize| {
                let events: Vec<String> = (0..count)
                    .map(|at| {
                        number += 1;
                        let space = if at % 7 == 0 { " " } else { "" };
                        format!(r#"{{"id":"{number}","timestamp":1,{space}"message":"m"}}"#)
                    })
                    .collect();
                format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{}],"logGroup":"g"}}"#, events.join(" , "))
            };
            let text = envelope(first) + &envelope(second);
            let Ok(Content::Envelopes(envelopes)) = read(&text) else { panic!("envelopes") };
            let envelopes: Vec<_> = envelopes.collect();
            assert_eq!(envelopes.iter().map(|envelope| envelope.events.len()).collect::<Vec<_>>(), [first, second]);
            assert!(envelopes.iter().map(|envelope| envelope.events.kept.len()).sum::<usize>() <= MAX_EVENTS_KEPT);
            let ids = envelopes.into_iter().flat_map(|envelope| envelope.events).map(|event| event.id.map(Str::raw));
            assert!(ids.eq(
                (1..=first + second).map(|id| id.to_string()).collect::<Vec<_>>().iter().map(|id| Some(id.as_str()))
            ));
        }
    }

    #[test]
    fn envelopes_beyond_those_kept_are_read_again_when_it_is_their_turn() {
        for count in [1, MAX_ENVELOPES_KEPT - 1, MAX_ENVELOPES_KEPT, MAX_ENVELOPES_KEPT + 1, 3 * MAX_ENVELOPES_KEPT] {
            let all: Vec<String> = (0..count)
                .map(|number| {
                    // Control messages stand in between, also at the end.
                    let control = if number % 5 == 4 || number + 1 == count { CONTROL } else { "" };
                    ENVELOPE.replace("\"logGroup\":\"g\"", &format!("\"logGroup\":\"{number}\"")) + "\n" + control
                })
                .collect();
            let text = all.concat();
            let Ok(Content::Envelopes(envelopes)) = read(&text) else { panic!("envelopes") };
            assert_eq!(envelopes.kept.len(), count.min(MAX_ENVELOPES_KEPT));
            let mut number = 0;
            for envelope in envelopes {
                assert_eq!((envelope.log_group.as_ref(), envelope.events.len()), (&*number.to_string(), 1));
                number += 1;
            }
            assert_eq!(number, count);
            // Damage behind them is found before any is used.
            assert!(read(&format!("{text}{}", ENVELOPE.split_at(50).0)).is_err());
        }
    }

    proptest! {
        #[test]
        fn reading_returns_for_any_text(text in any::<String>()) {
            drop(read(&text));
        }

        #[test]
        fn decoding_returns_for_any_bytes(mut bytes in any::<Vec<u8>>(), zip in any::<bool>()) {
            if zip {
                bytes.splice(0..0, [0x1f, 0x8b]);
            }
            drop(decoded(&bytes, 100));
        }
    }
}
