//! The search of one text for names and their values.
//!
//! A text may be a form, JSON, a URL, a header map as Java prints it, a header line, prose, or several of these behind each
//! other, and may be cut anywhere. So nothing is parsed as a whole: the search goes from one `=` or `:` to the next and looks
//! back for a name. Only JSON is walked ([`json`](super::json)), as its strings hold texts of their own.
//!
//! The time is linear in the text. The search moves forward only; a look back is bounded by the longest name or runs over
//! white space, backslashes or a percent-encoded word that no other look back runs over; what a look forward passes is hidden.

use std::ops::Range;

use memchr::{memchr, memchr2_iter, memchr3_iter, memmem};

use super::encoding::{Edit, Encoding};
use super::name::{self, Name, Quotes};
use super::names::{Names, is_query_map};
use super::quotes::{self, Quoted};
use super::value::{self, Ending};
use super::{REDACTED, form};

/// Texts inside each other that are decoded. Each level reads the whole text again; JSON doubles its backslashes at each.
const MAX_NESTING: usize = 8;

/// Bytes of a multipart header between the name of a field and the blank line before its value: room for a content type.
const PART_HEADER: usize = 256;

/// One search of one text.
pub(super) struct Scan<'a> {
    pub(super) names: &'a Names,
    pub(super) text: &'a str,
    /// How many texts this one stands in.
    nesting: usize,
    /// Whether a map that the text holds is that of a query.
    is_query: bool,
    /// The `{name=value, …}` that the search is in.
    map: Option<Map>,
    /// The end of the last percent-encoded word that was decoded.
    decoded_to: usize,
    /// The end of the last parameter that was looked behind.
    parameter_end: usize,
    edits: Vec<Edit>,
}

/// What the pairs of a map in Java's notation are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Map {
    Headers,
    Query,
}

/// What a pair stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The query of a URL, or a form behind its first pair.
    Query,
    Map(Map),
    Text,
}

/// Finds what is to be replaced in `text`, in order.
pub(super) fn find(names: &Names, text: &str) -> Vec<Edit> {
    find_at(names, text, 0, false)
}

fn find_at(names: &Names, text: &str, nesting: usize, is_query: bool) -> Vec<Edit> {
    let mut scan =
        Scan { names, text, nesting, is_query, map: None, decoded_to: 0, parameter_end: 0, edits: Vec::new() };
    if nesting < MAX_NESTING && form::is_form(text, is_query) {
        scan.form();
    } else {
        scan.run();
    }
    scan.edits
}

/// Returns whether there can be anything to hide in `text`, however it is encoded. Nearly all texts end here.
pub(super) fn may_hide(names: &Names, text: &str) -> bool {
    let bytes = text.as_bytes();
    // Looked for once.
    let mut has_query = None;
    let found = memchr3_iter(b'=', b':', b'%', bytes).any(|at| match bytes.get(at) {
        Some(b'%') => encodes_separator(bytes, at),
        Some(b'=') => {
            names_field(bytes, at) || name::before(names, text, at).is_some_and(|name| names.hide_in_query(&name.text))
        }
        // The name of a query parameter counts in JSON that has a query.
        _ => name::before(names, text, at).is_some_and(|name| {
            names.hide(&name.text)
                || names.hide_in_query(&name.text) && *has_query.get_or_insert_with(|| mentions_query(bytes))
        }),
    });
    // What an escaped character is, only the search tells.
    found || memchr(b'\\', bytes).is_some_and(|at| memmem::find(bytes.get(at..).unwrap_or_default(), b"\\u").is_some())
}

/// Returns whether `text` holds the name of a query map.
fn mentions_query(text: &[u8]) -> bool {
    const NAME: &[u8] = b"querystring";
    memchr2_iter(b'q', b'Q', text)
        .any(|at| text.get(at..at + NAME.len()).is_some_and(|word| word.eq_ignore_ascii_case(NAME)))
}

/// Returns whether the `=` at `sep` is that of `name="…"`, which names a field of a multipart form.
fn names_field(text: &[u8], sep: usize) -> bool {
    text.get(..sep).is_some_and(|before| before.ends_with(b" name")) && matches!(text.get(sep + 1), Some(b'"' | b'\\'))
}

/// Returns whether the `%` at `at` starts a `=` or `:`, encoded once or more, or an encoded quote before a plain one.
fn encodes_separator(text: &[u8], at: usize) -> bool {
    let mut digits = at + 1;
    while text.get(digits..digits + 2) == Some(b"25") {
        digits += 2;
    }
    match text.get(digits..digits + 2) {
        Some(b"3D" | b"3d" | b"3A" | b"3a") => true,
        Some(b"22") => matches!(text.get(digits + 2), Some(b'=' | b':')),
        _ => false,
    }
}

impl Scan<'_> {
    fn run(&mut self) {
        let first = self.after_space(0);
        // A list of any values or a string is told from prose only where it is the whole text.
        let whole = matches!(self.byte(first), Some(b'[' | b'"')) && self.nesting < MAX_NESTING;
        let mut at = if whole { self.json(first) } else { 0 };
        while let Some(mark) = self.next_mark(at) {
            at = match self.byte(mark) {
                Some(b'{' | b'[') if self.opens_json(mark) => self.json(mark),
                Some(b'{') => {
                    self.open_map(mark);
                    mark + 1
                }
                Some(b'}') => {
                    self.map = None;
                    mark + 1
                }
                Some(b'%') => self.percent_encoded(mark),
                Some(b'=' | b':') => self.pair(mark),
                _ => mark + 1,
            };
        }
    }

    /// Takes the whole text as a form: the values of hidden names go, the others are searched.
    fn form(&mut self) {
        let text = self.text;
        for Range { start, end } in form::pairs(text) {
            let Some(sep) = memchr(b'=', text.get(start..end).unwrap_or_default().as_bytes()) else { continue };
            let sep = start + sep;
            if self.names.hide_in_query(text.get(start..sep).unwrap_or_default()) {
                self.hide(sep + 1..end);
            } else {
                self.inside(sep + 1..end, Encoding::Plain);
            }
        }
    }

    fn next_mark(&self, at: usize) -> Option<usize> {
        let rest = self.text.as_bytes().get(at..)?;
        rest.iter().position(|byte| matches!(byte, b'=' | b':' | b'%' | b'{' | b'}' | b'[')).map(|mark| at + mark)
    }

    /// Returns whether JSON starts at the bracket `at`, and not a map in Java's notation or a time in brackets.
    fn opens_json(&self, at: usize) -> bool {
        let next = self.byte(self.after_space(at + 1));
        self.nesting < MAX_NESTING
            && match self.byte(at) {
                Some(b'{') => next == Some(b'"'),
                _ => matches!(next, Some(b'"' | b'{' | b'[')),
            }
    }

    /// Enters the map that the brace at `at` opens, if it does. API Gateway writes `query string: {` before a query's.
    fn open_map(&mut self, at: usize) {
        if !value::starts_pair(self.rest(at + 1)) {
            return;
        }
        let before = self.text.get(..at).unwrap_or_default().trim_end_matches([' ', ':', '=']);
        let last = before.rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |at| at + 1);
        let word = before.get(last..).unwrap_or_default();
        let query = self.is_query || is_query_map(word) || word == "string" && before.ends_with("query string");
        self.map = Some(if query { Map::Query } else { Map::Headers });
    }

    /// Searches a text inside this one.
    fn inside(&mut self, range: Range<usize>, encoding: Encoding) {
        self.inside_one(range, encoding, false);
    }

    fn inside_one(&mut self, range: Range<usize>, encoding: Encoding, is_query: bool) {
        let start = range.start;
        let text = self.text.get(range).unwrap_or_default();
        if may_hide(self.names, text) {
            let edits = find_at(self.names, &encoding.decode(text), self.nesting + 1, is_query);
            self.edits.extend(encoding.map_back(text, start, edits));
        }
    }

    /// Searches the content of a JSON string.
    pub(super) fn inside_string(&mut self, content: Range<usize>) {
        self.inside(content, Encoding::JsonString);
    }

    /// Searches the content of a JSON string that is a query, or a map of its parameters.
    pub(super) fn inside_query_string(&mut self, content: Range<usize>) {
        self.inside_one(content, Encoding::JsonString, true);
    }

    /// Searches the percent-encoded word around the `%` at `at`, if that starts a separator.
    fn percent_encoded(&mut self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        if at < self.decoded_to || self.nesting == MAX_NESTING || !encodes_separator(bytes, at) {
            return at + 1;
        }
        let floor = self.edits.last().map_or(0, |edit| edit.end).max(self.decoded_to);
        let before = bytes.get(floor..at).unwrap_or_default();
        let starts = |byte: &u8| ends_encoded(*byte) || b"=?,;{}()".contains(byte);
        let start = before.iter().rposition(starts).map_or(floor, |last| floor + last + 1);
        let rest = bytes.get(at..).unwrap_or_default();
        let end = at + rest.iter().position(|byte| ends_encoded(*byte)).unwrap_or(rest.len());
        self.decoded_to = end;
        let known = self.edits.len();
        self.inside(start..end, Encoding::Percent);
        // Behind the last find, and without any, a name that is not encoded can still end in this word.
        self.edits.get(known..).and_then(<[Edit]>::last).map_or(at + 1, |edit| edit.end.max(at + 1))
    }

    /// Hides the value behind the separator at `sep` if a hidden name stands before it; returns where the search goes on.
    fn pair(&mut self, sep: usize) -> usize {
        if self.byte(sep) == Some(b'=') && names_field(self.text.as_bytes(), sep) {
            return self.field(sep);
        }
        let Some(name) = name::before(self.names, self.text, sep) else { return sep + 1 };
        let place = self.place(sep, &name);
        let parameter = matches!(place, Place::Query | Place::Map(Map::Query));
        let hidden = self.names.hide(&name.text) || parameter && self.names.hide_in_query(&name.text);
        if hidden && !self.in_path(sep, &name) { self.value(sep, &name, place) } else { sep + 1 }
    }

    /// Tells what the pair stands in whose separator is at `sep`.
    fn place(&mut self, sep: usize, name: &Name<'_>) -> Place {
        if self.byte(sep) != Some(b'=') || name.quotes.is_some() {
            return Place::Text;
        }
        match (name.before, self.map) {
            (Some('?' | '&' | '#'), _) => Place::Query,
            // A `&` escaped for HTML.
            (Some(';'), _) if self.text.get(..name.start).is_some_and(|before| before.ends_with("&amp;")) => {
                Place::Query
            }
            (Some('{' | ' '), Some(map)) => Place::Map(map),
            // The first pair of a form behind something else.
            _ if !self.names.hide(&name.text) && self.starts_form(sep) => Place::Query,
            _ => Place::Text,
        }
    }

    /// Returns whether another pair of a form follows the value behind the `=` at `sep`.
    fn starts_form(&mut self, sep: usize) -> bool {
        if self.parameter_end <= sep {
            let end = self.rest(sep).bytes().position(value::ends_parameter);
            self.parameter_end = end.map_or(self.text.len(), |end| sep + end);
        }
        self.byte(self.parameter_end) == Some(b'&') && value::starts_pair(self.rest(self.parameter_end + 1))
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
            self.hide(quoted.content);
            return quoted.next;
        }
        if let Some(quotes) = name.quotes {
            return self.hide_json_value(start, quotes);
        }
        let end = match self.byte(start) {
            Some(b'[' | b'{') if place == Place::Text => quotes::container_end(self.text, start, 0),
            _ => self.unquoted_end(start, sep, name, place),
        };
        self.hide(start..end)
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
            Place::Map(_) => Ending::MapValue,
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
            // An apostrophe that none follows is no quote.
            b'\'' => {
                Some(quotes::string(self.text, content, quote, quotes::nesting(escapes))).filter(|string| string.closed)
            }
            _ => None,
        }
    }

    /// Hides the JSON value that is no string and starts at `start`, by a string in quotes like those of its name.
    pub(super) fn hide_json_value(&mut self, start: usize, Quotes { mark, nesting, doubled }: Quotes) -> usize {
        let end = match self.byte(start) {
            Some(b'{' | b'[') => quotes::container_end(self.text, start, nesting),
            _ => start + value::end(self.rest(start), "", Ending::Scalar),
        };
        let value = self.text.get(start..end).unwrap_or_default();
        if !value.is_empty() && value != "null" {
            let mut quote = "\\".repeat(quotes::escapes(nesting));
            quote.extend(std::iter::repeat_n(mark, 1 + usize::from(doubled)));
            self.edits.push(Edit { start, end, with: format!("{quote}{REDACTED}{quote}").into() });
        }
        end
    }

    /// Hides the value of a field of a multipart form if its name is hidden there, given the `=` of `form-data; name="…"`.
    fn field(&mut self, sep: usize) -> usize {
        let opened = self.text.get(..sep).is_some_and(|before| before.ends_with("form-data; name"));
        let quoted = if opened { self.quoted_value(sep + 1, false) } else { None };
        let Some(quoted) = quoted else { return sep + 1 };
        if !self.names.hide_in_query(self.text.get(quoted.content).unwrap_or_default()) {
            return sep + 1;
        }
        let head = self.rest(quoted.next).as_bytes();
        let head = head.get(..PART_HEADER).unwrap_or(head);
        let blank = |line: &[u8]| memmem::find(head, line).map(|at| quoted.next + at + line.len());
        let Some(start) = blank(b"\r\n\r\n").or_else(|| blank(b"\n\n")) else { return sep + 1 };
        let value = self.rest(start);
        let value = value.find("\n--").and_then(|end| value.get(..end)).unwrap_or(value);
        let value = value.strip_suffix('\r').unwrap_or(value);
        self.hide(start..start + value.len())
    }

    /// Replaces a value, unless it is empty or replaced already; returns where it ends.
    pub(super) fn hide(&mut self, Range { start, end }: Range<usize>) -> usize {
        if self.rest(start).starts_with(REDACTED) && end <= start + REDACTED.len() {
            return start + REDACTED.len();
        }
        if start < end {
            self.edits.push(Edit { start, end, with: REDACTED.into() });
        }
        end.max(start)
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    pub(super) fn after_space(&self, at: usize) -> usize {
        at + self.rest(at).bytes().take_while(u8::is_ascii_whitespace).count()
    }

    fn rest(&self, at: usize) -> &str {
        self.text.get(at..).unwrap_or_default()
    }
}

/// Returns whether a percent-encoded word ends at this byte.
fn ends_encoded(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'&' | b'#')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_the_quick_look_passes_holds_nothing(
            text in r#"((to|pass|co|si|%74o|\\u0074o)(ken|word|de|g|k%65n|ke\\u006e)|name| name|[=:"'\\{}&?,; a]|\\u003d|%3D|%253A|%22){0,12}"#
        ) {
            let names = Names::new::<_, &str>([]);
            prop_assert!(may_hide(&names, &text) || find(&names, &text).is_empty(), "{text}");
        }
    }
}
