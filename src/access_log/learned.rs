//! JSON lines read by the text of one that came before.
//!
//! The lines of a stage differ in their values only, so what was worked out for the first of them (which keys there are, of which
//! format they are, which values are hidden) holds for all that have the same text around their values. A [`Template`] keeps
//! that: the text to look for and the text to write. What it writes is what the clear way writes, to the byte.
//!
//! ```text
//! line     {"requestId":"r-1","status":"200","team":"pets"}
//! text     {"requestId":"   ","status":"   ","team":"    "}
//! context  {"requestId":"r-1","status":200}                  of the format that has these keys
//! fields   {"team":"    "}                                   what is written around the other values
//! ```

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::format::Format;
use super::object;
use super::shape::{Node, Shape};
use super::stencil::{Holds, Reading, Stencil};
use super::value::Value;
use super::write;
use super::{AccessLog, Fields, Formats};
use crate::json::{Cursor, Kind, Str};
use crate::redact::{REDACTED, Redactor, is_cookie_list, is_query_map, is_value_key};

/// Texts that are kept. A stage has one, or a few where its lines leave keys out.
const MAX_TEMPLATES: usize = 8;

/// Keys of a line that is looked at, and so the depth to which it is.
const MAX_KEYS: usize = 256;

/// What has been learned from lines. Good for one redactor and one set of formats.
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
    pub fn read<'a>(&'a self, formats: &'a Formats, redactor: &Redactor, line: Str<'a>) -> Option<AccessLog<'a>> {
        self.templates.iter().find_map(|template| template.read(formats, redactor, line))
    }

    /// Learns from a line that [`Formats::parse`] has read by its keys: `raw` as it stands in a JSON string, `line` decoded.
    pub fn learn(&mut self, formats: &Formats, redactor: &Redactor, raw: Str<'_>, line: &str, log: &AccessLog<'_>) {
        if self.templates.len() < MAX_TEMPLATES
            && let Some(template) = Template::of(formats, redactor, line, log)
            && template.read(formats, redactor, raw).is_some()
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
    /// The format that the line has by its keys: its index among all.
    format: Option<usize>,
    /// The keys of the values, if the line is a vended record of execution logs.
    vended: Vec<Box<str>>,
    /// Which of the values is the API's id, and which the stage's name.
    pub(super) api_id: Option<usize>,
    pub(super) stage: Option<usize>,
}

/// A value of a line, and what is written before it: the quote too, where the value is the inside of a string.
struct Place {
    before: Box<str>,
    shows: Shows,
    /// Whether the value is of an object inside the line. One that could hold a credential is left to the clear way, which
    /// searches the object as a whole.
    nested: bool,
}

/// What is written of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// The value, which is the inside of a string.
    Inside,
    /// The value, which stands outside quotes.
    Whole,
    /// The list without white space.
    List,
    /// A mark in its place: it is hidden, if there is one.
    Mark,
    /// Nothing: it is the value of this slot of the format.
    Slot(usize),
}

impl Template {
    /// Learns the text of a line. `None` if it has what depends on more than that: a query, a key with an escape, or keys that
    /// another format might have.
    fn of(formats: &Formats, redactor: &Redactor, line: &str, log: &AccessLog<'_>) -> Option<Self> {
        if !matches!(log.fields, Fields::Line(..)) {
            return None;
        }
        let line = line.trim_ascii();
        let format = log.reading.as_ref().map(|(format, _)| *format);
        let mut pupil = Pupil {
            line,
            redactor,
            has_format: format.is_some(),
            keys: Vec::new(),
            at: 0,
            read: Vec::new(),
            written: String::new(),
            places: Vec::new(),
            api_id: None,
            stage: None,
        };
        let mut cursor = Cursor::new(line);
        pupil.object(&mut cursor, format.and_then(|format| format.shape.as_ref()), Level::Line)?;
        let Pupil { keys, at, mut read, written, places, api_id, stage, .. } = pupil;
        let is_vended = keys.contains(&"payload") && (keys.contains(&"api_id") || keys.contains(&"resource_arn"));
        let is_of = |other: &Format| format.is_some_and(|format| std::ptr::eq(format, other));
        let is_settled = formats.all().all(|other| {
            is_of(other) || is_foreign(other, &keys) || format.is_some_and(|format| formats.is_before(format, other))
        });
        // Each key has one value, so that the values are told by their keys.
        let is_flat = keys.len() == places.len() && places.iter().all(|place| place.shows != Shows::List);
        if !cursor.at_end() || is_vended && !is_flat || !is_settled {
            return None;
        }
        let vended =
            if is_vended && format.is_none() { keys.iter().map(|key| (*key).into()).collect() } else { Vec::new() };
        read.push((Holds::Inside, line.get(at..)?));
        // Each text stands behind the value before it.
        let first = read.first()?.1;
        let behind = read.iter().zip(read.get(1..)?).map(|((holds, _), (_, behind))| (*holds, *behind));
        let stencil = Stencil::new(first, behind)?;
        let format = formats.all().position(is_of);
        Some(Self { stencil, places, end: written.into(), format, vended, api_id, stage })
    }

    fn read<'a>(&'a self, formats: &'a Formats, redactor: &Redactor, line: Str<'a>) -> Option<AccessLog<'a>> {
        let Reading::Values(values) = self.stencil.read(line) else { return None };
        let is_plain = |(place, value): (&Place, &Value<'_>)| match value {
            _ if !place.nested => true,
            Value::Clean(text) => !redactor.may_find(text),
            Value::Twice(string) => !redactor.may_find(&string.decode()) && !redactor.may_find(&string.decode_twice()),
            _ => true,
        };
        if !self.places.iter().zip(&values).all(is_plain) {
            return None;
        }
        let Some(index) = self.format else {
            return Some(AccessLog { reading: None, fields: Fields::Learned(self, values) });
        };
        let format = formats.all().nth(index)?;
        let mut of_format = vec![Value::Unseen; format.pattern.slots.len()];
        for (place, value) in self.places.iter().zip(&values) {
            if let Shows::Slot(slot) = place.shows {
                *of_format.get_mut(slot)? = *value;
            }
        }
        let is_set = index < formats.set.len();
        (is_set || object::are_valid(format, &of_format))
            .then(|| AccessLog::new(format, of_format, Fields::Learned(self, values)))
    }

    /// Returns the keys and values of a line that is a vended record; `None` if it is not one.
    pub(super) fn vended<'a>(
        &'a self,
        values: &'a [Value<'_>],
    ) -> Option<impl Iterator<Item = (&'a str, Option<Cow<'a, str>>)>> {
        let text = |value: &Value<'a>| (*value != Value::Nothing).then(|| value.characters());
        let members = self.vended.iter().map(AsRef::as_ref).zip(values.iter().map(text));
        (!self.vended.is_empty()).then_some(members)
    }

    /// Writes what is not a variable of the format as an object. Returns whether there is anything; if not, nothing is written.
    pub(super) fn write(&self, values: &[Value<'_>], redactor: &Redactor, out: &mut Vec<u8>) -> bool {
        for (place, value) in self.places.iter().zip(values) {
            out.extend_from_slice(place.before.as_bytes());
            match (place.shows, *value) {
                (Shows::Slot(_), _) => {}
                (Shows::Mark, Value::Clean("" | "-") | Value::Nameless("" | "-")) => write::string(*value, out),
                (_, Value::Nothing | Value::Unseen) => out.extend_from_slice(b"null"),
                (Shows::Mark, _) => write::quoted(REDACTED, out),
                (Shows::Inside, Value::Nameless(text)) if !redactor.hides_values() => {
                    out.extend_from_slice(text.as_bytes());
                }
                (Shows::Inside, value) => write::inside(value, redactor, out),
                (Shows::List, Value::Twice(list)) => redactor.write_json(&list.decode(), out),
                (_, Value::Plain(text)) if !redactor.hides_values() => out.extend_from_slice(text.as_bytes()),
                (_, Value::Plain(text)) => redactor.write_json(text, out),
                (_, value) => write::any_text(value, redactor, out),
            }
        }
        out.extend_from_slice(self.end.as_bytes());
        !self.end.is_empty()
    }
}

/// Returns whether a line with these keys, at any level, is none of the format's, whatever its values are.
///
/// Not by the format's keys if one that holds variables is not there. Not by its text either then, for that holds the key in
/// quotes with a colon behind, which in JSON only stands where there is such a key: inside a string, quotes have escapes. A
/// format that is not a JSON object is out if it cannot start with a brace.
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

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// It is the line.
    Line,
    /// It is an object of the format, which holds variables.
    Format,
    /// It is the value of a field, or in one.
    Field,
}

/// Walks the line that is learned from.
struct Pupil<'a> {
    line: &'a str,
    redactor: &'a Redactor,
    has_format: bool,
    /// All keys, of objects inside the line too.
    keys: Vec<&'a str>,
    /// Where the text behind the last value starts.
    at: usize,
    /// For each value what it is, with the text before it.
    read: Vec<(Holds, &'a str)>,
    /// What is to be written behind the last value that is.
    written: String,
    places: Vec<Place>,
    api_id: Option<usize>,
    stage: Option<usize>,
}

impl<'a> Pupil<'a> {
    /// Walks an object. Returns whether any of it is written: all but the variables of its shape.
    fn object(&mut self, cursor: &mut Cursor<'a>, shape: Option<&Shape>, level: Level) -> Option<bool> {
        cursor.open().ok()?;
        let mut opened = false;
        let mut first = true;
        let mut names = Vec::new();
        let nested = level == Level::Field;
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
            let of_unparsed = !nested && !self.has_format && redactor.of_unparsed().hides(name);
            let hidden = redactor.hides(name) || of_unparsed;
            // Inside an object, the search for credentials would look closer at some keys.
            let is_ordinary = !nested || is_word(name) && !hidden && !redactor.hides_in_query(name);
            if !is_known || !is_ordinary || names.contains(&name) {
                return None;
            }
            names.push(name);
            self.keys.push(name);
            let before = self.written.len();
            self.written.push(if opened { ',' } else { '{' });
            self.written.extend(["\"", name, "\":"]);
            let kind = cursor.kind().ok()?;
            let place = Some(self.places.len()).filter(|_| !matches!(kind, Kind::Object | Kind::Array));
            match name {
                "apiId" if level == Level::Line => self.api_id = place,
                "stage" if level == Level::Line => self.stage = place,
                _ => {}
            }
            let node = shape.and_then(|shape| shape.get(key));
            let shows = match node {
                None | Some(Node::Constant(_)) if hidden => Shows::Mark,
                None | Some(Node::Constant(_)) => Shows::Whole,
                Some(Node::Variable(slot)) if place.is_some() => {
                    self.written.truncate(before);
                    Shows::Slot(*slot)
                }
                Some(Node::Object(inner)) if kind == Kind::Object && !hidden => {
                    if self.object(cursor, Some(inner), Level::Format)? {
                        opened = true;
                    } else {
                        self.written.truncate(before);
                    }
                    continue;
                }
                Some(_) => return None,
            };
            opened |= !matches!(shows, Shows::Slot(_));
            match kind {
                Kind::Object if !hidden => drop(self.object(cursor, None, Level::Field)?),
                Kind::Array if !hidden => {
                    let value = cursor.value().ok()?;
                    let end = cursor.position();
                    self.place(Holds::List, Shows::List, nested, end - value.len()..end)?;
                }
                Kind::Object | Kind::Array => return None,
                Kind::String => {
                    let value = cursor.string().ok()?;
                    let end = cursor.position() - 1;
                    let shows = if shows == Shows::Whole { Shows::Inside } else { shows };
                    self.place(Holds::Inside, shows, nested, end - value.raw().len()..end)?;
                }
                Kind::Number | Kind::Bool | Kind::Null => {
                    let value = cursor.value().ok()?;
                    let end = cursor.position();
                    self.place(Holds::Scalar, shows, nested, end - value.len()..end)?;
                }
            }
        }
        if opened || nested {
            self.written.push_str(if opened { "}" } else { "{}" });
        }
        Some(opened)
    }

    /// Notes the value that takes these bytes of the line. One that is not written leaves the text as it is for the next one.
    fn place(&mut self, holds: Holds, shows: Shows, nested: bool, value: Range<usize>) -> Option<()> {
        self.read.push((holds, self.line.get(self.at..value.start)?));
        self.at = value.end;
        let before = match shows {
            Shows::Slot(_) => String::new(),
            Shows::Inside => std::mem::replace(&mut self.written, "\"".to_owned()) + "\"",
            Shows::Whole | Shows::List | Shows::Mark => std::mem::take(&mut self.written),
        };
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
        if let Ok(log) = formats.parse(taught) {
            learned.learn(formats, redactor, Cursor::new(&raw).string().unwrap(), taught, &log);
        }
        let log = learned.read(formats, redactor, Cursor::new(&message).string().unwrap())?;
        // What a vended record becomes, its reader knows.
        log.vended().is_none().then(|| written(&log, redactor))
    }

    #[track_caller]
    fn learns(taught: &str, line: &str, expected: Option<&str>) {
        learns_of(&Formats::documented(), taught, line, expected);
    }

    #[track_caller]
    fn learns_of(formats: &Formats, taught: &str, line: &str, expected: Option<&str>) {
        let redactor = Redactor::new(["pin"]);
        let read = reads_after(formats, &redactor, taught, line);
        assert_eq!(read.as_deref(), expected, "{line}");
        if let Some(expected) = expected {
            assert_eq!(written(&formats.parse(line).unwrap(), &redactor), expected, "{line}");
        }
    }

    fn is_learned(formats: &Formats, line: &str) -> bool {
        let redactor = Redactor::off();
        formats.parse(line).is_ok_and(|log| Template::of(formats, &redactor, line, &log).is_some())
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
        learns(r#"{"a":"x","b":2}"#, r#"{"a":"x","b":0.25}"#, Some(r#","fields":{"a":"x","b":0.25}"#));
    }

    #[test]
    fn values_may_have_escapes_and_be_lists() {
        let taught = r#"{"id":"a","l":[1],"o":{"a":"x"}}"#;
        for (line, fields) in [
            (r#"{"id":"\"\u00e9","l":[ ],"o":{"a":"\\é"}}"#, r#"{"id":"\"\u00e9","l":[],"o":{"a":"\\é"}}"#),
            (
                r#"{"id":"token=\"x\"","l":[1, [{"a":"]\\"}]],"o":{"a":""}}"#,
                r#"{"id":"token=[REDACTED]","l":[1,[{"a":"]\\"}]],"o":{"a":""}}"#,
            ),
            (
                r#"{"id":"","l":["cookie","a=b"],"o":{"a":"-"}}"#,
                r#"{"id":"","l":["cookie","[REDACTED]"],"o":{"a":"-"}}"#,
            ),
        ] {
            learns(taught, line, Some(&format!(",\"fields\":{fields}")));
        }
    }

    #[test]
    fn a_line_with_more_keys_than_its_format_is_read_by_both() {
        let formats =
            Formats::compile(r#"{"id":"$context.requestId","in":{"ip":"$context.identity.sourceIp"}}"#).unwrap();
        learns_of(
            &formats,
            r#"{"team":"pets","in":{"ip":"192.0.2.7"},"id":"r"}"#,
            r#"{"team":"cats","in":{"ip":"-"},"id":"s"}"#,
            Some(r#","context":{"requestId":"s"},"fields":{"team":"cats"}"#),
        );
        learns_of(
            &formats,
            r#"{"id":"r","in":{"zone":1,"ip":"192.0.2.7"}}"#,
            r#"{"id":"\"","in":{"zone":2,"ip":"192.0.2.8"}}"#,
            Some(r#","context":{"requestId":"\"","identity":{"sourceIp":"192.0.2.8"}},"fields":{"in":{"zone":2}}"#),
        );
        let taught = r#"{"requestId":"r","ip":"192.0.2.7","requestTime":"-","httpMethod":"GET","routeKey":"GET /","status":"200","protocol":"HTTP/1.1","responseLength":"7","team":"pets"}"#;
        learns(
            taught,
            &taught.replace("200", "-").replace("pets", "é"),
            Some(
                r#","context":{"requestId":"r","identity":{"sourceIp":"192.0.2.7"},"httpMethod":"GET","routeKey":"GET /","protocol":"HTTP/1.1","responseLength":7},"fields":{"team":"é"}"#,
            ),
        );
        // A value that the variable never has says that the keys are of no such format.
        learns(taught, &taught.replace("200", "fine"), None);
    }

    #[test]
    fn what_depends_on_more_than_the_text_is_left_to_a_closer_look() {
        for (taught, line) in [
            (r#"{"a":"x"}"#, r#"{"a":"x","b":1}"#),
            (r#"{"a":"x"}"#, r#"{"a":"\ud800"}"#),
            (r#"{"a":["x"]}"#, r#"{"a":"x"}"#),
            (r#"{"o":{"a":["x"]}}"#, r#"{"o":{"a":["token=x"]}}"#),
            (r#"{"o":{"a":"x"}}"#, r#"{"o":{"a":"token=y"}}"#),
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
    fn a_vended_record_is_told_by_its_keys() {
        let (formats, redactor) = (Formats::documented(), Redactor::off());
        let taught = r#"{"stage":"prod","api_id":"a","payload":"(r) x"}"#;
        let raw = in_envelope(taught);
        let mut learned = Learned::default();
        let raw = Cursor::new(&raw).string().unwrap();
        learned.learn(&formats, &redactor, raw, taught, &formats.parse(taught).unwrap());
        let line = in_envelope(r#"{"stage":"test","api_id":"b","payload":"(r) \"y\""}"#);
        let log = learned.read(&formats, &redactor, Cursor::new(&line).string().unwrap()).unwrap();
        let members: Vec<_> = log.vended().unwrap().map(|(key, text)| (key, text.map(Cow::into_owned))).collect();
        let expected = [("stage", Some("test")), ("api_id", Some("b")), ("payload", Some("(r) \"y\""))];
        assert_eq!(members, expected.map(|(key, text)| (key, text.map(str::to_owned))));
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
            assert!(setting.starts_with("{\"") || !is_learned(&formats, r#"{"a":1,"b":2}"#), "{setting}");
        }
        let formats =
            Formats::compile("[$context.authorizer.x] $context.status\n$context.status $context.path").unwrap();
        assert!(is_learned(&formats, r#"{"a":1,"b":2}"#));
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
            r#"[a-c=:%&?;,/ \\é{}"-]{0,12}"#,
            Just("token=s3cr3t".to_owned()),
            Just("token=\"s3cr3t\"".to_owned()),
            Just("[\"cookie\",\"a=b\"]".to_owned()),
            Just("192.0.2.7".to_owned()),
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
                Just("null".to_owned()),
                Just("[]".to_owned()),
                Just("[1, 2]".to_owned()),
                Just(r#"["cookie","a=b"]"#.to_owned()),
                Just(r#"[{"token":"\""},null]"#.to_owned())
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
                r#"{"ip": {"code": "$context.identity.sourceIp"}, "caller": "$context.identity.caller"}"#,
                "$context.identity.sourceIp $context.status",
                "$context.authorizer.a $context.authorizer.b",
            ], 0..5),
        ) {
            let formats = if settings.is_empty() { Formats::documented() } else { Formats::compile(&settings.join("\n")).unwrap() };
            let redactor = Redactor::new(["caller"]).with_format_names(["a b"]);
            let line = fill(&text, &values);
            if let Some(read) = reads_after(&formats, &redactor, &fill(&text, &taught), &line) {
                let clear = formats.parse(&line).unwrap();
                prop_assert_eq!(read, written(&clear, &redactor), "{}", line);
                prop_assert!(clear.format().is_some() || crate::execution_log::vended::parse(&line).is_none(), "{}", line);
            }
        }
    }
}
