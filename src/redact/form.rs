//! Forms (`application/x-www-form-urlencoded`): what tells one, and its pairs.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use super::encoding::Encoding;
use super::names::Names;
use super::scan::Scan;

/// Returns whether the whole of `text` is a form: `name=value` pairs with `&` between.
///
/// White space, which an encoder never leaves but a careless client does, is taken in the values of several pairs as long as
/// no other `=` follows it: a log line of words and pairs is not a form. Where the text is known to be a query, one pair is enough.
pub(super) fn is_form(names: &Names, text: &str, is_query: bool) -> bool {
    let text = text.trim_end();
    let mut pairs = 0;
    let mut spaces = false;
    // A list in brackets.
    if text.starts_with('[') {
        return false;
    }
    for pair in text.split('&') {
        let name = pair.bytes().take_while(|byte| is_name(*byte)).count();
        let name = names.odd_at_start(pair).unwrap_or(name);
        let separator = pair.as_bytes().get(name);
        if !matches!(separator, Some(b'=') | None) || pairs == 0 && (name == 0 || separator.is_none()) {
            return false;
        }
        let mut in_words = false;
        for byte in pair.bytes().skip(name + 1) {
            match byte {
                b'\n' | b'\r' => return false,
                b' ' | b'\t' => in_words = true,
                b'=' if in_words => return false,
                _ => {}
            }
        }
        spaces |= in_words;
        pairs += 1;
    }
    pairs > 1 || !spaces || is_query
}

impl Scan<'_> {
    /// Takes the whole text as a form: the values of hidden names go, the others are searched.
    pub(super) fn form(&mut self) {
        let text = self.text;
        for Range { start, end } in pairs(text) {
            let Some(sep) = memchr(b'=', text.get(start..end).unwrap_or_default().as_bytes()) else { continue };
            let sep = start + sep;
            if self.rules.names.hide(text.get(start..sep).unwrap_or_default(), true) {
                self.hide(sep + 1..end);
            } else {
                self.inside(sep + 1..end, Encoding::Plain);
            }
        }
    }
}

/// Returns where the pairs of a form stand.
fn pairs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let end = text.trim_end().len();
    let mut start = 0;
    let ends = memchr_iter(b'&', text.as_bytes()).filter(move |at| *at < end).chain([end]);
    ends.map(move |at| std::mem::replace(&mut start, at + 1)..at)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'%' | b'+' | b'*' | b'$' | b'[' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_told_from_other_texts_with_equals_signs() {
        let names = Names::new(["card number"]);
        let is_form = |text: &str, is_query| is_form(&names, text, is_query);
        for text in [
            "a=b",
            "a=",
            "a=b&c",
            "a=b&&c=d\r\n",
            "user%5Bname%5D=x&p=my pass",
            "a=b=c",
            "a[b]=c",
            "--a=b",
            "card number=1&a=b",
        ] {
            assert!(is_form(text, false), "{text}");
        }
        for text in [
            "",
            "=",
            "&a=b",
            "a",
            "a b=c",
            "a=b c=d",
            "a=b c",
            "https://h/?a=b",
            "a: b=c",
            "a=b\nc=d",
            "{a=b}",
            "[a=b]",
            "a number=1&a=b",
            "a=b&c: d",
        ] {
            assert!(!is_form(text, false), "{text}");
        }
    }

    #[test]
    fn pairs_are_split_at_ampersands_and_lose_no_byte_but_the_line_end() {
        let text = "a=b&&c=d\n";
        let split: Vec<&str> = pairs(text).map(|range| &text[range]).collect();
        assert_eq!(split, ["a=b", "", "c=d"]);
    }
}
