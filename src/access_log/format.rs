//! A format: the string of literal text and `$context` variables that an API stage writes its access log with, compiled.
//!
//! A compiled format is a [`Pattern`]: slots with literal text before, between and behind them. One whose text is a JSON object
//! knows its keys besides, and then a slot may also be a piece of text with several variables in it, which is a pattern itself.

use std::ops::Range;

use memchr::memmem::Finder;

use super::kind::Fit;
use super::parts::Parts;
use super::setting::FormatErrorKind;
use super::shape::{self, PLACEHOLDER, Placed, Shape};
use super::stencil::{Holds, Stencil};
use super::variables::{Variable, name_length};

/// What a variable's name stands behind.
const PREFIX: &str = "$context.";

/// The same in braces, which close behind the name.
const BRACED_PREFIX: &str = "${context.";

/// Parts of a variable's name that become levels of the output; further ones stay together in the last key. AWS has four.
const MAX_LEVELS: usize = 16;

/// The slots of a format with the bytes that each takes in the text.
pub(super) type Slots = Vec<(Range<usize>, Slot)>;

/// A place in a format where a value stands.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// The variable; for a composite, what its variables are together.
    pub(super) variable: Variable,
    /// Whether the slot is the inside of a JSON string.
    pub(super) quoted: bool,
    /// What a composite holds, unless its text has an escape.
    pub(super) pattern: Option<Pattern>,
    /// The variables and texts of a composite, by which the credentials in it are hidden.
    pub(super) parts: Option<Parts>,
    /// Whether a dollar sign stands before the value: the format has two before the variable's name.
    pub(super) dollar: bool,
    /// Whether no valid value holds the literal text behind the slot: then a value ends where that text first comes.
    pub(super) rigid: bool,
}

impl Slot {
    /// A slot that the text behind it is not known of yet.
    pub(super) fn new(variable: Variable, quoted: bool) -> Self {
        Self { variable, quoted, pattern: None, parts: None, dollar: false, rigid: false }
    }

    /// Returns whether the slot is several variables, or a variable among other text.
    pub(super) fn is_composite(&self) -> bool {
        self.variable.name.is_empty()
    }

    /// Returns whether a valid value can stand at the start of a text.
    pub(super) fn may_start(&self, text: &str) -> bool {
        let is_value = |first: char| first == '-' || self.variable.kind.may_hold(first.encode_utf8(&mut [0; 4]));
        self.dollar || self.variable.kind.is_free() || text.chars().next().is_some_and(is_value)
    }

    /// Tells whether a piece of a line can be the slot's value, with the dollar sign that may stand before it.
    pub(super) fn fit(&self, value: &str) -> Fit {
        let value = if self.dollar { value.strip_prefix('$').unwrap_or(value) } else { value };
        self.variable.kind.fit(value)
    }
}

/// Literal text of a format, ready to be searched for.
#[derive(Debug, Clone)]
pub(super) struct Literal {
    pub(super) text: Box<str>,
    finder: Finder<'static>,
}

impl Literal {
    fn new(text: &str) -> Self {
        Self { text: text.into(), finder: Finder::new(text).into_owned() }
    }

    /// Returns what is behind the text at the start of `line`, if it is there.
    pub(super) fn strip<'a>(&self, line: &'a str) -> Option<&'a str> {
        // Most formats that are tried in vain differ in the first byte: that is cheaper to see than by a comparison of memory.
        match self.text.as_bytes().first() {
            None => Some(line),
            first if first != line.as_bytes().first() => None,
            Some(_) => line.strip_prefix(self.text.as_ref()),
        }
    }

    /// Returns where the text occurs first in `line` at or after `from`.
    pub(super) fn find(&self, line: &str, from: usize) -> Option<usize> {
        let rest = line.as_bytes().get(from..)?;
        Some(from + self.finder.find(rest)?)
    }

    /// Returns whether the text occurs in a value. One of no length does not.
    pub(super) fn is_in(&self, value: &str) -> bool {
        !self.text.is_empty() && self.finder.find(value.as_bytes()).is_some()
    }
}

/// Text with slots in it.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// The places of the values, in the order of the text.
    pub(super) slots: Vec<Slot>,
    /// The text before each slot, and behind the last one. Only the first and the last can be empty, and those of a composite.
    pub(super) literals: Vec<Literal>,
    /// Whether a line may have several readings in which every value is valid: several values may hold the text around them.
    pub(super) is_loose: bool,
    /// Whether nothing but separators stands around the slots, so that any text of as many words may be a line.
    pub(super) is_unmarked: bool,
}

impl Pattern {
    /// Cuts a text at its slots.
    pub(super) fn new(plain: &str, slots: Slots) -> Self {
        let mut literals = Vec::with_capacity(slots.len() + 1);
        let mut end = 0;
        for (range, _) in &slots {
            literals.push(Literal::new(plain.get(end..range.start).unwrap_or_default()));
            end = range.end;
        }
        literals.push(Literal::new(plain.get(end..).unwrap_or_default()));
        let mut slots: Vec<Slot> = slots.into_iter().map(|(_, slot)| slot).collect();
        for (slot, literal) in slots.iter_mut().zip(literals.iter().skip(1)) {
            slot.rigid = !slot.variable.kind.may_hold(&literal.text);
        }
        let around = literals.iter().zip(literals.iter().skip(1));
        let loose = slots.iter().zip(around).filter(|(slot, (before, behind))| {
            let kind = slot.variable.kind;
            kind.is_loose() && (kind.may_hold(&before.text) || kind.may_hold(&behind.text))
        });
        let is_loose = loose.count() > 1;
        let is_separator = |literal: &Literal| literal.text.trim().chars().count() < 2;
        let is_unmarked = literals.iter().all(is_separator);
        Self { slots, literals, is_loose, is_unmarked }
    }

    /// Returns the text before the slot of this index, or behind the last one.
    pub(super) fn literal(&self, index: usize) -> &str {
        self.literals.get(index).map_or("", |literal| &literal.text)
    }

    /// Returns how many pieces of literal text hold a letter or digit: such text is seldom there by chance.
    pub(super) fn wordy_literals(&self) -> usize {
        let wordy = |literal: &&Literal| literal.text.chars().any(char::is_alphanumeric);
        self.literals.iter().filter(wordy).count()
    }

    /// Returns the bytes of the literal text, with those inside composites.
    pub(super) fn literal_bytes(&self) -> usize {
        let inside: usize = self.slots.iter().filter_map(|slot| slot.pattern.as_ref()).map(Self::literal_bytes).sum();
        inside + self.literals.iter().map(|literal| literal.text.len()).sum::<usize>()
    }
}

/// A level of the output: a key with its value, or with the keys below it.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    name: Box<str>,
    /// The key as it is written behind another: comma, quotes and colon included.
    pub(super) key: Box<str>,
    /// The slots that may hold the value; the first one that has a value gives it.
    pub(super) slots: Vec<usize>,
    /// The keys below.
    pub(super) children: Vec<Branch>,
}

/// A compiled format.
#[derive(Debug, Clone)]
pub(super) struct Format {
    /// What the format is called in messages.
    pub(super) label: Box<str>,
    /// The text with the places of the values.
    pub(super) pattern: Pattern,
    /// The output, in the order in which the variables come first.
    pub(super) tree: Vec<Branch>,
    /// The keys, if the format is a JSON object.
    pub(super) shape: Option<Shape>,
    /// The text as it stands in an envelope, if the format is a JSON object of values that can be told there.
    pub(super) stencil: Option<Stencil>,
    /// Whether a line to the letter of the format holds variables only.
    pub(super) is_only_variables: bool,
    /// Keys that hold one variable; of a format that is not a JSON object, slots.
    pub(super) variables: usize,
    /// Whether any slot has a dollar sign before its values.
    pub(super) has_dollars: bool,
    /// Whether a line to the letter of this format may be one to the letter of another that is set.
    pub(super) has_rivals: bool,
    /// A line of the format.
    sample: Box<str>,
    /// The format's text, of several lines where it was joined.
    pub(super) text: Box<str>,
    /// The slot of the response's status, which is always known.
    pub(super) status: Option<usize>,
    /// The slots of the API's id.
    pub(super) api_id: Vec<usize>,
    /// The slots of the stage's name.
    pub(super) stage: Vec<usize>,
    /// The slot of the request's id, which every request has.
    pub(super) request_id: Option<usize>,
    /// The slot of its other id.
    pub(super) extended_request_id: Option<usize>,
    /// The slot of the request's time in milliseconds.
    pub(super) epoch: Option<usize>,
    /// The slot of the request's time in words.
    pub(super) time: Option<usize>,
    /// The slots of what further values are derived from.
    pub(super) facts: FactSlots,
}

/// The slots of what further values are derived from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FactSlots {
    pub(super) trace: Vec<usize>,
    pub(super) response_latency: Vec<usize>,
    pub(super) integration_latency: Vec<usize>,
    pub(super) response_type: Vec<usize>,
    pub(super) backend_status: Vec<usize>,
}

impl Format {
    /// Compiles a format's text, in each way that it can be understood: the likeliest first.
    ///
    /// A name that an authorizer made may go on behind a dash or end there; braces around a name may be AWS's or the text's own.
    ///
    /// # Errors
    /// Every problem, with its byte in the text.
    pub(super) fn readings(label: &str, text: &str) -> Result<Vec<Self>, Vec<(usize, FormatErrorKind)>> {
        let mut understood: Vec<Plain> = Vec::new();
        for (braces, dashes) in [(true, true), (true, false), (false, true), (false, false)] {
            let plain = place(text, braces, dashes);
            if !plain.placed.is_empty() && understood.iter().all(|other| other.text != plain.text) {
                understood.push(plain);
            }
        }
        if understood.is_empty() {
            return Err(vec![(0, FormatErrorKind::NoVariable)]);
        }
        let (formats, problems): (Vec<_>, Vec<_>) =
            understood.into_iter().map(|plain| Self::compile(label, text, plain)).partition(Result::is_ok);
        match problems.into_iter().find_map(Result::err) {
            Some(problems) if formats.is_empty() => Err(problems),
            _ => Ok(formats.into_iter().flatten().collect()),
        }
    }

    fn compile(label: &str, text: &str, plain: Plain) -> Result<Self, Vec<(usize, FormatErrorKind)>> {
        let Plain { text: sample, placed, origins } = plain;
        let (shape, slots) = match shape::read(&sample, &placed) {
            Some((shape, slots)) => (Some(shape), slots),
            None => (None, separate(&sample, placed, &origins)?),
        };
        let pattern = Pattern::new(&sample, slots);
        let Pattern { slots, literals, .. } = &pattern;
        let variables =
            shape.as_ref().map_or_else(|| slots.iter().filter(|slot| !slot.is_composite()).count(), Shape::variables);
        let is_only_variables = shape.as_ref().is_none_or(Shape::is_only_variables);
        let stencil = shape.as_ref().and_then(|_| {
            let holds = |slot: &Slot| if slot.quoted { Holds::Inside } else { Holds::Scalar };
            let behind = slots.iter().zip(literals.get(1..)?);
            let behind = behind.map(|(slot, literal)| (holds(slot), literal.text.as_ref()));
            // Outside quotes, several values together are not a JSON value.
            let is_plain = slots.iter().all(|slot| slot.quoted || !slot.is_composite());
            Stencil::new(&literals.first()?.text, behind).filter(|_| is_plain)
        });
        let tree = tree(slots);
        let slots_of = |name: &str| {
            tree.iter().find(|branch| branch.name.as_ref() == name).map_or(Vec::new(), |branch| branch.slots.clone())
        };
        let first_slot = |name: &str| slots.iter().position(|slot| slot.variable.name.as_ref() == name);
        let (api_id, stage) = (slots_of("apiId"), slots_of("stage"));
        let (request_id, extended_request_id) = (first_slot("requestId"), first_slot("extendedRequestId"));
        let (epoch, time) = (first_slot("requestTimeEpoch"), first_slot("requestTime"));
        let of = |names: &[&str]| names.iter().filter_map(|name| first_slot(name)).collect();
        let facts = FactSlots {
            trace: of(&["xrayTraceId"]),
            response_latency: of(&["responseLatency"]),
            integration_latency: of(&["integrationLatency", "integration.latency"]),
            response_type: of(&["error.responseType"]),
            backend_status: of(&["integration.status", "integrationStatus", "integration.integrationStatus"]),
        };
        Ok(Self {
            label: label.into(),
            status: first_slot("status"),
            has_dollars: slots.iter().any(|slot| slot.dollar),
            pattern,
            tree,
            shape,
            stencil,
            is_only_variables,
            variables,
            has_rivals: false,
            sample: sample.into(),
            text: text.into(),
            api_id,
            stage,
            request_id,
            extended_request_id,
            epoch,
            time,
            facts,
        })
    }

    /// Finds the slot of a variable.
    pub(super) fn slot(&self, variable: &str) -> Option<usize> {
        self.pattern.slots.iter().position(|slot| slot.variable.name.as_ref() == variable)
    }

    /// Notes for each format whether lines of another may be lines of it to the letter.
    pub(super) fn find_rivals(formats: &mut [Self], takes: impl Fn(&Self, &str) -> bool) {
        let rivals: Vec<bool> = (0..formats.len())
            .map(|index| {
                let others = formats.iter().enumerate().filter(|(other, _)| *other != index);
                let format = formats.get(index);
                others.into_iter().any(|(_, other)| format.is_some_and(|format| takes(format, &other.sample)))
            })
            .collect();
        for (format, has_rivals) in formats.iter_mut().zip(rivals) {
            format.has_rivals = has_rivals;
        }
    }
}

/// A format's text with a placeholder for each variable.
struct Plain {
    text: String,
    placed: Vec<Placed>,
    /// Where each variable stood in the format.
    origins: Vec<usize>,
}

/// Puts a placeholder for each variable. `braces` says whether a name may stand in them, `dashes` whether an authorizer's may
/// hold them.
fn place(text: &str, braces: bool, dashes: bool) -> Plain {
    let mut plain = String::with_capacity(text.len());
    let mut placed = Vec::new();
    let mut origins = Vec::new();
    let mut rest = text;
    while let Some((before, sign)) = rest.find('$').and_then(|at| rest.split_at_checked(at)) {
        plain.push_str(before);
        let origin = text.len() - sign.len();
        let Some((name, after)) = variable(sign, braces, dashes) else {
            plain.push('$');
            rest = sign.get(1..).unwrap_or_default();
            continue;
        };
        let dollar = plain.ends_with('$');
        if dollar {
            plain.pop();
        }
        origins.push(origin);
        placed.push(Placed { at: plain.len(), variable: Variable::named(name), dollar });
        plain.push(PLACEHOLDER);
        rest = after;
    }
    plain.push_str(rest);
    Plain { text: plain, placed, origins }
}

/// Reads the name of the variable that a text starts with, and what is behind it.
fn variable(text: &str, braces: bool, dashes: bool) -> Option<(&str, &str)> {
    let (behind, closing) = match text.strip_prefix(PREFIX) {
        Some(behind) => (behind, ""),
        None => (text.strip_prefix(BRACED_PREFIX).filter(|_| braces)?, "}"),
    };
    let (name, after) = behind.split_at(name_length(behind, dashes));
    let after = after.strip_prefix(closing)?;
    (!name.is_empty()).then_some((name, after))
}

/// Makes a slot of each variable.
fn separate(plain: &str, placed: Vec<Placed>, origins: &[usize]) -> Result<Slots, Vec<(usize, FormatErrorKind)>> {
    let mut end = None;
    let mut problems = Vec::new();
    let mut slots = Vec::with_capacity(placed.len());
    for (Placed { at, mut variable, dollar }, origin) in placed.into_iter().zip(origins) {
        if end == Some(at) {
            problems.push((*origin, FormatErrorKind::Adjacent));
        }
        if let Some((name, in_query)) = plain.get(end.unwrap_or_default()..at).and_then(name_before) {
            variable.is_called(name, in_query);
        }
        let range = at..at + PLACEHOLDER.len_utf8();
        end = Some(range.end);
        slots.push((range, Slot { dollar, ..Slot::new(variable, false) }));
    }
    if problems.is_empty() { Ok(slots) } else { Err(problems) }
}

/// Reads the name that a text gives to what follows it, and whether that is a query parameter: `token=`, `"token":"`,
/// `Cookie: `, `<token>`, `?code=`.
pub(super) fn name_before(text: &str) -> Option<(&str, bool)> {
    let before = text.trim_end_matches([' ', '"', '\'']);
    let before = before.strip_suffix(['=', ':', '>'])?.trim_end_matches([' ', '"', '\'']);
    let is_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    let rest = before.trim_end_matches(is_name);
    Some((before.get(rest.len()..)?, rest.ends_with(['?', '&'])))
}

/// Arranges the variables by the parts of their names.
fn tree(slots: &[Slot]) -> Vec<Branch> {
    let mut roots = Vec::new();
    for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| !slot.is_composite()) {
        let mut level = &mut roots;
        let mut parts = slot.variable.name.splitn(MAX_LEVELS, '.').peekable();
        while let Some(part) = parts.next() {
            let branch = branch(level, part);
            if parts.peek().is_none() {
                branch.slots.push(index);
            }
            level = &mut branch.children;
        }
    }
    roots
}

/// Returns the branch of this name, made where it is not there yet.
fn branch<'a>(level: &'a mut Vec<Branch>, name: &str) -> &'a mut Branch {
    let at = level.iter().position(|branch| branch.name.as_ref() == name).unwrap_or_else(|| {
        // Names hold nothing that JSON would escape.
        let key = format!(",\"{name}\":").into();
        level.push(Branch { name: name.into(), key, slots: Vec::new(), children: Vec::new() });
        level.len() - 1
    });
    #[expect(clippy::indexing_slicing, reason = "found there, or pushed there")]
    &mut level[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn literals(text: &str, expected: &[&str]) {
        let formats = Format::readings("format", text).unwrap();
        let found: Vec<_> = formats[0].pattern.literals.iter().map(|literal| literal.text.as_ref()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn variables_may_touch_inside_a_json_string() {
        literals(r#"{"url":"https://$context.domainName$context.path"}"#, &[r#"{"url":""#, r#""}"#]);
    }

    #[test]
    fn the_text_between_the_variables_is_kept() {
        literals("[$context.status. $context.path]", &["[", ". ", "]"]);
        literals("$context.status $context. $context.path", &["", " $context. ", ""]);
    }

    #[test]
    fn literal_text_gives_names_to_values() {
        #[track_caller]
        fn names(text: &str, expected: Option<(&str, bool)>) {
            assert_eq!(name_before(text), expected, "{text}");
        }
        names("a=1 token=", Some(("token", false)));
        names(r#"{"a":1,"x-api-key" : ""#, Some(("x-api-key", false)));
        names("<a>1</a><token>", Some(("token", false)));
        names("/p?code=", Some(("code", true)));
        names(", ", None);
        names("", None);
    }

    #[test]
    fn a_format_is_json_only_if_its_keys_are_plain() {
        let is_json = |text| Format::readings("format", text).unwrap()[0].shape.is_some();
        assert!(is_json(r#"{"a":"$context.status","b":{"c":[$context.path]}}"#));
        assert!(!is_json(r#"{"stage:$context.stage"}"#));
        assert!(!is_json(r#"{"$context.stage":1}"#));
        assert!(is_json(r#"{"a":"$context.status","a":"$context.path"}"#));
        assert!(!is_json(r#"["$context.status"]"#));
        assert!(!is_json(r#"{"a":$context.status} {}"#));
    }
}
