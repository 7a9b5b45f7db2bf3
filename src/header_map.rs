//! A map as Java prints it: `{Accept=*/*, X-Forwarded-For=192.0.2.7, 198.51.100.1, Host=a.test}`.
//!
//! Nothing is escaped: a value may hold `, ` and `=` itself. An entry therefore starts only at `, ` before a name and
//! `=`, and where a header may go on in that very form, it does: a known list (`Cache-Control=no-cache, max-age=0`) with its
//! own parameters, a credential or a cookie with all that is not a header. That matters most for credentials: a signature that
//! came apart from its header would not be hidden. A list or map in a value stays in it: `{query={a=b, c=d}, path=/}`.
//!
//! The execution log is read by this, and so is every map that the redactor meets in a text.

use std::ops::Range;

use memchr::{memchr_iter, memchr2};

/// What the names of a map are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// HTTP field names: tokens of RFC 9110, section 5.6.2, without the `&`, which none has and queries part their pairs with.
    Headers,
    /// Names of path parameters, percent-encoding undone.
    Path,
    /// Names of query parameters, percent-encoding undone.
    Query,
}

/// Headers whose values are schemes with parameters: what follows a parameter is one more, unless it is a header.
const CREDENTIALS: &[&str] =
    &["authentication-info", "authorization", "proxy-authenticate", "proxy-authorization", "www-authenticate"];

/// First words of a credential that consists of several (RFC 9110, section 11.4).
const SCHEMES: &[&str] = &[
    "apikey",
    "aws4-ecdsa-p256-sha256",
    "aws4-hmac-sha256",
    "basic",
    "bearer",
    "digest",
    "dpop",
    "hawk",
    "hmac",
    "mac",
    "negotiate",
    "ntlm",
    "oauth",
    "sharedkey",
    "signature",
    "token",
];

/// Parameters of a credential that are named like a header.
const PARAMETERS: &[&str] = &["date", "host", "from", "key-id", "user-id"];

/// Other list headers with the parameters that may follow `, ` in their values.
const LISTS: &[(&str, &[&str])] = &[
    ("alt-svc", &["h2", "h3", "h3-29"]),
    (
        "cache-control",
        &[
            "max-age",
            "max-stale",
            "min-fresh",
            "no-cache",
            "private",
            "s-maxage",
            "stale-if-error",
            "stale-while-revalidate",
        ],
    ),
    ("forwarded", &["by", "for"]),
    ("keep-alive", &["max", "timeout"]),
];

/// Attributes of a cookie (RFC 6265): they tell a further cookie from a header that follows `Set-Cookie`.
const COOKIE_ATTRIBUTES: &[&str] =
    &["domain", "expires", "httponly", "max-age", "partitioned", "path", "samesite", "secure"];

/// Headers of one word. Those of several are recognised by the dash.
const ONE_WORD: &[&str] = &[
    "accept",
    "age",
    "allow",
    "authorization",
    "baggage",
    "connection",
    "cookie",
    "date",
    "dnt",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "from",
    "host",
    "link",
    "location",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "server",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "upgrade",
    "vary",
    "via",
    "warning",
];

/// How the names of headers of several words begin, where they are written small.
const FAMILIES: &[&str] = &[
    "accept-",
    "access-control-",
    "alt-",
    "apigw-",
    "cache-",
    "cdn-",
    "cf-",
    "cloudfront-",
    "content-",
    "cross-origin-",
    "if-",
    "keep-",
    "last-",
    "max-forwards",
    "permissions-",
    "proxy-",
    "referrer-",
    "retry-",
    "sec-",
    "server-",
    "set-cookie",
    "strict-",
    "transfer-",
    "true-client-ip",
    "upgrade-",
    "user-agent",
    "www-",
    "x-",
];

/// Longest name that is looked for in a value, in bytes. Names of headers and parameters are shorter.
const LONGEST_NAME: usize = 128;

/// Takes the braces off a map; `None` if `text` is not one. `cut` says that the end, with its brace, is missing.
pub(crate) fn inside(text: &str, names: Names, cut: bool) -> Option<&str> {
    let inside = text.trim().strip_prefix('{')?;
    let inside = if cut { inside } else { inside.strip_suffix('}').unwrap_or(inside) };
    (inside.is_empty() || name_at(inside, 0, names).is_some()).then_some(inside)
}

/// Walks the entries of a map, given as [`inside`] returns it, in their order. A name may come again.
pub(crate) fn entries(inside: &str, names: Names) -> impl Iterator<Item = (&str, &str)> {
    places(inside, names).filter_map(|entry| Some((inside.get(entry.name)?, inside.get(entry.value)?)))
}

/// Returns whether `text` starts with an entry of a map.
pub(crate) fn starts_entry(text: &str, names: Names) -> bool {
    name_at(text, 0, names).is_some()
}

/// Where an entry of a map stands in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// Walks the places of the entries of a map, given as [`inside`] returns it.
pub(crate) fn places(inside: &str, names: Names) -> Entries<'_> {
    let next = name_at(inside, 0, names);
    Entries { inside, next, names, nests: memchr2(b'{', b'[', inside.as_bytes()).is_some() }
}

/// Returns where the map ends whose brace is at `open`, its own brace not counted: the end of the line if it was cut.
///
/// A value may hold a brace. So a brace counts only where no word goes on behind it, and the last one of the line does unless
/// another map or a quote comes before that.
pub(crate) fn end(text: &str, open: usize) -> usize {
    let line = text.get(open..).unwrap_or_default();
    let line = line.get(..line.find(['\n', '\r']).unwrap_or(line.len())).unwrap_or_default();
    let bytes = line.as_bytes();
    let mut depth = 0_usize;
    let mut first = None;
    for (at, byte) in bytes.iter().enumerate() {
        let next = bytes.get(at + 1);
        match byte {
            b'{' if first.is_some() => break,
            b'{' => depth += 1,
            b'"' | b'\'' | b'\\' if first.is_some_and(|first| first + 1 == at) => break,
            b'&' if first.is_some_and(|first| first + 1 == at)
                && line.get(at..).is_some_and(|rest| rest.starts_with("&quot;")) =>
            {
                break;
            }
            b'}' if depth > 1 => depth -= 1,
            b'}' if next.is_none_or(|next| !next.is_ascii_alphanumeric()) => first = Some(at),
            _ => {}
        }
    }
    open + first.unwrap_or(line.len())
}

/// The entries of a map. See [`places`].
#[derive(Debug, Clone)]
pub(crate) struct Entries<'a> {
    inside: &'a str,
    /// Where the name of the next entry stands.
    next: Option<Range<usize>>,
    names: Names,
    /// Whether lists and maps in values are looked for: until one has no end, so that the text is read once.
    nests: bool,
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let name = self.next.take()?;
        let start = name.end + 1;
        let end = self.value_end(&name);
        Some(Entry { name, value: start..end })
    }
}

impl Entries<'_> {
    /// Returns where the value of this name ends. Notes the name behind it.
    fn value_end(&mut self, name: &Range<usize>) -> usize {
        let start = name.end + 1;
        let header = self.inside.get(name.clone()).unwrap_or_default();
        let mut at = start + self.nested(start, self.inside.get(start..).unwrap_or_default().starts_with('['));
        while let Some(comma) = list_end(self.inside, at) {
            while self.nests
                && let Some(map) = self.inside.get(at..comma).and_then(|text| text.find('{'))
            {
                at += map + self.nested(at + map, true);
            }
            if at > comma {
                continue;
            }
            at = comma + ", ".len();
            let Some(next) = name_at(self.inside, at, self.names) else { continue };
            let value = self.inside.get(start..comma).unwrap_or_default();
            let rest = self.inside.get(at..).unwrap_or_default();
            if self.names != Names::Headers || !goes_on(header, value, rest, next.len()) {
                self.next = Some(next);
                return comma;
            }
        }
        self.inside.len()
    }

    /// Returns the length of the list or map at `start`; 0 if there is none, or none with an end. A map, or JSON, that was
    /// cut ends with the text.
    fn nested(&mut self, start: usize, opens: bool) -> usize {
        if !self.nests || !opens {
            return 0;
        }
        let rest = self.inside.get(start..).unwrap_or_default();
        let is_cut = || {
            let inside = rest.get(1..).unwrap_or_default();
            inside.starts_with(['"', '{']) || rest.starts_with('{') && starts_entry(inside, Names::Query)
        };
        let length = nested_length(rest).or_else(|| is_cut().then_some(rest.len()));
        self.nests = length.is_some();
        length.unwrap_or_default()
    }
}

/// Returns where the next `, ` is at or after `from`.
fn list_end(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes().get(from..)?;
    memchr_iter(b',', bytes).find(|at| bytes.get(at + 1) == Some(&b' ')).map(|at| from + at)
}

/// Returns the length of the list or map that `value` starts with, if it ends.
fn nested_length(value: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let end = value.bytes().position(|byte| {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    end.map(|end| end + 1)
}

/// Returns where the name stands that starts at `at` and has a `=` behind it.
fn name_at(text: &str, at: usize, names: Names) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let length = match names {
        Names::Headers => rest.bytes().position(|byte| !in_header(byte)),
        Names::Path | Names::Query => rest.find(|character| !in_parameter(character)),
    }?;
    (length > 0 && rest.as_bytes().get(length) == Some(&b'=')).then(|| at..at + length)
}

fn in_header(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

fn in_parameter(character: char) -> bool {
    !(character.is_whitespace()
        || character.is_control()
        || matches!(character, ',' | '=' | '&' | '?' | '#' | '{' | '}' | '"' | '<' | '>' | '\\' | '/'))
}

/// Returns whether `rest`, which starts behind a `, ` with a name of `length` bytes and a separator, still belongs to the
/// value of `header`, which is `value` so far.
pub(crate) fn goes_on(header: &str, value: &str, rest: &str, length: usize) -> bool {
    let is = |known: &&str| known.eq_ignore_ascii_case(header);
    let (name, rest) = rest.split_at_checked(length).unwrap_or_default();
    if is(&"cookie") || is(&"set-cookie") {
        return has_cookie_attributes(rest) || has_parameters(value) && !is_header(name);
    }
    if CREDENTIALS.iter().any(is) {
        let known = PARAMETERS.contains(&name) && rest.starts_with("=\"");
        return known || !name.contains('-') && has_parameters(value) && !is_header(name);
    }
    let parameters = LISTS.iter().find(|(list, _)| is(list));
    parameters.is_some_and(|(_, parameters)| parameters.iter().any(|parameter| parameter.eq_ignore_ascii_case(name)))
}

/// Returns whether a value is parameters, behind a scheme or not.
pub(crate) fn has_parameters(value: &str) -> bool {
    let value = value.trim_start_matches('[');
    let parameters = scheme(value).map_or(value, |length| value.get(length..).unwrap_or_default().trim_start());
    starts_parameter(parameters)
}

/// Returns whether a credential starts with a scheme that is known, and words follow it.
pub(crate) fn starts_with_scheme(value: &str) -> bool {
    let known = |word: &str| SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(word));
    scheme(value).and_then(|length| value.get(..length)).is_some_and(known)
}

/// Returns the length of the scheme that a credential starts with, if words follow it.
pub(crate) fn scheme(value: &str) -> Option<usize> {
    let word = value
        .bytes()
        .take(LONGEST_NAME)
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        .count();
    let (word, rest) = value.split_at_checked(word)?;
    let spaced = rest.starts_with([' ', '\t']);
    let known = || SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(word));
    (spaced && (known() || !word.is_empty() && starts_parameter(rest.trim_start()))).then_some(word.len())
}

/// Returns whether `text` starts with `name=value`. The end of Base64 is not one: `YWI=`, `YQ==`.
pub(crate) fn starts_parameter(text: &str) -> bool {
    let name = text.bytes().take(LONGEST_NAME).take_while(|byte| in_header(*byte)).count();
    match text.as_bytes().get(name..) {
        Some([b'=', value, ..]) => name > 0 && !value.is_ascii_whitespace() && !matches!(value, b'=' | b','),
        _ => false,
    }
}

/// Returns whether what follows the name of a cookie has attributes of one.
fn has_cookie_attributes(rest: &str) -> bool {
    let value = rest.get(..rest.find(',').unwrap_or(rest.len())).unwrap_or_default();
    value.split(';').skip(1).any(|attribute| {
        let attribute = attribute.split('=').next().unwrap_or_default().trim();
        COOKIE_ATTRIBUTES.iter().any(|known| known.eq_ignore_ascii_case(attribute))
    })
}

/// Returns whether a name is that of a header, and not of a cookie or of a credential's parameter: a known one, or words with
/// dashes, each of which starts with a capital letter.
pub(crate) fn is_header(name: &str) -> bool {
    let starts = |family: &&str| name.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family));
    let is_capital = |word: &str| word.starts_with(|c: char| c.is_ascii_uppercase());
    ONE_WORD.iter().any(|known| known.eq_ignore_ascii_case(name))
        || FAMILIES.iter().any(starts)
        || name.contains('-') && name.split('-').all(is_capital)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn reads(text: &str, names: Names, expected: &[(&str, &str)]) {
        let cut = !text.ends_with('}');
        let inside = inside(text, names, cut).expect("a map");
        assert_eq!(entries(inside, names).collect::<Vec<_>>(), expected, "{text}");
    }

    #[track_caller]
    fn headers(text: &str, expected: &[(&str, &str)]) {
        reads(text, Names::Headers, expected);
    }

    #[test]
    fn entries_come_in_their_order() {
        headers("{}", &[]);
        headers("{Accept=*/*}", &[("Accept", "*/*")]);
        headers("{Accept=, Host=a.test, X=}", &[("Accept", ""), ("Host", "a.test"), ("X", "")]);
    }

    #[test]
    fn a_list_of_addresses_and_a_date_are_one_value() {
        headers(
            "{X-Forwarded-For=192.0.2.7, 198.51.100.1, Date=Tue, 23 Jun 2026 05:56:11 GMT, X-Forwarded-Port=443}",
            &[
                ("X-Forwarded-For", "192.0.2.7, 198.51.100.1"),
                ("Date", "Tue, 23 Jun 2026 05:56:11 GMT"),
                ("X-Forwarded-Port", "443"),
            ],
        );
    }

    #[test]
    fn lists_with_qualities_and_equals_signs_are_one_value() {
        headers(
            "{Accept=text/html, application/xml;q=0.9, */*;q=0.8, Accept-Language=en, de;q=0.5, \
             X-Amzn-Trace-Id=Root=1-5f-0a;Sampled=0, User-Agent=x (KHTML, like Gecko) y/1.0}",
            &[
                ("Accept", "text/html, application/xml;q=0.9, */*;q=0.8"),
                ("Accept-Language", "en, de;q=0.5"),
                ("X-Amzn-Trace-Id", "Root=1-5f-0a;Sampled=0"),
                ("User-Agent", "x (KHTML, like Gecko) y/1.0"),
            ],
        );
    }

    #[test]
    fn a_map_that_was_cut_ends_where_it_ends() {
        headers("{A=b, X-Forwarded-For=192.0.2.7, 198.51.", &[("A", "b"), ("X-Forwarded-For", "192.0.2.7, 198.51.")]);
        headers("{A=b, Date=Tue, 23 J", &[("A", "b"), ("Date", "Tue, 23 J")]);
        headers("{A=b, Authorization=", &[("A", "b"), ("Authorization", "")]);
        headers("{A=b, body={c={d=e, f=g", &[("A", "b"), ("body", "{c={d=e, f=g")]);
        headers(r#"{A=b, body=[{"c":1},{"d":"e, f=g"#, &[("A", "b"), ("body", r#"[{"c":1},{"d":"e, f=g"#)]);
        headers("{A=[b, C=d", &[("A", "[b"), ("C", "d")]);
        headers("{", &[]);
        assert_eq!(inside("{A={b}", Names::Headers, true), Some("A={b}"));
    }

    #[test]
    fn a_missing_brace_alone_does_not_undo_a_map() {
        assert_eq!(inside("{A=b", Names::Headers, false), Some("A=b"));
        assert_eq!(inside(" {A={b}}\n", Names::Headers, false), Some("A={b}"));
    }

    #[test]
    fn what_is_no_map_is_none() {
        for text in ["", "null", "A=b", "{A}", "{=b}", "{a b=c}", "{\"a\":1}"] {
            assert_eq!(inside(text, Names::Headers, false), None, "{text}");
        }
    }

    #[test]
    fn list_headers_keep_their_parameters() {
        headers(
            "{Cache-Control=no-cache, max-age=0, must-revalidate, Keep-Alive=timeout=5, max=100, Max=1}",
            &[("Cache-Control", "no-cache, max-age=0, must-revalidate"), ("Keep-Alive", "timeout=5, max=100, Max=1")],
        );
        headers("{Vary=Accept, max-age=0}", &[("Vary", "Accept"), ("max-age", "0")]);
        headers(
            "{Forwarded=for=192.0.2.7, for=198.51.100.1, Host=a",
            &[("Forwarded", "for=192.0.2.7, for=198.51.100.1"), ("Host", "a")],
        );
    }

    #[test]
    fn a_credential_stays_whole() {
        headers(
            "{Authorization=AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=f00, Host=a.test}",
            &[
                ("Authorization", "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=f00"),
                ("Host", "a.test"),
            ],
        );
        headers(
            "{Authorization=Hawk id=\"x\", ts=\"1\", mac=\"f00\", If-None-Match=\"e\"}",
            &[("Authorization", "Hawk id=\"x\", ts=\"1\", mac=\"f00\""), ("If-None-Match", "\"e\"")],
        );
        headers(
            "{proxy-authorization=OAuth oauth_consumer_key=\"k\", oauth_token=\"t\", via=b}",
            &[("proxy-authorization", "OAuth oauth_consumer_key=\"k\", oauth_token=\"t\""), ("via", "b")],
        );
    }

    #[test]
    fn cookies_that_were_joined_stay_one_value() {
        headers(
            "{Set-Cookie=a=1; Expires=Wed, 12 Oct 2026 13:14:40 GMT; Path=/,b=2; Path=/, c=3; HttpOnly, \
             Content-Type=text/html; charset=utf-8}",
            &[
                ("Set-Cookie", "a=1; Expires=Wed, 12 Oct 2026 13:14:40 GMT; Path=/,b=2; Path=/, c=3; HttpOnly"),
                ("Content-Type", "text/html; charset=utf-8"),
            ],
        );
    }

    #[test]
    fn parameters_may_have_names_that_no_header_has() {
        reads(
            "{mode=raise, filter[größe]=a, b c=d, $top=3, u=https://a.test/?x=1, y/z=2}",
            Names::Query,
            &[("mode", "raise"), ("filter[größe]", "a, b c=d"), ("$top", "3"), ("u", "https://a.test/?x=1, y/z=2")],
        );
    }

    proptest! {
        #[test]
        fn entries_put_together_again_are_the_map(text in "([A-Za-z]{1,3}=)?[a-cA-C=;,éß {}]{0,40}") {
            for names in [Names::Headers, Names::Query] {
                let map = format!("{{{text}}}");
                if let Some(inside) = inside(&map, names, false) {
                    let parts: Vec<_> = entries(inside, names).map(|(name, value)| format!("{name}={value}")).collect();
                    prop_assert_eq!(parts.join(", "), inside);
                }
            }
        }
    }
}
