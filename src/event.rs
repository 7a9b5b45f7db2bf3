//! The structured event that leaves, and how it is written: one JSON object, in one fixed order of fields.

use std::fmt::Display;

use crate::access_log::AccessLog;
use crate::execution_log::Request;
use crate::head::{Head, write_timestamp};
use crate::json::{self, write_field};
use crate::redact::{Redactor, TRUNCATED};

impl Head<'_> {
    /// Writes the event of an access-log line.
    pub fn write_access(&self, log: &AccessLog<'_>, redactor: &Redactor, out: &mut Vec<u8>) {
        let shown = log.without_scattered(redactor);
        let log = shown.as_ref().unwrap_or(log);
        self.write("access", redactor, out);
        self.write_api(log.api_id().as_deref(), log.stage().as_deref(), redactor, out);
        log.write(redactor, out);
        out.push(b'}');
    }

    /// Writes the event of one request's execution-log lines.
    pub fn write_execution(request: &Request, redactor: &Redactor, out: &mut Vec<u8>) {
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use super::*;
    use crate::access_log::Formats;
    use crate::head::Origin;
    use crate::redact::ValueKind;

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
