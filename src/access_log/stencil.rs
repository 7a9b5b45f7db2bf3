//! The text around a line's values as it stands in the envelope, where the line is a JSON string.
//!
//! Every line of a stage has the same text around its values. Where the line is JSON, that text can be compared as it stands,
//! with its escapes, and a value is what lies between two pieces of it. So neither has the message's JSON string to be decoded
//! nor the JSON in it to be parsed: each byte is looked at once.
//!
//! ```text
//! envelope  {\"ip\":\"192.0.2.7\",\"agent\":\"say \\\"hi\\\"\"}
//! text      {\"ip\":\"         \",\"agent\":\"              \"}
//! ```

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
    holds: Holds,
    behind: Box<str>,
}

/// What stands in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The inside of a JSON string.
    Inside,
    /// A string with its quotes, a number, a boolean or null.
    Scalar,
    /// A list of anything.
    List,
}

impl Stencil {
    /// Makes a stencil of the text of a JSON object: the text before its values, then for each value what it is, and the text
    /// behind it.
    ///
    /// `None` if some of the text has an escape of its own, if it is not an object's from brace to brace, or if it has no value.
    pub(super) fn new<'a>(first: &str, places: impl Iterator<Item = (Holds, &'a str)>) -> Option<Self> {
        let places: Vec<Place> =
            places.map(|(holds, behind)| Some(Place { holds, behind: escaped(behind)? })).collect::<Option<_>>()?;
        let whole = first.starts_with('{') && places.last()?.behind.ends_with('}');
        let first = escaped(first)?;
        whole.then_some(Self { first, places })
    }

    /// Reads the values of a line.
    pub(super) fn read<'a>(&self, line: Str<'a>) -> Reading<'a> {
        let mut is_unsure = false;
        match self.values(line, &mut is_unsure) {
            Some(values) => Reading::Values(values),
            None if is_unsure => Reading::Unsure,
            None => Reading::Other,
        }
    }

    fn values<'a>(&self, line: Str<'a>, is_unsure: &mut bool) -> Option<Vec<Value<'a>>> {
        let raw = line.raw();
        let mut at = behind(raw, 0, &self.first)?;
        let mut values = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let (value, end) = match place.holds {
                Holds::Inside => {
                    let (value, end) = string(raw, at)?;
                    if let Some(next) = behind(raw, end, &place.behind) {
                        values.push(value);
                        at = next;
                        continue;
                    }
                    escaped_string(line, at, end)?
                }
                Holds::Scalar => {
                    // The clear way passes white space over there.
                    *is_unsure = starts_with_space(raw.as_bytes().get(at..)?);
                    scalar(line, at)?
                }
                Holds::List => list(line, at)?,
            };
            values.push(value);
            at = behind(raw, end, &place.behind)?;
        }
        // A line feed may end the line.
        matches!(raw.get(at..)?, "" | "\\n").then_some(values)
    }
}

/// What a line is to a stencil.
pub(super) enum Reading<'a> {
    /// It has the stencil's text; these are its values.
    Values(Vec<Value<'a>>),
    /// It has other text, or a value that only the clear way reads.
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

/// Reads the inside of a string from `at` that has an escape of its own at `end`, and returns where it ends.
///
/// `None` for half a surrogate pair too: that has the whole line written anew.
#[cold]
fn escaped_string(line: Str<'_>, at: usize, mut end: usize) -> Option<(Value<'_>, usize)> {
    let bytes = line.raw().as_bytes();
    if bytes.get(end..)?.starts_with(QUOTE.as_bytes()) {
        // Other text follows.
        return None;
    }
    loop {
        end += match bytes.get(end..)? {
            [b'\\', b'"', ..] => break,
            [b'\\', b'\\', b'\\', _, ..] => 4,
            [b'\\', b'\\', _, ..] => 3,
            [b'\\', b'/', ..] => 2,
            [b'\\', ..] | [] => return None,
            rest => json::unescaped_run(rest).0,
        };
    }
    let part = line.part(at..end)?;
    let around = format!("\"{}\"", part.decode());
    let mut cursor = Cursor::new(&around);
    let string = cursor.string().ok()?;
    (cursor.rest().is_empty() && !string.has_lone_surrogate()).then_some((Value::Twice(part), end))
}

const QUOTE: &str = "\\\"";

/// Reads a string with its quotes, and returns where it ends.
fn quoted(line: Str<'_>, at: usize) -> Option<(Value<'_>, usize)> {
    let inside = behind(line.raw(), at, QUOTE)?;
    let (value, end) = string(line.raw(), inside)?;
    if let Some(next) = behind(line.raw(), end, QUOTE) {
        return Some((value, next));
    }
    let (value, end) = escaped_string(line, inside, end)?;
    Some((value, end + QUOTE.len()))
}

/// Reads a value that stands outside quotes in the format, and returns where it ends: a string with its quotes, a number, a
/// boolean or null.
fn scalar(line: Str<'_>, at: usize) -> Option<(Value<'_>, usize)> {
    let rest = line.raw().get(at..)?;
    if rest.starts_with('\\') {
        return quoted(line, at);
    }
    // Nearly every number is digits.
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let goes_on = matches!(rest.as_bytes().get(digits), Some(b'.' | b'e' | b'E'));
    let is_plain = digits == 1 || (1..=json::NUMBER_MAX_BYTES).contains(&digits) && !rest.starts_with('0');
    if is_plain && !goes_on {
        return Some((Value::Plain(rest.get(..digits)?), at + digits));
    }
    let mut cursor = Cursor::new(rest);
    let value = match cursor.kind().ok()? {
        Kind::Number => Value::Plain(cursor.value().ok().filter(|number| json::is_sound_number(number))?),
        Kind::Bool => Value::Plain(cursor.value().ok()?),
        Kind::Null => {
            cursor.value().ok()?;
            Value::Nothing
        }
        Kind::String | Kind::Array | Kind::Object => return None,
    };
    Some((value, at + cursor.position()))
}

/// Reads a list that every reader takes alike, and returns where it ends.
fn list(line: Str<'_>, at: usize) -> Option<(Value<'_>, usize)> {
    let bytes = line.raw().as_bytes();
    let mut depth = 0_usize;
    let mut end = at;
    loop {
        end = match bytes.get(end)? {
            b'[' | b'{' => {
                depth += 1;
                end + 1
            }
            b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                end + 1
            }
            b'\\' => quoted(line, end)?.1,
            _ => end + 1,
        };
        if depth == 0 {
            break;
        }
    }
    let part = line.part(at..end)?;
    let list = part.decode();
    let mut cursor = Cursor::new(&list);
    let is_list = cursor.kind() == Ok(Kind::Array) && cursor.value().is_ok() && cursor.at_end();
    (is_list && json::is_sound(&list)).then_some((Value::Twice(part), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(message: &str, expected: Option<&[&str]>) {
        let places = [(Holds::Inside, "\",\"b\": "), (Holds::Scalar, ",\"c\":\""), (Holds::Inside, "\"}")];
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
        reads(r#"{"a":"\"x\\\/","b": "\\","c":"\u00e9\n"}"#, Some(&["\"x\\/", "\\", "é\n"]));
    }

    #[test]
    fn what_needs_a_closer_look_is_left_to_it() {
        for line in [
            r#"{"a":"x","b":12,"c":"y"}"#,
            r#"{"a":"\x","b": 12,"c":"y"}"#,
            r#"{"a":"\ud800","b": 12,"c":"y"}"#,
            r#"{"a":"x","b": 1e999,"c":"y"}"#,
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
        assert!(Stencil::new("{\"a\\u0020\":\"", [(Holds::Inside, "\"}")].into_iter()).is_none());
        assert!(Stencil::new(" {\"a\":\"", [(Holds::Inside, "\"}")].into_iter()).is_none());
        assert!(Stencil::new("{\"a\":\"", [(Holds::Inside, "\"} ")].into_iter()).is_none());
        assert!(Stencil::new("{\"a\":1}", std::iter::empty()).is_none());
    }
}
