//! The names whose values are credentials.
//!
//! A name counts as a whole, without case and with its percent-encoding undone: `access%5Ftoken` is `Access_Token`, but
//! `tokenCount` is no `token`.

use super::encoding::percent_decode;

/// Names that are credentials wherever they stand.
const ANYWHERE: [&str; 19] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-amz-security-token",
    "authorizationtoken",
    "token",
    "access_token",
    "id_token",
    "refresh_token",
    "client_secret",
    "api_key",
    // Also `$context.identity.apiKey`: the key itself, not its id.
    "apikey",
    // The same key, where a Lambda authorizer answers it.
    "usageidentifierkey",
    "password",
    "secret",
    // A presigned URL's: whoever has them can use it.
    "x-amz-signature",
    "x-amz-credential",
];

/// Names that are credentials as parameters of a query or form, and ordinary words elsewhere.
const IN_QUERIES: [&str; 4] = ["key", "code", "sig", "signature"];

/// Names of maps whose members are query parameters, in the JSON that API Gateway makes of a request.
const QUERY_MAPS: [&str; 3] = ["querystringparameters", "multivaluequerystringparameters", "querystring"];

/// Bytes of the longest escape that stands for one character of a name: `\u0070`.
const LONGEST_ESCAPE: usize = 6;

/// Pairs of characters that [`ending`] tells apart.
const ENDINGS: usize = 1 << 10;

/// The built-in names and the operator's.
#[derive(Debug, Clone)]
pub(super) struct Names {
    anywhere: Set,
    in_queries: Set,
    /// The last two characters of all names, as [`ending`] counts them: few other words share them.
    endings: [bool; ENDINGS],
}

impl Names {
    pub(super) fn new<I: IntoIterator<Item = S>, S: AsRef<str>>(extra: I) -> Self {
        let mut anywhere = Set::of(ANYWHERE);
        for name in extra {
            anywhere.insert(name.as_ref().trim());
        }
        let in_queries = Set::of(IN_QUERIES);
        let mut endings = [false; ENDINGS];
        for name in anywhere.names().chain(in_queries.names()) {
            match *name.as_bytes() {
                // Anything can stand before a name of one character.
                [last] => (0..=u8::MAX).for_each(|before| mark(&mut endings, before, last)),
                [.., before, last] => mark(&mut endings, before, last),
                [] => {}
            }
        }
        Self { anywhere, in_queries, endings }
    }

    /// Returns whether a hidden name can end where `text` does: quick, and wrong only in taking too many.
    pub(super) fn may_end(&self, text: &[u8]) -> bool {
        let back = |distance: usize| text.len().checked_sub(distance).and_then(|at| text.get(at)).copied();
        let Some(last) = back(1) else { return false };
        self.may_be(NameEnding::Plain(ending(back(2).unwrap_or_default(), last))) || is_encoded(back)
    }

    /// Returns whether a hidden name can end so.
    pub(super) fn may_be(&self, ending: NameEnding) -> bool {
        match ending {
            NameEnding::Plain(ending) => self.endings.get(ending).is_some_and(|known| *known),
            NameEnding::Encoded => true,
        }
    }

    /// Returns whether a value of this name is hidden wherever it stands.
    pub(super) fn hide(&self, name: &str) -> bool {
        self.may_end(name.as_bytes()) && self.anywhere.contains(name)
    }

    /// Returns whether a value of this name is hidden in a query or form.
    pub(super) fn hide_in_query(&self, name: &str) -> bool {
        self.may_end(name.as_bytes()) && (self.anywhere.contains(name) || self.in_queries.contains(name))
    }

    /// Returns the most bytes that a name can take where it stands encoded.
    pub(super) fn longest(&self) -> usize {
        LONGEST_ESCAPE * self.anywhere.longest().max(self.in_queries.longest())
    }
}

/// The last two characters of a name that is judged many times, worked out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameEnding {
    /// As [`ending`] counts them.
    Plain(usize),
    /// One of them may be encoded.
    Encoded,
}

impl NameEnding {
    /// Works it out for a name.
    pub(crate) fn of(name: &str) -> Self {
        let back = |distance: usize| name.len().checked_sub(distance).and_then(|at| name.as_bytes().get(at)).copied();
        let last = back(1).unwrap_or_default();
        if is_encoded(back) { Self::Encoded } else { Self::Plain(ending(back(2).unwrap_or_default(), last)) }
    }
}

/// Returns whether one of the last two characters may be encoded: `%6E`, twice as `%256E`, `\u006e`. `back` counts from the end.
fn is_encoded(back: impl Fn(usize) -> Option<u8>) -> bool {
    (3..=8).any(|distance| back(distance) == Some(b'%')) || back(6) == Some(b'\\') || back(7) == Some(b'\\')
}

/// Numbers a pair of characters by their low five bits, which are the same for a letter in both cases.
fn ending(before: u8, last: u8) -> usize {
    usize::from(before & 0x1F) << 5 | usize::from(last & 0x1F)
}

fn mark(endings: &mut [bool; ENDINGS], before: u8, last: u8) {
    if let Some(known) = endings.get_mut(ending(before, last)) {
        *known = true;
    }
}

/// Returns whether the members of an object of this name are query parameters.
pub(crate) fn is_query_map(name: &str) -> bool {
    QUERY_MAPS.iter().any(|map| map.eq_ignore_ascii_case(name))
}

/// Names by their length in bytes, so that a name of another length costs one look.
#[derive(Debug, Clone, Default)]
struct Set {
    by_length: Vec<Vec<Box<str>>>,
}

impl Set {
    fn of<const N: usize>(names: [&str; N]) -> Self {
        let mut set = Self::default();
        for name in names {
            set.insert(name);
        }
        set
    }

    fn insert(&mut self, name: &str) {
        if name.is_empty() || self.contains(name) {
            return;
        }
        if self.by_length.len() <= name.len() {
            self.by_length.resize(name.len() + 1, Vec::new());
        }
        if let Some(names) = self.by_length.get_mut(name.len()) {
            names.push(name.into());
        }
    }

    fn contains(&self, name: &str) -> bool {
        let names = self.by_length.get(name.len()).map_or(&[][..], Vec::as_slice);
        if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return true;
        }
        // An escape takes three bytes for one; whatever is longer than that cannot be a name, and is not decoded.
        let decodable = name.len() <= 3 * self.longest() && memchr::memchr(b'%', name.as_bytes()).is_some();
        decodable && percent_decode(name).is_some_and(|decoded| self.contains(&decoded))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.by_length.iter().flatten().map(AsRef::as_ref)
    }

    fn longest(&self) -> usize {
        self.by_length.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_whole_without_case_and_encoding() {
        let names = Names::new([" X-Session ", ""]);
        for name in [
            "token",
            "TOKEN",
            "Set-Cookie",
            "apiKey",
            "access%5Ftoken",
            "%61ccess_token",
            "x-session",
            "%2574oken",
            "toke%256E",
        ] {
            assert!(names.hide(name), "{name}");
        }
        for name in
            ["", "%", "%5", "tokenCount", "x-token-type", "password_hint", "apiKeyId", "cookies", "code", "tokén"]
        {
            assert!(!names.hide(name), "{name}");
        }
    }

    #[test]
    fn some_names_count_in_queries_only() {
        let names = Names::new(["session"]);
        for name in ["key", "Code", "sig", "%73ignature", "token", "session"] {
            assert!(names.hide_in_query(name), "{name}");
        }
        assert!(!names.hide_in_query("keyboard"));
    }
}
