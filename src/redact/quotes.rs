//! Strings and brackets of JSON that may itself stand in JSON strings, any number of them.
//!
//! Each string that JSON stands in doubles the backslashes of its quotes and adds one: 0, 1, 3, 7, … backslashes before a
//! quote open or close a string at the nesting 0, 1, 2, 3, …. So a quote tells by itself how deep it is.

use std::ops::Range;

use memchr::memchr2;

/// A string, or what is left of it where the text was cut.
pub(super) struct Quoted {
    /// Where it stands, its quotes not counted.
    pub(super) content: Range<usize>,
    /// What follows its closing quote; the end of the text if it has none.
    pub(super) next: usize,
    pub(super) closed: bool,
}

/// Returns the nesting of a quote that has `escapes` backslashes before it. Those of the string's own content come on top of
/// the quote's: always as many as leave the nesting as it is, or make it deeper where the quote is content too.
pub(super) fn nesting(escapes: usize) -> u32 {
    (escapes + 1).trailing_zeros()
}

/// Returns how many backslashes belong to a quote at this nesting.
pub(super) fn escapes(nesting: u32) -> usize {
    (1 << nesting) - 1
}

/// Reads the string whose content starts at `start`, behind a `quote` at this nesting. It ends at a quote of the same nesting,
/// or of a lower one: there the text ends that it stands in.
pub(super) fn string(text: &str, start: usize, quote: u8, own: u32) -> Quoted {
    let bytes = text.as_bytes();
    let mut at = start;
    let mut backslashes = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(quote, b'\\', rest)).map(|found| at + found) {
        if found > at {
            backslashes = 0;
        }
        at = found + 1;
        if bytes.get(found) == Some(&b'\\') {
            backslashes += 1;
            continue;
        }
        let nesting = nesting(backslashes);
        if nesting <= own {
            let end = found - escapes(nesting);
            let closed = nesting == own;
            return Quoted { content: start..end, next: if closed { at } else { end }, closed };
        }
        backslashes = 0;
    }
    Quoted { content: start..bytes.len(), next: bytes.len(), closed: false }
}

/// Reads the string whose content starts at `start` and whose quotes are doubled, as CSV does.
pub(super) fn doubled_string(text: &str, start: usize) -> Quoted {
    let closing = text.get(start..).and_then(|rest| rest.find("\"\"")).map(|at| start + at);
    let end = closing.unwrap_or(text.len());
    Quoted { content: start..end, next: closing.map_or(end, |at| at + 2), closed: closing.is_some() }
}

/// Returns where the array or object at `start` ends, whose strings have quotes at this nesting.
pub(super) fn container_end(text: &str, start: usize, own: u32) -> usize {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut backslashes = 0;
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            b'\\' => {
                backslashes += 1;
                continue;
            }
            b'"' if nesting(backslashes) < own => return at - escapes(nesting(backslashes)),
            b'"' if nesting(backslashes) == own => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        backslashes = 0;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, own: u32, content: &str, next: &str, closed: bool) {
        let quoted = string(text, 0, b'"', own);
        assert_eq!((&text[quoted.content], &text[quoted.next..], quoted.closed), (content, next, closed), "{text}");
    }

    #[test]
    fn a_string_ends_at_a_quote_of_its_own_nesting() {
        reads(r#"a",b"#, 0, "a", ",b", true);
        reads(r#"a\"b",c"#, 0, r#"a\"b"#, ",c", true);
        reads(r#"a\\",c"#, 0, r"a\\", ",c", true);
        reads(r#"a\",c"#, 1, "a", ",c", true);
        reads(r#"a\\\"b\",c"#, 1, r#"a\\\"b"#, ",c", true);
        reads(r#"a\\\\\",c"#, 1, r"a\\\\", ",c", true);
    }

    #[test]
    fn a_string_ends_with_the_text_that_it_stands_in() {
        reads(r#"a","b"#, 1, "a", r#"","b"#, false);
        reads(r#"a\",\"b"#, 2, "a", r#"\",\"b"#, false);
        reads(r"a\", 0, r"a\", "", false);
    }

    #[test]
    fn a_container_ends_at_its_bracket_and_not_at_one_in_a_string() {
        assert_eq!(container_end(r#"{"a":["}"]} "#, 0, 0), 11);
        assert_eq!(container_end(r#"[\"]\"] "#, 0, 1), 7);
        assert_eq!(container_end(r#"[\"a","b"#, 0, 1), 4);
        assert_eq!(container_end("[[]", 0, 0), 3);
    }
}
