//! What one log line is: the one place that decides it.
//!
//! ```text
//! (1c9d-22) Method completed with status: 200          part of a request, in a log group of execution logs
//! {"api_id":"a1","payload":"(1c9d-22) Method …"}       the same, as a vended record
//! {"requestId":"1c9d-22","status":"200"}               an access log
//! Execution logging enabled                            text: no format takes it
//! ```

use thiserror::Error;

use crate::access_log::{AccessLog, Formats, Learned, NoMatch};
use crate::execution_log::vended::{self, Vended};
use crate::execution_log::{NotExecutionLine, Part};
use crate::head::{Head, valid_timestamp};
use crate::json::{self, Str};
use crate::redact::Redactor;

/// A log line as it stands in a record.
#[derive(Clone, Copy)]
pub enum Line<'a> {
    /// One that came without an envelope.
    Bare(&'a str),
    /// The message of a log event: the inside of a JSON string.
    Message(Str<'a>),
}

impl Line<'_> {
    /// Returns how many bytes the line takes where it stands.
    #[must_use]
    pub fn raw_bytes(self) -> usize {
        match self {
            Self::Bare(line) => line.len(),
            Self::Message(raw) => raw.raw().len(),
        }
    }

    /// Returns how many bytes of text the line holds with its escapes undone, and without the blanks of JSON.
    #[must_use]
    pub fn text_bytes(self) -> usize {
        let bytes = |line: &str| {
            let line = line.trim_ascii();
            if line.starts_with('{') { json::compact_len(line) } else { line.len() }
        };
        match self {
            Self::Bare(line) => bytes(line),
            Self::Message(raw) => bytes(&raw.decode()),
        }
    }
}

/// What a line is.
pub enum Read<'a> {
    /// A line of an access log, or a JSON object of any keys.
    Access(&'a AccessLog<'a>),
    /// A line of a request's execution log.
    Execution(Part<'a>),
    /// The same as a vended record, with the line that it carries.
    Vended(&'a Vended<'a>, Part<'a>),
    /// Anything else, and why.
    Text(&'a str, NoLine<'a>),
}

/// Why a line is text.
#[derive(Debug, Error)]
pub enum NoLine<'a> {
    /// No format takes it.
    #[error(transparent)]
    Access(NoMatch<'a>),
    /// It belongs to no request.
    #[error(transparent)]
    Execution(#[from] NotExecutionLine),
    /// It is JSON that says nothing.
    #[error("a JSON object without any field")]
    Empty,
}

/// Reads the lines of an invocation.
pub struct Reader<'a> {
    formats: &'a Formats,
    redactor: &'a Redactor,
    /// What JSON lines without a format have taught.
    learned: Learned,
    /// The line that is read, its escapes undone.
    text: String,
}

impl<'a> Reader<'a> {
    /// Starts with nothing learned. The redactor tells what is left to the clear way.
    #[must_use]
    pub fn new(formats: &'a Formats, redactor: &'a Redactor) -> Self {
        Self { formats, redactor, learned: Learned::default(), text: String::new() }
    }

    /// Reads a line and hands it to `take`, with its head: a line that came without an envelope may tell its own time, and a
    /// vended record its API.
    pub fn read<T>(&mut self, head: &Head<'_>, line: Line<'_>, take: impl FnOnce(&Head<'_>, Read<'_>) -> T) -> T {
        let is_execution = head.origin.holds_execution_logs();
        let raw = match line {
            Line::Message(raw) if !is_execution => {
                let learned = self.learned.read(self.formats, self.redactor, raw);
                if let Some(log) = learned.or_else(|| self.formats.parse_message(raw)) {
                    match log.vended().map(vended::of) {
                        None => return take(head, Read::Access(&log)),
                        Some(Some(vended)) => return of_vended(head, &vended, &log, take),
                        // An odd one goes the clear way.
                        Some(None) => {}
                    }
                }
                Some(raw)
            }
            _ => None,
        };
        let mut text = std::mem::take(&mut self.text);
        let line = match line {
            Line::Bare(line) => line,
            Line::Message(raw) => {
                text.clear();
                raw.decode_into(&mut text);
                &text
            }
        };
        let taken = if is_execution { execution(head, line, take) } else { self.access(head, line, raw, take) };
        self.text = text;
        taken
    }

    /// Reads a line that is most likely one of an access log. `raw` is the line as it stands in an envelope.
    fn access<T>(
        &mut self,
        head: &Head<'_>,
        line: &str,
        raw: Option<Str<'_>>,
        take: impl FnOnce(&Head<'_>, Read<'_>) -> T,
    ) -> T {
        let log = match self.formats.parse(line) {
            Ok(log) => log,
            Err(error) => {
                return match self.formats.mend(line) {
                    Some(mended) => self.access(head, &mended, raw, take),
                    None => take(head, Read::Text(line, NoLine::Access(error))),
                };
            }
        };
        // A line that came without a time mostly has its request's.
        let dated = if raw.is_none() { log.time().and_then(valid_timestamp) } else { None };
        let dated = dated.map(|timestamp| Head { timestamp, ..head.clone() });
        let head = dated.as_ref().unwrap_or(head);
        if let Some(raw) = raw {
            self.learned.learn(self.formats, self.redactor, raw, line, &log);
        }
        // Whatever a format takes is an access log; other JSON may be a vended execution record.
        if log.format().is_none() {
            if is_empty_object(line) {
                return take(head, Read::Text(line, NoLine::Empty));
            }
            if let Some(vended) = vended::parse(line) {
                return of_vended(head, &vended, &log, take);
            }
        }
        take(head, Read::Access(&log))
    }
}

/// Hands over a vended execution record, which `log` has read as any JSON.
fn of_vended<T>(
    head: &Head<'_>,
    vended: &Vended<'_>,
    log: &AccessLog<'_>,
    take: impl FnOnce(&Head<'_>, Read<'_>) -> T,
) -> T {
    match vended.part() {
        Ok(part) => take(head, Read::Vended(vended, part)),
        // One without a request id belongs to no request, and still tells its API.
        Err(_) => take(&vended.head(head), Read::Access(log)),
    }
}

/// Reads a line of a log group that holds execution logs.
fn execution<T>(head: &Head<'_>, line: &str, take: impl FnOnce(&Head<'_>, Read<'_>) -> T) -> T {
    let error = match Part::read(line) {
        Ok(part) => return take(head, Read::Execution(part)),
        Err(error) => error,
    };
    if let Some(vended) = vended::parse(line)
        && let Ok(part) = vended.part()
    {
        return take(head, Read::Vended(&vended, part));
    }
    take(head, Read::Text(line, error.into()))
}

/// Returns whether a line that is a JSON object has nothing in it.
fn is_empty_object(line: &str) -> bool {
    line.trim_ascii().strip_prefix('{').is_some_and(|rest| rest.trim_ascii_start().starts_with('}'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::head::Origin;
    use crate::layout::Layout;

    const EXECUTIONS: &str = "API-Gateway-Execution-Logs_a1/prod";
    const VENDED: &str = r#"{"api_id":"b2","payload":"(r-1) Text"}"#;

    /// Says what a line of a log group is, and of which API.
    #[track_caller]
    fn is(group: &str, line: &str, expected: &str) {
        let (formats, redactor) = (Formats::documented(), Redactor::off());
        let origin = Arc::new(Origin::new(&Layout::default(), "", group, ""));
        let head = Head { origin, timestamp: 7, ..Head::default() };
        let told = |head: &Head<'_>, read: Read<'_>| {
            let api = head.origin.api_id.as_deref().unwrap_or_default();
            let what = match read {
                Read::Access(log) => format!("access, {}", log.format().unwrap_or("JSON")),
                Read::Execution(part) => format!("execution, {} {}", part.request_id, part.text),
                Read::Vended(_, part) => format!("vended, {} {}", part.request_id, part.text),
                Read::Text(line, reason) => format!("text, {line}: {reason}"),
            };
            format!("{what} [{api}] {}", head.timestamp)
        };
        let inside = serde_json::to_string(line).expect("JSON");
        let message = json::Cursor::new(&inside).string().expect("a string");
        let mut reader = Reader::new(&formats, &redactor);
        assert_eq!(reader.read(&head, Line::Message(message), told), expected, "{group} {line}");
    }

    #[test]
    fn a_line_is_told_by_its_group_and_its_text() {
        is(EXECUTIONS, "(r-1) Text", "execution, r-1 Text [a1] 7");
        is(EXECUTIONS, VENDED, "vended, r-1 Text [a1] 7");
        is(EXECUTIONS, "Text", "text, Text: no request id in parentheses at byte 0 [a1] 7");
        is(EXECUTIONS, r#"{"a":1}"#, r#"text, {"a":1}: no request id in parentheses at byte 0 [a1] 7"#);
        is(
            "g",
            "(r-1) Text",
            "text, (r-1) Text: the CLF format of REST APIs comes furthest, to byte 6: the format's next literal text is not there [] 7",
        );
        is("g", VENDED, "vended, r-1 Text [] 7");
        is("g", r#"{"api_id":"b2","payload":"Text"}"#, "access, JSON [b2] 7");
        is("g", r#"{"a":1}"#, "access, JSON [] 7");
        is("g", "{ }", "text, { }: a JSON object without any field [] 7");
        is("g", r#"{"a":-,"b":1}"#, "access, JSON [] 7");
    }

    #[test]
    fn a_line_that_came_without_an_envelope_has_the_time_of_its_request() {
        let (formats, redactor) = (Formats::documented(), Redactor::off());
        let mut reader = Reader::new(&formats, &redactor);
        let line = r#"{"requestTimeEpoch":"1795287540123","a":"1"}"#;
        assert_eq!(reader.read(&Head::default(), Line::Bare(line), |head, _| head.timestamp), 1_795_287_540_123);
        assert_eq!(reader.read(&Head::default(), Line::Bare("Text"), |head, _| head.timestamp), 0);
    }

    #[test]
    fn a_line_holds_so_much_text() {
        assert_eq!(Line::Bare(" {\"a\" : 1 }\n").text_bytes(), r#"{"a":1}"#.len());
        assert_eq!(Line::Bare(" a b \n").text_bytes(), 3);
        assert_eq!(Line::Bare(" a b \n").raw_bytes(), 6);
    }
}
