//! Multipart forms: a part's headers name the field, and its value stands behind a blank line.

use std::ops::Range;

use memchr::memmem;

use super::encoding::Encoding;
use super::quotes;
use super::scan::Scan;

/// What the header of a part says, whose parameters follow.
const DISPOSITION: &[u8] = b"form-data";

/// Bytes of a part's headers behind its disposition, at most: room for names, a file's name and a content type.
const LONGEST_HEAD: usize = 1024;

/// The blank line behind the headers, as it is or as a JSON string has it.
const BLANK_LINES: [&str; 4] = ["\r\n\r\n", "\n\n", "\\r\\n\\r\\n", "\\n\\n"];

/// Returns whether `text` may hold a part of a form.
pub(super) fn is_in(text: &[u8]) -> bool {
    memmem::find(text, DISPOSITION).is_some()
}

impl Scan<'_> {
    /// Hides the value of the part in whose header the `=` at `sep` stands, or searches it; returns where the search goes on.
    /// `None` if no part has it.
    pub(super) fn part(&mut self, sep: usize) -> Option<usize> {
        let text = self.text;
        let before = text.as_bytes().get(sep.saturating_sub(LONGEST_HEAD)..sep)?;
        let at = sep - before.len() + memmem::rfind(before, DISPOSITION)? + DISPOSITION.len();
        let head = self.rest(at);
        let head = head.get(..head.floor_char_boundary(LONGEST_HEAD))?;
        let (end, length) = BLANK_LINES.iter().filter_map(|line| Some((head.find(line)?, line.len()))).min()?;
        let head = head.get(..end)?;
        // In XML, the form is read without its references.
        if at + end < sep || head.contains("quot;") {
            return None;
        }
        let value = value(text, at + end + length, head.contains("=\""));
        let next = value.end;
        if self.rules.names.hide(field(head)?, true) {
            self.hide(value);
        } else {
            self.inside(value, Encoding::Plain);
        }
        Some(next)
    }
}

/// Reads the field's name among the parameters of a disposition: `; filename="a"; name=b`.
fn field(head: &str) -> Option<&str> {
    let line = head.split(['\n', '\r']).next().unwrap_or_default();
    let mut rest = line;
    while let Some((_, parameter)) = rest.split_once(';') {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim_start_matches([' ', '\\']);
        let (value, behind) = match value.strip_prefix(['"', '\'']) {
            Some(quoted) => quoted.split_once(['"', '\'']).unwrap_or((quoted, "")),
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        if name.trim().trim_end_matches('*').eq_ignore_ascii_case("name") {
            return Some(value.trim_end_matches('\\').trim());
        }
        rest = behind;
    }
    None
}

/// Returns where the value stands that starts at `start`, behind a blank line that is escaped or not. An escaped one ends with
/// its string, which is none where quotes are bare.
fn value(text: &str, start: usize, has_quotes: bool) -> Range<usize> {
    let is_escaped = text.get(..start).is_some_and(|before| before.ends_with("\\n"));
    let end = if is_escaped && !has_quotes { quotes::string(text, start, b'"', 0).content.end } else { text.len() };
    let value = text.get(start..end).unwrap_or_default();
    // How the next part, or the end, begins.
    let end = value.find(if is_escaped { "\\n--" } else { "\n--" }).unwrap_or(value.len());
    let value = value.get(..end).unwrap_or_default();
    let value = value.strip_suffix('\r').or_else(|| value.strip_suffix("\\r")).unwrap_or(value);
    start..start + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_by_a_parameter_in_any_place_and_with_quotes_or_without() {
        for head in [
            "; name=\"pin\"",
            ";name=pin",
            "; NAME = pin \r\nContent-Type: text/plain; name=x",
            "; filename=\"a;b\"; name='pin'",
            "; filename=a; name*=pin",
            r#"; name=\"pin\""#,
        ] {
            assert_eq!(field(head), Some("pin"), "{head}");
        }
        for head in ["", "; filename=pin", "; names=pin", ": name=pin", "\n; name=pin"] {
            assert_eq!(field(head), None, "{head}");
        }
    }
}
