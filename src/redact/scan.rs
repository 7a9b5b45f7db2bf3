//! The search of one text for names and their values, and the one place that decides.
//!
//! A text may be a form, JSON, XML, a URL, a header map as Java prints it, a header line, prose, or several of these behind
//! each other, and may be cut anywhere. So nothing is parsed as a whole: the search goes from one sign to the next, and each
//! notation has a file that knows where its pairs of a name and a value stand. [`Names`](super::names::Names) says which name
//! is hidden; [`Scan::hide`] takes its value.
//!
//! The time is linear in the text. The search moves forward only; a look back is bounded by the longest name or runs over
//! white space, backslashes or an encoded word that no other look back runs over; what a look forward passes is hidden.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::encoding::{Edit, Encoding, refers_to_sign};
use super::glance::{encodes_separator, may_hide, names_field};
use super::name::{self, Name, Quotes};
use super::names::mentions_prefix;
use super::quotes::{self, Quoted};
use super::value::{self, Ending};
use super::{REDACTED, Rules, form};

/// Texts inside each other that are decoded. Each level reads the whole text again; JSON doubles its backslashes at each.
const MAX_NESTING: usize = 8;

/// Brackets behind a bracket that are looked past for what they hold.
const MOST_BRACKETS: usize = 8;

/// One search of one text.
pub(super) struct Scan<'a> {
    pub(super) rules: &'a Rules,
    pub(super) text: &'a str,
    /// How many texts this one stands in.
    nesting: usize,
    /// Whether the text is a query, or a map of its parameters.
    pub(super) in_query: bool,
    /// Whether a name may be recognised by how it begins.
    any_name: bool,
    /// The end of the last encoded word that was decoded.
    decoded_to: usize,
    /// The end of the last parameter that was looked behind.
    parameter_end: usize,
    /// The end of what is hidden furthest.
    pub(super) hidden_to: usize,
    /// The end of what was walked as JSON and is not.
    pub(super) walked_to: usize,
    /// The end of the JSON in strings that was searched and has no end.
    unescaped_to: usize,
    /// How many maps had a brace that nothing closes.
    pub(super) open_maps: usize,
    /// Behind which quotes no string of JSON ends, in each of its places.
    pub(super) endless: [usize; 3],
    /// How many start tags of hidden elements had no end tag.
    pub(super) unended_tags: usize,
    pub(super) edits: Vec<Edit>,
}

/// What a pair stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The query of a URL, or a form behind its first pair.
    Query,
    Text,
}

/// Finds what is to be replaced in `text`, in order.
pub(super) fn find(rules: &Rules, text: &str) -> Vec<Edit> {
    find_at(rules, text, 0, false)
}

/// Finds what is to be replaced in a value of JSON, in order.
pub(super) fn find_in_json(rules: &Rules, value: &str) -> Vec<Edit> {
    let mut scan = Scan::new(rules, value, 0, false);
    scan.json(0);
    scan.values();
    settle(scan.edits)
}

fn find_at(rules: &Rules, text: &str, nesting: usize, in_query: bool) -> Vec<Edit> {
    let mut scan = Scan::new(rules, text, nesting, in_query);
    if nesting < MAX_NESTING && form::is_form(&rules.names, text, in_query) {
        scan.form();
    } else {
        scan.run();
    }
    scan.values();
    settle(scan.edits)
}

/// Puts edits in order, each for bytes of its own: one inside another goes.
fn settle(mut edits: Vec<Edit>) -> Vec<Edit> {
    edits.sort_by_key(|edit| (edit.start, std::cmp::Reverse(edit.end)));
    let mut settled: Vec<Edit> = Vec::with_capacity(edits.len());
    for edit in edits {
        match settled.last_mut() {
            Some(last) if edit.start < last.end => last.end = last.end.max(edit.end),
            _ => settled.push(edit),
        }
    }
    settled
}

impl<'a> Scan<'a> {
    fn new(rules: &'a Rules, text: &'a str, nesting: usize, in_query: bool) -> Self {
        Self {
            rules,
            text,
            nesting,
            in_query,
            any_name: mentions_prefix(text.as_bytes()),
            decoded_to: 0,
            parameter_end: 0,
            hidden_to: 0,
            walked_to: 0,
            unescaped_to: 0,
            open_maps: 0,
            endless: [usize::MAX; 3],
            unended_tags: 0,
            edits: Vec::new(),
        }
    }

    fn run(&mut self) {
        let first = self.after_space(0);
        // A list of any values or a string is told from prose only where it is the whole text.
        let whole = !self.is_deepest()
            && match self.byte(first) {
                Some(b'[') => self.opens_json(first).is_none_or(|nesting| nesting == 0),
                Some(b'"') => self.after_space(quotes::string(self.text, first + 1, b'"', 0).next) == self.text.len(),
                _ => false,
            };
        let mut at = if whole { self.json(first) } else { 0 };
        while let Some(mark) = self.next_mark(at) {
            at = match self.byte(mark) {
                Some(b'{' | b'[') => match self.opens_json(mark) {
                    Some(0) if mark < self.walked_to && self.byte(mark) == Some(b'{') => self.map(mark),
                    Some(0) if mark < self.walked_to => mark + 1,
                    Some(1..) if mark < self.unescaped_to => mark + 1,
                    Some(0) => self.json(mark),
                    Some(nesting) => self.escaped_json(mark, nesting),
                    None if self.byte(mark) == Some(b'{') => self.map(mark),
                    None => mark + 1,
                },
                Some(b'%') => self.percent_encoded(mark),
                Some(b'&') => self.references(mark),
                Some(b'<') => self.element(mark),
                Some(b'=' | b':') => self.pair(mark),
                _ => mark + 1,
            };
        }
    }

    fn next_mark(&self, at: usize) -> Option<usize> {
        let rest = self.text.as_bytes().get(at..)?;
        let is_mark = |byte: &u8| matches!(byte, b'=' | b':' | b'%' | b'{' | b'[' | b'<' | b'&');
        rest.iter().position(is_mark).map(|mark| at + mark)
    }

    /// Returns how many strings the JSON stands in that starts at the bracket `at`; `None` if there is a map in Java's
    /// notation, a time in brackets or anything else.
    fn opens_json(&self, at: usize) -> Option<u32> {
        let mut next = self.after_space(at + 1);
        if self.byte(at) == Some(b'[') {
            for _ in 0..MOST_BRACKETS {
                if !matches!(self.byte(next), Some(b'{' | b'[')) {
                    break;
                }
                next = self.after_space(next + 1);
            }
        }
        let nested = self.text.get(at + 1..next).is_some_and(|between| between.contains(['{', '[']));
        let escapes = self.rest(next).bytes().take_while(|byte| *byte == b'\\').count();
        let opens = self.byte(next + escapes) == Some(b'"');
        let nesting = if opens { quotes::nesting(escapes) } else { 0 };
        ((opens || nested) && !self.is_deepest()).then_some(nesting)
    }

    /// Searches JSON that stands in strings: as the text that it is in the outermost of them.
    fn escaped_json(&mut self, start: usize, nesting: u32) -> usize {
        let end = quotes::container_end(self.text, start, nesting);
        self.inside(start..end, Encoding::JsonString);
        let is_open = end < self.text.len() && !matches!(self.byte(end - 1), Some(b'}' | b']'));
        if is_open && self.is_outermost() {
            // A quote of the text around it ends it: perhaps it is not JSON.
            self.unescaped_to = end;
            return start + 1;
        }
        end
    }

    /// Returns whether this text stands in no other.
    pub(super) fn is_outermost(&self) -> bool {
        self.nesting == 0
    }

    /// Returns whether no text inside this one is searched any more.
    pub(super) fn is_deepest(&self) -> bool {
        self.nesting == MAX_NESTING
    }

    /// Searches a text inside this one.
    pub(super) fn inside(&mut self, range: Range<usize>, encoding: Encoding) {
        self.inside_as(range, encoding, false);
    }

    /// Searches a text inside this one, which is a query or a map of its parameters, or is not.
    pub(super) fn inside_as(&mut self, range: Range<usize>, encoding: Encoding, in_query: bool) {
        let start = range.start;
        let text = self.text.get(range).unwrap_or_default();
        if self.is_deepest() {
            return;
        }
        let decoded = encoding.decode(text);
        if in_query || may_hide(self.rules, &decoded) {
            let edits = find_at(self.rules, &decoded, self.nesting + 1, in_query);
            self.edits.extend(encoding.map_back(text, start, edits));
        }
    }

    /// Searches the percent-encoded word around the `%` at `at`, if that starts a separator.
    fn percent_encoded(&mut self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        if at < self.decoded_to || self.is_deepest() || !encodes_separator(self.rules, bytes, at) {
            return at + 1;
        }
        let floor = self.floor(at);
        let before = bytes.get(floor..at).unwrap_or_default();
        let starts = |byte: &u8| ends_encoded(*byte) || b"=?,;{}()".contains(byte);
        let start = before.iter().rposition(starts).map_or(floor, |last| floor + last + 1);
        let rest = bytes.get(at..).unwrap_or_default();
        let end = at + rest.iter().position(|byte| ends_encoded(*byte)).unwrap_or(rest.len());
        self.decoded_to = end;
        let known = self.edits.len();
        // Who encodes signs encodes a `+`, too: one that is there is a blank.
        let is_form = self.text.get(start..end).is_some_and(|word| word.contains('+'));
        self.inside(start..end, if is_form { Encoding::Form } else { Encoding::Percent });
        // Behind the last find, and without any, a name that is not encoded can still end in this word.
        let found = self.edits.get(known..).unwrap_or_default().iter().map(|edit| edit.end).max();
        found.map_or(at + 1, |end| end.max(at + 1))
    }

    /// Returns how far back the encoded word around `at` can start.
    fn floor(&self, at: usize) -> usize {
        if at < self.hidden_to { self.decoded_to } else { self.hidden_to.max(self.decoded_to) }
    }

    /// Searches the text around the `&` at `at` that has references of XML for its signs, if that starts one.
    fn references(&mut self, at: usize) -> usize {
        if at < self.decoded_to || self.is_deepest() || !refers_to_sign(self.rest(at)) {
            return at + 1;
        }
        let bytes = self.text.as_bytes();
        let ends = |byte: &u8| matches!(byte, b'<' | b'>' | b'"');
        let floor = self.floor(at);
        let before = bytes.get(floor..at).unwrap_or_default();
        let start = before.iter().rposition(ends).map_or(floor, |last| floor + last + 1);
        let end = at + self.rest(at).bytes().position(|byte| ends(&byte)).unwrap_or(self.text.len() - at);
        self.decoded_to = end;
        let known = self.edits.len();
        self.inside(start..end, Encoding::Entities);
        if self.edits.len() == known && !has_odd_escape(self.text.get(start..end).unwrap_or_default()) {
            // In a string of JSON that was not walked.
            self.inside(start..end, Encoding::JsonString);
        }
        if self.edits.len() > known { end } else { at + 1 }
    }

    /// Hides the value behind the separator at `sep` if a hidden name stands before it; returns where the search goes on.
    fn pair(&mut self, sep: usize) -> usize {
        if sep < self.hidden_to {
            return sep + 1;
        }
        if let Some(name) = name::before(&self.rules.names, self.text, sep, self.any_name) {
            let place = self.place(sep, &name);
            let hidden = self.rules.names.hide(&name.text, place == Place::Query);
            if hidden && !self.in_path(sep, &name) {
                return self.value(sep, &name, place);
            }
        }
        if names_field(self.text.as_bytes(), sep)
            && self.byte(sep) == Some(b'=')
            && let Some(next) = self.part(sep)
        {
            return next;
        }
        let value = self.after_space(sep + 1);
        if self.byte(value) == Some(b'"') { self.string(value) } else { sep + 1 }
    }

    /// Searches the string at `start` as a text of its own if it is a form, or has escapes: `msg="a\nb"`.
    fn string(&mut self, start: usize) -> usize {
        let string = quotes::string(self.text, start + 1, b'"', 0);
        let content = self.text.get(string.content.clone()).unwrap_or_default();
        let has_escapes = || memchr(b'\\', content.as_bytes()).is_some();
        if self.is_deepest() || !(has_escapes() || form::is_form(&self.rules.names, content, false)) {
            return start;
        }
        let next = self.behind(&string);
        self.inside(string.content, Encoding::JsonString);
        next
    }

    /// Returns where the search goes on behind a string: within it, if a word stands right behind its last quote, which then
    /// opens a string rather than ends one.
    fn behind(&self, string: &Quoted) -> usize {
        let opens = self.byte(string.next).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'{');
        if opens && self.is_outermost() { string.content.start } else { string.next }
    }

    /// Tells what the pair stands in whose separator is at `sep`.
    fn place(&mut self, sep: usize, name: &Name<'_>) -> Place {
        if self.byte(sep) != Some(b'=') || name.quotes.is_some() {
            return Place::Text;
        }
        match name.before {
            _ if self.in_query => Place::Query,
            Some('?' | '&' | '#') => Place::Query,
            // A `&` escaped for HTML.
            Some(';') if self.text.get(..name.start).is_some_and(|before| before.ends_with("&amp;")) => Place::Query,
            // The first pair of a form behind something else.
            _ if !self.rules.names.hide(&name.text, false) && self.starts_form(name.start, sep) => Place::Query,
            _ => Place::Text,
        }
    }

    /// Returns whether the pair at `start`, whose `=` is at `sep`, is the first one of a form: another one follows, or would.
    fn starts_form(&mut self, start: usize, sep: usize) -> bool {
        if self.parameter_end <= sep {
            let end = self.rest(sep).bytes().position(value::ends_parameter);
            self.parameter_end = end.map_or(self.text.len(), |end| sep + end);
        }
        let behind = self.rest(self.parameter_end);
        let pair = behind.strip_prefix("&amp;").or_else(|| behind.strip_prefix('&'));
        // The first pair of a text that was cut, behind a label.
        let is_last = behind.is_empty() && self.text.get(..start).is_some_and(|before| before.ends_with(": "));
        is_last
            || pair
                .is_some_and(|pair| value::starts_pair(pair) || pair.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    }

    /// Returns whether the `:` at `sep` is one of a path: `arn:aws:secretsmanager:…:secret:name`.
    fn in_path(&self, sep: usize, name: &Name<'_>) -> bool {
        let next = self.byte(sep + 1);
        self.byte(sep) == Some(b':')
            && matches!(name.before, Some(':' | '/' | '@'))
            && next.is_some_and(|next| !next.is_ascii_whitespace() && !matches!(next, b'"' | b'\'' | b'\\'))
    }

    /// Hides the value of a hidden name; returns where the search goes on.
    fn value(&mut self, sep: usize, name: &Name<'_>, place: Place) -> usize {
        let start = match self.value_start(sep, name, place) {
            Ok(start) => start,
            Err(next) => return next,
        };
        if let Some(behind) = self.rest(start).strip_prefix(REDACTED)
            && !behind.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            // A list otherwise.
            return start + REDACTED.len();
        }
        if let Some(quoted) = self.quoted_value(start, name.quotes.is_some_and(|quotes| quotes.doubled)) {
            let next = self.behind(&quoted);
            self.hide(quoted.content);
            return next;
        }
        if let Some(quotes) = name.quotes {
            return self.hide_json_value(start, quotes);
        }
        let end = match self.byte(start) {
            Some(b'[' | b'{') if place == Place::Text => quotes::container_end(self.text, start, 0),
            _ => self.unquoted_end(start, sep, name, place),
        };
        let end = self.hide(start..end);
        // What a line takes may only begin what goes on behind it: XML, a map, an encoded word.
        if self.is_outermost() && self.byte(sep) == Some(b':') { start } else { end }
    }

    /// Returns where the value behind a separator starts; or where the search goes on, as there is none.
    fn value_start(&self, sep: usize, name: &Name<'_>, place: Place) -> Result<usize, usize> {
        let equals = self.byte(sep) == Some(b'=');
        let spaced = sep > 0 && matches!(self.byte(sep - 1), Some(b' ' | b'\t'));
        let start = match self.byte(sep + 1) {
            // `"name"=>"value"` of Ruby and PHP.
            Some(b'>') if equals => sep + 2,
            // A comparison.
            Some(b'=') if equals && spaced => return Err(sep + 2),
            _ => sep + 1,
        };
        if name.quotes.is_some() {
            return Ok(self.after_space(start));
        }
        if place != Place::Text {
            return Ok(start);
        }
        let blanks = self.rest(start).bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let value = start + blanks;
        // `name= other=…`: no value.
        if equals && !spaced && blanks > 0 && value::starts_pair(self.rest(value)) { Err(value) } else { Ok(value) }
    }

    /// Returns where the value at `start` ends, which has no quotes of its own.
    fn unquoted_end(&self, start: usize, sep: usize, name: &Name<'_>, place: Place) -> usize {
        let wrapped = name.before.filter(|before| matches!(before, '"' | '\''));
        let starts_line = wrapped.is_some() || matches!(name.before, None | Some('\n' | '\r'));
        let text = self.rest(start);
        let ending = match place {
            Place::Query => Ending::Parameter,
            Place::Text if self.byte(sep) == Some(b':') => value::behind_colon(text, &name.text, starts_line, wrapped),
            Place::Text => Ending::Word,
        };
        start + value::end(text, &name.text, ending)
    }

    /// Reads the string at `start` if a quote opens one there, however deep it is escaped.
    fn quoted_value(&self, start: usize, doubled: bool) -> Option<Quoted> {
        let rest = self.rest(start).as_bytes();
        let escapes = rest.iter().take_while(|byte| **byte == b'\\').count();
        let quote = *rest.get(escapes)?;
        let content = start + escapes + 1;
        match quote {
            b'"' if doubled && rest.get(1) == Some(&b'"') => Some(quotes::doubled_string(self.text, content + 1)),
            b'"' => Some(quotes::string(self.text, content, quote, quotes::nesting(escapes))),
            // An apostrophe that no other follows is not a quote.
            b'\'' => {
                Some(quotes::string(self.text, content, quote, quotes::nesting(escapes))).filter(|string| string.closed)
            }
            _ => None,
        }
    }

    /// Hides the JSON value that is not a string and starts at `start`, by a string in quotes like those of its name.
    pub(super) fn hide_json_value(&mut self, start: usize, Quotes { mark, nesting, doubled }: Quotes) -> usize {
        let end = match self.byte(start) {
            Some(b'{' | b'[') => quotes::container_end(self.text, start, nesting),
            _ => start + value::end(self.rest(start), "", Ending::Scalar),
        };
        if !is_missing(self.text.get(start..end).unwrap_or_default()) {
            let mut quote = "\\".repeat(quotes::escapes(nesting));
            quote.extend(std::iter::repeat_n(mark, 1 + usize::from(doubled)));
            self.edits.push(Edit { start, end, with: format!("{quote}{REDACTED}{quote}").into() });
            self.hidden_to = self.hidden_to.max(end);
        }
        end
    }

    /// Replaces a value, unless there is none or it is replaced already; returns where it ends.
    pub(super) fn hide(&mut self, Range { start, end }: Range<usize>) -> usize {
        if self.rest(start).starts_with(REDACTED) && end <= start + REDACTED.len() {
            return start + REDACTED.len();
        }
        if start < end && !is_missing(self.text.get(start..end).unwrap_or_default()) {
            self.edits.push(Edit { start, end, with: REDACTED.into() });
            self.hidden_to = self.hidden_to.max(end);
        }
        end.max(start)
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    pub(super) fn after_space(&self, at: usize) -> usize {
        at + self.rest(at).bytes().take_while(u8::is_ascii_whitespace).count()
    }

    pub(super) fn rest(&self, at: usize) -> &str {
        self.text.get(at..).unwrap_or_default()
    }
}

/// Returns whether a value says that there is none.
pub(crate) fn is_missing(value: &str) -> bool {
    matches!(value.trim(), "" | "-" | "null" | "\"\"" | "\"-\"" | "[]" | "{}" | "[null]" | "[\"\"]" | "[\"-\"]")
}

/// Returns whether a backslash escapes a `&`, which it does in no string of JSON.
fn has_odd_escape(text: &str) -> bool {
    let escapes = |at: usize| text.bytes().take(at).rev().take_while(|byte| *byte == b'\\').count();
    memmem::find_iter(text.as_bytes(), b"\\&").any(|at| escapes(at + 1) % 2 == 1)
}

/// Returns whether an encoded word ends at this byte.
fn ends_encoded(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'&' | b'#')
}
