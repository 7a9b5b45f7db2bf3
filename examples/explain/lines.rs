//! Lines, explained: each with its event, or the request that it became a part of.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use apigw_log_forwarder::access_log::{AccessLog, Formats, Holds, NoMatch};
use apigw_log_forwarder::event::{Event, Writer};
use apigw_log_forwarder::execution_log::{Request, Stitcher};
use apigw_log_forwarder::head::{Head, Origin, valid_timestamp};
use apigw_log_forwarder::ids::Ids;
use apigw_log_forwarder::json::Str;
use apigw_log_forwarder::layout::Layout;
use apigw_log_forwarder::line::{Line, NoLine, Read, Reader};
use apigw_log_forwarder::redact::Redactor;
use apigw_log_forwarder::subscription::{self, Content};
use serde_json::Value;

use crate::caret;

/// What became of a text.
#[derive(Debug, Default)]
pub(crate) struct Explained {
    /// In the order in which the function would make them.
    pub(crate) steps: Vec<Step>,
    /// Whether no line became `text`.
    pub(crate) all_understood: bool,
}

/// An explanation, and the event that it is of.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) note: String,
    pub(crate) event: Option<Vec<u8>>,
}

/// Explains a text as the content of one Firehose record: envelopes, or lines of the log group `group`.
///
/// `is_set` says whether the formats are those of the setting; `now` is the time of lines that have none, in milliseconds
/// since the Unix epoch.
pub(crate) fn explain(
    text: &str,
    group: &str,
    formats: &Formats,
    is_set: bool,
    redactor: &Redactor,
    layout: &Layout,
    now: i64,
) -> Explained {
    let outcome = Explained { steps: Vec::new(), all_understood: true };
    let mut reader = Reader::new(formats, redactor);
    let mut explainer = Explainer { formats, is_set, redactor, layout, stitcher: Stitcher::default(), outcome };
    let mut ids = Ids::new(text.as_bytes());
    match subscription::read(text) {
        Ok(Content::Lines(text)) => {
            let origin = Arc::new(Origin::new(layout, "", group, ""));
            for (position, message) in messages(text, &origin) {
                let id = Cow::Owned(ids.id(position));
                let head = Head { id, timestamp: now, origin: Arc::clone(&origin), extracted_fields: None };
                let take = |head: &Head<'_>, read: Read<'_>| explainer.take(position, head, &message, read);
                reader.read(&head, Line::Bare(&message), take);
            }
        }
        Ok(Content::Envelopes(envelopes)) => {
            let mut position = 0;
            for envelope in envelopes {
                let origin = Arc::new(Origin::new(layout, &envelope.owner, &envelope.log_group, &envelope.log_stream));
                for event in envelope.events {
                    let head = Head {
                        id: event.id.map_or_else(|| Cow::Owned(ids.id(position)), Str::decode),
                        timestamp: event.timestamp.and_then(valid_timestamp).unwrap_or(now),
                        origin: Arc::clone(&origin),
                        extracted_fields: event.extracted_fields.map(Cow::Borrowed),
                    };
                    let take =
                        |head: &Head<'_>, read: Read<'_>| explainer.take(position, head, &event.message.decode(), read);
                    reader.read(&head, Line::Message(event.message), take);
                    position += 1;
                }
            }
        }
        Err(error) => explainer.fail(format!("the record would fail whole: {error}\n"), None),
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
    formats: &'a Formats,
    is_set: bool,
    redactor: &'a Redactor,
    layout: &'a Layout,
    stitcher: Stitcher,
    outcome: Explained,
}

impl Explainer<'_> {
    /// Takes a line that was read. `position` counts from 0.
    fn take(&mut self, position: usize, head: &Head<'_>, line: &str, read: Read<'_>) {
        let number = position + 1;
        match read {
            Read::Access(log) => {
                let event = self.written(head, &Event::Access(log, NonZeroU64::MIN));
                let note = format!("line {number}: {}\n", self.describe(log, line));
                self.outcome.steps.push(Step { note, event: Some(event) });
            }
            Read::Execution(part) => self.stitcher.push(position, head, part),
            Read::Vended(vended, part) => self.stitcher.push_vended(position, head, vended, part),
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

    fn written(&self, head: &Head<'_>, event: &Event<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        Writer { layout: self.layout, redactor: self.redactor }.write(head, event, &mut out);
        out
    }

    fn fail(&mut self, note: String, event: Option<Vec<u8>>) {
        self.outcome.all_understood = false;
        self.outcome.steps.push(Step { note, event });
    }

    /// Says which format took a line; of JSON without a format, what each format misses in it.
    fn describe(&self, log: &AccessLog<'_>, line: &str) -> String {
        if let Some(format) = log.format() {
            return format.to_owned();
        }
        let mut note = "JSON of no format: its keys are fields as they are".to_owned();
        if !self.is_set {
            return note + "; if its API has a format of its own, give it with --format";
        }
        let Ok(object) = serde_json::from_str::<Value>(line) else { return note };
        for outline in self.formats.outlines() {
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
            self.outcome.steps.push(Step { note: contributors(&request), event: Some(event) });
        }
        self.outcome
    }
}

/// Says which lines a request was stitched from.
fn contributors(request: &Request) -> String {
    let numbers: Vec<String> = request.shares.iter().map(|share| (share.record + 1).to_string()).collect();
    let noun = if numbers.len() == 1 { "line" } else { "lines" };
    format!("{noun} {}: one request of an execution log\n", numbers.join(", "))
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

    fn explained(setting: Option<&str>, group: &str, text: &str) -> Explained {
        let formats = setting.map_or_else(Formats::documented, |setting| Formats::compile(setting).unwrap());
        explain(text, group, &formats, setting.is_some(), &Redactor::off(), &Layout::default(), 1_795_287_540_123)
    }

    #[track_caller]
    fn notes(setting: Option<&str>, group: &str, text: &str, expected: &[&str]) {
        let explained = explained(setting, group, text);
        let notes: Vec<_> = explained.steps.iter().map(|step| step.note.as_str()).collect();
        assert_eq!(notes, expected, "{text}");
        assert_eq!(explained.all_understood, !notes.iter().any(|note| note.contains("text, as")));
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
