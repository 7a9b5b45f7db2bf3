//! What every event says of itself beside what its line says: its id, its time, where it comes from.
//!
//! ```json
//! {"id":"3871","timestamp":"2026-11-21T18:59:00.123Z","owner":"123456789012","logGroup":"orders-access","logStream":"a1b2c3"}
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::json;
use crate::layout::{Field, Layout};

/// Start of the name of every log group that API Gateway makes for execution logs; `{api}/{stage}` follows.
pub(crate) const EXECUTION_LOG_GROUP: &str = "API-Gateway-Execution-Logs_";

/// Returns whether API Gateway writes execution logs to a group of this name.
#[must_use]
pub fn is_execution_log_group(name: &str) -> bool {
    name.starts_with(EXECUTION_LOG_GROUP)
}

/// The lines of one record that an event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Index of the record in its Firehose event.
    pub record: usize,
    /// How many of its lines.
    pub lines: usize,
}

/// Where log lines come from: what is the same for all events of an envelope, written once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// `,"owner":…,"logGroup":…,"logStream":…`, as far as they are known.
    pub(crate) json: Vec<u8>,
    /// The account of the log group; empty where it is not known.
    pub(crate) owner: Box<str>,
    log_stream: Box<str>,
    log_group: Arc<str>,
    pub(crate) api_id: Option<String>,
    pub(crate) stage: Option<String>,
}

impl Origin {
    /// The origin that an envelope tells. Empty texts are unknown.
    #[must_use]
    pub fn new(layout: &Layout, owner: &str, log_group: &str, log_stream: &str) -> Self {
        let mut json = Vec::new();
        for (field, value) in [(Field::Owner, owner), (Field::LogGroup, log_group), (Field::LogStream, log_stream)] {
            if let Some(label) = layout.label(field).filter(|_| !value.is_empty()) {
                json.extend_from_slice(label.as_bytes());
                json::write_string(&mut json, value);
            }
        }
        let (api_id, stage) = log_group
            .strip_prefix(EXECUTION_LOG_GROUP)
            .and_then(|rest| rest.split_once('/'))
            .map(|(api_id, stage)| (api_id.to_owned(), stage.to_owned()))
            .filter(|(api_id, stage)| !api_id.is_empty() && !stage.is_empty())
            .unzip();
        Self { json, owner: owner.into(), log_stream: log_stream.into(), log_group: log_group.into(), api_id, stage }
    }

    /// Returns the origin as it stands in events of another layout.
    #[must_use]
    pub fn laid_out(&self, layout: &Layout) -> Self {
        let Self { owner, log_stream, log_group, api_id, stage, .. } = self;
        Self { api_id: api_id.clone(), stage: stage.clone(), ..Self::new(layout, owner, log_group, log_stream) }
    }

    /// Returns the name of the log group; empty where it is not known.
    #[must_use]
    pub fn log_group(&self) -> &Arc<str> {
        &self.log_group
    }

    /// Returns whether API Gateway writes execution logs there.
    #[must_use]
    pub fn holds_execution_logs(&self) -> bool {
        is_execution_log_group(&self.log_group)
    }
}

/// What every event says of itself, whatever its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
        let Origin { json, owner, log_stream, log_group, api_id, stage } = self.origin.as_ref();
        let names = [api_id, stage].into_iter().flatten().map(String::len).sum::<usize>();
        let origin = size_of::<Origin>() + json.capacity() + owner.len() + log_stream.len() + log_group.len() + names;
        origin + self.id.len() + self.extracted_fields.as_ref().map_or(0, |fields| fields.len())
    }

    /// Returns how many bytes of text the head brings into its event, about.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.id.len() + self.origin.json.len() + self.extracted_fields.as_ref().map_or(0, |fields| fields.len())
    }
}

/// Returns the time if it has a form in RFC 3339, that is, a year of four digits.
#[must_use]
pub fn valid_timestamp(milliseconds: i64) -> Option<i64> {
    const YEAR_0: i64 = -62_167_219_200_000;
    (milliseconds >= YEAR_0 && Timestamp::from_millisecond(milliseconds).is_ok()).then_some(milliseconds)
}

/// Writes a time as RFC 3339 in UTC with milliseconds.
pub(crate) fn write_timestamp(milliseconds: i64, out: &mut Vec<u8>) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_execution_log_group_names_api_and_stage() {
        let origin = Origin::new(&Layout::default(), "1", "API-Gateway-Execution-Logs_abc123/prod", "s");
        assert!(origin.holds_execution_logs());
        assert_eq!((origin.api_id.as_deref(), origin.stage.as_deref()), (Some("abc123"), Some("prod")));
        assert!(!Origin::new(&Layout::default(), "1", "/aws/apigateway/x", "s").holds_execution_logs());
    }
}
