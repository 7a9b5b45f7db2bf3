//! The wire between Firehose and its transformation function: the event that comes and the answer that goes.
//!
//! The types are our own because they must be lenient: whatever is odd in one record may cost that record, never its
//! neighbours, so the event is walked in place and only what is used is looked at.
//!
//! Source: <https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-status-model.html>

use std::borrow::Cow;

use serde::Serialize;
use thiserror::Error;

use crate::json::{Cursor, JsonError, Kind};

/// Size that an answer must stay under, in bytes: the limit of a synchronous Lambda answer.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const MAX_RESPONSE_BYTES: usize = 6_291_456;

/// A batch of records to transform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirehoseEvent<'a> {
    /// The records, in the order in which they are to be answered.
    pub records: Vec<Record<'a>>,
}

/// One record of a [`FirehoseEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Firehose's name for the record: opaque, to be returned as it came.
    pub id: Cow<'a, str>,
    /// When Firehose got the record, in milliseconds since the Unix epoch; `None` if that is missing or odd.
    pub arrival: Option<i64>,
    /// The content in base64; `None` if there is no such text.
    pub data: Option<Cow<'a, str>>,
}

/// Why a payload is not an event of Firehose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EventError {
    /// Not JSON, or of another shape at the top.
    #[error("the event is not a Firehose transformation event: {0}")]
    Json(#[from] JsonError),
    /// There is no list of records.
    #[error(
        "the event has no `records`: it does not come from a Firehose stream; make the function a stream's transformation"
    )]
    NoRecords,
}

impl<'a> FirehoseEvent<'a> {
    /// Reads an event in place.
    ///
    /// # Errors
    /// If the payload as a whole is not of the shape. A record that is odd is kept as far as it can be read.
    pub fn parse(payload: &'a str) -> Result<Self, EventError> {
        let mut cursor = Cursor::new(payload);
        cursor.open()?;
        let mut first = true;
        let mut empty = true;
        let mut records = None;
        while let Some(key) = cursor.next_key(&mut first)? {
            empty = false;
            if key.decode() == "records" && cursor.kind()? == Kind::Array {
                records = Some(parse_records(&mut cursor)?);
            } else {
                cursor.value()?;
            }
        }
        match records {
            Some(records) => Ok(Self { records }),
            None if empty => Ok(Self { records: Vec::new() }),
            None => Err(EventError::NoRecords),
        }
    }
}

fn parse_records<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<Record<'a>>, JsonError> {
    let mut records = Vec::new();
    cursor.open()?;
    let mut first = true;
    while cursor.next_element(&mut first)? {
        records.push(parse_record(cursor)?);
    }
    Ok(records)
}

fn parse_record<'a>(cursor: &mut Cursor<'a>) -> Result<Record<'a>, JsonError> {
    let mut record = Record { id: Cow::Borrowed(""), arrival: None, data: None };
    if cursor.kind()? != Kind::Object {
        cursor.value()?;
        return Ok(record);
    }
    cursor.open()?;
    let mut first = true;
    while let Some(key) = cursor.next_key(&mut first)? {
        match (key.decode().as_ref(), cursor.kind()?) {
            ("recordId", Kind::String) => record.id = cursor.string()?.decode(),
            ("data", Kind::String) => record.data = Some(cursor.string()?.decode()),
            ("approximateArrivalTimestamp", _) => record.arrival = parse_milliseconds(cursor.value()?),
            _ => drop(cursor.value()?),
        }
    }
    Ok(record)
}

/// Reads a time as Firehose and its documentation write it: a number or a numeric string of milliseconds, or RFC 3339.
pub(crate) fn parse_milliseconds(value: &str) -> Option<i64> {
    let text = value.trim_matches('"');
    text.parse().ok().or_else(|| text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond))
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// Delivered; Firehose keeps the data that is returned.
    Ok,
    /// Done with; Firehose keeps nothing.
    Dropped,
    /// Not delivered; Firehose keeps the original under the error prefix.
    ProcessingFailed,
}

/// The answer for one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The id that the record came with.
    #[serde(rename = "recordId")]
    pub id: String,
    /// What became of it.
    pub result: Verdict,
    /// What Firehose is handed back, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// The answer for all records of an event, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[must_use]
pub struct FirehoseResponse {
    /// One for each record.
    pub records: Vec<Answer>,
}

impl FirehoseResponse {
    /// Size of the answer without any record, as JSON.
    pub const FRAME_BYTES: usize = r#"{"records":[]}"#.len();

    /// The answer where nothing is known of any record: Firehose keeps its own originals of all. Where the answer has no room
    /// for all verdicts, it keeps those that are left unanswered too.
    pub fn all_failed(event: &FirehoseEvent<'_>) -> Self {
        let mut bytes = Self::FRAME_BYTES;
        let fits = |record: &&Record<'_>| {
            bytes += Answer::frame_bytes(&record.id, Verdict::ProcessingFailed);
            bytes < MAX_RESPONSE_BYTES
        };
        let fails = |record: &Record<'_>| Answer {
            id: record.id.clone().into_owned(),
            result: Verdict::ProcessingFailed,
            data: None,
        };
        Self { records: event.records.iter().take_while(fits).map(fails).collect() }
    }
}

impl Answer {
    /// Returns the size of an answer without data as JSON, with the comma behind it.
    #[must_use]
    pub fn frame_bytes(id: &str, result: Verdict) -> usize {
        let result = match result {
            Verdict::Ok => "Ok",
            Verdict::Dropped => "Dropped",
            Verdict::ProcessingFailed => "ProcessingFailed",
        };
        let mut written = Vec::with_capacity(id.len() + 2);
        crate::json::write_string(&mut written, id);
        r#"{"recordId":,"result":""},"#.len() + written.len() + result.len()
    }

    /// Returns the size that `data` of so many characters adds to an answer as JSON.
    #[must_use]
    pub fn data_bytes(data: usize) -> usize {
        r#","data":"""#.len() + data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_in_order_whatever_else_is_there() {
        let payload = r#"{"invocationId":"i","deliveryStreamArn":"a","region":"eu-west-1","extra":[{}],"records":[
            {"recordId":"1","approximateArrivalTimestamp":1495072949453,"data":"SGVsbG8="},
            {"recordId":"2","data":"","kinesisRecordMetadata":{"approximateArrivalTimestamp":"x","shardId":7}}]}"#;
        let event = FirehoseEvent::parse(payload).expect("an event");
        let record = |id: &'static str, arrival, data: &'static str| Record {
            id: Cow::Borrowed(id),
            arrival,
            data: Some(Cow::Borrowed(data)),
        };
        assert_eq!(event.records, [record("1", Some(1_495_072_949_453), "SGVsbG8="), record("2", None, "")]);
    }

    #[test]
    fn an_odd_record_costs_no_other() {
        let payload = r#"{"records":[7,{"recordId":null},{"recordId":"3","data":null,"approximateArrivalTimestamp":{}},
            {"recordId":"4","data":"eA==","approximateArrivalTimestamp":"2026-11-21T18:59:00.123Z"}]}"#;
        let event = FirehoseEvent::parse(payload).expect("an event");
        assert_eq!(event.records.len(), 4);
        assert_eq!(event.records[2].id, "3");
        assert_eq!(event.records[2].data, None);
        assert_eq!(event.records[3].arrival, Some(1_795_287_540_123));
    }

    #[test]
    fn an_event_of_another_service_is_refused_and_an_empty_one_is_not() {
        assert_eq!(FirehoseEvent::parse(r#"{"awslogs":{"data":"x"}}"#), Err(EventError::NoRecords));
        assert_eq!(FirehoseEvent::parse(r#"{"Records":[]}"#), Err(EventError::NoRecords));
        assert!(FirehoseEvent::parse("[]").is_err());
        assert_eq!(FirehoseEvent::parse(r#"{"records":[]}"#), Ok(FirehoseEvent { records: Vec::new() }));
        assert_eq!(FirehoseEvent::parse("{}"), Ok(FirehoseEvent { records: Vec::new() }));
    }

    #[test]
    fn an_answer_without_books_fails_every_record_that_it_has_room_for() {
        let record = |id: String| Record { id: Cow::Owned(id), arrival: None, data: Some(Cow::Borrowed("eA==")) };
        let few = FirehoseEvent { records: ["1", "2"].map(|id| record(id.to_owned())).into() };
        let answer = FirehoseResponse::all_failed(&few);
        assert_eq!(answer.records.iter().map(|answer| answer.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        assert!(
            answer.records.iter().all(|answer| answer.result == Verdict::ProcessingFailed && answer.data.is_none())
        );
        let many = FirehoseEvent { records: (0..200_000).map(|id| record(id.to_string())).collect() };
        let answer = serde_json::to_vec(&FirehoseResponse::all_failed(&many)).expect("JSON");
        assert!(answer.len() < MAX_RESPONSE_BYTES && answer.len() > MAX_RESPONSE_BYTES - 100);
    }

    #[test]
    fn the_size_of_an_answer_is_told_exactly() {
        let answers = [
            Answer { id: "a\"b\n\u{1}é".to_owned(), result: Verdict::Ok, data: Some("eA==".to_owned()) },
            Answer { id: "2".to_owned(), result: Verdict::Dropped, data: None },
            Answer { id: String::new(), result: Verdict::ProcessingFailed, data: Some(String::new()) },
        ];
        let mut size = FirehoseResponse::FRAME_BYTES - 1;
        for answer in &answers {
            size += Answer::frame_bytes(&answer.id, answer.result);
            size += answer.data.as_ref().map_or(0, |data| Answer::data_bytes(data.len()));
        }
        let written = serde_json::to_vec(&FirehoseResponse { records: answers.to_vec() }).expect("JSON");
        assert_eq!(written.len(), size);
    }
}
