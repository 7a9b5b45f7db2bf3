//! What an event looks like on the wire: the names of its top-level fields, and what is written around it.
//!
//! ```text
//! FIELD_NAMES      id=EventId,timestamp=TimeGenerated     {"EventId":"3871","TimeGenerated":"2026-11-21T18:59:00.123Z",…}
//! STATIC_FIELDS    {"env":"prod"}                         {"id":"3871",…,"env":"prod"}
//! EVENT_TEMPLATE   {"time":{epochSeconds},"event":{event}}
//! ```

use thiserror::Error;

use crate::json::{self, Cursor, Kind};

/// A top-level field of the structured event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each has the name of the field")]
pub enum Field {
    Id,
    Timestamp,
    Kind,
    Owner,
    LogGroup,
    LogStream,
    ExtractedFields,
    ApiId,
    Stage,
    Context,
    Fields,
    Execution,
    Message,
    Truncated,
    ParseError,
    Derived,
    SampleRate,
}

/// The fields with their own names, in the order in which they stand in an event.
const FIELDS: [(Field, &str); 17] = [
    (Field::Id, "id"),
    (Field::Timestamp, "timestamp"),
    (Field::Kind, "kind"),
    (Field::Owner, "owner"),
    (Field::LogGroup, "logGroup"),
    (Field::LogStream, "logStream"),
    (Field::ExtractedFields, "extractedFields"),
    (Field::ApiId, "apiId"),
    (Field::Stage, "stage"),
    (Field::Context, "context"),
    (Field::Fields, "fields"),
    (Field::Execution, "execution"),
    (Field::Message, "message"),
    (Field::Truncated, "truncated"),
    (Field::ParseError, "parseError"),
    (Field::Derived, "derived"),
    (Field::SampleRate, "sampleRate"),
];

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Text(Box<str>),
    /// `{event}`: the whole event, an object.
    Event,
    /// The event's members, each behind a comma: only for destinations of our own.
    Members,
    /// `{id}`: its id, as it stands inside a JSON string.
    Id,
    /// `{timestamp}`: RFC 3339.
    Timestamp,
    /// `{epochSeconds}`: with milliseconds as a fraction.
    EpochSeconds,
    /// `{epochMillis}`.
    EpochMillis,
    /// One line for people, inside a JSON string: only for destinations of our own.
    Summary,
    /// The API's id or the log group, inside a JSON string: only for destinations of our own.
    Service,
    /// The event as a log record of the OpenTelemetry protocol.
    LogRecord,
}

/// How events are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// For each field `,"name":`; empty for one that is not written.
    labels: [Box<str>; FIELDS.len()],
    /// What stands behind the event's own fields: `,"env":"prod"`.
    pub(crate) statics: Box<str>,
    /// What is written for each event.
    pub(crate) pieces: Vec<Piece>,
    /// Names that the template writes beside the event's members.
    taken: &'static [&'static str],
    /// Most bytes of a top-level value that the destination does not cut.
    pub(crate) max_value_bytes: usize,
}

/// Why a layout is not possible.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// `FIELD_NAMES` is not a list of pairs.
    #[error("is not a list such as id=eventId,timestamp=TimeGenerated")]
    Pairs,
    /// A field that no event has.
    #[error("names a field that no event has; there are: {}", FIELDS.map(|(_, name)| name).join(", "))]
    UnknownField,
    /// Two fields would have one name.
    #[error("two fields would have one name")]
    SameName,
    /// `STATIC_FIELDS` is not an object.
    #[error("is not a JSON object such as {{\"env\":\"prod\"}}")]
    NoObject,
    /// A static field has the name of an event's field, or comes twice.
    #[error("has a field with the name of an event's field, or one field twice")]
    TakenName,
    /// A template must hold its placeholder exactly once.
    #[error("must hold {0} exactly once")]
    NotOnce(&'static str),
}

impl Default for Layout {
    /// The structured event as it is.
    fn default() -> Self {
        let labels = FIELDS.map(|(_, name)| label(name));
        Self { labels, statics: "".into(), pieces: vec![Piece::Event], taken: &[], max_value_bytes: usize::MAX }
    }
}

impl Layout {
    /// Returns what stands before a field's value, `,"id":`. `None` for a field that is not written.
    #[must_use]
    pub(crate) fn label(&self, field: Field) -> Option<&str> {
        self.labels.get(field as usize).map(AsRef::as_ref).filter(|label| !label.is_empty())
    }

    /// Gives fields other names: `id=eventId,timestamp=TimeGenerated`.
    ///
    /// # Errors
    /// If it is not such a list, or names a field that no event has.
    pub fn rename(&mut self, pairs: &str) -> Result<(), LayoutError> {
        for pair in pairs.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (field, name) = pair.split_once('=').ok_or(LayoutError::Pairs)?;
            let (field, name) = (field.trim(), name.trim());
            if name.is_empty() {
                return Err(LayoutError::Pairs);
            }
            let (field, _) = FIELDS.iter().find(|(_, known)| *known == field).ok_or(LayoutError::UnknownField)?;
            *self.slot(*field) = label(name);
        }
        let mut labels = self.names();
        labels.sort_unstable();
        if labels.windows(2).any(|two| two.first() == two.last()) { Err(LayoutError::SameName) } else { Ok(()) }
    }

    /// The labels of all fields that stand in the object of the event's members.
    fn names(&self) -> Vec<Box<str>> {
        let own = self.labels.iter().filter(|label| !label.is_empty()).cloned();
        own.chain(self.taken.iter().map(|name| label(name))).collect()
    }

    /// Leaves fields out.
    pub(crate) fn omit(&mut self, fields: &[Field]) {
        for field in fields {
            *self.slot(*field) = "".into();
        }
    }

    fn slot(&mut self, field: Field) -> &mut Box<str> {
        self.labels.get_mut(field as usize).expect("there is a label for each field")
    }

    /// Adds the fields of a JSON object to every event.
    ///
    /// # Errors
    /// If it is not one, or a field of it has the name of an event's field or comes twice.
    pub fn add(&mut self, object: &str) -> Result<(), LayoutError> {
        let mut statics = String::new();
        let mut taken = self.names();
        let mut cursor = Cursor::new(object);
        let mut read = || {
            if cursor.kind()? != Kind::Object {
                return Ok(None);
            }
            cursor.open()?;
            let mut first = true;
            let mut members = Vec::new();
            while let Some(key) = cursor.next_key(&mut first)? {
                members.push((key.decode(), cursor.value()?));
            }
            Ok::<_, json::JsonError>(cursor.at_end().then_some(members))
        };
        let members = read().ok().flatten().ok_or(LayoutError::NoObject)?;
        for (name, value) in members {
            let label = label(&name);
            if taken.contains(&label) {
                return Err(LayoutError::TakenName);
            }
            statics.push_str(&label);
            let mut compact = Vec::new();
            json::write_compact(&mut compact, &json::sound(value));
            statics.push_str(&String::from_utf8(compact).expect("blanks are left out of text"));
            taken.push(label);
        }
        self.statics = statics.into();
        Ok(())
    }

    /// Has a template written for each event: text with `{event}` once, and any of `{id}`, `{timestamp}`, `{epochSeconds}` and
    /// `{epochMillis}`.
    ///
    /// # Errors
    /// If it does not hold `{event}` once.
    pub fn write_as(&mut self, template: &str) -> Result<(), LayoutError> {
        let pieces = pieces(template, OPERATORS);
        if pieces.iter().filter(|piece| **piece == Piece::Event).count() != 1 {
            return Err(LayoutError::NotOnce("{event}"));
        }
        self.pieces = pieces;
        Ok(())
    }

    /// Returns whether a destination will cut a value of an event that was written.
    #[must_use]
    pub(crate) fn is_cut(&self, event: &[u8]) -> bool {
        if event.len() <= self.max_value_bytes {
            return false;
        }
        let Ok(event) = std::str::from_utf8(event) else { return false };
        let (mut cursor, mut first) = (Cursor::new(event), true);
        if cursor.open().is_err() {
            return false;
        }
        while let Ok(Some(_)) = cursor.next_key(&mut first) {
            match cursor.value() {
                Ok(value) if value.len() > self.max_value_bytes => return true,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        false
    }

    /// Has a log record written for each event.
    pub(crate) fn write_as_log_record(&mut self) {
        self.pieces = vec![Piece::LogRecord];
    }

    /// Has a destination's template written for each event, which writes these names beside the event's members.
    pub(crate) fn write_as_own(&mut self, template: &str, taken: &'static [&'static str]) {
        self.taken = taken;
        self.pieces = pieces(template, PLACEHOLDERS.len());
    }
}

/// What a template may hold: the first of them in one of an operator, all in one of a destination.
const PLACEHOLDERS: [(&str, Piece); 8] = [
    ("{event}", Piece::Event),
    ("{id}", Piece::Id),
    ("{timestamp}", Piece::Timestamp),
    ("{epochSeconds}", Piece::EpochSeconds),
    ("{epochMillis}", Piece::EpochMillis),
    ("{members}", Piece::Members),
    ("{summary}", Piece::Summary),
    ("{service}", Piece::Service),
];

/// How many of them are an operator's.
const OPERATORS: usize = 5;

/// Divides a template at so many of the placeholders. All other braces are text.
fn pieces(template: &str, known: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = template;
    loop {
        let next =
            PLACEHOLDERS.iter().take(known).filter_map(|(name, piece)| Some((rest.find(name)?, name.len(), piece)));
        let Some((at, length, piece)) = next.min_by_key(|(at, ..)| *at) else { break };
        let (text, behind) = rest.split_at(at);
        if !text.is_empty() {
            pieces.push(Piece::Text(text.into()));
        }
        pieces.push(piece.clone());
        rest = behind.get(length..).unwrap_or_default();
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    pieces
}

/// Divides the template of a body at `{events}`.
///
/// # Errors
/// If it does not hold that once.
pub fn around_events(template: &str) -> Result<[&str; 2], LayoutError> {
    let (before, behind) = template.split_once("{events}").ok_or(LayoutError::NotOnce("{events}"))?;
    if behind.contains("{events}") { Err(LayoutError::NotOnce("{events}")) } else { Ok([before, behind]) }
}

fn label(name: &str) -> Box<str> {
    let mut label = b",".to_vec();
    json::write_string(&mut label, name);
    label.push(b':');
    String::from_utf8(label).expect("a JSON string is text").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn names(pairs: &str, expected: &Result<Option<&str>, LayoutError>) {
        let mut layout = Layout::default();
        let renamed = layout.rename(pairs).map(|()| layout.label(Field::Id));
        assert_eq!(renamed, *expected, "{pairs}");
    }

    #[test]
    fn a_field_has_another_name_that_no_other_has() {
        names("", &Ok(Some(",\"id\":")));
        names(" id = eventId , stage=s ", &Ok(Some(",\"eventId\":")));
        names("id=a\"b", &Ok(Some(",\"a\\\"b\":")));
        names("id=stage,stage=id", &Ok(Some(",\"stage\":")));
        names("id=stage", &Err(LayoutError::SameName));
        names("id=x,kind=x", &Err(LayoutError::SameName));
        names("ID=x", &Err(LayoutError::UnknownField));
        for malformed in ["id", "id=", "=x"] {
            let error = if malformed == "=x" { LayoutError::UnknownField } else { LayoutError::Pairs };
            names(malformed, &Err(error));
        }
    }

    #[track_caller]
    fn adds(object: &str, expected: Result<&str, LayoutError>) {
        let mut layout = Layout::default();
        layout.write_as_own("{members}", &["service"]);
        layout.omit(&[Field::Message]);
        let added = layout.add(object).map(|()| layout.statics.to_string());
        assert_eq!(added, expected.map(str::to_owned), "{object}");
    }

    #[test]
    fn static_fields_stand_beside_the_events_own_under_names_of_theirs() {
        adds("{}", Ok(""));
        adds(" {\"a\" : { \"b\": [1, 2] }} ", Ok(",\"a\":{\"b\":[1,2]}"));
        adds(r#"{"a":{"b":1,"b":2}}"#, Ok(r#","a":{"b":2}"#));
        // What is left out leaves its name to others.
        adds(r#"{"message":"m"}"#, Ok(r#","message":"m""#));
        for taken in [r#"{"id":1}"#, r#"{"\u0069d":1}"#, r#"{"a":1,"a":2}"#, r#"{"service":1}"#, r#"{"derived":1}"#] {
            adds(taken, Err(LayoutError::TakenName));
        }
        for none in ["", "[]", "1", "{", "{\"a\":1} x", "{\"a\"}"] {
            adds(none, Err(LayoutError::NoObject));
        }
    }

    #[test]
    fn a_template_is_divided_at_its_placeholders_and_all_other_braces_are_text() {
        let mut layout = Layout::default();
        assert_eq!(layout.write_as(r#"{"i":"{id}","e":{event}}"#), Ok(()));
        let text = |text: &str| Piece::Text(text.into());
        assert_eq!(layout.pieces, [text("{\"i\":\""), Piece::Id, text("\",\"e\":"), Piece::Event, text("}")]);
        for none in ["", "{}", "{event}{event}", "{summary}"] {
            assert!(layout.write_as(none).is_err(), "{none}");
        }
        assert_eq!(around_events("<{events}>"), Ok(["<", ">"]));
        assert!(around_events("{events}{events}").is_err());
    }
}
