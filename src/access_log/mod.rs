//! Access logs: a line that API Gateway wrote with a format, read back into typed `$context` values.
//!
//! The format string is the parser. [`Formats`] holds the compiled formats that a line may have; [`AccessLog`] is a line with
//! the values that one of them found in it, borrowed from the line until they are written.
//!
//! A line that is JSON is read by the format's keys, any other by the format's literal text and by what each variable can hold.
//! Most lines in an envelope need neither: [`Formats::parse_message`] knows their text as it stands there, and [`Learned`] that
//! of a line that came before.

mod documented;
mod format;
mod kind;
mod learned;
mod object;
mod outline;
mod parts;
mod shape;
mod stencil;
mod text;
mod value;
mod variables;
mod write;

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

pub use self::format::{FormatError, FormatErrorKind};
pub use self::kind::Kind;
pub use self::learned::Learned;
pub use self::outline::{Holds, Outline, Part};
pub use self::text::Reason;
pub use self::variables::documented_variables;

use self::format::Format;
use self::learned::Template;
use self::object::Object;
use self::stencil::Reading;
use self::value::Value;
use crate::json::{JsonErrorKind, Str};
use crate::redact::Redactor;

/// The formats that a line may have, compiled once.
#[derive(Debug)]
pub struct Formats {
    /// Those with the most variables first: the first one that fits is the one that says most.
    formats: Vec<Format>,
    /// Invalid values that a line may have at most where the format has no words between them.
    tolerated: usize,
}

/// Invalid values in a line of a format that nobody said it has: enough for the odd client, too few for any list of words.
const TOLERATED_IN_A_GUESS: usize = 2;

/// Why a line is no access log, and where: never what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{format} comes furthest, to byte {at}: {kind}")]
pub struct NoMatch<'a> {
    /// Label of the format that came furthest.
    pub format: &'a str,
    /// Bytes from the start of the line without the white space around it.
    pub at: usize,
    /// What is wrong there.
    pub kind: NoMatchKind,
    /// What the format has there; `None` where the line is no JSON.
    pub expected: Option<Expected<'a>>,
}

/// What a format has where a line is something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The variable whose value stands there; empty before the first, and for a text of several variables.
    pub variable: &'a str,
    /// The literal text that ends the value; before the first value, the text that the format starts with.
    pub literal: &'a str,
}

/// What is wrong with a line that is no access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoMatchKind {
    /// A format's text or values are not there.
    #[error(transparent)]
    Text(Reason),
    /// The line starts as a JSON object, but is none.
    #[error("{0}")]
    Json(JsonErrorKind),
}

/// A line read as an access log. Borrows the line and its format.
pub struct AccessLog<'a> {
    reading: Option<(&'a Format, Vec<Value<'a>>)>,
    fields: Fields<'a>,
}

/// Where what is not a variable comes from.
enum Fields<'a> {
    /// There is nothing else.
    None,
    /// The line, a JSON object.
    Line(&'a str),
    /// The format, a JSON object, with the values for what is not constant.
    Format,
    /// The text of a line that came before, with these values.
    Learned(&'a Template, Vec<Value<'a>>),
}

impl Formats {
    /// The formats that AWS documents: REST, HTTP and WebSocket APIs, each as CLF, JSON, XML and CSV; as they are and as they
    /// were before the extended request id joined them.
    #[must_use]
    pub fn documented() -> Self {
        let texts = documented::DOCUMENTED
            .iter()
            .flat_map(|(label, text)| documented::variants(text).into_iter().map(move |text| (label, text)));
        Self::new(texts.filter_map(|(label, text)| Format::compile(label, &text).ok()).collect(), TOLERATED_IN_A_GUESS)
    }

    /// Compiles the format setting: the format string of an API stage, or several, one a line.
    ///
    /// Blank lines are passed over, and so is the `\n` that may end a format.
    ///
    /// # Errors
    /// Every problem, with line and column: a format without a variable, or with two variables that nothing separates (inside
    /// a string of a JSON format they may touch). At least one for a setting without any format.
    pub fn compile(setting: &str) -> Result<Self, Vec<FormatError>> {
        format::compile_setting(setting).map(|formats| Self::new(formats, usize::MAX))
    }

    fn new(mut formats: Vec<Format>, tolerated: usize) -> Self {
        formats.sort_by_key(|format| std::cmp::Reverse(format.variables));
        Self { formats, tolerated }
    }

    /// Reads one line. A line feed at its end, and white space around it, are passed over.
    ///
    /// The format is, in this order: one whose text the line is to the letter; for a JSON object, one whose keys it has; one by
    /// whose text every value is valid; none, for a JSON object; one by whose text most values are valid. Among several, the
    /// one with the most variables, then the earlier one; by text, one that finds a status before those that find none. Time: linear in the line's length for each format.
    ///
    /// # Errors
    /// If the line has none of the formats and is no JSON object either.
    pub fn parse<'a>(&'a self, line: &'a str) -> Result<AccessLog<'a>, NoMatch<'a>> {
        let line = line.trim_ascii();
        let mut miss = None;
        if line.starts_with('{') {
            match self.object(line) {
                Ok(log) => return Ok(log),
                Err(error) => {
                    let kind = NoMatchKind::Json(error.kind);
                    miss = Some(NoMatch { format: "JSON", at: error.at, kind, expected: None });
                }
            }
        }
        if let Some(log) = self.strict(line) {
            return Ok(log);
        }
        let mut best = None;
        for format in &self.formats {
            match text::lenient(format, line, self.tolerated) {
                Ok((values, invalid)) => {
                    if best.as_ref().is_none_or(|(fewest, _)| invalid < *fewest) {
                        best = Some((invalid, AccessLog::of_text(format, values)));
                    }
                }
                Err(found) => {
                    if miss.as_ref().is_none_or(|miss| found.at > miss.at) {
                        miss = Some(found.of(format));
                    }
                }
            }
        }
        if let Some((_, log)) = best {
            return Ok(log);
        }
        let nowhere = NoMatchKind::Text(Reason::Literal);
        Err(miss.unwrap_or(NoMatch { format: "no format", at: 0, kind: nowhere, expected: None }))
    }

    /// Reads a line as it stands in a JSON string, if it is the text of a JSON format to the letter and no value has an escape.
    ///
    /// `None` says nothing: [`parse`](Self::parse) may read the decoded line yet, and reads no line otherwise than this.
    #[must_use]
    pub fn parse_message<'a>(&'a self, line: Str<'a>) -> Option<AccessLog<'a>> {
        for format in self.formats.iter().filter(|format| format.shape.is_some()) {
            // One that has no stencil may have the line all the same, and comes first.
            match format.stencil.as_ref()?.read(line) {
                Reading::Values(values) => {
                    let fields = if format.is_only_variables { Fields::None } else { Fields::Format };
                    return Some(AccessLog { reading: Some((format, values)), fields });
                }
                Reading::Other => {}
                Reading::Unsure => return None,
            }
        }
        None
    }

    /// Returns the names that the formats give to credentials, and that are none themselves: `k` of
    /// `"k":"$context.identity.apiKey"`. They tell the credential in a line that its format does not take.
    pub fn secret_names<'a>(&'a self, redactor: &'a Redactor) -> impl Iterator<Item = &'a str> {
        let slots = self.formats.iter().flat_map(|format| &format.slots);
        slots.flat_map(|slot| {
            let own = slot.variable.names.last().map(|name| name.text.as_ref());
            let parts = slot.parts.iter().flat_map(|parts| parts.secret_names(redactor));
            let whole = write::hides(&slot.variable, redactor).then_some(own);
            parts.map(move |name| name.or(own)).chain(whole).flatten()
        })
    }

    /// Tells what each format was understood to be: the one with the most variables first, as they are tried.
    pub fn outlines(&self) -> impl Iterator<Item = Outline<'_>> {
        self.formats.iter().map(Outline::of)
    }

    /// Reads a line that starts as a JSON object.
    fn object<'a>(&'a self, line: &'a str) -> Result<AccessLog<'a>, crate::json::JsonError> {
        let verbatim = |format: &'a Format| Some((format, object::verbatim(format, line)?));
        if let Some((format, values)) = self.formats.iter().find_map(verbatim) {
            let fields = if format.is_only_variables { Fields::None } else { Fields::Line(line) };
            return Ok(AccessLog { reading: Some((format, values)), fields });
        }
        let object = Object::read(line)?;
        let fitting = self.formats.iter().filter_map(|format| Some((format, object.values(format)?)));
        let rank = |(format, values): &(&Format, Vec<Value<'_>>)| {
            (std::cmp::Reverse(format.variables), object::invalid(format, values))
        };
        if let Some(reading) = fitting.min_by_key(rank) {
            return Ok(AccessLog { reading: Some(reading), fields: Fields::Line(line) });
        }
        Ok(self.strict(line).unwrap_or(AccessLog { reading: None, fields: Fields::Line(line) }))
    }

    /// Reads a line by a format's text so that every value is valid. A line of dashes may be of several formats: it is the one's
    /// that finds the status, which every response has.
    fn strict<'a>(&'a self, line: &'a str) -> Option<AccessLog<'a>> {
        let mut without_status = None;
        for format in &self.formats {
            let Some(values) = text::strict(format, line) else { continue };
            let status = format.status.and_then(|slot| values.get(slot));
            let found = status.is_none_or(|status| status.text().is_some());
            let log = AccessLog::of_text(format, values);
            if found {
                return Some(log);
            }
            without_status.get_or_insert(log);
        }
        without_status
    }
}

impl<'a> AccessLog<'a> {
    fn of_text(format: &'a Format, values: Vec<Value<'a>>) -> Self {
        Self { reading: Some((format, values)), fields: Fields::Format }
    }

    /// Returns the label of the format that the line has; `None` for a JSON object that has none.
    #[must_use]
    pub fn format(&self) -> Option<&str> {
        self.reading.as_ref().map(|(format, _)| format.label.as_ref())
    }

    /// Returns the API's id, where the format has it and the line holds one.
    #[must_use]
    pub fn api_id(&self) -> Option<Cow<'_, str>> {
        self.name(|format| &format.api_id)
    }

    /// Returns the stage's name, where the format has it and the line holds one: letters, digits, `-` and `_`, or `$default`.
    #[must_use]
    pub fn stage(&self) -> Option<Cow<'_, str>> {
        self.name(|format| &format.stage)
    }

    /// Returns the value of a variable that names something. Anything else in its place stays in `context`, where credentials
    /// in it are hidden.
    fn name(&self, slots: impl FnOnce(&Format) -> &[usize]) -> Option<Cow<'_, str>> {
        let (format, values) = self.reading.as_ref()?;
        let value = slots(format).iter().find_map(|slot| values.get(*slot)?.text())?;
        let is_name = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'$'));
        is_name.then_some(value)
    }

    /// Writes what the line holds as members of a JSON object, each behind a comma: `,"context":{…}` with the values of the
    /// variables, then `,"fields":{…}` with what else a JSON line has. One that would be empty is left out.
    ///
    /// Numbers and booleans are such where AWS documents them; all other values are strings. What the redactor knows as a
    /// credential is hidden.
    pub fn write(&self, redactor: &Redactor, out: &mut Vec<u8>) {
        if let Some((format, values)) = &self.reading {
            member(out, "context", |out| write::context(format, values, redactor, out));
        }
        member(out, "fields", |out| match (&self.fields, &self.reading) {
            (Fields::Line(line), reading) => {
                let format = reading.as_ref().map(|(format, _)| *format);
                write::fields_of_line(format, line, redactor, out).unwrap_or(false)
            }
            (Fields::Format, Some((format, values))) => write::fields_of_format(format, values, redactor, out),
            (Fields::Learned(template, values), _) => {
                template.write(values, redactor, out);
                true
            }
            (Fields::None | Fields::Format, _) => false,
        });
    }
}

/// Tells the format and nothing of the line.
impl fmt::Debug for AccessLog<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AccessLog").field("format", &self.format()).finish_non_exhaustive()
    }
}

/// Writes a member of an object behind a comma, unless there is no value.
fn member(out: &mut Vec<u8>, key: &str, value: impl FnOnce(&mut Vec<u8>) -> bool) {
    let before = out.len();
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    if !value(out) {
        out.truncate(before);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn written(log: &AccessLog<'_>, redactor: &Redactor) -> String {
        let mut out = Vec::new();
        log.write(redactor, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    pub(super) fn reads(formats: &Formats, line: &str, expected: &str) {
        let log = formats.parse(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(written(&log, &Redactor::off()), expected, "{line}");
    }

    /// Reads a line by a format of the setting.
    #[track_caller]
    pub(super) fn set(setting: &str, line: &str, expected: &str) {
        reads(&Formats::compile(setting).unwrap(), line, expected);
    }

    #[test]
    fn a_line_feed_and_white_space_around_the_line_are_passed_over() {
        for end in ["\n", "\r\n", " ", ""] {
            set(
                "$context.requestId $context.status\\n",
                &format!("1c9d-22 200{end}"),
                r#","context":{"requestId":"1c9d-22","status":200}"#,
            );
        }
    }

    #[test]
    fn several_formats_are_tried_and_the_one_that_says_most_wins() {
        let setting =
            "$context.requestId $context.error.message\n\n$context.requestId $context.status $context.error.message";
        set(
            setting,
            "1c9d-22 200 fine, 2",
            r#","context":{"requestId":"1c9d-22","status":200,"error":{"message":"fine, 2"}}"#,
        );
        set(setting, "1c9d-22 not fine", r#","context":{"requestId":"1c9d-22","error":{"message":"not fine"}}"#);
    }

    #[test]
    fn the_api_and_stage_are_told_where_the_format_has_them() {
        let formats = Formats::compile(r#"{"api":"$context.apiId","stage":"$context.stage"}"#).unwrap();
        let log = formats.parse(r#"{"api":"a1b2","stage":"pr\u006fd"}"#).unwrap();
        assert_eq!((log.api_id().as_deref(), log.stage().as_deref()), (Some("a1b2"), Some("prod")));
        for line in [r#"{"api":"-","stage":""}"#, r#"{"api":"/?token=a","stage":"pr od"}"#] {
            let log = formats.parse(line).unwrap();
            assert_eq!((log.api_id(), log.stage()), (None, None), "{line}");
        }
    }

    #[test]
    fn debug_output_tells_nothing_of_the_line() {
        let formats = Formats::compile("$context.identity.apiKey,$context.status").unwrap();
        let log = formats.parse("s3cr3t,200").unwrap();
        assert_eq!(format!("{log:?}"), "AccessLog { format: Some(\"format 1\"), .. }");
    }

    #[test]
    fn an_error_tells_what_the_format_has_there() {
        #[track_caller]
        fn expects(line: &str, at: usize, variable: &str, literal: &str) {
            let formats = Formats::compile("[$context.requestId] $context.status;$context.path").unwrap();
            let error = formats.parse(line).unwrap_err();
            assert_eq!((error.at, error.expected), (at, Some(Expected { variable, literal })), "{line}");
        }
        expects("1c9d-22 200", 0, "", "[");
        expects("[1c9d-22 200;/a", 1, "requestId", "] ");
        expects("[1c9d-22] 200,/a", 10, "status", ";");
        expects("[1c 9d] two;/a", 1, "requestId", "] ");
    }

    #[test]
    fn an_error_says_where_and_not_what() {
        let formats = Formats::compile("$context.requestId,$context.status,$context.path").unwrap();
        assert_eq!(
            formats.parse("1c9d-22,200;secret").unwrap_err().to_string(),
            "format 1 comes furthest, to byte 8: the format's next literal text is not there"
        );
        let formats = Formats::compile("{\"id\":\"$context.requestId\"}").unwrap();
        assert_eq!(
            formats.parse("{\"i\":\"secret\",}").unwrap_err().to_string(),
            "JSON comes furthest, to byte 14: invalid JSON"
        );
    }

    proptest! {
        #[test]
        fn parsing_returns_for_any_text(setting in r#"[{}":, \[\]$context.a-z|]{0,40}"#, line in any::<String>()) {
            let formats = Formats::compile(&setting).unwrap_or_else(|_| Formats::documented());
            if let Ok(log) = formats.parse(&line) {
                written(&log, &Redactor::off());
            }
        }
    }
}
