//! The structured event that leaves, and how it is written: one JSON object, in one fixed order of fields, in the layout that its
//! destination wants.
//!
//! ```json
//! {"id":"3871","timestamp":"2026-11-21T18:59:00.123Z","kind":"access","logGroup":"orders-access","context":{"status":200}}
//! ```

use std::borrow::Cow;
use std::fmt::Display;
use std::num::NonZeroU64;

use crate::access_log::AccessLog;
use crate::derive::Facts;
use crate::execution_log::Request;
use crate::head::{Head, write_timestamp};
use crate::json;
use crate::layout::{Field, Layout, Piece};
use crate::otlp;
use crate::redact::{Redactor, TRUNCATED};

/// What an event tells beside its head.
pub enum Event<'a> {
    /// What an access-log line says, and how many events it stands for.
    Access(&'a AccessLog<'a>, NonZeroU64),
    /// What the execution-log lines of one request say.
    Execution(&'a Request),
    /// A line that no format took, and why.
    Text(&'a str, &'a dyn Display),
}

/// Writes events.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// What they look like.
    pub layout: &'a Layout,
    /// What is hidden in them.
    pub redactor: &'a Redactor,
}

impl Writer<'_> {
    /// Writes an event as its destination wants it.
    pub fn write(&self, head: &Head<'_>, event: &Event<'_>, out: &mut Vec<u8>) {
        let shown = match event {
            Event::Access(log, rate) => log.without_scattered(self.redactor).map(|log| (log, *rate)),
            _ => None,
        };
        let shown = shown.as_ref().map(|(log, rate)| Event::Access(log, *rate));
        let event = shown.as_ref().unwrap_or(event);
        for piece in &self.layout.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Event => self.object(head, event, out),
                Piece::LogRecord => {
                    let mut json = Vec::new();
                    self.object(head, event, &mut json);
                    let json = String::from_utf8(json).expect("an event is text");
                    otlp::log_record(head, &json, out).expect("an event is an object");
                }
                Piece::Members => self.members(head, event, out),
                Piece::Id => json::write_escaped(out, &head.id),
                Piece::Timestamp => write_timestamp(head.timestamp, out),
                Piece::EpochSeconds => write_seconds(head.timestamp, out),
                Piece::EpochMillis => out.extend_from_slice(head.timestamp.to_string().as_bytes()),
                Piece::Summary => json::write_escaped(out, &self.summary(event)),
                Piece::Service => json::write_escaped(out, &self.service(head, event)),
            }
        }
    }

    /// Writes the structured event itself.
    fn object(&self, head: &Head<'_>, event: &Event<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        self.members(head, event, out);
        // The first comma opens the object.
        if let Some(first) = out.get_mut(start) {
            *first = b'{';
        }
        out.push(b'}');
    }

    /// Writes the members of the event, each behind a comma.
    fn members(&self, head: &Head<'_>, event: &Event<'_>, out: &mut Vec<u8>) {
        let kind = match event {
            Event::Access(..) => "access",
            Event::Execution(_) => "execution",
            Event::Text(..) => "text",
        };
        self.text(Field::Id, Some(&head.id), out);
        if self.label(Field::Timestamp, out) {
            out.push(b'"');
            write_timestamp(head.timestamp, out);
            out.push(b'"');
        }
        self.text(Field::Kind, Some(kind), out);
        out.extend_from_slice(&head.origin.json);
        if let Some(fields) = &head.extracted_fields
            && self.label(Field::ExtractedFields, out)
        {
            self.redactor.write_json(&json::sound(fields), out);
        }
        let (api_id, stage) = match event {
            Event::Access(log, _) => (log.api_id(), log.stage()),
            _ => (None, None),
        };
        self.name(Field::ApiId, head.origin.api_id.as_deref().or(api_id.as_deref()), out);
        self.name(Field::Stage, head.origin.stage.as_deref().or(stage.as_deref()), out);
        let mut facts = Facts::default();
        let is_truncated = match event {
            Event::Access(log, _) => {
                let labels = [Field::Context, Field::Fields].map(|field| self.layout.label(field).unwrap_or_default());
                log.write(labels, self.redactor, out);
                facts = log.facts(self.redactor);
                false
            }
            Event::Execution(request) => {
                if self.label(Field::Execution, out) {
                    facts = request.write(self.redactor, out);
                }
                request.truncated()
            }
            Event::Text(line, _) => {
                self.text(Field::Message, Some(&self.redactor.of_unparsed().text(line)), out);
                line.trim_end().ends_with(TRUNCATED)
            }
        };
        if is_truncated && self.label(Field::Truncated, out) {
            out.extend_from_slice(b"true");
        }
        if let Event::Text(_, reason) = event {
            self.text(Field::ParseError, Some(&reason.to_string()), out);
        }
        let before = out.len();
        if self.label(Field::Derived, out) && !facts.write(out) {
            out.truncate(before);
        }
        if let Event::Access(_, rate) = event
            && rate.get() > 1
            && self.label(Field::SampleRate, out)
        {
            out.extend_from_slice(rate.to_string().as_bytes());
        }
        out.extend_from_slice(self.layout.statics.as_bytes());
    }

    /// Writes what stands before a field's value, unless the field is left out.
    fn label(&self, field: Field, out: &mut Vec<u8>) -> bool {
        let label = self.layout.label(field);
        out.extend_from_slice(label.unwrap_or_default().as_bytes());
        label.is_some()
    }

    fn text(&self, field: Field, value: Option<&str>, out: &mut Vec<u8>) {
        if let Some(value) = value
            && self.label(field, out)
        {
            json::write_string(out, value);
        }
    }

    /// Writes the name of an API or a stage: it can be digits that are to be hidden.
    fn name(&self, field: Field, name: Option<&str>, out: &mut Vec<u8>) {
        self.text(field, name.map(|name| self.redactor.text(name)).as_deref(), out);
    }

    /// Says an event in a line for people: the text, or `GET /orders 200`.
    fn summary<'e>(&self, event: &Event<'e>) -> Cow<'e, str> {
        match event {
            Event::Text(line, _) => Cow::Owned(self.redactor.of_unparsed().text(line).into_owned()),
            Event::Access(log, _) => Cow::Owned(log.summary(self.redactor)),
            Event::Execution(request) => Cow::Owned(self.redactor.text(&request.summary()).into_owned()),
        }
    }

    /// Names what has logged: the API's id, else the log group.
    fn service<'e>(&self, head: &'e Head<'_>, event: &'e Event<'_>) -> Cow<'e, str> {
        let told = match event {
            Event::Access(log, _) => log.api_id(),
            _ => None,
        };
        let name = head.origin.api_id.as_deref().map(Cow::Borrowed).or(told);
        match name {
            Some(name) => Cow::Owned(self.redactor.text(&name).into_owned()),
            None => Cow::Borrowed(head.origin.log_group()),
        }
    }
}

/// Writes a time as seconds since the Unix epoch, with its milliseconds as a fraction.
fn write_seconds(milliseconds: i64, out: &mut Vec<u8>) {
    let sign = if milliseconds < 0 { "-" } else { "" };
    let milliseconds = milliseconds.unsigned_abs();
    out.extend_from_slice(format!("{sign}{}.{:03}", milliseconds / 1000, milliseconds % 1000).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::access_log::Formats;
    use crate::head::Origin;
    use crate::redact::ValueKind;

    fn access(formats: &Formats, line: &str, redactor: &Redactor) -> String {
        let origin = Arc::new(Origin::default());
        let head = Head { id: Cow::Borrowed("7"), timestamp: 0, origin, extracted_fields: None };
        let mut out = Vec::new();
        Writer { layout: &Layout::default(), redactor }.write(
            &head,
            &Event::Access(&formats.parse(line).unwrap(), NonZeroU64::MIN),
            &mut out,
        );
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
        let (layout, redactor) = (Layout::default(), Redactor::off());
        let head = Head {
            id: Cow::Borrowed("7"),
            timestamp: 0,
            origin: Arc::new(Origin::new(&layout, "o", "g", "s")),
            extracted_fields: Some(Cow::Borrowed(r#"{ "a": "b" }"#)),
        };
        let mut out = Vec::new();
        let text = Event::Text("a\nb [TRUNCATED]", &"no format");
        Writer { layout: &layout, redactor: &redactor }.write(&head, &text, &mut out);
        let expected = r#"{"id":"7","timestamp":"1970-01-01T00:00:00.000Z","kind":"text","owner":"o","logGroup":"g","logStream":"s","extractedFields":{"a":"b"},"message":"a\nb [TRUNCATED]","truncated":true,"parseError":"no format"}"#;
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
