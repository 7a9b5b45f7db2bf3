//! Encodings that a text wraps another in, undone for the search and mapped back for the change.
//!
//! A secret in the JSON that stands in a JSON string, or in the URL that is a parameter of another, is found in the decoded
//! text. What is changed is the text as it stood: the escapes around the secret stay the ones that its writer chose.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::json;

/// One replacement: bytes `start..end` of a text become `with`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) with: Cow<'static, str>,
}

/// How a text stands inside another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is.
    Plain,
    /// With the escapes of a JSON string.
    JsonString,
    /// With percent-encoded characters. Only ASCII ones count: no separator is another.
    Percent,
    /// The same, with blanks as `+`, as in a form.
    Form,
    /// With the references of XML: `&quot;`.
    Entities,
}

impl Encoding {
    /// Decodes `text`, which may be cut anywhere: an escape that lacks its end decodes to nothing.
    pub(super) fn decode(self, text: &str) -> Cow<'_, str> {
        if self.next_escape(text).is_none() {
            return text.into();
        }
        let mut decoded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((plain, escape)) = self.next_escape(rest) {
            decoded.push_str(plain);
            let (length, character) = self.first_escape(escape);
            decoded.extend(character);
            rest = escape.get(length..).unwrap_or_default();
        }
        decoded.push_str(rest);
        decoded.into()
    }

    /// Maps `edits` of the decoded `text` to edits of `text` itself, which starts at `offset`.
    pub(super) fn map_back(self, text: &str, offset: usize, edits: Vec<Edit>) -> impl Iterator<Item = Edit> {
        let mut at = Position::start(self, text);
        edits.into_iter().map(move |edit| Edit {
            start: offset + at.of(edit.start),
            end: offset + at.of(edit.end),
            with: self.encode(edit.with),
        })
    }

    /// Encodes a replacement. Of its characters, only quotes and backslashes need it.
    fn encode(self, with: Cow<'static, str>) -> Cow<'static, str> {
        if !with.contains(['"', '\\']) {
            return with;
        }
        match self {
            Self::JsonString => {
                let mut encoded = Vec::with_capacity(with.len() + 8);
                json::write_escaped(&mut encoded, &with);
                String::from_utf8_lossy(&encoded).into_owned().into()
            }
            Self::Plain => with,
            Self::Percent | Self::Form => with.replace('"', "%22").replace('\\', "%5C").into(),
            Self::Entities => with.replace('"', "&quot;").into(),
        }
    }

    /// Splits `text` before its first escape.
    fn next_escape(self, text: &str) -> Option<(&str, &str)> {
        let bytes = text.as_bytes();
        let mark = match self {
            Self::Plain => None,
            Self::JsonString => memchr(b'\\', bytes),
            Self::Percent => memchr(b'%', bytes),
            Self::Form => memchr2(b'%', b'+', bytes),
            Self::Entities => memchr(b'&', bytes),
        };
        mark.and_then(|at| text.split_at_checked(at))
    }

    /// Reads the escape that `text` starts with: its length, not 0, and its character.
    pub(super) fn first_escape(self, text: &str) -> (usize, Option<char>) {
        match self {
            Self::Plain => (1, None),
            Self::JsonString => json_escape(text),
            Self::Form if text.starts_with('+') => (1, Some(' ')),
            Self::Percent | Self::Form => match percent_escape(text) {
                Some(character) => (3, Some(character)),
                None if text.len() < 3 && is_hex(text.get(1..).unwrap_or_default()) => (text.len(), None),
                None => (1, Some('%')),
            },
            Self::Entities => match entity(text) {
                Some((length, character)) => (length, Some(character)),
                None if begins_entity(text) => (text.len(), None),
                None => (1, Some('&')),
            },
        }
    }
}

/// Characters that have a reference with a name.
const NAMED: [(&str, char); 5] = [("amp", '&'), ("apos", '\''), ("gt", '>'), ("lt", '<'), ("quot", '"')];

/// Returns whether `text` starts with a reference to another character than `&`, encoded once or more: `&amp;quot;`.
pub(super) fn refers_to_sign(text: &str) -> bool {
    let name = text.strip_prefix('&').unwrap_or_default().trim_start_matches("amp;");
    referred(name).is_some_and(|(_, character)| character != '&')
}

/// Reads the reference that `text` starts with: its length and its character.
fn entity(text: &str) -> Option<(usize, char)> {
    referred(text.strip_prefix('&')?).map(|(length, character)| (length + 1, character))
}

/// Reads the name and semicolon of a reference, behind its `&`: their length and the character.
fn referred(name: &str) -> Option<(usize, char)> {
    /// Digits of the longest number that is a character, and more.
    const LONGEST: usize = 9;
    let end = name.bytes().take(LONGEST + 1).position(|byte| byte == b';')?;
    let name = name.get(..end)?;
    let character = match name.strip_prefix('#') {
        Some(number) => {
            let hex = number.strip_prefix(['x', 'X']).map(|digits| u32::from_str_radix(digits, 16));
            char::from_u32(hex.unwrap_or_else(|| number.parse()).ok()?)?
        }
        None => NAMED.iter().find(|(known, _)| *known == name)?.1,
    };
    Some((end + 1, character))
}

/// Returns whether `text` is the beginning of a reference that was cut.
fn begins_entity(text: &str) -> bool {
    text.len() < "&quot;".len() && text.bytes().skip(1).all(|byte| byte.is_ascii_alphanumeric() || byte == b'#')
}

fn percent_escape(text: &str) -> Option<char> {
    let byte = u8::from_str_radix(text.get(1..3).filter(|digits| is_hex(digits))?, 16).ok()?;
    byte.is_ascii().then(|| char::from(byte))
}

fn json_escape(text: &str) -> (usize, Option<char>) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4).filter(|digits| is_hex(digits))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut characters = text.chars();
    characters.next();
    let character = match characters.next() {
        Some('u') => {
            let Some(first) = unit(2) else { return (2, None) };
            let low = if text.get(6..8) == Some("\\u") { unit(8) } else { None };
            return match (first, low) {
                (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
                    (12, char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00)))
                }
                _ => (6, Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))),
            };
        }
        Some('b') => Some('\u{8}'),
        Some('f') => Some('\u{c}'),
        Some('n') => Some('\n'),
        Some('r') => Some('\r'),
        Some('t') => Some('\t'),
        other => other,
    };
    (text.len() - characters.as_str().len(), character)
}

fn is_hex(digits: &str) -> bool {
    digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// A place in an encoded text and the place in the decoded text that it is. Moves forward only: all edits cost one walk.
struct Position<'a> {
    encoding: Encoding,
    text: &'a str,
    encoded: usize,
    decoded: usize,
    /// Where the next escape starts in the encoded text.
    escape: usize,
}

impl<'a> Position<'a> {
    fn start(encoding: Encoding, text: &'a str) -> Self {
        let mut start = Self { encoding, text, encoded: 0, decoded: 0, escape: 0 };
        start.find_escape();
        start
    }

    fn find_escape(&mut self) {
        let rest = self.text.get(self.encoded..).unwrap_or_default();
        self.escape = self.encoding.next_escape(rest).map_or(self.text.len(), |(plain, _)| self.encoded + plain.len());
    }

    /// Returns where byte `decoded` of the decoded text stands in the encoded one.
    fn of(&mut self, decoded: usize) -> usize {
        while self.decoded < decoded && self.encoded < self.text.len() {
            let step = (self.escape - self.encoded).min(decoded - self.decoded);
            self.encoded += step;
            self.decoded += step;
            if self.decoded < decoded {
                let escape = self.text.get(self.escape..).unwrap_or_default();
                let (length, character) = self.encoding.first_escape(escape);
                self.encoded += length;
                self.decoded += character.map_or(0, char::len_utf8);
                self.find_escape();
            }
        }
        self.encoded
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn decodes(encoding: Encoding, text: &str, expected: &str) {
        assert_eq!(encoding.decode(text), expected, "{text}");
    }

    #[test]
    fn json_escapes_are_undone_and_cut_ones_dropped() {
        decodes(Encoding::JsonString, r#"\"a\\b\/\u0041\n\ud83d\ude00\ud83d"#, "\"a\\b/A\n😀\u{fffd}");
        decodes(Encoding::JsonString, r"a\", "a");
        decodes(Encoding::JsonString, r"a\u00", "a00");
    }

    #[test]
    fn percent_encoding_is_undone_for_ascii_only() {
        decodes(Encoding::Percent, "%74oken%3d%C3%A9%", "token=%C3%A9");
        decodes(Encoding::Percent, "%+1%2", "%+1");
        decodes(Encoding::Form, "%74oken%3d+a%2Bb", "token= a+b");
    }

    #[test]
    fn references_of_xml_are_undone() {
        decodes(Encoding::Entities, "&lt;a b=&quot;&amp;&#39;&#x41;&gt;", "<a b=\"&'A>");
        decodes(Encoding::Entities, "a&b;c&;&#;&#x110000;&toolongtobeone;&qu", "a&b;c&;&#;&#x110000;&toolongtobeone;");
    }

    #[test]
    fn an_edit_changes_what_it_meant_and_leaves_the_escapes_around_it() {
        let text = r#"\u0022\/a\"XY\"\/\u0026"#;
        let decoded = Encoding::JsonString.decode(text);
        let start = decoded.find("XY").expect("it is there");
        let edit = Edit { start, end: start + 2, with: "\"R\"".into() };
        let mapped: Vec<Edit> = Encoding::JsonString.map_back(text, 10, vec![edit]).collect();
        let start = 10 + text.find("XY").expect("it is there");
        assert_eq!(mapped, [Edit { start, end: start + 2, with: "\\\"R\\\"".into() }]);
    }

    proptest! {
        #[test]
        fn every_place_of_the_decoded_text_maps_into_the_encoded(text in r#"([a-z😀]|\\[nu"\\]|\\u00[0-9a-f]{2}|%[0-9a-f]{2}|%|\\+|&(lt|#65|x);?){0,12}"#) {
            for encoding in [Encoding::Plain, Encoding::JsonString, Encoding::Percent, Encoding::Form, Encoding::Entities] {
                let decoded = encoding.decode(&text);
                let mut at = Position::start(encoding, &text);
                for (place, _) in decoded.char_indices() {
                    let encoded = at.of(place);
                    // What is behind shows that no escape was cut.
                    let before = format!("{} ", &text[..encoded]);
                    prop_assert_eq!(encoding.decode(&before), format!("{} ", &decoded[..place]));
                }
            }
        }
    }
}
