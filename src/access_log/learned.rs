//! JSON lines that no format has, read by the text of one that came before.
//!
//! A line without a format becomes `fields`: its keys as they were given. The lines of a stage differ in their values only, so
//! what was worked out for the first of them (which keys there are, that none of them is of a format, which values are hidden)
//! holds for all that have the same text around their values. A [`Template`] keeps that: the text to look for and the text to
//! write. What it writes is what the clear way writes, to the byte.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::format::Format;
use super::shape::Node;
use super::stencil::{Reading, Stencil};
use super::value::Value;
use super::write;
use super::{AccessLog, Fields, Formats};
use crate::json::{self, Cursor, Kind, Str};
use crate::redact::{REDACTED, Redactor, is_cookie_list, is_query_map, is_value_key};

/// Texts that are kept. A stage has one, or a few where its lines leave keys out.
const MAX_TEMPLATES: usize = 8;

/// Keys of a line that is looked at, and so the depth to which it is.
const MAX_KEYS: usize = 256;

/// What has been learned from lines without a format. Good for one redactor and one set of formats.
#[derive(Default)]
pub struct Learned {
    templates: Vec<Template>,
}

/// Tells how much was learned and nothing of it.
impl fmt::Debug for Learned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Learned").field("templates", &self.templates.len()).finish()
    }
}

impl Learned {
    /// Reads a line that has the text of one that came before.
    #[must_use]
    pub fn read<'a>(&'a self, line: Str<'a>) -> Option<AccessLog<'a>> {
        self.templates.iter().find_map(|template| {
            let values = template.read(line)?;
            Some(AccessLog { reading: None, fields: Fields::Learned(template, values) })
        })
    }

    /// Learns from a line that [`Formats::parse`] reads without a format: `raw` as it stands in a JSON string, `line` decoded.
    pub fn learn(&mut self, formats: &Formats, redactor: &Redactor, raw: Str<'_>, line: &str) {
        if self.templates.len() < MAX_TEMPLATES
            && let Some(template) = Template::of(formats, redactor, line)
            && template.read(raw).is_some()
        {
            self.templates.push(template);
        }
    }
}

/// The text of a line around its values.
pub(super) struct Template {
    stencil: Stencil,
    places: Vec<Place>,
    /// What is written behind the last value.
    end: Box<str>,
    /// Which of the values is the API's id, and which the stage's name.
    pub(super) api_id: Option<usize>,
    pub(super) stage: Option<usize>,
}

/// A value of a line, and what is written before it: the quote too, where the value is the inside of a string.
struct Place {
    before: Box<str>,
    shows: Shows,
    /// Whether the value is of an object inside the line. One that could hold a credential under a name is left to the clear
    /// way, which searches the object as a whole.
    nested: bool,
}

/// What is written of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// The value, which is the inside of a string.
    Inside,
    /// The value, which stands outside quotes.
    Whole,
    /// A mark in its place: it is hidden, if there is one.
    Mark,
}

impl Template {
    /// Learns the text of a line. `None` if it has what depends on more than that: a list, a query, a key with an escape, or
    /// keys that a format might have.
    fn of(formats: &Formats, redactor: &Redactor, line: &str) -> Option<Self> {
        let line = line.trim_ascii();
        let mut pupil = Pupil {
            line,
            redactor,
            keys: Vec::new(),
            at: 0,
            read: Vec::new(),
            written: String::new(),
            places: Vec::new(),
            api_id: None,
            stage: None,
        };
        let mut cursor = Cursor::new(line);
        pupil.object(&mut cursor, false)?;
        let Pupil { keys, at, mut read, written, places, api_id, stage, .. } = pupil;
        let is_vended = keys.contains(&"payload") && (keys.contains(&"api_id") || keys.contains(&"resource_arn"));
        if !cursor.at_end() || is_vended || !formats.all().all(|format| is_foreign(format, &keys)) {
            return None;
        }
        read.push((false, line.get(at..)?));
        // Each text stands behind the value before it.
        let first = read.first()?.1;
        let behind = read.iter().zip(read.get(1..)?).map(|((quoted, _), (_, behind))| (*quoted, *behind));
        Some(Self { stencil: Stencil::new(first, behind)?, places, end: written.into(), api_id, stage })
    }

    fn read<'a>(&self, line: Str<'a>) -> Option<Vec<Value<'a>>> {
        let Reading::Values(values) = self.stencil.read(line) else { return None };
        let is_plain = |(place, value): (&Place, &Value<'_>)| match value {
            Value::Clean(_) => !place.nested,
            Value::Plain(number) => json::is_sound_number(number),
            _ => true,
        };
        self.places.iter().zip(&values).all(is_plain).then_some(values)
    }

    /// Writes the line as an object.
    pub(super) fn write(&self, values: &[Value<'_>], redactor: &Redactor, out: &mut Vec<u8>) {
        for (place, value) in self.places.iter().zip(values) {
            out.extend_from_slice(place.before.as_bytes());
            match (place.shows, *value) {
                (Shows::Mark, value) if value.text().is_some() => write::quoted(REDACTED, out),
                (Shows::Mark, Value::Clean(text) | Value::Nameless(text)) => write::quoted(text, out),
                (Shows::Inside, Value::Nameless(text)) if !redactor.hides_values() => {
                    out.extend_from_slice(text.as_bytes());
                }
                (Shows::Inside, Value::Nameless(text) | Value::Clean(text)) => {
                    write::free_text_inside(text, redactor, out);
                }
                (_, Value::Nothing | Value::Unseen) => out.extend_from_slice(b"null"),
                (_, Value::Plain(text)) if !redactor.hides_values() => out.extend_from_slice(text.as_bytes()),
                (_, Value::Plain(text)) => redactor.write_json(text, out),
                (_, value) => write::any_text(value, redactor, out),
            }
        }
        out.extend_from_slice(self.end.as_bytes());
    }
}

/// Returns whether a line with these keys, at any level, is none of the format's, whatever its values are.
///
/// Not by the format's keys if one that holds variables is not there. Not by its text either then, for that holds the key in
/// quotes with a colon behind, which in JSON without escapes only stands where there is such a key. A format that is no JSON
/// object is out if it cannot start with a brace.
fn is_foreign(format: &Format, keys: &[&str]) -> bool {
    match &format.shape {
        Some(shape) => shape.keys.iter().any(|(name, node)| {
            matches!(node, Node::Variable(_) | Node::Object(_)) && is_word(name) && !keys.contains(&name.as_ref())
        }),
        None if format.pattern.literal(0).is_empty() => {
            format.pattern.slots.first().is_some_and(|slot| !slot.variable.kind.may_hold("{"))
        }
        None => !format.pattern.literal(0).starts_with('{'),
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Walks the line that is learned from.
struct Pupil<'a> {
    line: &'a str,
    redactor: &'a Redactor,
    /// All keys, of objects inside the line too.
    keys: Vec<&'a str>,
    /// Where the text behind the last value starts.
    at: usize,
    /// For each value whether it is quoted, with the text before it.
    read: Vec<(bool, &'a str)>,
    /// What is to be written behind the last value.
    written: String,
    places: Vec<Place>,
    api_id: Option<usize>,
    stage: Option<usize>,
}

impl<'a> Pupil<'a> {
    fn object(&mut self, cursor: &mut Cursor<'a>, nested: bool) -> Option<()> {
        cursor.open().ok()?;
        let mut opened = false;
        let mut first = true;
        let mut names = Vec::new();
        while let Some(key) = cursor.next_key(&mut first).ok()? {
            let name = key.raw();
            // Of some keys, the value of another or their own says whether something is hidden.
            let is_known = !key.escaped()
                && matches!(self.redactor.text(name), Cow::Borrowed(_))
                && !is_query_map(name)
                && !is_value_key(name)
                && !is_cookie_list(name)
                && self.keys.len() < MAX_KEYS;
            let redactor = self.redactor;
            let hidden = redactor.hides(name) || !nested && redactor.of_unparsed().hides(name);
            // Inside an object, the search for credentials would look closer at some keys.
            let is_ordinary = !nested || is_word(name) && !hidden && !redactor.hides_in_query(name);
            if !is_known || !is_ordinary || names.contains(&name) {
                return None;
            }
            names.push(name);
            self.keys.push(name);
            self.written.push(if std::mem::replace(&mut opened, true) { ',' } else { '{' });
            self.written.extend(["\"", name, "\":"]);
            let kind = cursor.kind().ok()?;
            let place = Some(self.places.len()).filter(|_| !nested && !matches!(kind, Kind::Object | Kind::Array));
            match name {
                "apiId" if !nested => self.api_id = place,
                "stage" if !nested => self.stage = place,
                _ => {}
            }
            match kind {
                Kind::Object if !hidden => self.object(cursor, true)?,
                Kind::Object | Kind::Array => return None,
                Kind::String => {
                    let value = cursor.string().ok()?;
                    let end = cursor.position() - 1;
                    self.place(true, hidden, nested, end - value.raw().len()..end)?;
                }
                Kind::Number | Kind::Bool | Kind::Null => {
                    let value = cursor.value().ok()?;
                    let end = cursor.position();
                    self.place(false, hidden, nested, end - value.len()..end)?;
                }
            }
        }
        self.written.push_str(if opened { "}" } else { "{}" });
        Some(())
    }

    fn place(&mut self, quoted: bool, hidden: bool, nested: bool, value: Range<usize>) -> Option<()> {
        self.read.push((quoted, self.line.get(self.at..value.start)?));
        self.at = value.end;
        let (shows, before, behind) = match (hidden, quoted) {
            (true, _) => (Shows::Mark, "", ""),
            (false, true) => (Shows::Inside, "\"", "\""),
            (false, false) => (Shows::Whole, "", ""),
        };
        let before = std::mem::replace(&mut self.written, behind.to_owned()) + before;
        self.places.push(Place { before: before.into(), shows, nested });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::written;
    use super::*;

    fn in_envelope(line: &str) -> String {
        serde_json::to_string(line).unwrap()
    }

    /// Reads a line by what another has taught.
    fn reads_after(formats: &Formats, redactor: &Redactor, taught: &str, line: &str) -> Option<String> {
        let mut learned = Learned::default();
        let (raw, message) = (in_envelope(taught), in_envelope(line));
        if formats.parse(taught).is_ok_and(|log| log.format().is_none()) {
            learned.learn(formats, redactor, Cursor::new(&raw).string().unwrap(), taught);
        }
        let log = learned.read(Cursor::new(&message).string().unwrap())?;
        Some(written(&log, redactor))
    }

    #[track_caller]
    fn learns(taught: &str, line: &str, expected: Option<&str>) {
        let formats = Formats::documented();
        let redactor = Redactor::new(["pin"]);
        let read = reads_after(&formats, &redactor, taught, line);
        assert_eq!(read.as_deref(), expected, "{line}");
        if let Some(expected) = expected {
            assert_eq!(written(&formats.parse(line).unwrap(), &redactor), expected, "{line}");
        }
    }

    #[test]
    fn a_line_with_the_same_text_is_read_and_written_as_the_first_one() {
        learns(
            r#"{"id": "a", "n":1,"o":{"ip":"192.0.2.7","x":{}},"pin":"1234"}"#,
            r#"{"id": "b=c", "n":null,"o":{"ip":"-","x":{}},"pin":""}"#,
            Some(r#","fields":{"id":"b=c","n":null,"o":{"ip":"-","x":{}},"pin":""}"#),
        );
        for (pin, shown) in [("\"-\"", "-"), ("\"1\"", "[REDACTED]"), ("\"a:b\"", "[REDACTED]")] {
            let expected = format!(r#","fields":{{"id":"x","pin":"{shown}"}}"#);
            learns(r#"{"id":"a","pin":"1234"}"#, &format!(r#"{{"id":"x","pin":{pin}}}"#), Some(&expected));
        }
        learns(r#"{"url":"/a"}"#, r#"{"url":"/b?token=s3cr3t"}"#, Some(r#","fields":{"url":"/b?token=[REDACTED]"}"#));
        learns(r#"{"a":"x","b":2}"#, r#"{"a":"x","b":"y"}"#, Some(r#","fields":{"a":"x","b":"y"}"#));
    }

    #[test]
    fn what_depends_on_more_than_the_text_is_left_to_a_closer_look() {
        for (taught, line) in [
            (r#"{"a":"x"}"#, r#"{"a":"x","b":1}"#),
            (r#"{"a":"x"}"#, r#"{"a":"x\n"}"#),
            (r#"{"a":["x"]}"#, r#"{"a":["x"]}"#),
            (r#"{"o":{"a":"x"}}"#, r#"{"o":{"a":"x=y"}}"#),
            (r#"{"o":{"pin":"x"}}"#, r#"{"o":{"pin":"x"}}"#),
            (r#"{"o":{"code":"x"}}"#, r#"{"o":{"code":"x"}}"#),
            (r#"{"queryString":"x"}"#, r#"{"queryString":"x"}"#),
            (r#"{"api_id":"a","payload":"x"}"#, r#"{"api_id":"a","payload":"x"}"#),
            (r"{}", r"{}"),
        ] {
            learns(taught, line, None);
        }
    }

    #[test]
    fn a_line_that_a_format_may_have_is_not_learned_from() {
        for setting in [
            r#"{"a":"$context.requestId","b":"$context.status"}"#,
            "$context.authorizer.x,$context.status",
            "{$context.authorizer.x,$context.status",
        ] {
            let formats = Formats::compile(setting).unwrap();
            let line = r#"{"a":["x"],"b":{},"c":"y"}"#;
            assert_eq!(reads_after(&formats, &Redactor::off(), &line.replace("[\"x\"]", "1"), line), None, "{setting}");
            assert!(Template::of(&formats, &Redactor::off(), r#"{"a":1,"b":2}"#).is_none(), "{setting}");
        }
        let formats =
            Formats::compile("[$context.authorizer.x] $context.status\n$context.status $context.path").unwrap();
        assert!(Template::of(&formats, &Redactor::off(), r#"{"a":1,"b":2}"#).is_some());
    }

    /// The text of a JSON object, with `§` in the place of each value.
    fn any_text() -> impl Strategy<Value = String> {
        let key = prop_oneof![
            Just("requestId"),
            Just("ip"),
            Just("code"),
            Just("password"),
            Just("querystring"),
            Just("payload"),
            Just("api_id"),
            Just("a b"),
            Just("a:token"),
            Just("status"),
            Just("%74oken"),
            Just("https://a:b@c/"),
            Just("eyJhbGciOiJub25lIn0.e30."),
            Just("caller")
        ];
        let value = prop_oneof![6 => Just("§".to_owned()), 1 => Just("{ }".to_owned()), 1 => Just("[]".to_owned())];
        let entry = (key, value).prop_map(|(key, value)| format!("\"{key}\": {value}"));
        let object = proptest::collection::vec(entry, 1..5).prop_map(|entries| format!("{{{}}}", entries.join(",")));
        (object.clone(), prop::option::of(object)).prop_map(|(outer, inner)| match inner {
            Some(inner) => outer.replacen('§', &inner, 1),
            None => outer,
        })
    }

    fn any_value() -> impl Strategy<Value = String> {
        prop_oneof![
            r#"[a-c=:%&?;,/ {}"-]{0,12}"#,
            Just("token=s3cr3t".to_owned()),
            Just("querystring".to_owned()),
            Just("Bearer: x".to_owned()),
            Just("%74oken%3Dx".to_owned()),
        ]
        .prop_map(|text| serde_json::to_string(&text).unwrap())
        .boxed()
        .prop_union(
            prop_oneof![
                Just("1".to_owned()),
                Just("-0.5e3".to_owned()),
                Just("true".to_owned()),
                Just("null".to_owned())
            ]
            .boxed(),
        )
    }

    fn fill(text: &str, values: &[String]) -> String {
        let mut line = String::new();
        for (index, part) in text.split('§').enumerate() {
            if let Some(value) = index.checked_sub(1).and_then(|index| values.get(index % values.len())) {
                line.push_str(value);
            }
            line.push_str(part);
        }
        line
    }

    proptest! {
        #[test]
        fn what_is_learned_writes_what_the_clear_way_writes(
            text in any_text(),
            taught in proptest::collection::vec(any_value(), 8),
            values in proptest::collection::vec(any_value(), 8),
            settings in prop::sample::subsequence(vec![
                r#"{"requestId":"$context.requestId","ip":"$context.identity.sourceIp"}"#,
                r#"{"status": $context.status}"#,
                "$context.identity.sourceIp $context.status",
                "$context.authorizer.a $context.authorizer.b",
            ], 0..4),
        ) {
            let formats = if settings.is_empty() { Formats::documented() } else { Formats::compile(&settings.join("\n")).unwrap() };
            let redactor = Redactor::new(["caller"]).with_format_names(["a b"]);
            let line = fill(&text, &values);
            if let Some(read) = reads_after(&formats, &redactor, &fill(&text, &taught), &line) {
                let clear = formats.parse(&line).unwrap();
                prop_assert_eq!(clear.format(), None, "{}", line);
                prop_assert_eq!(read, written(&clear, &redactor), "{}", line);
                prop_assert!(crate::execution_log::vended::parse(&line).is_none(), "{}", line);
            }
        }
    }
}
