//! The record that holds execution-log lines where they are delivered as vended logs: JSON with the line as `payload`.
//!
//! Since September 2026 a REST API's execution logs can go to a log group of the user's, to S3 or to Firehose, in lines
//! of up to 1 MB. API Gateway then stops writing the stage's own log group.
//!
//! Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-execution-logging.html>

use std::borrow::Cow;
use std::sync::Arc;

use super::{NotExecutionLine, Part};
use crate::access_log::is_name;
use crate::head::{Head, Origin, valid_timestamp};
use crate::json::{self, Cursor, Kind};

/// Numbers below are seconds since the Unix epoch, others milliseconds: as seconds it is the year 5138, as milliseconds
/// March 1973.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// One vended record, borrowed from its text.
#[derive(Clone, Default)]
pub struct Vended<'a> {
    resource_arn: Option<Cow<'a, str>>,
    event_timestamp: Option<Cow<'a, str>>,
    api_id: Option<Cow<'a, str>>,
    stage: Option<Cow<'a, str>>,
    resource_path: Option<Cow<'a, str>>,
    http_method: Option<Cow<'a, str>>,
    payload: Option<Cow<'a, str>>,
    /// Keys that are not known, with their values as they stand; of a key that comes twice both.
    others: Vec<(&'a str, &'a str)>,
}

/// Reads a vended execution record; `None` if `json` is not one.
///
/// It is one if it is a JSON object with `payload` and with `api_id` or `resource_arn`. If a known key is repeated the
/// last value wins. A payload that is not a string stays its JSON text. An API or a stage with an impossible name is not known: who
/// reads the event's `apiId` and `stage` finds names there, never a text that would have to be searched for credentials.
#[must_use]
pub fn parse(json: &str) -> Option<Vended<'_>> {
    let mut record = Vended::default();
    let mut cursor = Cursor::new(json);
    if cursor.kind().ok()? != Kind::Object {
        return None;
    }
    cursor.open().ok()?;
    let mut first = true;
    while let Some(key) = cursor.next_key(&mut first).ok()? {
        let known = key.decode();
        let Some(slot) = record.slot(&known) else {
            record.others.push((key.raw(), cursor.value().ok()?));
            continue;
        };
        let kind = cursor.kind().ok()?;
        let value = cursor.value().ok()?;
        let text = match kind {
            Kind::String => Some(Cursor::new(value).string().ok()?.decode()),
            Kind::Null => None,
            _ => Some(Cow::Borrowed(value)),
        };
        let is_odd = is_odd(&known, text.as_deref());
        *slot = text.filter(|_| !is_odd);
        if is_odd {
            record.others.push((key.raw(), value));
        }
    }
    record.whole().filter(|_| cursor.at_end())
}

/// Makes a record of known keys and their values; `None` if they do not make one, or something is to be kept as it stands.
pub(crate) fn of<'a, 'k>(members: impl Iterator<Item = (&'k str, Option<Cow<'a, str>>)>) -> Option<Vended<'a>> {
    let mut record = Vended::default();
    for (key, text) in members {
        if is_odd(key, text.as_deref()) {
            return None;
        }
        *record.slot(key)? = text;
    }
    record.whole()
}

/// Returns whether this is given as the name of an API or a stage and cannot be one.
fn is_odd(key: &str, text: Option<&str>) -> bool {
    matches!(key, "api_id" | "stage") && text.is_some_and(|text| !is_name(text))
}

impl<'a> Vended<'a> {
    /// Returns the place of a known key's value.
    fn slot(&mut self, key: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match key {
            "resource_arn" => &mut self.resource_arn,
            "event_timestamp" => &mut self.event_timestamp,
            "api_id" => &mut self.api_id,
            "stage" => &mut self.stage,
            "resource_path" => &mut self.resource_path,
            "http_method" => &mut self.http_method,
            "payload" => &mut self.payload,
            _ => return None,
        })
    }

    /// Returns the record if it is one.
    fn whole(self) -> Option<Self> {
        let is_whole = self.payload.is_some() && (self.api_id.is_some() || self.resource_arn.is_some());
        is_whole.then_some(self)
    }
}

impl Vended<'_> {
    /// Returns the API's id: the record's own, or the one in its ARN.
    #[must_use]
    pub fn api_id(&self) -> Option<&str> {
        given(self.api_id.as_ref()).or_else(|| self.in_arn("/restapis/"))
    }

    /// Returns the stage's name: the record's own, or the one in its ARN.
    #[must_use]
    pub fn stage(&self) -> Option<&str> {
        given(self.stage.as_ref()).or_else(|| self.in_arn("/stages/"))
    }

    /// Returns the resource's path, with its parameters' names in braces.
    #[must_use]
    pub fn resource_path(&self) -> Option<&str> {
        given(self.resource_path.as_ref())
    }

    /// Returns the HTTP method.
    #[must_use]
    pub fn http_method(&self) -> Option<&str> {
        given(self.http_method.as_ref())
    }

    /// Returns the time of the event in milliseconds since the Unix epoch, from a number of milliseconds or of seconds,
    /// as a JSON number or a string, or from RFC 3339.
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        let text = given(self.event_timestamp.as_ref())?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !whole.bytes().all(|byte| byte.is_ascii_digit()) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(jiff::Timestamp::as_millisecond).ok();
        }
        let number: i64 = whole.parse().ok()?;
        if number >= FIRST_MILLISECONDS {
            return Some(number);
        }
        let digits = fraction.bytes().chain(*b"000").take(3);
        Some(number * 1000 + digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    /// Returns the line of the log, which may have further lines of the request behind it.
    ///
    /// # Errors
    /// If it starts with no request id.
    pub fn part(&self) -> Result<Part<'_>, NotExecutionLine> {
        let payload = self.payload.as_deref().unwrap_or_default();
        Part::read(payload.strip_suffix('\n').unwrap_or(payload))
    }

    /// Makes the head of the record from that of its log event: the record tells its API and stage and, where no log event
    /// does, its time.
    #[must_use]
    pub fn head(&self, of_event: &Head<'_>) -> Head<'static> {
        let mut head = of_event.clone().into_owned();
        let mut origin = Origin::clone(&head.origin);
        if origin.log_group().is_empty()
            && let Some(timestamp) = self.timestamp_ms().and_then(valid_timestamp)
        {
            head.timestamp = timestamp;
        }
        origin.api_id = origin.api_id.or_else(|| self.api_id().map(str::to_owned));
        origin.stage = origin.stage.or_else(|| self.stage().map(str::to_owned));
        head.origin = Arc::new(origin);
        head
    }

    /// Writes the keys that are not known as one compact JSON object, `{"account":"1","n":[1,2]}`. `None` if there are none.
    #[must_use]
    pub fn others(&self) -> Option<String> {
        if self.others.is_empty() {
            return None;
        }
        let mut out = Vec::new();
        for (at, (key, value)) in self.others.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"{\"" } else { b",\"" });
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            json::write_compact(&mut out, value);
        }
        out.push(b'}');
        Some(String::from_utf8(out).expect("blanks are left out of text"))
    }

    /// Finds what follows `mark` in `arn:aws:apigateway:us-east-1::/restapis/a1b2c3/stages/prod`.
    fn in_arn(&self, mark: &str) -> Option<&str> {
        let (_, rest) = self.resource_arn.as_deref()?.split_once(mark)?;
        rest.split('/').next().filter(|part| !part.is_empty() && is_name(part))
    }
}

/// Returns the text unless it is empty or `-`, which stands for no value in API Gateway's logs.
fn given<'a>(text: Option<&'a Cow<'_, str>>) -> Option<&'a str> {
    text.map(Cow::as_ref).filter(|text| !matches!(*text, "" | "-"))
}

/// Shows no value: the payload holds bodies and headers.
impl std::fmt::Debug for Vended<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Vended").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn dated(value: &str, expected: Option<i64>) {
        let json = format!(r#"{{"api_id":"a1","payload":"x","event_timestamp":{value}}}"#);
        assert_eq!(parse(&json).expect("a record").timestamp_ms(), expected, "{value}");
    }

    #[test]
    fn a_record_is_read_whole() {
        let record = parse(
            r#" {"resource_arn":"arn:aws:apigateway:eu-west-1::/restapis/b2/stages/test",
            "event_timestamp":1795283940123,"api_id":"a1","stage":"prod","resource_path":"/o\/{id}",
            "http_method":"GET","payload":"(r-1) a \"b\"","x":[1]} "#,
        )
        .expect("a record");
        assert_eq!(record.api_id(), Some("a1"));
        assert_eq!(record.stage(), Some("prod"));
        assert_eq!(record.resource_path(), Some("/o/{id}"));
        assert_eq!(record.http_method(), Some("GET"));
        assert_eq!(record.timestamp_ms(), Some(1_795_283_940_123));
        assert_eq!(record.payload.as_deref().unwrap(), "(r-1) a \"b\"");
        assert_eq!(record.others().as_deref(), Some(r#"{"x":[1]}"#));
    }

    #[test]
    fn the_arn_names_the_api_and_the_stage_where_the_record_does_not() {
        let record = parse(
            r#"{"resource_arn":"arn:aws:apigateway:eu-west-1::/restapis/a1/stages/prod","api_id":"-","payload":""}"#,
        )
        .expect("a record");
        assert_eq!((record.api_id(), record.stage()), (Some("a1"), Some("prod")));
    }

    #[test]
    fn a_payload_that_is_no_string_stays_its_text() {
        let record = parse(r#"{"api_id":"a1","payload":{"a": [1]}}"#).expect("a record");
        assert_eq!(record.payload.as_deref().unwrap(), r#"{"a": [1]}"#);
    }

    #[test]
    fn keys_that_are_not_known_are_told_as_they_stand() {
        let others = |json: &str| parse(json).expect("a record").others();
        assert_eq!(others(r#"{"api_id":"a1","payload":"x"}"#), None);
        assert_eq!(
            others(r#"{"x\"":"a b" ,"api_id":"a1","payload":"x", "n" : [ 1, {"o" : null} ],"x\"":2}"#).as_deref(),
            Some(r#"{"x\"":"a b","n":[1,{"o":null}],"x\"":2}"#)
        );
    }

    #[test]
    fn an_api_or_a_stage_that_is_no_name_is_not_known() {
        let record = parse(
            r#"{"resource_arn":"arn:aws:apigateway:eu-west-1::/restapis/b2/stages/a=b","api_id":"token=abc",
            "stage":"x: y","payload":"x"}"#,
        )
        .expect("a record");
        assert_eq!((record.api_id(), record.stage()), (Some("b2"), None));
        assert_eq!(record.others().as_deref(), Some(r#"{"api_id":"token=abc","stage":"x: y"}"#));
        let record = parse(r#"{"resource_arn":"x","api_id":7,"stage":"$default","payload":"x"}"#).expect("a record");
        assert_eq!((record.api_id(), record.stage(), record.others()), (Some("7"), Some("$default"), None));
    }

    #[test]
    fn of_a_known_key_that_comes_twice_the_last_value_counts() {
        let record = parse(r#"{"api_id":"a1","api_id":"a2","payload":"x","payload":"y"}"#).expect("a record");
        assert_eq!((record.api_id(), record.payload.as_deref().unwrap()), (Some("a2"), "y"));
    }

    #[test]
    fn what_lacks_a_payload_or_an_api_is_no_record() {
        for json in [
            "",
            "x",
            "[]",
            r#""payload""#,
            r#"{"api_id":"a1"}"#,
            r#"{"payload":"x"}"#,
            r#"{"api_id":"a1","payload":null}"#,
            r#"{"api_id":"a1","payload":"x""#,
            r#"{"api_id":"a1","payload":"x"} y"#,
        ] {
            assert!(parse(json).is_none(), "{json}");
        }
    }

    #[test]
    fn a_time_is_milliseconds_seconds_or_a_date() {
        dated("1795283940123", Some(1_795_283_940_123));
        dated("\"1795283940123\"", Some(1_795_283_940_123));
        dated("1795283940", Some(1_795_283_940_000));
        dated("1795283940.1", Some(1_795_283_940_100));
        dated("1795283940.1239", Some(1_795_283_940_123));
        dated("99999999999", Some(99_999_999_999_000));
        dated("100000000000", Some(100_000_000_000));
        dated("\"2026-11-21T17:59:00.123Z\"", Some(1_795_283_940_123));
        dated("\"2026-11-21T18:59:00+01:00\"", Some(1_795_283_940_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for value in ["null", "\"-\"", "\"\"", "\"soon\"", "-5", "1e12", "99999999999999999999", "true", "\".\""] {
            dated(value, None);
        }
    }

    #[test]
    fn debug_output_holds_no_payload() {
        let record = parse(r#"{"api_id":"a1","payload":"hush"}"#).expect("a record");
        assert!(!format!("{record:?}").contains("hush"));
    }

    proptest! {
        #[test]
        fn reading_returns_for_any_text(text in any::<String>(), time in "[0-9.:TZ+-]{0,24}") {
            drop(parse(&text));
            let json = format!(r#"{{"api_id":"a1","payload":"x","event_timestamp":"{time}"}}"#);
            prop_assert!(parse(&json).map(|record| record.timestamp_ms()).is_some());
        }
    }
}
