//! JSON, whole or cut.
//!
//! The walk takes whatever could be JSON so far. A quote ends a string only where JSON goes on behind it: one that a template
//! left bare in a value, as in `"agent":"a "b" c","n":1`, is a part of it. Where the walk stops, and behind a quote that nothing
//! ends, the text is searched as plain.
//!
//! A pair is a member of an object, or stands in a list: as an object with a name and a value among its members
//! (`{"name":"Cookie","value":"a=b"}`, in either order), or as a name and the value behind it (`["Cookie","a=b"]`).

use std::ops::Range;

use memchr::{memchr, memchr3};

use super::encoding::Encoding;
use super::name::Quotes;
use super::names::{is_cookie_list, is_name_key, is_query_map, is_value_key};
use super::quotes::{self, Quoted};
use super::scan::Scan;

/// Arrays and objects inside each other that are walked. No valid line has more.
const MAX_DEPTH: usize = 128;

/// An array or object that is open.
struct Frame {
    /// Where its bracket is.
    start: usize,
    /// Whether its members are parameters of a query.
    in_query: bool,
    pairs: Pairs,
    /// Whether the last name of a pair was hidden.
    hides: bool,
    /// The values that are hidden if the names or the end that are yet to come say so.
    values: Vec<Value>,
}

/// How an array or object can be pairs of a name and a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    /// An object is one pair, if it has a name. The value that comes next has this key.
    Object { key: Key, named: bool },
    /// An array is names and values in turn, so many items so far.
    List { items: usize },
    /// An array has another item where a name would stand.
    None,
}

/// What a member of an object is in a pair.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Name,
    Value,
    Other,
}

impl Frame {
    fn new(bracket: u8, start: usize, in_query: bool) -> Self {
        let pairs =
            if bracket == b'{' { Pairs::Object { key: Key::Other, named: false } } else { Pairs::List { items: 0 } };
        Self { start, in_query, pairs, hides: false, values: Vec::new() }
    }
}

/// A value that was walked.
struct Value {
    whole: Range<usize>,
    /// What is inside the quotes of a string.
    content: Option<Range<usize>>,
    /// Whether it is a string with its end.
    is_whole_string: bool,
}

impl Value {
    fn of(start: usize, string: Quoted) -> Self {
        Self { whole: start..string.next, content: Some(string.content), is_whole_string: string.closed }
    }

    fn other(whole: Range<usize>) -> Self {
        Self { whole, content: None, is_whole_string: false }
    }
}

/// Where a string stands, which tells what can follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In an object, before a colon.
    Key,
    /// In an object, behind a colon.
    Member,
    /// In an array, or alone.
    Item,
}

impl At {
    /// Returns whether JSON goes on so behind a string.
    fn goes_on(self, behind: &str) -> bool {
        let behind = behind.trim_ascii_start();
        let next = |starts: &[u8]| {
            let next = behind.get(1..).unwrap_or_default().trim_ascii_start();
            next.bytes().next().is_none_or(|byte| starts.contains(&byte))
                || self == Self::Item && ["true", "false", "null"].iter().any(|word| next.starts_with(word))
        };
        match (self, behind.bytes().next()) {
            (_, None) | (Self::Key, Some(b':')) | (Self::Member | Self::Item, Some(b'}' | b']')) => true,
            (Self::Member, Some(b',')) => next(b"\"}"),
            (Self::Item, Some(b',')) => next(b"\"{[]-0123456789"),
            _ => false,
        }
    }
}

/// Returns whether the value of `cookies` at the start of `text` is what the header has: a list, a map, or a text with a `=`.
pub(super) fn holds_cookies(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b'[' | b'{') => true,
        Some(b'"') => {
            let content = quotes::string(text, 1, b'"', 0).content;
            text.get(content).is_some_and(|text| memchr(b'=', text.as_bytes()).is_some())
        }
        _ => false,
    }
}

impl Scan<'_> {
    /// Searches the JSON value that starts at `start`; returns where it ends or stops being JSON.
    pub(super) fn json(&mut self, start: usize) -> usize {
        let mut frames: Vec<Frame> = Vec::new();
        let mut at = start;
        let mut due = true;
        let mut opens_query = false;
        // Whether a key stands before the value that is due, and where the last key or text starts.
        let mut keyed = false;
        let mut last = start;
        loop {
            at = self.after_space(at);
            let Some(byte) = self.byte(at) else {
                self.cut(&frames);
                return at;
            };
            let place = match frames.last().map(|frame| &frame.pairs) {
                Some(Pairs::Object { .. }) if keyed => At::Member,
                Some(Pairs::Object { .. }) => At::Key,
                _ => At::Item,
            };
            let value = match byte {
                b'{' | b'[' if due && frames.len() < MAX_DEPTH => {
                    let in_query =
                        std::mem::take(&mut opens_query) || frames.last().is_some_and(|frame| frame.in_query);
                    frames.push(Frame::new(byte, at, in_query));
                    keyed = false;
                    at += 1;
                    continue;
                }
                b'}' | b']' if !frames.is_empty() => {
                    let Some(frame) = frames.pop() else { return at };
                    at += 1;
                    self.close(&frame);
                    Value::other(frame.start..at)
                }
                b',' if !frames.is_empty() => {
                    due = true;
                    keyed = false;
                    at += 1;
                    continue;
                }
                b'"' if due => {
                    last = at;
                    let Some(string) = self.json_string(at, place) else {
                        self.cut(&frames);
                        self.walked_to = at + 1;
                        return at + 1;
                    };
                    let colon = self.after_space(string.next);
                    if string.closed
                        && self.byte(colon) == Some(b':')
                        && let Some(frame) = frames.last_mut()
                    {
                        let value = self.after_space(colon + 1);
                        let after = self.member(frame, &string.content, value);
                        opens_query = after.is_none() && self.key_is(&string.content, is_query_map);
                        due = after.is_none();
                        keyed = due;
                        at = after.unwrap_or(value);
                        continue;
                    }
                    let start = std::mem::replace(&mut at, string.next);
                    self.inside_as(string.content.clone(), Encoding::JsonString, opens_query);
                    if !string.closed && self.is_outermost() && (frames.is_empty() || place == At::Key) {
                        // Perhaps the quote opens nothing.
                        self.cut(&frames);
                        return start + 1;
                    }
                    Value::of(start, string)
                }
                b'-' | b'0'..=b'9' | b'a'..=b'z' if due && place != At::Member => {
                    let start = at;
                    at += self.scalar_length(at);
                    self.scalar(start..at);
                    Value::other(start..at)
                }
                _ => {
                    let Some(end) = self.bare_end(at).filter(|_| due && keyed) else {
                        for frame in &frames {
                            self.close(frame);
                        }
                        self.walked_to = at;
                        return if self.is_outermost() || last == start { last + 1 } else { at };
                    };
                    let start = std::mem::replace(&mut at, end);
                    if self.scalar_length(start) == end - start {
                        self.scalar(start..end);
                    } else {
                        self.inside_as(start..end, Encoding::Plain, opens_query);
                    }
                    Value::other(start..end)
                }
            };
            due = false;
            keyed = false;
            opens_query = false;
            let Some(frame) = frames.last_mut() else { return at };
            self.done(frame, value);
        }
    }

    /// Reads the string whose opening quote is at `quote`; `None` if there are quotes behind it, none of which is its end.
    fn json_string(&mut self, quote: usize, place: At) -> Option<Quoted> {
        let start = quote + 1;
        let mut string = quotes::string(self.text, start, b'"', 0);
        let is_key = || place == At::Item && self.byte(self.after_space(string.next)) == Some(b':');
        if !string.closed || place.goes_on(self.rest(string.next)) || is_key() {
            return Some(string);
        }
        // The keys are the template's own.
        if place == At::Key {
            return None;
        }
        // Each text is looked through once: what ends no string of one place behind a quote, ends none behind a later one.
        let endless = self.endless.get_mut(place as usize)?;
        if *endless <= quote {
            return None;
        }
        loop {
            // JSON inside the text, which nobody escaped, is walked by itself.
            let content = self.text.get(start..string.content.end).unwrap_or_default();
            if content.trim_ascii_end().ends_with(['{', '[']) {
                return None;
            }
            string = quotes::string(self.text, string.next, b'"', 0);
            if !string.closed {
                *endless = quote;
                return None;
            }
            if place.goes_on(self.text.get(string.next..).unwrap_or_default()) {
                return Some(Quoted { content: start..string.content.end, ..string });
            }
        }
    }

    /// Returns where the value at `start` ends that is not a string: a number or word, or what a template left without quotes.
    fn bare_end(&self, start: usize) -> Option<usize> {
        let mut end = start + self.scalar_length(start);
        if end > start && matches!(self.byte(self.after_space(end)), None | Some(b',' | b'}' | b']')) {
            return Some(end);
        }
        loop {
            end += memchr3(b',', b'}', b'"', self.rest(end).as_bytes())?;
            match self.byte(end) {
                Some(b'"') => return None,
                Some(b',') if !At::Member.goes_on(self.rest(end)) => end += 1,
                _ => return Some(end),
            }
        }
    }

    /// Hides the value at `value` if its key says so, and returns where it ends. Notes what the key is otherwise.
    fn member(&mut self, frame: &mut Frame, key: &Range<usize>, value: usize) -> Option<usize> {
        let names = &self.rules.names;
        let is = |test: fn(&str) -> bool| self.key_is(key, test);
        if self.key_is(key, |key| names.hide(key, frame.in_query))
            || is(is_cookie_list) && holds_cookies(self.rest(value))
        {
            if self.byte(value) != Some(b'"') {
                return Some(self.hide_json_value(value, Quotes::JSON));
            }
            let string = self.json_string(value, At::Member);
            let string = string.unwrap_or_else(|| quotes::string(self.text, value + 1, b'"', 0));
            self.hide(string.content);
            return Some(string.next);
        }
        if let Pairs::Object { key, .. } = &mut frame.pairs {
            *key = match () {
                () if is(is_name_key) => Key::Name,
                () if is(is_value_key) => Key::Value,
                () => Key::Other,
            };
        }
        // A form that was taken for JSON ends up as a key.
        self.inside(key.clone(), Encoding::JsonString);
        None
    }

    /// Takes a value into the pairs that it may be part of.
    fn done(&mut self, frame: &mut Frame, value: Value) {
        match frame.pairs {
            // Names are strings.
            Pairs::List { items } if items.is_multiple_of(2) && value.content.is_none() => frame.pairs = Pairs::None,
            Pairs::List { items } => {
                frame.pairs = Pairs::List { items: items + 1 };
                if items.is_multiple_of(2) {
                    frame.hides = value.is_whole_string && self.is_hidden_name(&value, frame.in_query);
                } else if frame.hides {
                    frame.values.push(value);
                }
            }
            Pairs::Object { key, named } => {
                let names = key == Key::Name && value.is_whole_string;
                frame.pairs = Pairs::Object { key: Key::Other, named: named || names };
                frame.hides |= names && self.is_hidden_name(&value, frame.in_query);
                if key == Key::Value {
                    frame.values.push(value);
                }
                if frame.hides {
                    self.hide_values(&std::mem::take(&mut frame.values));
                }
            }
            Pairs::None => {}
        }
    }

    /// Ends an array or object: in a list of pairs, each name has a value.
    fn close(&mut self, frame: &Frame) {
        if let Pairs::List { items } = frame.pairs
            && items.is_multiple_of(2)
        {
            self.hide_values(&frame.values);
        }
    }

    /// Ends the arrays and objects that are open where the text was cut. What a name that is gone would have hidden is hidden:
    /// of the innermost object, and of one whose value is the innermost list.
    fn cut(&mut self, frames: &[Frame]) {
        let end = self.text.len();
        for (index, frame) in frames.iter().enumerate() {
            let inner = frames.get(index + 1);
            let open: Vec<Value> = inner.map(|inner| Value::other(inner.start..end)).into_iter().collect();
            let in_list = inner.is_some_and(|inner| !matches!(inner.pairs, Pairs::Object { .. }));
            match frame.pairs {
                Pairs::List { items } => {
                    self.hide_values(&frame.values);
                    if frame.hides && !items.is_multiple_of(2) {
                        self.hide_values(&open);
                    }
                }
                Pairs::Object { key, named }
                    if frame.hides || !named && frames.len() - index <= 1 + usize::from(in_list) =>
                {
                    self.hide_values(&frame.values);
                    if key == Key::Value {
                        self.hide_values(&open);
                    }
                }
                Pairs::Object { .. } | Pairs::None => {}
            }
        }
    }

    fn is_hidden_name(&self, value: &Value, in_query: bool) -> bool {
        let names = &self.rules.names;
        value.content.as_ref().is_some_and(|content| self.key_is(content, |name| names.hide(name, in_query)))
    }

    fn hide_values(&mut self, values: &[Value]) {
        for value in values {
            match &value.content {
                Some(content) => self.hide(content.clone()),
                None => self.hide_json_value(value.whole.start, Quotes::JSON),
            };
        }
    }

    fn key_is(&self, key: &Range<usize>, holds: impl Fn(&str) -> bool) -> bool {
        let raw = self.text.get(key.clone()).unwrap_or_default();
        if memchr(b'\\', raw.as_bytes()).is_none() { holds(raw) } else { holds(&Encoding::JsonString.decode(raw)) }
    }

    fn scalar_length(&self, at: usize) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')).count()
    }
}
