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
#[cfg(test)]
mod law;
mod learned;
mod likeliest;
mod mended;
mod object;
mod outline;
mod parts;
mod scattered;
mod setting;
mod shape;
mod stencil;
mod text;
mod value;
mod variables;
mod write;

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

pub use self::kind::Kind;
pub use self::learned::Learned;
pub use self::outline::{Holds, Outline, Part};
pub use self::setting::{FormatError, FormatErrorKind};
pub use self::text::Reason;
pub use self::variables::documented_variables;

use self::format::{FactSlots, Format};
use self::learned::Template;
use self::mended::mended;
use self::object::Object;
use self::stencil::Reading;
use self::text::Lenient;
use self::value::Value;
use crate::derive::Facts;
use crate::json::{self, JsonErrorKind, Str};
use crate::redact::Redactor;

/// The formats that a line may have, compiled once.
#[derive(Debug, Clone)]
pub struct Formats {
    /// Those that an operator says the stages have, in that order.
    set: Vec<Format>,
    /// Those that a stage may have because AWS documents them: a guess. Those with the most variables come first.
    documented: Vec<Format>,
    /// How many texts of formats were set: one may be understood in several ways.
    texts: usize,
}

/// Why a line is not an access log, and where: never what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{format} comes furthest, to byte {at}: {kind}")]
pub struct NoMatch<'a> {
    /// Label of the format that came furthest.
    pub format: &'a str,
    /// Bytes from the start of the line without the white space around it.
    pub at: usize,
    /// What is wrong there.
    pub kind: NoMatchKind,
    /// What the format has there; `None` where the line is not JSON.
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

/// What is wrong with a line that is not an access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoMatchKind {
    /// A format's text or values are not there.
    #[error(transparent)]
    Text(Reason),
    /// The line starts as a JSON object, but is not one.
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
    Line(&'a str, Object<'a>),
    /// The format, a JSON object, with the values for what is not constant.
    Format,
    /// The text of a line that came before, with these values.
    Learned(&'a Template, Vec<Value<'a>>),
}

impl Formats {
    /// The formats that AWS documents: REST, HTTP and WebSocket APIs, each as CLF, JSON, XML and CSV; as they are and as they
    /// were before the extended request id joined them. CLF of HTTP APIs also with the integration's error message behind it.
    #[must_use]
    pub fn documented() -> Self {
        let texts = documented::DOCUMENTED
            .iter()
            .flat_map(|(label, text)| documented::variants(text).into_iter().map(move |text| (label, text)));
        let formats = texts.filter_map(|(label, text)| Format::readings(label, &text).ok());
        let mut documented: Vec<_> = formats.flatten().collect();
        documented.sort_by_key(|format| std::cmp::Reverse(format.variables));
        Self { set: Vec::new(), documented, texts: 0 }
    }

    /// Compiles the format setting: the format string of an API stage, or several, one a line; one that is a JSON object may
    /// stand over several lines. The documented formats are known beside them.
    ///
    /// Blank lines are passed over, and so is the `\n` that may end a format.
    ///
    /// # Errors
    /// Every problem, with line and column: a format without a variable, or with two variables that nothing separates (inside
    /// a string of a JSON format they may touch), or a piece of a source file. At least one for a setting without any format.
    pub fn compile(setting: &str) -> Result<Self, Vec<FormatError>> {
        Self::documented().and(setting)
    }

    /// Compiles further formats behind those that are set, in the notation of [`compile`](Self::compile). Their numbers go on.
    ///
    /// # Errors
    /// As [`compile`](Self::compile), of these alone.
    pub fn and(mut self, further: &str) -> Result<Self, Vec<FormatError>> {
        let (texts, formats) = setting::compile(further, self.texts)?;
        self.texts += texts;
        self.set.extend(formats);
        Format::find_rivals(&mut self.set, |format, line| object::verbatim(format, line).is_some());
        Ok(self)
    }

    /// Reads one line. A line feed at its end, and white space around it, are passed over.
    ///
    /// What an operator set comes before what AWS documents, and what is exact before what is not:
    ///
    /// 1. a JSON object to the letter of a set format, then one with its keys;
    /// 2. the text of a set format, every value valid, or all but words that people choose;
    /// 3. a documented format: keys or text, every value valid. That is a guess, so nothing less will do;
    /// 4. a JSON object of no format;
    /// 5. the text of a set format, most values valid.
    ///
    /// Of several set formats that fit alike, the one whose keys, constants and values fit most, or whose text and typed values
    /// are most of the line, then the one with more literal text, then the earlier one. Time: linear in the line's length for
    /// each format.
    ///
    /// # Errors
    /// If the line has none of the formats and is not a JSON object either.
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
        if let Some(log) = self.valid(line) {
            return Ok(log);
        }
        let mut best: Option<(&Format, Lenient<'_>)> = None;
        for format in &self.set {
            match text::lenient(format, line) {
                Ok(found) => {
                    let rank = |found: &Lenient<'_>| (!found.is_loose, found.invalid);
                    if best.as_ref().is_none_or(|(_, best)| rank(&found) < rank(best)) {
                        best = Some((format, found));
                    }
                }
                Err(found) => {
                    if miss.as_ref().is_none_or(|miss| found.at > miss.at) {
                        miss = Some(found.of(format));
                    }
                }
            }
        }
        let certain = if best.as_ref().is_some_and(|(_, found)| found.is_loose) { None } else { self.certain(line) };
        let likely = || best.map(|(format, found)| AccessLog::new(format, found.values, Fields::Format));
        if let Some(log) = certain.or_else(likely) {
            return Ok(log);
        }
        if self.set.is_empty() {
            for format in &self.documented {
                let found = text::miss(format, line);
                if miss.as_ref().is_none_or(|miss| found.at > miss.at) {
                    miss = Some(found.of(format));
                }
            }
        }
        let nowhere = NoMatchKind::Text(Reason::Literal);
        Err(miss.unwrap_or(NoMatch { format: "no format", at: 0, kind: nowhere, expected: None }))
    }

    /// Returns the JSON object that a line is meant to be that [`parse`](Self::parse) does not take; `None` if that is unclear.
    ///
    /// A key whose value is missing is left out, unless a format has the line by it.
    #[must_use]
    pub fn mend(&self, line: &str) -> Option<String> {
        let with_keys = mended(line, false)?;
        let has_format = self.parse(&with_keys).is_ok_and(|log| log.format().is_some());
        if has_format { Some(with_keys) } else { mended(line, true) }
    }

    /// Reads a line as it stands in a JSON string, if it is the text of a JSON format to the letter.
    ///
    /// `None` says nothing: [`parse`](Self::parse) may read the decoded line yet, and reads no line otherwise than this.
    #[must_use]
    pub fn parse_message<'a>(&'a self, line: Str<'a>) -> Option<AccessLog<'a>> {
        if !line.raw().starts_with('{') {
            return None;
        }
        for format in self.set.iter().filter(|format| format.shape.is_some()) {
            // One that has no stencil may have the line all the same, and comes first.
            match format.stencil.as_ref()?.read(line) {
                // Which of them has the line, its values tell.
                Reading::Values(_) if format.has_rivals => return None,
                Reading::Values(values) => return Some(AccessLog::new(format, values, Fields::Format)),
                Reading::Other => {}
                Reading::Unsure => return None,
            }
        }
        if !self.set.is_empty() {
            return None;
        }
        let read = |format: &'a Format| match format.stencil.as_ref()?.read(line) {
            Reading::Values(values) => Some((format, values)),
            Reading::Other | Reading::Unsure => None,
        };
        let (format, values) = self.documented.iter().find_map(read)?;
        object::are_valid(format, &values).then(|| AccessLog::new(format, values, Fields::Format))
    }

    /// Returns the names that the set formats give to credentials, and that are not secret names themselves: `k` of
    /// `"k":"$context.identity.apiKey"`. They tell the credential in a line that its format does not take.
    pub fn secret_names<'a>(&'a self, redactor: &'a Redactor) -> impl Iterator<Item = &'a str> {
        let slots = self.set.iter().flat_map(|format| &format.pattern.slots);
        slots.flat_map(|slot| {
            let own = slot.variable.names.last().map(|name| name.text.as_ref());
            let parts = slot.parts.iter().flat_map(|parts| parts.secret_names(redactor));
            let whole = write::hides(&slot.variable, redactor).then_some(own);
            parts.map(move |name| name.or(own)).chain(whole).flatten()
        })
    }

    /// Tells what each format was understood to be, in the order of the setting; without one, what the documented formats are.
    pub fn outlines(&self) -> impl Iterator<Item = Outline<'_>> {
        if self.set.is_empty() { &self.documented } else { &self.set }.iter().map(Outline::of)
    }

    /// All formats, those that are set first.
    fn all(&self) -> impl Iterator<Item = &Format> {
        self.set.iter().chain(&self.documented)
    }

    /// Returns whether a line with the keys of both is of the first format, whatever its values are: of several guesses that fit,
    /// the one with the most variables, then the one with the most literal text.
    fn is_before(&self, format: &Format, other: &Format) -> bool {
        let is_in = |formats: &[Format], format| formats.iter().any(|known| std::ptr::eq(known, format));
        let size = |format: &Format| (format.variables, format.pattern.literal_bytes());
        is_in(&self.documented, other) && (is_in(&self.set, format) || size(other) < size(format))
    }

    /// Reads a line that starts as a JSON object.
    fn object<'a>(&'a self, line: &'a str) -> Result<AccessLog<'a>, crate::json::JsonError> {
        let verbatim = |format: &'a Format| Some((format, object::verbatim(format, line)?));
        if let Some((format, values)) = self.set.iter().find_map(verbatim)
            && !format.has_rivals
        {
            return Ok(AccessLog::new(format, values, Fields::Format));
        }
        let object = Object::read(line)?;
        let fitting = |formats: &'a [Format], is_guess| {
            let values = |format: &'a Format| Some((format, object.values(format, is_guess)?));
            let fitting: Vec<_> = formats.iter().filter_map(values).collect();
            fitting
        };
        let closest = |mut fitting: Vec<(&'a Format, Vec<Value<'a>>)>| {
            if fitting.len() < 2 {
                return fitting.pop();
            }
            let fit = |(format, values): &(&Format, Vec<Value<'_>>)| {
                (object.fit(format, values), format.pattern.literal_bytes())
            };
            // Of several that are the last one's equal, the first.
            fitting.into_iter().rev().max_by_key(fit)
        };
        // A key that comes twice may have been written by whoever made the value before it.
        let is_doubtful = object.repeats();
        if is_doubtful && let Some(log) = self.valid(line) {
            return Ok(log);
        }
        let mut reading = closest(fitting(&self.set, false));
        if reading.is_none() {
            if !is_doubtful && let Some(log) = self.valid(line) {
                return Ok(log);
            }
            let mut guesses = fitting(&self.documented, true);
            guesses.retain(|(format, values)| !is_doubtful && object::are_valid(format, values));
            reading = closest(guesses);
            if reading.is_none()
                && let Some(log) = self.certain(line)
            {
                return Ok(log);
            }
        }
        let fields = Fields::Line(line, object);
        Ok(match reading {
            Some((format, values)) => AccessLog::new(format, values, fields),
            None => AccessLog { reading: None, fields },
        })
    }

    /// Reads a line by a set format's text so that every value is valid.
    fn valid<'a>(&'a self, line: &'a str) -> Option<AccessLog<'a>> {
        let mut readings = self.set.iter().filter_map(|format| Some((format, text::valid(format, line)?)));
        let first = readings.next()?;
        // Most lines have one reading, which needs no comparison.
        let best = readings.fold((first, None), |(best, known), reading| {
            let of_best = known.unwrap_or_else(|| text::explained(best.0, &best.1));
            let of_reading = text::explained(reading.0, &reading.1);
            if of_reading > of_best { (reading, Some(of_reading)) } else { (best, Some(of_best)) }
        });
        let ((format, values), _) = best;
        Some(AccessLog::new(format, values, Fields::Format))
    }

    /// Reads a line by a documented format's text so that every value is valid. A line of dashes may be of several formats: it is
    /// the one's that finds the status, which every response has.
    fn certain<'a>(&'a self, line: &'a str) -> Option<AccessLog<'a>> {
        let mut without_status = None;
        for format in &self.documented {
            let Some(values) = text::certain(format, line) else { continue };
            let status = format.status.and_then(|slot| values.get(slot));
            let found = status.is_none_or(|status| status.text().is_some());
            let log = AccessLog::new(format, values, Fields::Format);
            if found {
                return Some(log);
            }
            without_status.get_or_insert(log);
        }
        without_status
    }
}

impl<'a> AccessLog<'a> {
    /// What a format found in a line, which has these fields besides.
    fn new(format: &'a Format, mut values: Vec<Value<'a>>, fields: Fields<'a>) -> Self {
        if format.has_dollars {
            for (value, _) in values.iter_mut().zip(&format.pattern.slots).filter(|(_, slot)| slot.dollar) {
                *value = value.without_dollar();
            }
        }
        let fields = if matches!(fields, Fields::Format) && format.is_only_variables { Fields::None } else { fields };
        Self { reading: Some((format, values)), fields }
    }

    /// Returns the label of the format that the line has; `None` for a JSON object that has none.
    #[must_use]
    pub fn format(&self) -> Option<&str> {
        self.reading.as_ref().map(|(format, _)| format.label.as_ref())
    }

    /// Returns the API's id, where the format or, of a JSON object, the key `apiId` has it and the line holds one.
    #[must_use]
    pub fn api_id(&self) -> Option<Cow<'_, str>> {
        let learned = |template: &Template| template.api_id;
        self.name(|format| &format.api_id, learned, "apiId")
    }

    /// Returns the stage's name, where the format or, of a JSON object, the key `stage` has it and the line holds one: letters,
    /// digits, `-` and `_`, or `$default`.
    #[must_use]
    pub fn stage(&self) -> Option<Cow<'_, str>> {
        let learned = |template: &Template| template.stage;
        self.name(|format| &format.stage, learned, "stage")
    }

    /// Returns the value of a variable that names something. Anything else in its place stays in `context` or `fields`, where
    /// credentials in it are hidden.
    fn name(
        &self,
        slots: impl FnOnce(&Format) -> &[usize],
        place: impl FnOnce(&Template) -> Option<usize>,
        key: &str,
    ) -> Option<Cow<'_, str>> {
        let known = self.reading.as_ref().map(|(format, values)| (slots(format), values));
        let value = match (known, &self.fields) {
            (Some((slots @ [_, ..], values)), _) => slots.iter().find_map(|slot| values.get(*slot)?.text()),
            (_, Fields::Line(_, object)) => object.text(key).and_then(Value::text),
            (_, Fields::Learned(template, values)) => place(template).and_then(|place| values.get(place)?.text()),
            (_, Fields::None | Fields::Format) => None,
        }?;
        is_name(&value).then_some(value)
    }

    /// Returns the keys and values of a line that was read by the text of one before it and is a vended record of execution
    /// logs, if it has no key but those of one; `None` for any other.
    #[must_use]
    pub fn vended(&self) -> Option<impl Iterator<Item = (&str, Option<Cow<'_, str>>)>> {
        match &self.fields {
            Fields::Learned(template, values) => template.vended(values),
            _ => None,
        }
    }

    /// Returns when the request came, in milliseconds since the Unix epoch, where the format or, of a JSON object, the key
    /// `requestTimeEpoch` or `requestTime` tells.
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        let of_slot = |slot: fn(&Format) -> Option<usize>| {
            let (format, values) = self.reading.as_ref()?;
            values.get(slot(format)?)?.text()
        };
        let of_key = |key: &str| match &self.fields {
            Fields::Line(_, object) => object.text(key)?.text(),
            _ => None,
        };
        let epoch = of_slot(|format| format.epoch).or_else(|| of_key("requestTimeEpoch"));
        let words = || of_slot(|format| format.time).or_else(|| of_key("requestTime"));
        epoch.and_then(|text| text.parse().ok()).or_else(|| words().and_then(|text| kind::clf_milliseconds(&text)))
    }

    /// Returns the value of a `$context` variable, such as `identity.sourceIp`, as text, without quotes that it brings itself.
    /// `None` for a line of no format.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        let (format, values) = self.reading.as_ref()?;
        let slot = format.slot(name)?;
        let text = values.get(slot)?.text()?;
        let is_quoted = format.pattern.slots.get(slot).is_some_and(|slot| slot.variable.kind == Kind::Quoted);
        Some(if is_quoted { Cow::Owned(write::unquoted(&text).into_owned()) } else { text })
    }

    /// Returns what is known of the request, without what the redactor hides.
    #[must_use]
    pub fn facts(&self, redactor: &Redactor) -> Facts<'_> {
        let Some((format, values)) = &self.reading else { return Facts::default() };
        let text = |slots: &[usize]| slots.iter().find_map(|&slot| shown(format, values, slot, redactor));
        let number = |slots: &[usize]| slots.iter().find_map(|&slot| values.get(slot)?.text()?.parse::<u64>().ok());
        let FactSlots { trace, response_latency, integration_latency, response_type, backend_status } = &format.facts;
        // Whose fault an error is, is asked of errors only.
        let status = number(format.status.as_slice()).filter(|status| *status >= 400);
        let is_error = |slot: &usize| number(&[*slot]).is_some_and(|status| status >= 400);
        Facts {
            trace: text(trace),
            response_latency: number(response_latency),
            integration_latency: number(integration_latency),
            status,
            response_type: status.and_then(|_| text(response_type)),
            backend_error: status.is_some() && backend_status.iter().any(is_error),
        }
    }

    /// Says the request in a line for people, `GET /orders 200`: as much of it as is known and not hidden.
    #[must_use]
    pub fn summary(&self, redactor: &Redactor) -> String {
        let value = |name: &str| {
            let (format, values) = self.reading.as_ref()?;
            shown(format, values, format.slot(name)?, redactor)
        };
        let first = |names: &[&str]| names.iter().find_map(|name| value(name));
        let path = first(&["path", "resourcePath", "routeKey"]);
        // A route names its method.
        let method = first(&["httpMethod"]).filter(|_| !path.as_deref().is_some_and(|path| path.contains(' ')));
        let parts: Vec<_> = [method, path, first(&["status"])].into_iter().flatten().collect();
        if parts.is_empty() { "access".to_owned() } else { redactor.text(&parts.join(" ")).into_owned() }
    }

    /// Returns the log without the values that hold a credential whose name is in another value; `None` if there are none.
    #[must_use]
    pub fn without_scattered(&self, redactor: &Redactor) -> Option<Self> {
        let (format, values) = self.reading.as_ref()?;
        let values = scattered::without(format, values, redactor)?;
        Some(Self { reading: Some((format, values)), fields: Fields::None })
    }

    /// Writes what the line holds as members of a JSON object, each behind a comma: `,"context":{…}` with the values of the
    /// variables, then `,"fields":{…}` with what else a JSON line has. One that would be empty is left out.
    ///
    /// Numbers and booleans are such where AWS documents them; all other values are strings. What the redactor knows as a
    /// credential is hidden.
    pub fn write(&self, [context, fields]: [&str; 2], redactor: &Redactor, out: &mut Vec<u8>) {
        if let Some((format, values)) = &self.reading {
            member(out, context, |out| write::context(format, values, redactor, out));
        }
        member(out, fields, |out| match (&self.fields, &self.reading) {
            (Fields::Line(line, _), reading) => {
                let format = reading.as_ref().map(|(format, _)| *format);
                write::fields_of_line(format, &json::sound(line), redactor, out).unwrap_or(false)
            }
            (Fields::Format, Some((format, values))) => write::fields_of_format(format, values, redactor, out),
            (Fields::Learned(template, values), _) => template.write(values, redactor, out),
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

/// Returns whether an API or a stage can have this name: letters, digits, `-` and `_`, or `$default`.
pub(crate) fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'$'))
}

/// Returns the value of a slot, unless the redactor hides it.
fn shown<'a>(format: &Format, values: &[Value<'a>], slot: usize, redactor: &Redactor) -> Option<Cow<'a, str>> {
    let variable = &format.pattern.slots.get(slot)?.variable;
    if write::hides(variable, redactor) { None } else { values.get(slot)?.text() }
}

/// Writes a member of an object behind its label, unless that is empty or there is no value.
fn member(out: &mut Vec<u8>, label: &str, value: impl FnOnce(&mut Vec<u8>) -> bool) {
    let before = out.len();
    out.extend_from_slice(label.as_bytes());
    if label.is_empty() || !value(out) {
        out.truncate(before);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn written(log: &AccessLog<'_>, redactor: &Redactor) -> String {
        let mut out = Vec::new();
        log.write([",\"context\":", ",\"fields\":"], redactor, &mut out);
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
