//! The name in front of a `=` or `:`, read backwards.

use std::borrow::Cow;

use super::encoding::Encoding;
use super::names::{Names, is_plain};
use super::quotes;

/// A name in front of a separator.
pub(super) struct Name<'a> {
    /// The name, its encoding undone.
    pub(super) text: Cow<'a, str>,
    /// The character before it, where it has no quotes.
    pub(super) before: Option<char>,
    /// Where it starts.
    pub(super) start: usize,
    pub(super) quotes: Option<Quotes>,
}

/// The quotes of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quotes {
    pub(super) mark: char,
    /// How many JSON strings they stand in.
    pub(super) nesting: u32,
    /// Whether each is two, as in CSV.
    pub(super) doubled: bool,
}

impl Quotes {
    /// Those of JSON that stands in no string.
    pub(super) const JSON: Self = Self { mark: '"', nesting: 0, doubled: false };
}

/// Reads the name before the separator at `sep`; `None` if there is none or it ends like no hidden name.
///
/// `any` also takes names that are not told by their end.
pub(super) fn before<'a>(names: &Names, text: &'a str, sep: usize, any: bool) -> Option<Name<'a>> {
    let bytes = text.as_bytes();
    let mut end = sep;
    while end > 0 && bytes.get(end - 1).is_some_and(u8::is_ascii_whitespace) {
        end -= 1;
    }
    let last = *bytes.get(end.checked_sub(1)?)?;
    // A name of an operator's may itself end in a quote.
    let odd = || names.odd_at_end(text.get(..end)?);
    if matches!(last, b'"' | b'\'') && odd().is_none() {
        return quoted(names, text, end - 1, any);
    }
    if bytes.get(end..sep)?.contains(&b'\n') || !(any || names.may_end(bytes.get(..end)?)) {
        return None;
    }
    if let Some(start) = odd() {
        let before = text.get(..start)?.chars().next_back();
        return Some(Name { text: text.get(start..end)?.into(), before, start, quotes: None });
    }
    let start = if is_plain(last) { run_back(names, text, end, is_plain)? } else { return None };
    Some(bare(names, text, start, end)).filter(|name| !name.before.is_some_and(char::is_alphanumeric))
}

/// Reads the name in quotes whose closing one is at `close`.
pub(super) fn quoted<'a>(names: &Names, text: &'a str, close: usize, any: bool) -> Option<Name<'a>> {
    let bytes = text.as_bytes();
    let mark = *bytes.get(close)?;
    let escapes_before =
        |end: usize| bytes.get(..end).unwrap_or_default().iter().rev().take_while(|byte| **byte == b'\\').count();
    let escapes = escapes_before(close);
    let mut end = close - escapes;
    let doubled = bytes.get(..end)?.last() == Some(&mark);
    if doubled {
        end -= 1;
        end -= escapes_before(end);
    }
    let inside = bytes.get(..end)?;
    // Most quotes open a text.
    let is_name = names.has_odd() || inside.last().is_some_and(|last| is_plain(*last));
    if !is_name || !(any || names.may_end(inside)) {
        return None;
    }
    let start = if names.has_odd() {
        run_back(names, text, end, |byte| byte != mark && byte != b'\n')?
    } else {
        run_back(names, text, end, |byte| is_plain(byte) || byte == b'\\')?
    };
    if start == end || bytes.get(..start)?.last() != Some(&mark) {
        return None;
    }
    let mut name = Cow::Borrowed(text.get(start..end)?);
    while name.contains('\\') {
        name = Encoding::JsonString.decode(&name).into_owned().into();
    }
    let quotes = Quotes { mark: mark.into(), nesting: quotes::nesting(escapes), doubled };
    Some(Name { text: name, before: None, start, quotes: Some(quotes) })
}

/// Reads the name without quotes at `start..end`. Encoded characters that stand before it are told from it.
fn bare<'a>(names: &Names, text: &'a str, start: usize, end: usize) -> Name<'a> {
    let mut before = text.get(..start).and_then(|text| text.chars().next_back());
    let mut name = Cow::Borrowed(text.get(start..end).unwrap_or_default());
    if before == Some('\\') && !names.hide(&name, false) {
        // `\n` or `\u0026` of a string that is not walked as JSON.
        let escape = text.get(start - 1..end).unwrap_or_default();
        let (length, character) = Encoding::JsonString.first_escape(escape);
        before = character;
        name = escape.get(length..).unwrap_or_default().into();
    }
    if name.contains('%') && !names.hide(&name, true) {
        let mut decoded = Encoding::Percent.decode(&name).into_owned();
        if let Some((at, character)) = decoded.char_indices().rfind(|(_, c)| !u8::try_from(*c).is_ok_and(is_plain)) {
            before = Some(character);
            decoded.drain(..at + character.len_utf8());
        }
        name = decoded.into();
    }
    Name { text: name, before, start, quotes: None }
}

/// Returns where the run of bytes that ends at `end` starts; `None` if it is longer than any name.
fn run_back(names: &Names, text: &str, end: usize, in_run: impl Fn(u8) -> bool) -> Option<usize> {
    let floor = end.saturating_sub(names.longest() + 1);
    let bytes = text.as_bytes().get(floor..end)?;
    match bytes.iter().rposition(|byte| !in_run(*byte)) {
        Some(last) => Some(floor + last + 1),
        None if floor == 0 => Some(0),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, expected: Option<(&str, Option<char>)>) {
        let names = Names::new::<_, &str>([]);
        let name = before(&names, text, text.len(), false);
        assert_eq!(name.as_ref().map(|name| (&*name.text, name.before)), expected, "{text}");
    }

    #[test]
    fn a_name_is_read_up_to_its_boundary() {
        reads("token", Some(("token", None)));
        reads("a&access_token", Some(("access_token", Some('&'))));
        reads("é token \t", Some(("token", Some(' '))));
        reads("x-token", Some(("x-token", None)));
        reads("--token", Some(("--token", None)));
        reads("étoken", None);
        reads("token\n", None);
        reads("", None);
        reads("=", None);
    }

    #[test]
    fn encoded_characters_are_read_as_what_they_are() {
        reads("a%26%74oken", Some(("token", Some('&'))));
        reads("toke%6E", Some(("toke%6E", None)));
        reads(r"a\u0026token", Some(("token", Some('&'))));
        reads(r"a\ntoken", Some(("token", Some('\n'))));
        reads(r"a\token", Some(("token", Some('\\'))));
    }

    #[test]
    fn quotes_are_read_with_their_nesting() {
        let nesting = |text: &str| {
            let name = before(&Names::new::<_, &str>([]), text, text.len(), false)?;
            assert_eq!(name.text, "token");
            name.quotes.map(|quotes| (quotes.mark, quotes.nesting, quotes.doubled))
        };
        assert_eq!(nesting(r#""token" "#), Some(('"', 0, false)));
        assert_eq!(nesting(r#"\"tok\\u0065n\""#), Some(('"', 1, false)));
        assert_eq!(nesting(r#"\\\"token\\\""#), Some(('"', 2, false)));
        assert_eq!(nesting(r#"""token"""#), Some(('"', 0, true)));
        assert_eq!(nesting("'token'"), Some(('\'', 0, false)));
        assert_eq!(nesting(r#"a token""#), None);
    }

    #[test]
    fn a_run_longer_than_any_name_is_none() {
        reads(&"token".repeat(100), None);
    }
}
