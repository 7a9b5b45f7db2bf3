//! JSON text (RFC 8259) read in place: a cursor that walks it without building a tree, and the writing of strings.
//!
//! Everything that flows through this crate is JSON inside JSON inside JSON, and most of it leaves as it came. A [`Cursor`]
//! therefore hands out slices of the text and never allocates; a [`Str`] is decoded only by who needs its characters.

mod runs;
mod sound;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;
use thiserror::Error;

pub(crate) use self::runs::{any_sign, has_secret_sign, starts_with, unescaped_run};
use self::runs::{plain_run, string_end};
pub(crate) use self::sound::NUMBER_MAX_BYTES;
pub use self::sound::{is_sound, is_sound_number, sound};

/// Deepest nesting of arrays and objects that is read. Deeper text is an error, so that no input can exhaust the stack.
///
/// A line's JSON leaves two levels further down, in an event in an array, and common parsers take 127 levels.
pub const MAX_DEPTH: usize = 120;

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} at byte {at}")]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// Bytes from the start of the text.
    pub at: usize,
}

/// What is wrong with a text that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JsonErrorKind {
    /// The text ends inside a value.
    #[error("unexpected end of the JSON text")]
    Eof,
    /// A character that no JSON text has there.
    #[error("invalid JSON")]
    Syntax,
    /// More than [`MAX_DEPTH`] arrays and objects inside each other.
    #[error("JSON nested too deep")]
    Depth,
}

/// The kind of a JSON value, by its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// `-` or a digit.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
}

/// A JSON string as it stands between its quotes: valid, with its escapes not undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Str<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Str<'a> {
    /// Returns the text between the quotes, escapes and all: it can stand in another JSON string as it is.
    #[must_use]
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// Returns whether the string holds any escape: without one, the raw text is the value.
    #[must_use]
    pub fn escaped(self) -> bool {
        self.escaped
    }

    /// Returns the string without this character at its start, if it stands there and is not one that JSON escapes.
    #[must_use]
    pub fn without_prefix(self, character: char) -> Self {
        Self { raw: self.raw.strip_prefix(character).unwrap_or(self.raw), ..self }
    }

    /// Returns a piece of the string, which must not end inside an escape.
    #[must_use]
    pub fn part(self, range: Range<usize>) -> Option<Self> {
        let raw = self.raw.get(range)?;
        Some(Self { raw, escaped: memchr(b'\\', raw.as_bytes()).is_some() })
    }

    /// Decodes a string that stands inside another one, as a line's values do in its envelope: the escapes of both.
    #[must_use]
    pub fn decode_twice(self) -> String {
        let raw = self.decode();
        Str { raw: &raw, escaped: true }.decode().into_owned()
    }

    /// Decodes the string. A surrogate without its other half becomes U+FFFD.
    #[must_use]
    pub fn decode(self) -> Cow<'a, str> {
        if self.escaped {
            let mut out = String::with_capacity(self.raw.len());
            self.decode_into(&mut out);
            Cow::Owned(out)
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// Decodes the string onto the end of `out`. A surrogate without its other half becomes U+FFFD.
    pub fn decode_into(self, out: &mut String) {
        let mut rest = self.raw;
        // A quote inside the raw text stands behind a backslash, so a run ends at a backslash or at the end.
        while let Some((plain, escape)) =
            rest.split_at_checked(plain_run(rest.as_bytes())).filter(|run| !run.1.is_empty())
        {
            out.push_str(plain);
            let mut characters = escape.chars();
            characters.next();
            match characters.next() {
                Some('b') => out.push('\u{8}'),
                Some('f') => out.push('\u{c}'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('u') => {
                    let (character, length) = unicode_escape(escape);
                    out.push(character);
                    rest = escape.get(length..).expect("an escape is ASCII and ends within the text");
                    continue;
                }
                Some(other) => out.push(other),
                None => {}
            }
            rest = characters.as_str();
        }
        out.push_str(rest);
    }
}

/// Reads the escape of a code unit in four hex digits, or the pair of them, at the start of `text`; returns its character and its length in bytes.
fn unicode_escape(text: &str) -> (char, usize) {
    let unit = |at: usize| text.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(first) = unit(2) else { return (char::REPLACEMENT_CHARACTER, text.len()) };
    if let Some(character) = char::from_u32(first) {
        return (character, 6);
    }
    let second = if text.get(6..8) == Some("\\u") { unit(8) } else { None };
    match (first, second) {
        (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
            let character = char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00));
            (character.unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
}

/// Why a slice from a cursor's position on exists.
const WITHIN: &str = "a cursor stays within its text";

/// A position in a JSON text. Each method reads one thing and moves past it; on an error the position is where it was found.
///
/// An array or object is walked by [`open`](Self::open), then [`next_key`](Self::next_key) or
/// [`next_element`](Self::next_element) until they return `None` or `false`, reading or skipping each value in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the beginning of `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Returns how many bytes have been read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Returns what has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        self.text.get(self.at..).expect("a cursor stands between two characters")
    }

    /// Moves past this text if it comes next, and returns whether it does.
    pub fn skip_text(&mut self, text: &str) -> bool {
        let found = starts_with(self.rest().as_bytes(), text.as_bytes());
        self.at += if found { text.len() } else { 0 };
        found
    }

    /// Moves past white space and returns whether the text ends there.
    pub fn at_end(&mut self) -> bool {
        self.peek_byte().is_none()
    }

    /// Tells the kind of the next value without reading it.
    ///
    /// # Errors
    /// If the text ends, or no value starts there.
    pub fn kind(&mut self) -> Result<Kind, JsonError> {
        match self.peek_byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.error(JsonErrorKind::Syntax)),
            None => Err(self.error(JsonErrorKind::Eof)),
        }
    }

    /// Moves into the array or object that starts here.
    ///
    /// # Errors
    /// If neither starts here.
    pub fn open(&mut self) -> Result<(), JsonError> {
        match self.peek_byte() {
            Some(b'{' | b'[') => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.error(JsonErrorKind::Syntax)),
            None => Err(self.error(JsonErrorKind::Eof)),
        }
    }

    /// Reads the next key of the object that was opened and moves to its value; `None` at its end, which is read too.
    ///
    /// `first` starts as `true` and is the walk's own memory of whether a comma is due.
    ///
    /// # Errors
    /// If the text is not a JSON object here.
    pub fn next_key(&mut self, first: &mut bool) -> Result<Option<Str<'a>>, JsonError> {
        if !self.next_item(first, b'}')? {
            return Ok(None);
        }
        let key = self.string()?;
        match self.peek_byte() {
            Some(b':') => {
                self.at += 1;
                Ok(Some(key))
            }
            Some(_) => Err(self.error(JsonErrorKind::Syntax)),
            None => Err(self.error(JsonErrorKind::Eof)),
        }
    }

    /// Moves to the next element of the array that was opened; `false` at its end, which is read too.
    ///
    /// `first` is as in [`next_key`](Self::next_key).
    ///
    /// # Errors
    /// If the text is not a JSON array here.
    pub fn next_element(&mut self, first: &mut bool) -> Result<bool, JsonError> {
        self.next_item(first, b']')
    }

    fn next_item(&mut self, first: &mut bool, end: u8) -> Result<bool, JsonError> {
        let due = !std::mem::replace(first, false);
        match self.peek_byte() {
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if due => {
                self.at += 1;
                // A comma before the end would pass for an end otherwise.
                if self.peek_byte() == Some(end) { Err(self.error(JsonErrorKind::Syntax)) } else { Ok(true) }
            }
            Some(_) if !due => Ok(true),
            Some(_) => Err(self.error(JsonErrorKind::Syntax)),
            None => Err(self.error(JsonErrorKind::Eof)),
        }
    }

    /// Reads a string.
    ///
    /// # Errors
    /// If no valid string starts here.
    pub fn string(&mut self) -> Result<Str<'a>, JsonError> {
        match self.peek_byte() {
            Some(b'"') => self.at += 1,
            Some(_) => return Err(self.error(JsonErrorKind::Syntax)),
            None => return Err(self.error(JsonErrorKind::Eof)),
        }
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).expect(WITHIN);
        let plain = plain_run(rest);
        let escaped = rest.get(plain) != Some(&b'"');
        match if escaped { string_end(rest.get(plain..).expect(WITHIN)) } else { Some(0) } {
            Some(length) => self.at = start + plain + length,
            None => self.walk_string(start)?,
        }
        let raw = self.text.get(start..self.at).expect("a string lies between two quotes");
        self.at += 1;
        Ok(Str { raw, escaped })
    }

    /// Moves to the quote that ends the string whose inside starts at `start`, or to what is wrong with it.
    fn walk_string(&mut self, start: usize) -> Result<(), JsonError> {
        self.at = start;
        loop {
            self.at += plain_run(self.text.as_bytes().get(self.at..).expect(WITHIN));
            match self.byte() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape()?,
                // JSON forbids control characters in strings.
                Some(_) => return Err(self.error(JsonErrorKind::Syntax)),
                None => return Err(self.error(JsonErrorKind::Eof)),
            }
        }
    }

    /// Moves past the escape that starts here.
    fn escape(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                self.at += 2;
                for _ in 0..4 {
                    match bytes.get(self.at) {
                        Some(byte) if byte.is_ascii_hexdigit() => self.at += 1,
                        Some(_) => return Err(self.error(JsonErrorKind::Syntax)),
                        None => return Err(self.error(JsonErrorKind::Eof)),
                    }
                }
                Ok(())
            }
            Some(_) => Err(self.error(JsonErrorKind::Syntax)),
            None => {
                self.at = bytes.len();
                Err(self.error(JsonErrorKind::Eof))
            }
        }
    }

    /// Reads a value of any kind and returns it as it stands in the text.
    ///
    /// # Errors
    /// If no valid value starts here.
    pub fn value(&mut self) -> Result<&'a str, JsonError> {
        self.peek_byte();
        let start = self.at;
        self.skip()?;
        Ok(self.text.get(start..self.at).expect("a value starts and ends with ASCII"))
    }

    /// Moves past a value of any kind. Iterative: the depth costs a bit, not a stack frame.
    fn skip(&mut self) -> Result<(), JsonError> {
        // One bit for each open container, the innermost lowest: 1 for an object.
        let mut objects: u128 = 0;
        let mut depth = 0;
        let mut first = true;
        loop {
            let mut opened = false;
            match self.kind()? {
                kind @ (Kind::Object | Kind::Array) => {
                    if depth == MAX_DEPTH {
                        return Err(self.error(JsonErrorKind::Depth));
                    }
                    depth += 1;
                    objects = objects << 1 | u128::from(kind == Kind::Object);
                    self.at += 1;
                    opened = true;
                }
                Kind::String => drop(self.string()?),
                Kind::Number => drop(self.number()?),
                Kind::Bool | Kind::Null => self.word()?,
            }
            if opened {
                first = true;
            }
            // Close what ends here, then move to the next value.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let more = if objects & 1 == 1 {
                    self.next_key(&mut first)?.is_some()
                } else {
                    self.next_element(&mut first)?
                };
                if more {
                    break;
                }
                depth -= 1;
                objects >>= 1;
                first = false;
            }
        }
    }

    /// Reads a number and returns it as it stands in the text.
    ///
    /// # Errors
    /// If no number starts here.
    pub fn number(&mut self) -> Result<&'a str, JsonError> {
        self.peek_byte();
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.text.get(start..self.at).expect("a number is ASCII"))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match self.byte() {
            _ if self.at > start => Ok(()),
            Some(_) => Err(self.error(JsonErrorKind::Syntax)),
            None => Err(self.error(JsonErrorKind::Eof)),
        }
    }

    /// Moves past `true`, `false` or `null`.
    fn word(&mut self) -> Result<(), JsonError> {
        for word in ["true", "false", "null"] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
            if word.starts_with(self.rest()) {
                self.at = self.text.len();
                return Err(self.error(JsonErrorKind::Eof));
            }
        }
        Err(self.error(JsonErrorKind::Syntax))
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Moves past white space and tells the byte behind it.
    fn peek_byte(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError { kind, at: self.at }
    }
}

/// Returns the length of a JSON text without the white space between its tokens; of any other text, its length.
#[must_use]
pub fn compact_len(text: &str) -> usize {
    let mut cursor = Cursor::new(text);
    if cursor.value().is_err() || !cursor.at_end() {
        return text.len();
    }
    let (mut length, mut in_string, mut is_escaped) = (0, false, false);
    for byte in text.bytes() {
        let is_blank = !in_string && matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        length += usize::from(!is_blank);
        in_string ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
    }
    length
}

/// Writes JSON without the white space between its tokens.
pub fn write_compact(out: &mut Vec<u8>, json: &str) {
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in json.bytes() {
        if in_string || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            out.push(byte);
        }
        in_string ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
    }
}

/// Writes `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// Writes `text` as it stands inside a JSON string, without the quotes.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text.as_bytes();
    while let Some((plain, [byte, behind @ ..])) = rest.split_at_checked(plain_run(rest)) {
        out.extend_from_slice(plain);
        rest = behind;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                out.extend_from_slice(b"\\u00");
                let digits =
                    [byte >> 4, byte & 15].map(|digit| HEX.get(usize::from(digit)).copied().expect("four bits"));
                out.extend_from_slice(&digits);
            }
        }
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn fails(text: &str, kind: JsonErrorKind, at: usize) {
        let mut cursor = Cursor::new(text);
        let outcome = cursor.value().and_then(|_| if cursor.at_end() { Ok(()) } else { cursor.kind().map(drop) });
        assert_eq!(outcome, Err(JsonError { kind, at }), "{text}");
    }

    #[track_caller]
    fn decodes(raw: &str, expected: &str) {
        let text = format!("\"{raw}\"");
        assert_eq!(Cursor::new(&text).string().map(Str::decode).as_deref(), Ok(expected), "{raw}");
    }

    #[test]
    fn escapes_are_undone() {
        decodes(r#"a\"b\\c\/d\b\f\n\r\te"#, "a\"b\\c/d\u{8}\u{c}\n\r\te");
        decodes(r"\u00e9\u20AC", "é€");
        decodes(r"\ud83d\ude00!", "😀!");
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        decodes(r"a\ud83db", "a\u{fffd}b");
        decodes(r"\ude00", "\u{fffd}");
        decodes(r"\ud83d\u0041", "\u{fffd}A");
    }

    #[test]
    fn blanks_between_tokens_are_what_compact_json_lacks() {
        for (text, compact) in [
            (" { \"a b\" :\t[ 1 , \"\\\" \\\\\" ] }\r\n", "{\"a b\":[1,\"\\\" \\\\\"]}"),
            ("[]", "[]"),
            (" \" \" ", "\" \""),
        ] {
            let mut out = Vec::new();
            write_compact(&mut out, text);
            assert_eq!(String::from_utf8_lossy(&out), compact);
            assert_eq!(compact_len(text), compact.len(), "{text}");
        }
        for text in ["", " ", "a b", "{ \"a\" : - }", "{} {}", "\" "] {
            assert_eq!(compact_len(text), text.len(), "{text}");
        }
    }

    #[test]
    fn errors_say_where_and_whether_the_text_just_ended() {
        fails("", JsonErrorKind::Eof, 0);
        fails("{\"a\":", JsonErrorKind::Eof, 5);
        fails("{\"a\":1", JsonErrorKind::Eof, 6);
        fails("\"abc", JsonErrorKind::Eof, 4);
        fails("tru", JsonErrorKind::Eof, 3);
        fails("-", JsonErrorKind::Eof, 1);
        fails("{\"a\":-}", JsonErrorKind::Syntax, 6);
        fails("[1,]", JsonErrorKind::Syntax, 3);
        fails("{,}", JsonErrorKind::Syntax, 1);
        fails("\"a\nb\"", JsonErrorKind::Syntax, 2);
        fails(r#""\x""#, JsonErrorKind::Syntax, 1);
    }

    #[test]
    fn nesting_is_read_to_the_limit_and_no_deeper() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Cursor::new(&nested(MAX_DEPTH)).value().is_ok());
        fails(&nested(MAX_DEPTH + 1), JsonErrorKind::Depth, MAX_DEPTH);
        fails(&"{\"a\":".repeat(100_000), JsonErrorKind::Depth, MAX_DEPTH * 5);
    }

    #[test]
    fn a_walk_meets_every_key_and_element() -> Result<(), JsonError> {
        let mut cursor = Cursor::new(r#" { "a" : [ 1 , "x" ] , "b" : { } } "#);
        cursor.open()?;
        let mut first = true;
        assert_eq!(cursor.next_key(&mut first)?.map(Str::raw), Some("a"));
        cursor.open()?;
        let mut elements = true;
        assert!(cursor.next_element(&mut elements)?);
        assert_eq!(cursor.number()?, "1");
        assert!(cursor.next_element(&mut elements)?);
        assert_eq!(cursor.string()?.raw(), "x");
        assert!(!cursor.next_element(&mut elements)?);
        assert_eq!(cursor.next_key(&mut first)?.map(Str::raw), Some("b"));
        assert_eq!(cursor.value()?, "{ }");
        assert_eq!(cursor.next_key(&mut first)?, None);
        assert!(cursor.at_end());
        Ok(())
    }

    proptest! {
        #[test]
        fn a_written_string_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).ok(), Some(text.clone()));
            let out = String::from_utf8(out)?;
            let read = Cursor::new(&out).string().map(Str::decode);
            prop_assert_eq!(read.as_deref(), Ok(text.as_str()));
        }

        #[test]
        fn what_is_json_is_what_serde_json_takes(text in r#"[\[\]{}",:0-9a-z\\ .eE+\-]{0,24}"#) {
            let mut cursor = Cursor::new(&text);
            let ours = cursor.value().is_ok() && cursor.at_end();
            prop_assert_eq!(ours, serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn the_end_of_a_string_is_where_a_walk_finds_it(
            text in r#"([a-z ]{0,70}|\\\\["\\\\/bnu]|\\\\u[0-9a-f]{3,4}|\\\\{1,5}|"|\n){0,30}"#,
        ) {
            let text = format!("\"{text}");
            let mut clear = Cursor { text: &text, at: 1 };
            let walked = clear.walk_string(1).map(|()| clear.at);
            prop_assert_eq!(string_end(&text.as_bytes()[1..]).map(|end| end + 1), walked.ok());
            let read = Cursor::new(&text).string();
            prop_assert_eq!(read.map(|read| (read.raw().len() + 1, read.escaped())), walked.map(|end| (end, text[..end].contains('\\'))));
        }

        #[test]
        fn reading_returns_for_any_text(text in any::<String>()) {
            Cursor::new(&text).value().ok();
        }
    }
}
