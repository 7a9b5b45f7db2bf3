//! Where a value ends that has no quotes: what that is depends on what it stands in.

use crate::header_map::{goes_on, is_header, scheme, starts_parameter, starts_with_scheme};

/// What a value stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// A parameter of a URL or form.
    Parameter,
    /// A header line, or what looks like one, in the quote that stands before its name.
    Line(Option<char>),
    /// JSON: a number, or what a template left there.
    Scalar,
    /// Prose or `name=value` pairs behind each other.
    Word,
}

/// Longest name that is looked for behind a comma, in bytes. Header names are shorter.
const LONGEST_NAME: usize = 128;

/// Returns the length of the value at the start of `text` that belongs to `name`.
pub(super) fn end(text: &str, name: &str, ending: Ending) -> usize {
    let bytes = text.as_bytes();
    let stop = |stops: fn(u8) -> bool| bytes.iter().position(|byte| stops(*byte)).unwrap_or(bytes.len());
    match ending {
        Ending::Parameter => trimmed(text, before_escapes(text, stop(ends_parameter))),
        Ending::Line(quote) => line(text, name, quote),
        Ending::Scalar => {
            let end = before_escapes(text, stop(|byte| matches!(byte, b',' | b'}' | b']' | b'"' | b'\n' | b'\r')));
            text.get(..end).map_or(0, |value| value.trim_end().len())
        }
        Ending::Word => word(text, name),
    }
}

/// Returns how the value of `name` ends behind a `:` where no map or quotes tell: with its line if it can hold spaces.
pub(super) fn behind_colon(text: &str, name: &str, starts_line: bool, quote: Option<char>) -> Ending {
    // What these words end is one word, or a scheme and one.
    let one_word = ["token", "key", "signature", "credential"];
    let ends = |word: &str| {
        let tail = name.len().checked_sub(word.len()).and_then(|at| name.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(word))
    };
    let takes_line = if starts_line {
        !one_word.into_iter().any(ends)
    } else {
        is_cookie(name) || is_authorization(name) && credential(text).is_none()
    };
    if takes_line { Ending::Line(quote) } else { Ending::Word }
}

/// Returns whether `text` starts with a name and a `=`.
pub(super) fn starts_pair(text: &str) -> bool {
    next_name(text).is_some_and(|(_, separator)| separator == b'=')
}

fn is_authorization(name: &str) -> bool {
    ["authorization", "proxy-authorization"].iter().any(|header| header.eq_ignore_ascii_case(name))
}

fn is_cookie(name: &str) -> bool {
    ["cookie", "set-cookie"].iter().any(|header| header.eq_ignore_ascii_case(name))
}

/// Returns whether a parameter of a URL ends at this byte.
pub(super) fn ends_parameter(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'&' | b'#' | b'"' | b'<' | b'>')
}

/// Reads the name at the start of `text`, and the `=` or `:` behind it.
fn next_name(text: &str) -> Option<(&str, u8)> {
    let bytes = text.as_bytes().iter().take(LONGEST_NAME);
    let length = bytes.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')).count();
    let separator = *text.as_bytes().get(length)?;
    (length > 0 && matches!(separator, b'=' | b':')).then(|| (text.get(..length).unwrap_or_default(), separator))
}

/// Ends with the line, at the quote that the line stands in, or where the next pair starts.
fn line(text: &str, name: &str, quote: Option<char>) -> usize {
    // The end of Base64 is not a name: `abc=`.
    let pair_follows = |text: &str| {
        next_name(text).is_some_and(|(name, separator)| {
            let value = text.as_bytes().get(name.len() + 1);
            separator == b':' || value.is_some_and(|byte| !byte.is_ascii_whitespace() && !b"=\"\\&<".contains(byte))
        })
    };
    let bytes = text.as_bytes();
    let header = is_authorization(name) || is_cookie(name);
    let credential = if header { 0 } else { credential(text).unwrap_or_default() };
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' | b'\r' => return trimmed(text, at),
            b'"' | b'\'' if quote == Some(char::from(*byte)) => return before_escapes(text, at),
            b',' | b';' => {
                let (_, rest) = split_blanks(text.get(at + 1..).unwrap_or_default());
                let value = text.get(..at).unwrap_or_default();
                let ends = |(next, separator): (&str, u8)| match separator {
                    b':' => !is_cookie(name) || is_header(next),
                    _ if *byte == b';' && is_cookie(name) => false,
                    _ if matches!(rest.as_bytes().get(next.len() + 1), Some(b'=' | b'&' | b'<')) => false,
                    _ => !goes_on(name, value, rest, next.len()),
                };
                if next_name(rest).is_some_and(ends) {
                    return trimmed(text, at);
                }
            }
            b' ' if !header && at >= credential && pair_follows(text.get(at + 1..).unwrap_or_default()) => {
                return trimmed(text, at);
            }
            _ => {}
        }
    }
    trimmed(text, bytes.len())
}

/// Ends with the word, or the words of a credential, or where the next pair starts.
fn word(text: &str, name: &str) -> usize {
    if let Some(end) = credential(text) {
        return end;
    }
    let mut end = one_word(text, name);
    // The pairs of a cookie: `a=b; c=d`.
    while is_cookie(name) && text.get(..end).is_some_and(|value| value.ends_with(';')) {
        let (gap, rest) = split_blanks(text.get(end..).unwrap_or_default());
        if gap == 0 || !starts_pair(rest) {
            break;
        }
        end += gap + one_word(rest, name);
    }
    trimmed(text, end)
}

/// Returns where the credential at the start of `text` ends, if one starts there by its scheme: `Bearer abc`.
fn credential(text: &str) -> Option<usize> {
    let scheme = scheme(text)?;
    let (gap, rest) = split_blanks(text.get(scheme..)?);
    if starts_parameter(rest) && (starts_with_scheme(text) || starts_list(rest)) {
        return Some(line(text, "authorization", None));
    }
    if !starts_with_scheme(text) {
        return None;
    }
    Some(scheme + gap + trimmed(rest, one_word(rest, "")))
}

/// Returns whether another parameter follows the one that `text` starts with: `id=7, mac=a`.
fn starts_list(text: &str) -> bool {
    let end = text.bytes().take(LONGEST_NAME).position(|byte| byte == b',' || byte.is_ascii_whitespace());
    let rest = end.and_then(|end| text.get(end..)).and_then(|rest| rest.strip_prefix(','));
    rest.is_some_and(|rest| starts_parameter(rest.trim_start()))
}

fn one_word(text: &str, name: &str) -> usize {
    let bytes = text.as_bytes();
    let ends = |(at, byte): (usize, &u8)| match byte {
        b',' => starts_pair(text.get(at + 1..).unwrap_or_default()),
        b';' => !is_cookie(name) && starts_pair(text.get(at + 1..).unwrap_or_default()),
        _ => byte.is_ascii_whitespace() || matches!(byte, b'&' | b'"' | b'<' | b'>'),
    };
    let end = bytes.iter().enumerate().position(ends).unwrap_or(bytes.len());
    before_escapes(text, end)
}

/// Returns how many blanks `text` starts with, and what follows them.
fn split_blanks(text: &str) -> (usize, &str) {
    let rest = text.trim_start_matches([' ', '\t']);
    (text.len() - rest.len(), rest)
}

/// Leaves out the backslashes before the quote at `end`.
fn before_escapes(text: &str, end: usize) -> usize {
    if matches!(text.as_bytes().get(end), Some(b'"' | b'\'')) {
        text.get(..end).map_or(end, |value| value.trim_end_matches('\\').len())
    } else {
        end
    }
}

/// Leaves out the punctuation at the end of a value, which belongs to the sentence around it.
fn trimmed(text: &str, end: usize) -> usize {
    let punctuation = [',', ';', '.', ')', ']', '}', '\'', ' ', '\t'];
    text.get(..end).map_or(end, |value| value.trim_end_matches(punctuation).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn ends(ending: Ending, name: &str, text: &str, expected: &str) {
        assert_eq!(&text[..end(text, name, ending)], expected, "{name}, {text}");
    }

    #[test]
    fn a_parameter_ends_at_the_next_or_with_the_url() {
        for behind in ["", "&a=b", "#a", " a", "\"", "\\\"", "<", "), see", ".", ", a"] {
            ends(Ending::Parameter, "token", &format!("a,b;c=d'e{behind}"), "a,b;c=d'e");
        }
    }

    #[test]
    fn a_line_ends_at_its_end_its_quote_or_the_next_pair() {
        ends(Ending::Line(None), "Cookie", "a=b; c=d\r\nHost: h", "a=b; c=d");
        ends(Ending::Line(Some('"')), "Cookie", "a='b'\\\", c", "a='b'");
        ends(Ending::Line(None), "Authorization", "Basic a, Basic b, Host: h", "Basic a, Basic b");
        ends(Ending::Line(None), "password", "a b c, user: joe", "a b c");
        ends(Ending::Line(None), "password", "a b c user=joe", "a b c");
        ends(Ending::Line(None), "password", "a YQ== b", "a YQ== b");
    }

    #[test]
    fn a_word_ends_at_space_and_before_the_punctuation_around_it() {
        ends(Ending::Word, "token", "abc. Then", "abc");
        ends(Ending::Word, "token", "a.b,c;d e", "a.b,c;d");
        ends(Ending::Word, "password", "abc;User=joe", "abc");
        ends(Ending::Word, "password", "abc,user=joe", "abc");
        ends(Ending::Word, "token", "bearer abc, def", "bearer abc");
        ends(Ending::Word, "Cookie", "a=b;c=d; e=f g", "a=b;c=d; e=f");
        ends(
            Ending::Word,
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=a, Signature=b, Host=d",
            "AWS4-HMAC-SHA256 Credential=a, Signature=b",
        );
    }

    #[test]
    fn a_json_value_ends_at_what_follows_it_in_json() {
        ends(Ending::Scalar, "", "12 , 3", "12");
        ends(Ending::Scalar, "", "a b}", "a b");
        ends(Ending::Scalar, "", "a\\\"", "a");
    }

    #[test]
    fn only_what_can_hold_spaces_takes_its_line() {
        let takes =
            |name: &str, starts_line: bool| behind_colon("abc def", name, starts_line, None) == Ending::Line(None);
        assert!(
            takes("Cookie", false)
                && takes("Authorization", false)
                && takes("password", true)
                && takes("X-Session", true)
        );
        assert!(!takes("password", false) && !takes("x-api-KEY", true) && !takes("token", true));
        assert_eq!(behind_colon("Bearer abc def", "Authorization", false, None), Ending::Word);
    }
}
