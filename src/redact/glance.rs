//! The quick look at a text that says whether it has to be searched at all: nearly none has.
//!
//! It may take too many texts, and none too few. So each notation has a sign here, and one pass looks for all of them.

use memchr::{memchr, memchr_iter, memchr2_iter};

use super::encoding::refers_to_sign;
use super::names::{Names, is_cookie_list, is_value_key, starts_prefix};
use super::{Rules, looks, multipart, name, xml};
use crate::json;

/// Returns whether there can be anything to hide in `text`, however it is encoded. Nearly all texts end here.
pub(super) fn may_hide(rules: &Rules, text: &str) -> bool {
    if !rules.values.is_empty() {
        return true;
    }
    let names = &rules.names;
    let bytes = text.as_bytes();
    // Each is looked for once.
    let (mut has_query, mut has_part) = (None, None);
    let mut has_colon = false;
    let found = json::any_sign(bytes, |at| {
        let (before, behind) = bytes.split_at_checked(at).unwrap_or_default();
        match behind {
            // What an escaped character is, only the search tells.
            [b'\\', behind @ ..] => names.have_escapes() || behind.starts_with(b"u"),
            [b'"', ..] => name::quoted(names, text, at, false)
                .is_some_and(|name| names.hide(&name.text, true) || is_cookie_list(&name.text)),
            [b':', next @ ..] => {
                has_colon = true;
                // A name in quotes is looked at where these end.
                !before.ends_with(b"\"")
                    && (matches!(next, [b'/' | b'\\', ..]) && looks::url_password(text, at + 1).is_some()
                        || name::before(names, text, at, false).is_some_and(|name| {
                            names.hide(&name.text, false)
                                || is_cookie_list(&name.text)
                                // The name of a query parameter counts in JSON that has a query.
                                || names.hide(&name.text, true) && *has_query.get_or_insert_with(|| mentions_query(bytes))
                        }))
            }
            [b'=', ..] => {
                names_field(bytes, at) && *has_part.get_or_insert_with(|| multipart::is_in(bytes))
                    || name::before(names, text, at, false).is_some_and(|name| names.hide(&name.text, true))
            }
            [b'%', ..] => encodes_separator(rules, bytes, at),
            [b'<', ..] => xml::opens_hidden(names, text, at),
            [b'&', ..] => refers_to_sign(text.get(at..).unwrap_or_default()),
            [b'z' | b'Z', behind @ ..] => starts_prefix(behind),
            _ => looks::may_be_around(before, behind),
        }
    });
    found || has_colon && ends_in_pair(names, text)
}

/// Returns whether `text` ends within JSON that has the value of a pair: its name may be gone.
fn ends_in_pair(names: &Names, text: &str) -> bool {
    let bytes = text.trim_ascii_end().as_bytes();
    !matches!(bytes.last(), Some(b'}' | b']') | None)
        && memchr(b'{', bytes).is_some()
        && memchr_iter(b':', bytes).any(|at| {
            let name = name::before(names, text, at, true).filter(|name| name.quotes.is_some());
            name.is_some_and(|name| is_value_key(&name.text))
        })
}

/// Returns whether `text` holds the name of a query map.
fn mentions_query(text: &[u8]) -> bool {
    memchr2_iter(b'q', b'Q', text).any(|at| {
        let mut letters = text.iter().skip(at).filter(|byte| !matches!(byte, b'-' | b'_'));
        b"querystring".iter().all(|expected| letters.next().is_some_and(|byte| byte.eq_ignore_ascii_case(expected)))
    })
}

/// Returns whether the `=` at `sep` is that of `name=…`, which names a field of a multipart form.
pub(super) fn names_field(text: &[u8], sep: usize) -> bool {
    let before = text.get(..sep).unwrap_or_default().trim_ascii_end();
    let before = before.strip_suffix(b"*").unwrap_or(before);
    before.len().checked_sub(4).and_then(|at| before.get(at..)).is_some_and(|word| word.eq_ignore_ascii_case(b"name"))
}

/// Returns whether the `%` at `at` starts what matters to the search, encoded once or more: a `=` or `:`, a `<`, a quote, a
/// `[`, or the `@` of an address.
pub(super) fn encodes_separator(rules: &Rules, text: &[u8], at: usize) -> bool {
    let mut digits = at + 1;
    while text.get(digits..digits + 2) == Some(b"25") {
        digits += 2;
    }
    match text.get(digits..digits + 2) {
        Some(b"3D" | b"3d" | b"3A" | b"3a" | b"3C" | b"3c" | b"22" | b"5B" | b"5b") => true,
        Some(b"40") => !rules.values.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scan::find;
    use super::*;

    proptest! {
        #[test]
        fn what_the_quick_look_passes_holds_nothing(
            text in r#"((to|pass|co|si|%74o|\\u0074o|x-amzn-oi|cook)(ken|word|de|g|k%65n|ke\\u006e|dc-data|ies)|name| name|value|form-data;|eyJhbGciOiJub25lIn0|//|&quot;|&lt;|[=:"'\\{}\[\]<>&?,;/@ a.]|\\u003d|%3D|%253A|%22|\n\n){0,12}"#
        ) {
            let rules = Rules::new::<_, &str>([]);
            prop_assert!(may_hide(&rules, &text) || find(&rules, &text).is_empty(), "{text}");
        }
    }
}
