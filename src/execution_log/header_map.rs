//! A map as Java prints it: `{Accept=*/*, X-Forwarded-For=192.0.2.7, 198.51.100.1, Host=a.test}`.
//!
//! Nothing is escaped: a value may hold `, ` and `=` itself. An entry therefore starts only at `, ` before a name and
//! `=`, and where a known list header may go on in that very form (`Cache-Control=no-cache, max-age=0`), its parameters
//! stay with it. That matters most for credentials: a signature that came apart from its header would not be hidden.

use memchr::{memchr, memchr_iter};

/// What the names of a map are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// HTTP field names: tokens of RFC 9110, section 5.6.2.
    Headers,
    /// Names of path parameters, percent-encoding undone.
    Path,
    /// Names of query parameters, percent-encoding undone.
    Query,
}

/// Parameters of challenges and credentials: RFC 7616, RFC 6750, RFC 9728, AWS Signature Version 4, HTTP signatures.
const AUTH_PARAMETERS: &[&str] = &[
    "algorithm",
    "charset",
    "cnonce",
    "created",
    "credential",
    "domain",
    "error",
    "error_description",
    "error_uri",
    "headers",
    "keyid",
    "nc",
    "nextnonce",
    "nonce",
    "opaque",
    "qop",
    "realm",
    "resource_metadata",
    "response",
    "rspauth",
    "scope",
    "signature",
    "signedheaders",
    "stale",
    "uri",
    "userhash",
    "username",
];

/// List headers with the parameters that may follow `, ` in their values.
const LISTS: &[(&str, &[&str])] = &[
    ("alt-svc", &["h2", "h3", "h3-29"]),
    ("authentication-info", AUTH_PARAMETERS),
    ("authorization", AUTH_PARAMETERS),
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
    ("proxy-authenticate", AUTH_PARAMETERS),
    ("proxy-authorization", AUTH_PARAMETERS),
    ("www-authenticate", AUTH_PARAMETERS),
];

/// Attributes of a cookie (RFC 6265): they tell a further cookie from a header that follows `Set-Cookie`.
const COOKIE_ATTRIBUTES: &[&str] =
    &["domain", "expires", "httponly", "max-age", "partitioned", "path", "samesite", "secure"];

/// Takes the braces off a map; `None` if `text` is none. `cut` says that the end, with its brace, is missing.
pub(super) fn inside(text: &str, names: Names, cut: bool) -> Option<&str> {
    let inside = text.trim().strip_prefix('{')?;
    let inside = if cut { inside } else { inside.strip_suffix('}').unwrap_or(inside) };
    (inside.is_empty() || entry(inside, names).is_some()).then_some(inside)
}

/// Walks the entries of a map, given as [`inside`] returns it, in their order. A name may come again.
pub(super) fn entries(inside: &str, names: Names) -> Entries<'_> {
    Entries { rest: inside, names }
}

/// The entries of a map. See [`entries`].
#[derive(Debug, Clone)]
pub(super) struct Entries<'a> {
    rest: &'a str,
    names: Names,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = entry(self.rest, self.names)?;
        let next = memchr_iter(b',', rest.as_bytes()).find_map(|at| {
            let following = rest.get(at..)?.strip_prefix(", ")?;
            let (candidate, value) = entry(following, self.names)?;
            let own = self.names == Names::Headers && goes_on(name, candidate, value);
            if own { None } else { Some((rest.get(..at)?, following)) }
        });
        let (value, rest) = next.unwrap_or((rest, ""));
        self.rest = rest;
        Some((name, value))
    }
}

/// Splits `text` into the name at its start and what follows the `=` behind it.
fn entry(text: &str, names: Names) -> Option<(&str, &str)> {
    let end = text.find(|character| !in_name(character, names))?;
    let (name, rest) = text.split_at_checked(end)?;
    if name.is_empty() { None } else { Some((name, rest.strip_prefix('=')?)) }
}

fn in_name(character: char, names: Names) -> bool {
    match names {
        Names::Headers => {
            character.is_ascii_alphanumeric()
                || matches!(
                    character,
                    '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '.' | '^' | '_' | '`' | '|' | '~'
                )
        }
        Names::Path | Names::Query => {
            !(character.is_whitespace()
                || character.is_control()
                || matches!(character, ',' | '=' | '&' | '?' | '#' | '{' | '}' | '"' | '<' | '>' | '\\' | '/'))
        }
    }
}

/// Returns whether `name=value` behind a `, ` still belongs to the value of `header`.
fn goes_on(header: &str, name: &str, value: &str) -> bool {
    if header.eq_ignore_ascii_case("set-cookie") {
        let value = memchr(b',', value.as_bytes()).and_then(|end| value.get(..end)).unwrap_or(value);
        return value.split(';').skip(1).any(|attribute| {
            let attribute = attribute.split('=').next().unwrap_or_default().trim();
            COOKIE_ATTRIBUTES.iter().any(|known| known.eq_ignore_ascii_case(attribute))
        });
    }
    let Some((_, parameters)) = LISTS.iter().find(|(list, _)| list.eq_ignore_ascii_case(header)) else {
        return false;
    };
    // A header of one word seldom has a value in quotes; a parameter of a credential mostly does.
    let quoted = parameters.contains(&"nonce") && value.starts_with('"') && !name.contains('-');
    let oauth = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("oauth_"));
    oauth || quoted || parameters.iter().any(|parameter| parameter.eq_ignore_ascii_case(name))
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
