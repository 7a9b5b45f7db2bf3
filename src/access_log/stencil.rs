//! The text around a line's values as it stands in the envelope, where the line is a JSON string.
//!
//! Every line of a stage has the same text around its values. Where the line is JSON, that text can be compared as it stands,
//! with its escapes, and a value that has no escape is what lies between two pieces of it. So neither has the message's JSON
//! string to be decoded nor the JSON in it to be parsed: each byte is looked at once.
//!
//! A stencil takes only what the clear way would read the same: whatever has an escape in a value goes that way.

use super::value::Value;
use crate::json::{self, Cursor, Kind, Str};

/// Pieces of text with a place for a value between each two.
#[derive(Debug, Clone)]
pub(super) struct Stencil {
    first: Box<str>,
    places: Vec<Place>,
}

/// A place for a value, and the text behind it.
#[derive(Debug, Clone)]
struct Place {
    /// Whether the value is the inside of a JSON string.
    quoted: bool,
    behind: Box<str>,
}

impl Stencil {
    /// Makes a stencil of the text of a JSON object: the text before its values, then for each value whether it is the inside
    /// of a string, and the text behind it.
    ///
    /// `None` if some of the text has an escape of its own, if it is not an object's from brace to brace, or if it has no value.
    pub(super) fn new<'a>(first: &str, places: impl Iterator<Item = (bool, &'a str)>) -> Option<Self> {
        let places: Vec<Place> =
            places.map(|(quoted, behind)| Some(Place { quoted, behind: escaped(behind)? })).collect::<Option<_>>()?;
        let whole = first.starts_with('{') && places.last()?.behind.ends_with('}');
        let first = escaped(first)?;
        whole.then_some(Self { first, places })
    }

    /// Reads the values of a line.
    pub(super) fn read<'a>(&self, line: Str<'a>) -> Reading<'a> {
        let mut is_unsure = false;
        match self.values(line.raw(), &mut is_unsure) {
            Some(values) => Reading::Values(values),
            None if is_unsure => Reading::Unsure,
            None => Reading::Other,
        }
    }

    fn values<'a>(&self, line: &'a str, is_unsure: &mut bool) -> Option<Vec<Value<'a>>> {
        let mut at = behind(line, 0, &self.first)?;
        let mut values = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let (value, end) = if place.quoted {
                string(line, at)?
            } else {
                // The clear way passes white space over there.
                *is_unsure = starts_with_space(line.as_bytes().get(at..)?);
                scalar(line, at)?
            };
            values.push(value);
            at = behind(line, end, &place.behind)?;
        }
        // A line feed may end the line.
        matches!(line.get(at..)?, "" | "\\n").then_some(values)
    }
}

/// What a line is to a stencil.
pub(super) enum Reading<'a> {
    /// It has the stencil's text; these are its values.
    Values(Vec<Value<'a>>),
    /// It has other text, or an escape in a value.
    Other,
    /// It has white space where only the clear way knows what that means.
    Unsure,
}

/// Returns whether white space comes next, as it stands inside a JSON string.
fn starts_with_space(text: &[u8]) -> bool {
    matches!(text, [b' ', ..] | [b'\\', b'n' | b'r' | b't' | b'u', ..])
}

/// Returns a text as it stands inside a JSON string; `None` if it has a backslash itself.
fn escaped(text: &str) -> Option<Box<str>> {
    let mut out = Vec::with_capacity(text.len() + 8);
    json::write_escaped(&mut out, text);
    String::from_utf8(out).ok().filter(|_| !text.contains('\\')).map(String::into_boxed_str)
}

/// Returns where the text at `at` ends, if it is this one.
fn behind(line: &str, at: usize, text: &str) -> Option<usize> {
    json::starts_with(line.as_bytes().get(at..)?, text.as_bytes()).then_some(at + text.len())
}

/// Reads the inside of a string, and returns where it ends: at the first escape, which is that of the quote if there is no other.
#[expect(clippy::inline_always, reason = "called for nearly every value: 8 % of a line's time")]
#[inline(always)]
fn string(line: &str, at: usize) -> Option<(Value<'_>, usize)> {
    let (length, has_sign) = json::unescaped_run(line.as_bytes().get(at..)?);
    let value = line.get(at..at + length)?;
    Some((if has_sign { Value::Clean(value) } else { Value::Nameless(value) }, at + length))
}

/// Reads a value that stands outside quotes in the format, and returns where it ends: a string with its quotes, a number, a
/// boolean or null.
fn scalar(line: &str, at: usize) -> Option<(Value<'_>, usize)> {
    const QUOTE: &str = "\\\"";
    if let Some(inside) = behind(line, at, QUOTE) {
        let (value, end) = string(line, inside)?;
        return Some((value, behind(line, end, QUOTE)?));
    }
    // Nearly every number is digits; what else it may be, the text behind it tells.
    let digits = line.as_bytes().get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 1 || (digits > 1 && line.as_bytes().get(at) != Some(&b'0')) {
        return Some((Value::Plain(line.get(at..at + digits)?), at + digits));
    }
    let mut cursor = Cursor::new(line.get(at..)?);
    let value = match cursor.kind().ok()? {
        Kind::Number | Kind::Bool => Value::Plain(cursor.value().ok()?),
        Kind::Null => {
            cursor.value().ok()?;
            Value::Nothing
        }
        Kind::String | Kind::Array | Kind::Object => return None,
    };
    Some((value, at + cursor.position()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(message: &str, expected: Option<&[&str]>) {
        let places = [(true, "\",\"b\": "), (false, ",\"c\":\""), (true, "\"}")];
        let stencil = Stencil::new("{\"a\":\"", places.into_iter()).unwrap();
        let json = serde_json::to_string(message).unwrap();
        let values = match stencil.read(Cursor::new(&json).string().unwrap()) {
            Reading::Values(values) => Some(values),
            Reading::Other | Reading::Unsure => None,
        };
        let texts = values.map(|values| values.iter().map(|value| value.characters().into_owned()).collect::<Vec<_>>());
        assert_eq!(texts, expected.map(|texts| texts.iter().map(ToString::to_string).collect()), "{message}");
    }

    #[test]
    fn values_are_what_stands_between_the_text() {
        reads(r#"{"a":"x y","b": 12,"c":"é"}"#, Some(&["x y", "12", "é"]));
        reads("{\"a\":\"\",\"b\": \"-\",\"c\":\"-\"}\n", Some(&["", "-", "-"]));
        reads(r#"{"a":"x","b": null,"c":"y"}"#, Some(&["x", "", "y"]));
    }

    #[test]
    fn what_needs_a_closer_look_is_left_to_it() {
        for line in [
            r#"{"a":"x","b":12,"c":"y"}"#,
            r#"{"a":"\"x","b": 12,"c":"y"}"#,
            r#"{"a":"x","b": -,"c":"y"}"#,
            r#"{"a":"x","b": [],"c":"y"}"#,
            r#"{"a":"x","b": 12,"c":"y"} "#,
            r#" {"a":"x","b": 12,"c":"y"}"#,
            "{\"a\":\"x\ty\",\"b\": 12,\"c\":\"y\"}",
        ] {
            reads(line, None);
        }
    }

    #[test]
    fn text_that_is_no_object_or_has_an_escape_makes_no_stencil() {
        assert!(Stencil::new("{\"a\\u0020\":\"", [(true, "\"}")].into_iter()).is_none());
        assert!(Stencil::new(" {\"a\":\"", [(true, "\"}")].into_iter()).is_none());
        assert!(Stencil::new("{\"a\":\"", [(true, "\"} ")].into_iter()).is_none());
        assert!(Stencil::new("{\"a\":1}", std::iter::empty()).is_none());
    }
}
