//! Credentials that are recognised by their form, whatever stands before them: JSON Web Tokens, PEM private keys, and the password
//! in a URL.

use std::ops::Range;

use memchr::{memchr, memmem, memrchr};

use super::REDACTED;
use super::encoding::Edit;
use super::name::Quotes;
use super::scan::Scan;
use crate::json::Cursor;

/// How a token begins: `{"` in Base64.
const TOKEN: &[u8] = b"eyJ";

/// How a key in PEM begins and ends (RFC 7468). Dashes and a word stand behind.
const BEGIN: &[u8] = b"-----BEGIN";
const END: &[u8] = b"-----END";

/// Bytes of a URL's authority, at most.
const LONGEST_AUTHORITY: usize = 512;

/// Most parts of a token: an encrypted one has five (RFC 7516), a signed one three.
const MAX_PARTS: usize = 5;

/// Members of a token's header, one of which stands first or soon (RFC 7515, section 4.1).
const HEADER_MEMBERS: [&[u8]; 6] = [b"\"alg\"", b"\"enc\"", b"\"typ\"", b"\"cty\"", b"\"kid\"", b"\"x5t\""];

/// Returns whether there can be one around the letter that `behind` starts with: the `J` of a token, the `V` of a private key,
/// which few other texts hold. The password of a URL is recognised by the `:` before it.
pub(super) fn may_be_around(before: &[u8], behind: &[u8]) -> bool {
    match behind.first() {
        Some(b'J') => before.ends_with(b"ey"),
        Some(b'V') => before.ends_with(b"PRI") && behind.starts_with(b"VATE"),
        _ => false,
    }
}

impl Scan<'_> {
    /// Hides the values that are recognised by their form.
    pub(super) fn values(&mut self) {
        let text = self.text;
        let edits = &mut self.edits;
        let mut hide = |Range { start, end }: Range<usize>| edits.push(Edit { start, end, with: REDACTED.into() });
        find(text, &mut hide);
        for kind in &self.rules.values {
            kind.find(text, &mut hide);
        }
    }

    /// Hides a number or word of JSON that is one of the kinds of values to hide: as a string, so that JSON stays JSON.
    pub(super) fn scalar(&mut self, range: Range<usize>) {
        let text = self.text.get(range.clone()).unwrap_or_default();
        let mut is_found = false;
        self.rules.values.iter().for_each(|kind| kind.find(text, |_| is_found = true));
        if is_found {
            self.hide_json_value(range.start, Quotes::JSON);
        }
    }
}

/// Finds all that are in `text`.
fn find(text: &str, mut found: impl FnMut(Range<usize>)) {
    tokens(text, &mut found);
    keys(text, &mut found);
    let bytes = text.as_bytes();
    memmem::find_iter(bytes, b"//").filter_map(|at| url_password(text, at)).for_each(&mut found);
    memmem::find_iter(bytes, b"\\/\\/").filter_map(|at| url_password(text, at)).for_each(&mut found);
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn tokens(text: &str, found: &mut impl FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    for start in memmem::find_iter(bytes, TOKEN) {
        if !starts_word(bytes.get(..start).unwrap_or_default()) {
            continue;
        }
        let rest = bytes.get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| !is_base64(*byte) && *byte != b'.').unwrap_or(rest.len());
        let token = text.get(start..start + length).unwrap_or_default();
        if is_token(token, length == rest.len()) {
            found(start..start + length);
        }
    }
}

/// Returns whether what follows `before` is a word of its own: behind an escape, too.
fn starts_word(before: &[u8]) -> bool {
    match before {
        [] | [.., b'\\', _] => true,
        [.., b'%', high, low] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        [.., b'\\', b'u', _, _, _, _] => true,
        [.., last] => !is_base64(*last) && *last != b'.',
    }
}

/// Returns whether a word is a token, or what is left of one where the text ends.
fn is_token(word: &str, is_cut: bool) -> bool {
    let mut parts = word.split('.');
    let header = parts.next().unwrap_or_default();
    let behind: Vec<&str> = parts.take(MAX_PARTS).collect();
    match behind.as_slice() {
        [] => is_cut && begins_header(header),
        [payload] => (is_cut || payload.starts_with("eyJ")) && is_header(header),
        [payload, ..] => is_header(header) && (!payload.is_empty() || behind.len() == MAX_PARTS - 1),
    }
}

fn is_header(part: &str) -> bool {
    let json = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(part).ok().and_then(|json| String::from_utf8(json).ok());
    json.is_some_and(|json| {
        let mut cursor = Cursor::new(&json);
        cursor.open().is_ok() && Cursor::new(&json).value().is_ok()
    })
}

/// Returns whether a part that was cut is the beginning of a token's header, and not of other JSON.
fn begins_header(part: &str) -> bool {
    let whole = part.get(..part.len() / 4 * 4).unwrap_or_default();
    let json = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(whole).unwrap_or_default();
    HEADER_MEMBERS.iter().any(|member| memmem::find(&json, member).is_some())
}

fn keys(text: &str, found: &mut impl FnMut(Range<usize>)) {
    /// Bytes of what a key is called, at most: `ENCRYPTED PRIVATE KEY`, `PGP PRIVATE KEY BLOCK`.
    const LONGEST_LABEL: usize = 64;
    let bytes = text.as_bytes();
    let mut hidden_to = 0;
    let mut has_end = true;
    for at in memmem::find_iter(bytes, BEGIN) {
        let label = bytes.get(at + BEGIN.len()..).unwrap_or_default();
        let label = label.get(..LONGEST_LABEL).unwrap_or(label);
        let Some(length) = memmem::find(label, b"-----") else { continue };
        let is_private = label
            .get(..length)
            .is_some_and(|label| memmem::find(label, b"PRIVATE").is_some() && memmem::find(label, b"KEY").is_some());
        if at < hidden_to || !is_private {
            continue;
        }
        let start = at + BEGIN.len() + length + b"-----".len();
        let body = bytes.get(start..).unwrap_or_default();
        let end = if has_end { memmem::find(body, END) } else { None };
        has_end = end.is_some();
        let stop = body.iter().position(|byte| matches!(byte, b'"' | b'\'' | b'<' | b'&' | b'}' | b'`'));
        let length = end.unwrap_or(body.len()).min(stop.unwrap_or(body.len()));
        // A quote that ends it may be escaped, and stays so.
        let escapes = body.iter().take(length).rev().take_while(|byte| **byte == b'\\').count();
        let length = length - escapes;
        hidden_to = start + length;
        if !text.get(start..hidden_to).is_some_and(is_blank) {
            found(start..hidden_to);
        }
    }
}

/// Returns whether nothing is between two marks but line feeds, or what was put in the place of a value.
fn is_blank(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\\' || c == 'n' || c == 'r');
    text.is_empty() || text.starts_with(REDACTED)
}

/// Finds the password in the URL whose `//`, or `\/\/`, is at `at`: `https://user:password@host`.
pub(super) fn url_password(text: &str, at: usize) -> Option<Range<usize>> {
    let scheme = text.get(..at)?;
    let scheme = scheme.strip_suffix('\\').unwrap_or(scheme).strip_suffix(':')?;
    let start = at + if text.get(at..)?.starts_with("\\/\\/") { 4 } else { 2 };
    if !scheme.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let rest = text.as_bytes().get(start..)?;
    let rest = rest.get(..LONGEST_AUTHORITY).unwrap_or(rest);
    let ends_word = |byte: &u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || b"\"'<>`,".contains(byte);
    let authority = rest.iter().position(|byte| ends_word(byte) || b"/?#\\".contains(byte)).unwrap_or(rest.len());
    let authority = rest.get(..authority)?;
    let user = memchr(b':', authority).filter(|_| !authority.starts_with(b"["))?;
    let behind = authority.get(user + 1..)?;
    let end = match memrchr(b'@', authority) {
        Some(end) if end > user => end,
        Some(_) => return None,
        None if behind.iter().all(u8::is_ascii_digit) => return None,
        None => {
            let is_cut = authority.len() == text.len() - start;
            // A `/` that nobody encoded.
            let word = memchr(b'@', rest).map(|_| rest.iter().position(ends_word).unwrap_or(rest.len()));
            let end = word.and_then(|word| memrchr(b'@', rest.get(..word)?));
            end.or(Some(authority.len()).filter(|_| is_cut))?
        }
    };
    let (from, to) = (start + user + 1, start + end);
    let password = text.get(from..to)?;
    (!password.is_empty() && password != REDACTED).then_some(from..to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(text: &str, expected: &[&str]) {
        let mut found = Vec::new();
        find(text, |range| found.push(&text[range]));
        assert_eq!(found, expected, "{text}");
    }

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";

    #[test]
    fn tokens_are_three_parts_of_which_the_first_is_a_json_object() {
        finds(&format!("a {TOKEN}, b"), &[TOKEN]);
        finds(&format!("x%20{TOKEN}&\\n{TOKEN}"), &[TOKEN, TOKEN]);
        finds("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", &["eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."]);
        finds("eyJhbGciOiJkaXIifQ..aXY.dGV4dA.dGFn", &["eyJhbGciOiJkaXIifQ..aXY.dGV4dA.dGFn"]);
        finds(&format!("x{TOKEN} x.{TOKEN}"), &[]);
        finds("eyJub3QgSlNPTg.eyJh.b", &[]);
        finds("cursor=eyJpZCI6MX0", &[]);
        finds("cursor eyJpZCI6MX0, next", &[]);
    }

    #[test]
    fn a_token_that_was_cut_is_one_as_soon_as_it_says_so() {
        for end in 13..TOKEN.len() {
            finds(&TOKEN[..end], &[&TOKEN[..end]]);
        }
    }

    #[test]
    fn the_inside_of_a_private_key_is_found_whole_or_cut() {
        finds("-----BEGIN PRIVATE KEY-----\nMII\nabc=\n-----END PRIVATE KEY-----\n", &["\nMII\nabc=\n"]);
        finds(r#"{"k":"-----BEGIN EC PRIVATE KEY-----\nMII","b":1}"#, &[r"\nMII"]);
        finds("k=-----BEGIN+RSA+PRIVATE+KEY-----%0AMII%2B", &["%0AMII%2B"]);
        finds("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----", &[]);
        finds(r#"{\"k\":\"-----BEGIN PRIVATE KEY-----MII\",\"b\":1}"#, &["MII"]);
        finds("-----BEGIN PRIVATE KEY-----[REDACTED]-----END PRIVATE KEY-----", &[]);
        finds("-----BEGIN PRIVATE KEY-----\n", &[]);
    }

    #[test]
    fn of_a_url_the_password_is_found_and_no_port() {
        finds("https://joe:pw@h/a redis://:p%40w@h:1", &["pw", "p%40w"]);
        finds("postgres://joe:p@w@h/db", &["p@w"]);
        finds("postgres://joe:p/w#x@h/db to joe@h", &["p/w#x"]);
        finds(r"https:\/\/joe:pw@h\/", &["pw"]);
        finds("https://joe:p", &["p"]);
        for text in [
            "https://h:8080/@a",
            "https://joe@h:1/",
            "https://h/a:b@c",
            "https://[2001:db8::1]:443/",
            "https://joe:@h",
            "https://joe:[REDACTED]@h",
            "https://h:1",
            "git@h:a/b",
            "arn:aws:iam::1:a//b:c@d",
        ] {
            finds(text, &[]);
        }
    }
}
