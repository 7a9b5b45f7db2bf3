//! What the answers of known destinations say of single events, and statuses that mean something else there.
//!
//! ```text
//! otlp        200 partial_success { rejected_log_records: 1 }                                       some, and nobody says which
//! elastic     200 {"errors":true,"items":[{"create":{"status":201}},{"create":{"status":429}}]}    by position
//! splunk-hec  400 {"text":"Event field is required","code":12,"invalid-event-number":1}            by number: those before are in
//! dynatrace   200 {"details":{"message":"1 events were not ingested"}}                              some, and nobody says which
//! ```

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::verdict::{Action, is_for_good};
use crate::json::{Cursor, JsonError, Kind};

/// How the answers of an API are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// By their status.
    Status,
    /// As those of Splunk's HTTP Event Collector.
    Splunk,
    /// As those of `_bulk`.
    Elastic,
    /// As those of Dynatrace's log ingest: only 204 is all.
    Dynatrace,
    /// As those of the OpenTelemetry protocol.
    Otlp,
}

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Accepted,
    /// It will never be taken.
    Refused,
    /// Not taken, for a reason that may be mended: nothing is there to take it, or nobody says.
    Failed,
    /// Not taken now, and perhaps later.
    Again,
    /// Not looked at.
    Unseen,
}

/// What an answer says of the events of its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fates {
    /// One for each event.
    pub(super) each: Vec<Fate>,
    /// What is said of the first event that was not accepted.
    pub(super) said: String,
    /// How many were put aside, into a failure store.
    pub(super) diverted: usize,
    /// Whether some of those that count as refused were taken: nobody says which.
    pub(super) some_taken: bool,
}

impl Answers {
    /// Returns whether the body of an answer with this status says what became of single events.
    pub(super) fn are_in_body(self, status: StatusCode) -> bool {
        match self {
            Self::Elastic | Self::Otlp => status.is_success(),
            Self::Splunk => true,
            Self::Status | Self::Dynatrace => false,
        }
    }

    /// Returns what the status asks for where that differs from what it asks for of any API.
    pub(super) fn action(self, status: StatusCode) -> Option<Action> {
        match (self, status.as_u16()) {
            // Splunk has taken the events before the one that it will not take; OTLP forbids to send anew what was refused.
            (Self::Otlp, 429 | 502..=504) => Some(Action::Retry),
            (Self::Splunk, 400) | (Self::Otlp, 400 | 402 | 404..=412 | 414..=599) => Some(Action::Refuse),
            _ => None,
        }
    }

    /// Returns whether a success of this status is that of all events.
    pub(super) fn is_all(self, status: StatusCode) -> bool {
        self != Self::Dynatrace || status == StatusCode::NO_CONTENT
    }

    /// Returns whether a success says something that cannot be read.
    pub(super) fn is_unreadable(self, status: StatusCode, body: &[u8]) -> bool {
        self == Self::Otlp && status.is_success() && partial_success(body).is_none()
    }

    /// Reads what an answer says of `events` events. `None` if it says nothing but its status.
    pub(super) fn fates(self, status: StatusCode, body: &[u8], events: usize) -> Option<Fates> {
        match self {
            Self::Elastic if status.is_success() => Some(elastic(body, events)),
            Self::Splunk => splunk(status, body, events),
            Self::Otlp if status.is_success() => otlp(body, events),
            Self::Status | Self::Dynatrace | Self::Elastic | Self::Otlp => None,
        }
    }
}

/// Reads the answer of a `_bulk` request, as far as it goes. An item that is not named is not accepted; where the answer was cut,
/// the events behind it are sent anew.
///
/// Source: <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>
fn elastic(body: &[u8], events: usize) -> Fates {
    let body = match std::str::from_utf8(body) {
        Ok(body) => body,
        Err(error) => body.get(..error.valid_up_to()).and_then(|body| std::str::from_utf8(body).ok()).unwrap_or(""),
    };
    let mut fates = Fates { each: Vec::with_capacity(events), said: String::new(), diverted: 0, some_taken: false };
    let is_whole = items(&mut Cursor::new(body), events, &mut fates).is_ok();
    let is_cut = !is_whole && !fates.each.is_empty();
    if fates.each.len() < events && fates.said.is_empty() {
        "the answer does not name the event".clone_into(&mut fates.said);
    }
    fates.each.resize(events, if is_cut { Fate::Unseen } else { Fate::Failed });
    fates
}

/// Reads `{"items":[{"create":{"status":201}},…]}` up to so many items.
fn items(cursor: &mut Cursor<'_>, events: usize, fates: &mut Fates) -> Result<(), JsonError> {
    cursor.open()?;
    let mut first = true;
    while let Some(key) = cursor.next_key(&mut first)? {
        if key.decode() != "items" || cursor.kind()? != Kind::Array {
            cursor.value()?;
            continue;
        }
        cursor.open()?;
        let mut first = true;
        while cursor.next_element(&mut first)? {
            let raw = cursor.value()?;
            if fates.each.len() < events {
                item(raw, fates);
            }
        }
    }
    Ok(())
}

/// Reads `{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}}`.
fn item(raw: &str, fates: &mut Fates) {
    let item: Value = serde_json::from_str(raw).unwrap_or_default();
    let item = item.as_object().and_then(|item| item.values().next()).unwrap_or(&Value::Null);
    let fate = match item.get("status").and_then(Value::as_u64) {
        // 409: an event with this id is there.
        Some(200..=299 | 409) => Fate::Accepted,
        Some(429 | 500..=599) => Fate::Again,
        Some(status) if is_for_good(status) => Fate::Refused,
        _ => Fate::Failed,
    };
    fates.diverted += usize::from(item.get("failure_store").is_some_and(|store| store == "used"));
    if fate != Fate::Accepted && fates.said.is_empty() {
        let text = |pointer| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        fates.said = [text("/error/type"), text("/error/reason")]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(": ");
    }
    fates.each.push(fate);
}

/// Reads the answer of an HTTP Event Collector. A refusal names the event that it will not take: those before it are in, those
/// behind it were not looked at.
fn splunk(status: StatusCode, body: &[u8], events: usize) -> Option<Fates> {
    #[derive(Deserialize)]
    struct Answer {
        code: Option<i64>,
        text: Option<String>,
        #[serde(rename = "invalid-event-number")]
        number: Option<usize>,
    }
    /// The server is busy.
    const BUSY: i64 = 9;
    let Answer { code, text, number } = serde_json::from_slice(body).ok()?;
    let said = || text.unwrap_or_default();
    let all = |fate, said| Some(Fates { each: vec![fate; events], said, diverted: 0, some_taken: false });
    match (status.as_u16(), code, number) {
        (_, Some(BUSY), _) => all(Fate::Again, said()),
        (400, _, Some(number)) if number < events => {
            let fate = |index: usize| match index.cmp(&number) {
                std::cmp::Ordering::Less => Fate::Accepted,
                std::cmp::Ordering::Equal => Fate::Refused,
                std::cmp::Ordering::Greater => Fate::Unseen,
            };
            Some(Fates { each: (0..events).map(fate).collect(), said: said(), diverted: 0, some_taken: false })
        }
        // A proxy may answer for it.
        (200..=299, Some(1..), _) => all(Fate::Failed, said()),
        _ => None,
    }
}

/// Reads an `ExportLogsServiceResponse`: how many records were rejected, and not which.
///
/// Source: <https://github.com/open-telemetry/opentelemetry-proto/blob/main/docs/specification.md#partial-success>
fn otlp(body: &[u8], events: usize) -> Option<Fates> {
    // A success that cannot be read is one.
    let (rejected, said) = partial_success(body)?;
    if rejected == 0 {
        return None;
    }
    let said = format!("{rejected} records rejected: {said}");
    let some_taken = usize::try_from(rejected).is_ok_and(|rejected| rejected < events);
    Some(Fates { each: vec![Fate::Refused; events], said, diverted: 0, some_taken })
}

/// Returns `rejected_log_records` and `error_message` of `partial_success`.
fn partial_success(body: &[u8]) -> Option<(u64, String)> {
    let mut found = (0, Vec::new());
    for (number, value) in Fields(body).collect::<Option<Vec<_>>>()? {
        if let (1, FieldValue::Bytes(partial)) = (number, value) {
            for (number, value) in Fields(partial).collect::<Option<Vec<_>>>()? {
                match (number, value) {
                    (1, FieldValue::Varint(rejected)) => found.0 = rejected,
                    (2, FieldValue::Bytes(message)) => found.1 = message.to_vec(),
                    _ => {}
                }
            }
        }
    }
    Some((found.0, String::from_utf8_lossy(&found.1).into_owned()))
}

/// The value of a protobuf field.
enum FieldValue<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// Reads the fields of a protobuf message; `None` where it cannot be read, which ends it.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let [byte] = *self.take(1)? else { return None };
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, FieldValue<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => FieldValue::Varint(self.varint()?),
            1 => self.take(8).map(|_| FieldValue::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                FieldValue::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| FieldValue::Fixed)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, FieldValue<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::Fate::{Accepted, Again, Failed, Refused, Unseen};
    use super::*;

    #[track_caller]
    fn says(answers: Answers, status: u16, body: &str, expected: Option<(&[Fate], &str)>) {
        let status = StatusCode::from_u16(status).expect("a status");
        let fates = answers.fates(status, body.as_bytes(), 4);
        let expected = expected.map(|(fates, said)| Fates {
            each: fates.to_vec(),
            said: said.to_owned(),
            diverted: 0,
            some_taken: false,
        });
        assert_eq!(fates, expected, "{body}");
    }

    #[test]
    fn a_bulk_answer_tells_each_item_by_its_position() {
        let items = r#"{"took":3,"errors":true,"items":[{"create":{"_id":"1","status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"there"}}},{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}},{"index":{"status":400,"error":{"type":"document_parsing_exception","reason":"no number"}}}]}"#;
        let said = "es_rejected_execution_exception: full";
        says(Answers::Elastic, 200, items, Some((&[Accepted, Accepted, Again, Refused], said)));
        let few = r#"{"items":[{"create":{"status":503}}]}"#;
        let unnamed = "the answer does not name the event";
        says(Answers::Elastic, 200, few, Some((&[Again, Failed, Failed, Failed], unnamed)));
        let null = r#"{"items":[{"create":{"status":201}},{"create":{"status":500,"error":{"type":"null_pointer_exception","reason":null}}},{"create":{"status":"x","error":"text"}},7]}"#;
        says(Answers::Elastic, 200, null, Some((&[Accepted, Again, Failed, Failed], "null_pointer_exception")));
        // An answer that was cut: what it names counts, the rest is sent anew.
        let cut = r#"{"items":[{"create":{"status":201}},{"create":{"status":409}},{"create":{"sta"#;
        says(Answers::Elastic, 200, cut, Some((&[Accepted, Accepted, Unseen, Unseen], unnamed)));
        for nothing in ["", "{}", "[]", "{\"errors\":false}", "<html>"] {
            says(Answers::Elastic, 200, nothing, Some((&[Failed; 4], unnamed)));
        }
    }

    #[test]
    fn what_went_into_a_failure_store_is_counted() {
        let answer = r#"{"items":[{"create":{"status":201,"failure_store":"used"}},{"create":{"status":201,"failure_store":"not_enabled"}}]}"#;
        let fates = Answers::Elastic.fates(StatusCode::OK, answer.as_bytes(), 2).expect("items");
        assert_eq!((fates.diverted, fates.each), (1, vec![Accepted; 2]));
    }

    #[test]
    fn a_collectors_refusal_tells_one_event_by_its_number() {
        let splunk = Answers::Splunk;
        let refusal = |number| format!(r#"{{"text":"No data","code":12,"invalid-event-number":{number}}}"#);
        says(splunk, 400, &refusal("0"), Some((&[Refused, Unseen, Unseen, Unseen], "No data")));
        says(splunk, 400, &refusal("2"), Some((&[Accepted, Accepted, Refused, Unseen], "No data")));
        says(splunk, 400, &refusal("3"), Some((&[Accepted, Accepted, Accepted, Refused], "No data")));
        for unknown in [&refusal("4"), &refusal("-1"), r#"{"text":"No data","code":5}"#, "no JSON"] {
            says(splunk, 400, unknown, None);
        }
        says(splunk, 200, r#"{"text":"Success","code":0}"#, None);
        says(splunk, 200, r#"{"text":"Invalid token","code":4}"#, Some((&[Failed; 4], "Invalid token")));
        says(splunk, 503, r#"{"text":"Server is busy","code":9}"#, Some((&[Again; 4], "Server is busy")));
        says(splunk, 500, r#"{"text":"Internal","code":8}"#, None);
    }

    #[test]
    fn an_answer_of_otlp_counts_what_it_rejects() {
        let read = |bytes: &[u8]| partial_success(bytes);
        assert_eq!(read(b""), Some((0, String::new())));
        assert_eq!(read(&[0x0a, 0]), Some((0, String::new())));
        assert_eq!(read(&[0x0a, 6, 8, 2, 0x12, 2, b'n', b'o']), Some((2, "no".to_owned())));
        assert_eq!(read(&[0x0a, 6, 0x12, 4, b'w', b'a', b'r', b'n']), Some((0, "warn".to_owned())));
        assert_eq!(read(&[0x0a, 3, 8, 0xac, 2]), Some((300, String::new())));
        // Unknown fields are passed over.
        assert_eq!(
            read(&[0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1d, 1, 2, 3, 4, 0x20, 5, 0x0a, 2, 8, 1]),
            Some((1, String::new()))
        );
        for damaged in [&b"{}"[..], &[0x0a, 5, 8], &[0x0b], &[0x0a, 2, 8, 0x80], &[0xff; 12]] {
            assert_eq!(read(damaged), None, "{damaged:x?}");
        }
        assert_eq!(Answers::Otlp.fates(StatusCode::OK, b"garbage", 2), None);
        assert_eq!(Answers::Otlp.action(StatusCode::INTERNAL_SERVER_ERROR), Some(Action::Refuse));
        assert_eq!(Answers::Otlp.action(StatusCode::SERVICE_UNAVAILABLE), Some(Action::Retry));
        assert_eq!(Answers::Otlp.action(StatusCode::PAYLOAD_TOO_LARGE), None);
    }
}
