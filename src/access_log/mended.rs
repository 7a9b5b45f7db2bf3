//! A line that starts as a JSON object but is not one, read for what API Gateway meant.
//!
//! API Gateway puts values into a format's text as they are. A number that is missing is a bare `-`; a text that comes quoted
//! has its quotes twice, and any text may hold a quote:
//!
//! ```text
//! {"status":200,"latency":-,"error":""Unauthorized"","agent":"say "hi""}
//! {"status":200,"error":"Unauthorized","agent":"say \"hi\""}
//! ```

use crate::json::{self, Cursor};

/// Returns the JSON object that a broken line is meant to be; `None` if it is one already, or what is meant is unclear.
///
/// A value that is missing is `null`, or with `leave_out` the key is not there either.
pub(super) fn mended(line: &str, leave_out: bool) -> Option<String> {
    let mut rest = Some(line.trim_ascii()).filter(|line| line.starts_with('{'))?;
    let mut out = Vec::with_capacity(rest.len() + 16);
    let mut is_value = false;
    // What is open here, the innermost last.
    let mut open = Vec::new();
    // Where the key that the value belongs to starts, and whether the first key of its object was left out.
    let mut key_start = 0;
    let mut lacks_first = false;
    let mut was_mended = false;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'"' => match end_of_text(rest, is_value, open.last() == Some(&b'['))? {
                (length, true) => {
                    out.extend_from_slice(rest.get(..length)?.as_bytes());
                    length
                }
                (length, false) => {
                    was_mended = true;
                    let inside = rest.get(1..length - 1)?;
                    let inside = inside.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(inside);
                    json::write_string(&mut out, inside);
                    length
                }
            },
            b'{' | b'[' | b',' | b':' | b'}' | b']' => {
                is_value = first == b':';
                match first {
                    b'{' | b'[' => open.push(first),
                    b'}' | b']' => drop(open.pop()),
                    _ => {}
                }
                let is_needless = std::mem::take(&mut lacks_first) && first == b',';
                if !is_needless {
                    out.push(first);
                }
                if first != b':' {
                    key_start = out.len();
                }
                1
            }
            _ if first.is_ascii_whitespace() => 1,
            _ => {
                let length = rest.find(|c: char| matches!(c, ',' | '}' | ']') || c.is_ascii_whitespace())?;
                let word = rest.get(..length)?;
                if is_json(word) {
                    out.extend_from_slice(word.as_bytes());
                } else {
                    was_mended = true;
                    match word {
                        "-" if leave_out && open.last() == Some(&b'{') => {
                            out.truncate(key_start);
                            lacks_first = out.pop_if(|last| *last == b',').is_none();
                        }
                        "-" => out.extend_from_slice(b"null"),
                        _ => json::write_string(&mut out, word),
                    }
                }
                length
            }
        };
        rest = rest.get(length..)?;
    }
    let mended = String::from_utf8(out).ok()?;
    (was_mended && is_json(&mended)).then_some(mended)
}

/// Finds the end of the text that starts with a quote here: the first quote behind which JSON could go on. Returns its length and
/// whether it is a JSON string.
fn end_of_text(text: &str, is_value: bool, is_element: bool) -> Option<(usize, bool)> {
    let ends = |rest: &str| {
        let rest = rest.trim_ascii_start();
        match rest.as_bytes().first() {
            Some(b',') if is_element => true,
            Some(b',') => is_value && rest.get(1..).is_some_and(starts_with_key),
            Some(b']') => is_element,
            Some(b':') => !is_value && !is_element,
            // Behind an object another closes or goes on.
            Some(b'}') => is_value && rest.get(1..).is_some_and(ends_an_object),
            _ => false,
        }
    };
    let mut cursor = Cursor::new(text);
    if cursor.string().is_ok() && ends(cursor.rest()) {
        return Some((cursor.position(), true));
    }
    let mut quotes = text.match_indices('"').skip(1);
    let (at, _) = quotes.find(|(at, _)| text.get(at + 1..).is_some_and(ends))?;
    Some((at + 1, false))
}

fn ends_an_object(rest: &str) -> bool {
    let rest = rest.trim_ascii_start();
    rest.is_empty() || rest.starts_with([',', '}', ']'])
}

fn starts_with_key(text: &str) -> bool {
    let mut key = Cursor::new(text);
    key.string().is_ok() && key.rest().trim_ascii_start().starts_with(':')
}

fn is_json(text: &str) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.value().is_ok() && cursor.at_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn mends(line: &str, expected: Option<&str>) {
        assert_eq!(mended(line, true).as_deref(), expected, "{line}");
    }

    #[test]
    fn a_missing_number_is_left_out() {
        mends(r#"{"id":"r","s":200,"l":-}"#, Some(r#"{"id":"r","s":200}"#));
        mends(r#"{"l": - , "o":{"m":-},"a":[1,-]}"#, Some(r#"{"o":{},"a":[1,null]}"#));
        mends(r#"{"l":-,"m":-,"n":1,"o":-,"p":{"q":-,"r":2}}"#, Some(r#"{"n":1,"p":{"r":2}}"#));
        mends(r#"{"l":$12,"m":-5}"#, Some(r#"{"l":"$12","m":-5}"#));
        let line = r#"{"l":-,"m":-,"n":1}"#;
        assert_eq!(mended(line, false).as_deref(), Some(r#"{"l":null,"m":null,"n":1}"#));
    }

    #[test]
    fn a_text_may_have_its_quotes_twice_or_hold_some() {
        mends(r#"{"id":"r1","e":""Unauthorized""}"#, Some(r#"{"id":"r1","e":"Unauthorized"}"#));
        mends(r#"{"ua":"say "hi", you","s":"200"}"#, Some(r#"{"ua":"say \"hi\", you","s":"200"}"#));
        mends(r#"{"g":"["a","b"]","s":"{"a":1}"}"#, Some(r#"{"g":"[\"a\",\"b\"]","s":"{\"a\":1}"}"#));
        mends(r#"{"ua":"\x22","s":"200"}"#, Some(r#"{"ua":"\\x22","s":"200"}"#));
        mends(r#"{"ua":"ends in \","s":"a\"b"}"#, Some(r#"{"ua":"ends in \\","s":"a\"b"}"#));
        mends("{\"ua\":\"a\tb\"}", Some(r#"{"ua":"a\tb"}"#));
    }

    #[test]
    fn what_is_json_or_cannot_be_told_is_left_alone() {
        for line in [r#"{"a":1}"#, r#"{"a":"#, r#"{"a" 1}"#, "{a", "{", r#"{"a":"b}"#, r#"{"a":-}}"#, r#"{"a":- x}"#] {
            mends(line, None);
        }
    }

    #[test]
    fn a_megabyte_of_quotes_takes_linear_time() {
        for part in ["\"", "\",", "\":", "-,", "{\"", "[", "\"a\"", "\\\""] {
            // A quadratic search would take hours.
            let line = format!("{{\"a\":\"{}", part.repeat((1 << 20) / part.len()));
            assert_eq!(mended(&line, true), None, "{part}");
        }
    }
}
