//! A format: the string of literal text and `$context` variables that an API stage writes its access log with, compiled.
//!
//! A compiled format is slots with literal text before, between and behind them. One whose text is a JSON object knows its
//! keys besides, and then a slot may also be a piece of text with several variables in it.

use std::ops::Range;

use memchr::memmem::{self, Finder};
use thiserror::Error;

use super::parts::Parts;
use super::shape::{self, PLACEHOLDER, Placed, Shape};
use super::stencil::Stencil;
use super::variables::{Variable, name_length};

/// What a variable's name stands behind.
const PREFIX: &str = "$context.";

/// Parts of a variable's name that become levels of the output; further ones stay together in the last key. AWS has four.
const MAX_LEVELS: usize = 16;

/// A problem of the format setting, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct FormatError {
    /// Line of the setting, from 1: each holds one format.
    pub line: usize,
    /// Characters from the start of the line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub kind: FormatErrorKind,
}

/// What is wrong with a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FormatErrorKind {
    /// Nothing in it says which part of a log line is a value.
    #[error("no $context variable in the format; copy the format of the API stage")]
    NoVariable,
    /// Where one value ends and the next begins could not be told.
    #[error("two variables with nothing between them; put a separator there")]
    Adjacent,
}

/// The slots of a format with the bytes that each takes in the text.
pub(super) type Slots = Vec<(Range<usize>, Slot)>;

/// A place in a format where a value stands.
#[derive(Debug)]
pub(super) struct Slot {
    /// The variable; for a composite, what its variables are together.
    pub(super) variable: Variable,
    /// Whether the slot is the inside of a JSON string.
    pub(super) quoted: bool,
    /// The variables and texts of a slot that is several variables, or a variable among other text.
    pub(super) parts: Option<Parts>,
    /// Whether no valid value holds the literal text behind the slot: then a value ends where that text first comes.
    pub(super) rigid: bool,
}

impl Slot {
    /// A slot that the text behind it is not known of yet.
    pub(super) fn new(variable: Variable, quoted: bool, parts: Option<Parts>) -> Self {
        Self { variable, quoted, parts, rigid: false }
    }

    /// Returns whether the slot is several variables, or a variable among other text.
    pub(super) fn is_composite(&self) -> bool {
        self.parts.is_some()
    }
}

/// Literal text of a format, ready to be searched for.
#[derive(Debug)]
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

    /// Returns where the text occurs last in `range` of `line`.
    pub(super) fn find_last(&self, line: &str, range: Range<usize>) -> Option<usize> {
        let start = range.start;
        Some(start + memmem::rfind(line.as_bytes().get(range)?, self.text.as_bytes())?)
    }
}

/// A level of the output: a key with its value, or with the keys below it.
#[derive(Debug)]
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
#[derive(Debug)]
pub(super) struct Format {
    /// What the format is called in messages.
    pub(super) label: Box<str>,
    /// The places of the values, in the order of the text.
    pub(super) slots: Vec<Slot>,
    /// The text before each slot, and behind the last one. Only the first and the last can be empty.
    pub(super) literals: Vec<Literal>,
    /// The output, in the order in which the variables come first.
    pub(super) tree: Vec<Branch>,
    /// The keys, if the format is a JSON object.
    pub(super) shape: Option<Shape>,
    /// The text as it stands in an envelope, if the format is a JSON object of values that can be told there.
    pub(super) stencil: Option<Stencil>,
    /// Whether a line to the letter of the format holds variables only.
    pub(super) is_only_variables: bool,
    /// Slots that hold one variable.
    pub(super) variables: usize,
    /// The slot of the response's status, which is always known.
    pub(super) status: Option<usize>,
    /// The slots of the API's id.
    pub(super) api_id: Vec<usize>,
    /// The slots of the stage's name.
    pub(super) stage: Vec<usize>,
}

impl Format {
    /// Compiles a format's text.
    ///
    /// # Errors
    /// Every problem, with its byte in the text.
    pub(super) fn compile(label: &str, text: &str) -> Result<Self, Vec<(usize, FormatErrorKind)>> {
        let (plain, placed, origins) = place(text);
        if placed.is_empty() {
            return Err(vec![(0, FormatErrorKind::NoVariable)]);
        }
        let (shape, slots) = match shape::read(&plain, &placed) {
            Some((shape, slots)) => (Some(shape), slots),
            None => (None, separate(&plain, placed, &origins)?),
        };
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
        let variables = slots.iter().filter(|slot| !slot.is_composite()).count();
        let is_only_variables = shape.as_ref().is_none_or(Shape::is_only_variables);
        let stencil = shape.as_ref().and_then(|_| {
            let behind =
                slots.iter().zip(literals.get(1..)?).map(|(slot, literal)| (slot.quoted, literal.text.as_ref()));
            // Outside quotes, several values together are no JSON value.
            let is_plain = slots.iter().all(|slot| slot.quoted || !slot.is_composite());
            Stencil::new(&literals.first()?.text, behind).filter(|_| is_plain)
        });
        let tree = tree(&slots);
        let status = slots.iter().position(|slot| slot.variable.name.as_ref() == "status");
        let slots_of = |name: &str| {
            tree.iter().find(|branch| branch.name.as_ref() == name).map_or(Vec::new(), |branch| branch.slots.clone())
        };
        let (api_id, stage) = (slots_of("apiId"), slots_of("stage"));
        Ok(Self {
            label: label.into(),
            slots,
            literals,
            tree,
            shape,
            stencil,
            is_only_variables,
            variables,
            status,
            api_id,
            stage,
        })
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
}

/// Puts a placeholder for each variable. Returns the text, its variables, and where each stood in the format.
fn place(text: &str) -> (String, Vec<Placed>, Vec<usize>) {
    let mut plain = String::with_capacity(text.len());
    let mut placed = Vec::new();
    let mut origins = Vec::new();
    let mut rest = text;
    while let Some((before, variable)) = rest.find(PREFIX).and_then(|at| rest.split_at_checked(at)) {
        plain.push_str(before);
        let behind = variable.get(PREFIX.len()..).unwrap_or_default();
        let (name, after) = behind.split_at(name_length(behind));
        if name.is_empty() {
            plain.push_str(PREFIX);
        } else {
            origins.push(text.len() - variable.len());
            placed.push(Placed { at: plain.len(), variable: Variable::named(name) });
            plain.push(PLACEHOLDER);
        }
        rest = after;
    }
    plain.push_str(rest);
    (plain, placed, origins)
}

/// Makes a slot of each variable.
fn separate(plain: &str, placed: Vec<Placed>, origins: &[usize]) -> Result<Slots, Vec<(usize, FormatErrorKind)>> {
    let mut end = None;
    let mut problems = Vec::new();
    let mut slots = Vec::with_capacity(placed.len());
    for (Placed { at, mut variable }, origin) in placed.into_iter().zip(origins) {
        if end == Some(at) {
            problems.push((*origin, FormatErrorKind::Adjacent));
        }
        if let Some((name, in_query)) = plain.get(end.unwrap_or_default()..at).and_then(name_before) {
            variable.is_called(name, in_query);
        }
        let range = at..at + PLACEHOLDER.len_utf8();
        end = Some(range.end);
        slots.push((range, Slot::new(variable, false, None)));
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

/// Compiles the format setting: one format a line.
///
/// # Errors
/// Every problem, with line and column.
pub(super) fn compile_setting(setting: &str) -> Result<Vec<Format>, Vec<FormatError>> {
    let mut formats = Vec::new();
    let mut problems = Vec::new();
    for (index, line) in setting.lines().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()) {
        let indent = line.len() - line.trim_ascii_start().len();
        let text = line.trim_ascii();
        // API Gateway takes the characters `\n` at a format's end for a line feed.
        let text = text.strip_suffix("\\n").map_or(text, str::trim_ascii_end);
        match Format::compile(&format!("format {}", formats.len() + 1), text) {
            Ok(format) => formats.push(format),
            Err(found) => problems.extend(found.into_iter().map(|(at, kind)| FormatError {
                line: index + 1,
                column: line.get(..indent + at).map_or(0, |before| before.chars().count()) + 1,
                kind,
            })),
        }
    }
    if formats.is_empty() && problems.is_empty() {
        problems.push(FormatError { line: 1, column: 1, kind: FormatErrorKind::NoVariable });
    }
    if problems.is_empty() { Ok(formats) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fails(setting: &str, expected: &[(usize, usize, FormatErrorKind)]) {
        let problems = compile_setting(setting).map(drop).unwrap_err();
        let found: Vec<_> = problems.iter().map(|problem| (problem.line, problem.column, problem.kind)).collect();
        assert_eq!(found, expected, "{setting}");
    }

    #[track_caller]
    fn literals(text: &str, expected: &[&str]) {
        let formats = compile_setting(text).unwrap();
        let found: Vec<_> = formats[0].literals.iter().map(|literal| literal.text.as_ref()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_problem_is_reported_with_its_place() {
        use FormatErrorKind::{Adjacent, NoVariable};
        fails("", &[(1, 1, NoVariable)]);
        fails("  \n\n", &[(1, 1, NoVariable)]);
        fails("hello", &[(1, 1, NoVariable)]);
        fails("${context.status} $context. $stage", &[(1, 1, NoVariable)]);
        fails("$context.status\n\n  é$context.status$context.path\nx", &[(3, 19, Adjacent), (4, 1, NoVariable)]);
    }

    #[test]
    fn an_error_says_what_to_do() {
        let problem = compile_setting("$context.status$context.path").map(drop).unwrap_err().remove(0);
        assert_eq!(
            problem.to_string(),
            "line 1, column 16: two variables with nothing between them; put a separator there"
        );
    }

    #[test]
    fn variables_may_touch_inside_a_json_string() {
        literals(r#"{"url":"https://$context.domainName$context.path"}"#, &[r#"{"url":""#, r#""}"#]);
    }

    #[test]
    fn the_text_between_the_variables_is_kept() {
        literals("[$context.status. $context.path]", &["[", ". ", "]"]);
        literals("  $context.status $context. $context.path \\n", &["", " $context. ", ""]);
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
    fn a_format_is_json_only_if_its_keys_are_plain_and_differ() {
        let is_json = |text| Format::compile("format", text).unwrap().shape.is_some();
        assert!(is_json(r#"{"a":"$context.status","b":{"c":[$context.path]}}"#));
        assert!(!is_json(r#"{"stage:$context.stage"}"#));
        assert!(!is_json(r#"{"$context.stage":1}"#));
        assert!(!is_json(r#"{"a":"$context.status","a":"$context.path"}"#));
        assert!(!is_json(r#"["$context.status"]"#));
        assert!(!is_json(r#"{"a":$context.status} {}"#));
    }
}
