//! Lines, explained: each with its event, or the request that it became a part of.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use apigw_log_forwarder::access_log::{AccessLog, Formats, Holds, NoMatch};
use apigw_log_forwarder::config::DEFAULT_MAX_RECORD_BYTES as MAX_RECORD_BYTES;
use apigw_log_forwarder::event::{Event, Writer};
use apigw_log_forwarder::execution_log::{self, Request, Stitcher};
use apigw_log_forwarder::firehose::Record;
use apigw_log_forwarder::head::{Head, Origin, valid_timestamp};
use apigw_log_forwarder::ids::Ids;
use apigw_log_forwarder::json::Str;
use apigw_log_forwarder::layout::Layout;
use apigw_log_forwarder::line::{Line, NoLine, Read, Reader};
use apigw_log_forwarder::redact::Redactor;
use apigw_log_forwarder::subscription::{self, Buffers, Content};
use serde_json::Value;

use crate::caret;
use crate::pasted::Pasted;

/// The log group of lines that can only be those of an execution log, where none is known.
const ASSUMED_GROUP: &str = "API-Gateway-Execution-Logs_API/STAGE";

/// What became of a text.
#[derive(Debug, Default)]
pub(crate) struct Explained {
    /// In the order in which the function would make them.
    pub(crate) steps: Vec<Step>,
    /// Whether no line became `text`, and those of access logs have the formats that were given.
    pub(crate) all_understood: bool,
}

/// An explanation, and the event that it is of.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) note: String,
    pub(crate) event: Option<Vec<u8>>,
}

/// What the lines are read with.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    /// The log group of lines that come without one.
    pub(crate) group: &'a str,
    pub(crate) formats: &'a Formats,
    /// Whether the formats are those of the setting.
    pub(crate) is_set: bool,
    pub(crate) redactor: &'a Redactor,
    pub(crate) layout: &'a Layout,
    /// The time of lines that have none, in milliseconds since the Unix epoch.
    pub(crate) now: i64,
}

/// Explains the records of one invocation.
pub(crate) fn explain(records: &[Pasted], setup: Setup<'_>) -> Explained {
    let outcome = Explained { steps: Vec::new(), all_understood: true };
    let mut reader = Reader::new(setup.formats, setup.redactor);
    let mut explainer = Explainer { setup, record: None, lines: Vec::new(), stitcher: Stitcher::default(), outcome };
    let mut buffers = Buffers::default();
    for (number, pasted) in (1..).zip(records) {
        let record = &pasted.record;
        explainer.record = (records.len() > 1).then_some(number);
        if !pasted.note.is_empty() {
            explainer.say(format!("{}\n", pasted.note));
        }
        let decoded = subscription::decode(record, MAX_RECORD_BYTES, &mut buffers);
        let read = decoded.and_then(|decoded| Ok((decoded.bytes, subscription::read(decoded.text)?)));
        match read {
            Ok((bytes, content)) => {
                let before = explainer.lines.len();
                explainer.read(&mut reader, record, bytes, content);
                if explainer.lines.len() == before {
                    explainer.say("no lines: empty, or a control message\n".to_owned());
                }
            }
            Err(error) => explainer.fail(format!("the record would fail whole: {error}\n"), None),
        }
    }
    explainer.finish()
}

/// Tells the messages in a text and at which line each starts. One of an execution log may have several lines: a body has.
fn messages<'a>(text: &'a str, origin: &Origin) -> Vec<(usize, Cow<'a, str>)> {
    let mut messages: Vec<(usize, Cow<'a, str>)> = Vec::new();
    for (position, line) in subscription::lines(text) {
        match messages.last_mut() {
            Some((_, message))
                if origin.holds_execution_logs() && message.starts_with('(') && !line.starts_with('(') =>
            {
                *message += "\n";
                *message += line;
            }
            _ => messages.push((position, line.into())),
        }
    }
    messages
}

struct Explainer<'a> {
    setup: Setup<'a>,
    /// Number of the record that is read, from 1, where there are several.
    record: Option<usize>,
    /// What each line is called, in the order in which they were read: its number in its record, from 1.
    lines: Vec<String>,
    stitcher: Stitcher,
    outcome: Explained,
}

impl Explainer<'_> {
    /// Reads the content of a record, with heads as the function makes them.
    fn read(&mut self, reader: &mut Reader<'_>, record: &Record<'_>, bytes: &[u8], content: Content<'_>) {
        let Setup { group, layout, now, .. } = self.setup;
        let arrival = record.arrival.and_then(valid_timestamp).unwrap_or(now);
        let mut ids = Ids::new(bytes);
        match content {
            Content::Lines(text) => {
                let is_execution = subscription::lines(text).next().is_some_and(|(_, line)| self.assumes(group, line));
                let group = if is_execution { ASSUMED_GROUP } else { group };
                let origin = Arc::new(Origin::new(layout, "", group, ""));
                for (position, message) in messages(text, &origin) {
                    let id = Cow::Owned(ids.id(position));
                    let head = Head { id, timestamp: arrival, origin: Arc::clone(&origin), extracted_fields: None };
                    let take = |head: &Head<'_>, read: Read<'_>| self.take(position, head, &message, read);
                    reader.read(&head, Line::Bare(&message), take);
                }
            }
            Content::Envelopes(envelopes) => {
                let mut position = 0;
                for mut envelope in envelopes {
                    let first = envelope.events.clone().next().map(|event| event.message.decode());
                    if first.is_some_and(|line| self.assumes(&envelope.log_group, &line)) {
                        envelope.log_group = ASSUMED_GROUP.into();
                    }
                    let origin = Origin::new(layout, &envelope.owner, &envelope.log_group, &envelope.log_stream);
                    let origin = Arc::new(origin);
                    for event in envelope.events {
                        let head = Head {
                            id: event.id.map_or_else(|| Cow::Owned(ids.id(position)), Str::decode),
                            timestamp: event.timestamp.and_then(valid_timestamp).unwrap_or(arrival),
                            origin: Arc::clone(&origin),
                            extracted_fields: event.extracted_fields.map(Cow::Borrowed),
                        };
                        let take =
                            |head: &Head<'_>, read: Read<'_>| self.take(position, head, &event.message.decode(), read);
                        reader.read(&head, Line::Message(event.message), take);
                        position += 1;
                    }
                }
            }
        }
    }

    /// Returns whether lines of an unknown group are taken for those of an execution log, which is said.
    fn assumes(&mut self, group: &str, first: &str) -> bool {
        let is_execution =
            group.is_empty() && execution_log::Part::read(first).is_ok() && self.setup.formats.parse(first).is_err();
        if is_execution {
            self.say(format!("lines of an execution log, taken as of --group {ASSUMED_GROUP}\n"));
        }
        is_execution
    }

    /// Takes a line that was read. `position` counts from 0.
    fn take(&mut self, position: usize, head: &Head<'_>, line: &str, read: Read<'_>) {
        let number = position + 1;
        let index = self.lines.len();
        self.lines
            .push(self.record.map_or_else(|| number.to_string(), |record| format!("{number} of record {record}")));
        match read {
            Read::Access(log) => {
                let event = self.written(head, &Event::Access(log, NonZeroU64::MIN));
                let note = format!("line {number}: {}\n", self.describe(log, line));
                let is_of_set = log.format().is_some_and(|format| self.is_of_set(format));
                // A format was given: a line of another one is a surprise, even where it is understood.
                self.outcome.all_understood &= is_of_set || !self.setup.is_set;
                self.outcome.steps.push(Step { note, event: Some(event) });
            }
            Read::Execution(part) => self.stitcher.push(index, head, part),
            Read::Vended(vended, part) => self.stitcher.push_vended(index, head, vended, part),
            Read::Text(line, reason) => {
                let event = self.written(head, &Event::Text(line, &reason));
                let note = match &reason {
                    NoLine::Access(error) => format!("as {error}\n{}", place(error, line)),
                    NoLine::Execution(error) => {
                        format!("as it starts with {error}\n{}", caret::under(line, 0, "expected: (request id) …"))
                    }
                    NoLine::Empty => format!("as it is {reason}\n"),
                };
                self.fail(format!("line {number}: text, {note}"), Some(event));
            }
        }
    }

    fn is_of_set(&self, format: &str) -> bool {
        self.setup.is_set && self.setup.formats.outlines().any(|outline| outline.label() == format)
    }

    fn say(&mut self, note: String) {
        self.outcome.steps.push(Step { note, event: None });
    }

    fn written(&self, head: &Head<'_>, event: &Event<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        Writer { layout: self.setup.layout, redactor: self.setup.redactor }.write(head, event, &mut out);
        out
    }

    fn fail(&mut self, note: String, event: Option<Vec<u8>>) {
        self.outcome.all_understood = false;
        self.outcome.steps.push(Step { note, event });
    }

    /// Says which format took a line; of JSON without a format, what each format misses in it.
    fn describe(&self, log: &AccessLog<'_>, line: &str) -> String {
        let Setup { formats, is_set, .. } = self.setup;
        if let Some(format) = log.format() {
            let is_other = is_set && !self.is_of_set(format);
            return if is_other { format!("not of the format given: {format}") } else { format.to_owned() };
        }
        let mut note = "JSON of no format: its keys are fields as they are".to_owned();
        if !is_set {
            return note + "; if its API has a format of its own, give it with --format";
        }
        let Ok(object) = serde_json::from_str::<Value>(line) else { return note };
        for outline in formats.outlines() {
            note += "\n  ";
            note += outline.label();
            let parts = outline.parts();
            let variables = parts.iter().filter(|part| matches!(part.holds, Holds::Variable { .. }));
            let missing: Vec<_> =
                variables.filter(|part| part.path.iter().try_fold(&object, |at, key| at.get(key)).is_none()).collect();
            if !outline.is_json() {
                note += " is not a JSON object";
            } else if missing.is_empty() {
                note += " has these keys, but not where it has them";
            } else {
                let keys: Vec<_> = missing.iter().map(|part| format!("`{}`", part.path.join("."))).collect();
                note += " also has ";
                note += &keys.join(", ");
            }
        }
        note
    }

    /// Writes the requests that the lines were stitched to.
    fn finish(mut self) -> Explained {
        while let Some(request) = self.stitcher.pop() {
            let event = self.written(&request.head, &Event::Execution(&request));
            self.outcome.steps.push(Step { note: self.contributors(&request), event: Some(event) });
        }
        self.outcome
    }

    /// Says which lines a request was stitched from.
    fn contributors(&self, request: &Request) -> String {
        let numbers: Vec<&str> =
            request.shares.iter().filter_map(|share| self.lines.get(share.record)).map(String::as_str).collect();
        let noun = if numbers.len() == 1 { "line" } else { "lines" };
        format!("{noun} {}: one request of an execution log\n", numbers.join(", "))
    }
}

/// Shows where a line is no longer of the format that came furthest, and what that has there.
fn place(error: &NoMatch<'_>, line: &str) -> String {
    let remark = match error.expected {
        None => error.kind.to_string(),
        Some(expected) if expected.variable.is_empty() => format!("expected: {:?}", expected.literal),
        Some(expected) if expected.literal.is_empty() => {
            format!("expected: a value of $context.{} and the end of the line", expected.variable)
        }
        Some(expected) => {
            format!("expected: a value of $context.{} and then {:?}", expected.variable, expected.literal)
        }
    };
    caret::under(line.trim_ascii(), error.at, &remark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pasted::take_apart;

    fn explained(setting: Option<&str>, group: &str, text: &str) -> Explained {
        let formats = setting.map_or_else(Formats::documented, |setting| Formats::compile(setting).unwrap());
        let (redactor, layout, now) = (Redactor::off(), Layout::default(), 1_795_287_540_123);
        let is_set = setting.is_some();
        let setup = Setup { group, formats: &formats, is_set, redactor: &redactor, layout: &layout, now };
        explain(&take_apart(text.as_bytes(), group), setup)
    }

    #[track_caller]
    fn notes(setting: Option<&str>, group: &str, text: &str, expected: &[&str]) {
        let explained = explained(setting, group, text);
        let notes: Vec<_> = explained.steps.iter().map(|step| step.note.as_str()).collect();
        assert_eq!(notes, expected, "{text}");
        let is_other = |note: &&str| {
            ["text, as", "would fail"].iter().any(|sign| note.contains(sign))
                || setting.is_some() && !note.contains(": format ")
        };
        assert_eq!(explained.all_understood, !notes.iter().any(is_other));
    }

    #[test]
    fn a_line_is_its_event_and_the_format_that_took_it() {
        let explained = explained(Some("$context.requestId $context.status"), "g", "1c9d-22 200");
        assert_eq!(explained.steps[0].note, "line 1: format 1\n");
        let event = std::str::from_utf8(explained.steps[0].event.as_deref().unwrap()).unwrap();
        let (_, behind) = event.split_once(r#","timestamp""#).unwrap();
        assert_eq!(
            behind,
            r#":"2026-11-21T18:59:00.123Z","kind":"access","logGroup":"g","context":{"requestId":"1c9d-22","status":200}}"#
        );
    }

    #[test]
    fn a_line_of_no_format_has_a_caret_where_it_is_none() {
        notes(
            Some("$context.requestId,$context.status,$context.path"),
            "",
            "1c9d-22,200;/a\n",
            &[concat!(
                "line 1: text, as format 1 comes furthest, to byte 8: the format's next literal text is not there\n",
                "  1c9d-22,200;/a\n",
                "          ^ expected: a value of $context.status and then \",\"\n"
            )],
        );
    }

    #[test]
    fn json_of_no_format_says_what_it_lacks() {
        notes(
            Some(r#"{"id":"$context.requestId","i":{"ip":"$context.identity.sourceIp"}}"#),
            "",
            r#"{"id":"1c9d-22","i":{}}"#,
            &["line 1: JSON of no format: its keys are fields as they are\n  format 1 also has `i.ip`\n"],
        );
    }

    #[test]
    fn a_line_of_another_format_than_the_one_given_is_a_surprise() {
        let line = r#"192.0.2.1 - - [21/Nov/2026:18:59:00 +0000] "GET /pets HTTP/1.1" 200 3 1c9d-22"#;
        notes(
            Some("$context.requestId;$context.status"),
            "",
            line,
            &["line 1: not of the format given: the CLF format of REST APIs\n"],
        );
    }

    #[test]
    fn lines_of_an_execution_log_are_told_where_their_group_is_not() {
        notes(
            None,
            "",
            "(1c9d-22) Starting execution for request: 1c9d-22\n(1c9d-22) News",
            &[
                "lines of an execution log, taken as of --group API-Gateway-Execution-Logs_API/STAGE\n",
                "lines 1, 2: one request of an execution log\n",
            ],
        );
        notes(Some("($context.requestId) $context.path"), "", "(1c9d-22) /a", &["line 1: format 1\n"]);
    }

    #[test]
    fn a_vended_record_without_a_request_tells_its_api_and_its_time() {
        let line = r#"{"api_id":"b2","stage":"prod","payload":"Text","event_timestamp":1795287500123}"#;
        let explained = explained(None, "", line);
        let event = std::str::from_utf8(explained.steps[0].event.as_deref().unwrap()).unwrap();
        assert!(
            event.contains(r#""timestamp":"2026-11-21T18:58:20.123Z","kind":"access","apiId":"b2","stage":"prod""#)
        );
    }

    #[test]
    fn records_of_one_event_are_stitched_and_each_line_has_its_number_in_its_record() {
        let data = |text: &str| base64_simd::STANDARD.encode_to_string(text);
        let [first, second] = ["(r-1) News", "(r-1) Other news"].map(data);
        let event = format!(r#"{{"records":[{{"data":"{first}"}},{{"data":"{second}"}},{{"data":"?"}}]}}"#);
        notes(
            None,
            "API-Gateway-Execution-Logs_a1/prod",
            &event,
            &[
                "record 1 of 3 of a Firehose event\n",
                "record 2 of 3 of a Firehose event\n",
                "record 3 of 3 of a Firehose event\n",
                "the record would fail whole: the record's data is not base64\n",
                "lines 1 of record 1, 1 of record 2: one request of an execution log\n",
            ],
        );
    }

    #[test]
    fn execution_lines_are_stitched_and_others_among_them_are_text() {
        notes(
            None,
            "API-Gateway-Execution-Logs_a1/prod",
            "Starting\n(r-1) Starting execution for request: r-1\n(r-2) News\n(r-1) Method response body after transformations: {\n}\n",
            &[
                "line 1: text, as it starts with no request id in parentheses at byte 0\n  Starting\n  ^ expected: (request id) …\n",
                "lines 2, 4: one request of an execution log\n",
                "line 3: one request of an execution log\n",
            ],
        );
    }

    #[test]
    fn an_envelope_tells_the_group_itself() {
        let envelope = r#"{"messageType":"DATA_MESSAGE","owner":"o","logGroup":"API-Gateway-Execution-Logs_a1/prod","logStream":"s","logEvents":[{"id":"7","timestamp":0,"message":"(r-1) News"}]}"#;
        notes(None, "", envelope, &["line 1: one request of an execution log\n"]);
        assert!(!explained(None, "", r#"{"messageType":"DATA_MESSAGE","logEvents":"#).all_understood);
    }
}
