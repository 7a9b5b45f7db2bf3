//! The names whose values are credentials.
//!
//! A name counts as a whole, in whatever way it is written: without case, percent-encoding, `-`, `_` and what stands before its
//! last dot. `access%5Ftoken`, `Access-Token` and `auth.accessToken` are one name; `tokenCount` is not `token`.

use std::borrow::Cow;

/// Names that are credentials wherever they stand, as [`fold`] leaves them.
const ANYWHERE: [&str; 31] = [
    "authorization",
    "proxyauthorization",
    "cookie",
    "setcookie",
    "xapikey",
    "xamzsecuritytoken",
    "authorizationtoken",
    "token",
    "accesstoken",
    "idtoken",
    "refreshtoken",
    "sessiontoken",
    "authtoken",
    "xauthtoken",
    "xaccesstoken",
    "clientsecret",
    "clientassertion",
    "assertion",
    // Also `$context.identity.apiKey`: the key itself, not its id.
    "apikey",
    "identityapikey",
    // The same key, where a Lambda authorizer answers it.
    "usageidentifierkey",
    "password",
    "newpassword",
    "oldpassword",
    "passwd",
    "pwd",
    "secret",
    "privatekey",
    "secretaccesskey",
    // A presigned URL's: whoever has them can use it.
    "xamzsignature",
    "xamzcredential",
];

/// How names begin that are credentials wherever they stand: those of a load balancer that has logged a user in.
const PREFIX: &str = "xamznoidc";

/// Names that are credentials as parameters of a query or form, and ordinary words elsewhere.
const IN_QUERIES: [&str; 4] = ["key", "code", "sig", "signature"];

/// Names of maps whose members are query parameters, in the JSON that API Gateway makes of a request.
const QUERY_MAPS: [&str; 3] = ["querystringparameters", "multivaluequerystringparameters", "querystring"];

/// Keys of a name, and of its value, where a list holds both.
const NAME_KEYS: [&str; 14] = [
    "name",
    "key",
    "k",
    "n",
    "header",
    "headername",
    "field",
    "fieldname",
    "param",
    "paramname",
    "parametername",
    "attributename",
    "propertyname",
    "cookiename",
];
const VALUE_KEYS: [&str; 10] = [
    "value",
    "val",
    "v",
    "values",
    "headervalue",
    "fieldvalue",
    "paramvalue",
    "parametervalue",
    "attributevalue",
    "propertyvalue",
];

/// Bytes of the longest escape that stands for one character of a name: `\u0070`.
const LONGEST_ESCAPE: usize = 6;

/// Bytes before the last dot of a name that are looked at, at most.
const LONGEST_PATH: usize = 128;

/// Times that a name's percent-encoding is undone.
const MAX_ENCODINGS: usize = 4;

/// Pairs of characters that [`ending`] tells apart.
const ENDINGS: usize = 1 << 10;

/// The built-in names and the operator's.
#[derive(Debug, Clone)]
pub(super) struct Names {
    anywhere: Set,
    in_queries: Set,
    /// Names with characters that end a name in most texts: `user[password]`, `card number`.
    odd: Vec<Box<str>>,
    /// The last two characters of all names, as [`ending`] counts them: few other words share them.
    endings: Box<[bool; ENDINGS]>,
}

impl Names {
    pub(super) fn new<I: IntoIterator<Item = S>, S: AsRef<str>>(extra: I) -> Self {
        let mut names = Self {
            anywhere: Set::default(),
            in_queries: Set::default(),
            odd: Vec::new(),
            endings: Box::new([false; ENDINGS]),
        };
        for name in ANYWHERE {
            names.anywhere.insert(name);
            names.mark(name);
        }
        for name in IN_QUERIES {
            names.in_queries.insert(name);
            names.mark(name);
        }
        // A list of cookies, and a query's map.
        names.mark("cookies");
        names.extend(extra);
        names
    }

    /// Adds names that count everywhere.
    pub(super) fn extend<I: IntoIterator<Item = S>, S: AsRef<str>>(&mut self, extra: I) {
        for name in extra {
            let name = fold(name.as_ref());
            if name.is_empty() {
                continue;
            }
            self.anywhere.insert(&name);
            self.mark(&name);
            self.mark(&name.to_uppercase());
            // As a form has it.
            self.mark(&name.replace(' ', "+"));
            if !name.bytes().all(is_plain) {
                self.odd.push(name.into());
            }
        }
    }

    fn mark(&mut self, name: &str) {
        let endings = &mut self.endings;
        match *name.as_bytes() {
            // Anything can stand before a name of one character.
            [last] => (0..=u8::MAX).for_each(|before| mark(endings, before, last)),
            [.., before, last] => mark(endings, before, last),
            [] => {}
        }
    }

    /// Returns whether a hidden name can end where `text` does: quick, and wrong only in taking too many. It does not know the
    /// names that are recognised by how they begin.
    pub(super) fn may_end(&self, text: &[u8]) -> bool {
        let back = |distance: usize| text.len().checked_sub(distance).and_then(|at| text.get(at)).copied();
        let Some(last) = back(1) else { return false };
        let before = back(2).unwrap_or_default();
        self.may_be(NameEnding::Plain(ending(before, last))) || is_dash(before) || is_dash(last) || is_encoded(text)
    }

    /// Returns whether a hidden name can end so.
    pub(super) fn may_be(&self, ending: NameEnding) -> bool {
        match ending {
            NameEnding::Plain(ending) => self.endings.get(ending).is_some_and(|known| *known),
            NameEnding::Any => true,
        }
    }

    /// Returns whether a value of this name is hidden: wherever it stands, or in a query or form.
    pub(super) fn hide(&self, name: &str, in_query: bool) -> bool {
        if !(self.may_end(name.as_bytes()) || mentions_prefix(name.as_bytes())) || name.len() > self.longest() {
            return false;
        }
        let name = fold(name);
        let known = |name: &str| {
            name.strip_prefix(PREFIX).is_some_and(|rest| rest.bytes().all(is_plain))
                || self.anywhere.contains(name)
                || in_query && self.in_queries.contains(name)
        };
        known(&name) || in_query && name.contains('+') && known(&name.replace('+', " "))
    }

    /// Returns the most bytes that a name can take where it stands encoded.
    pub(super) fn longest(&self) -> usize {
        LONGEST_PATH + LONGEST_ESCAPE * self.anywhere.longest().max(self.in_queries.longest()).max(2 * PREFIX.len())
    }

    /// Returns whether there are names with characters that end a name in most texts.
    pub(super) fn has_odd(&self) -> bool {
        !self.odd.is_empty()
    }

    /// Returns whether a name holds what a JSON string only holds behind a backslash.
    pub(super) fn have_escapes(&self) -> bool {
        self.odd.iter().any(|name| name.contains(['"', '\\']))
    }

    /// Returns where the name starts that `text` ends with, if that is one that most texts could not tell.
    pub(super) fn odd_at_end(&self, text: &str) -> Option<usize> {
        let is_boundary =
            |start: &usize| !text.get(..*start).is_some_and(|before| before.ends_with(char::is_alphanumeric));
        self.odd.iter().filter_map(|name| end_of(text, name)).find(is_boundary)
    }

    /// Returns the length of such a name at the start of a pair of a query or form, whose separator follows.
    pub(super) fn odd_at_start(&self, pair: &str) -> Option<usize> {
        if self.odd.is_empty() {
            return None;
        }
        let end = pair.find('=').filter(|end| *end <= self.longest())?;
        let name = fold(&pair.get(..end)?.replace('+', " "));
        self.odd.iter().any(|odd| **odd == *name).then_some(end)
    }
}

/// Returns where `name`, which is folded, starts in a text that ends with it.
fn end_of(text: &str, name: &str) -> Option<usize> {
    let mut wanted = name.chars().rev().peekable();
    let mut rest = text;
    while let Some(next) = wanted.peek().copied() {
        let tail = rest.get(rest.len().saturating_sub(3)..).filter(|tail| tail.starts_with('%'));
        let encoded = tail.and_then(|tail| char::from_u32(u32::from_str_radix(tail.get(1..)?, 16).ok()?));
        let found = encoded.or_else(|| rest.chars().next_back())?;
        let length = if encoded.is_some() { 3 } else { found.len_utf8() };
        if found.to_lowercase().eq([next]) || next == ' ' && found == '+' {
            wanted.next();
        } else if !(is_dash_char(found) && rest.len() < text.len()) {
            return None;
        }
        rest = rest.get(..rest.len() - length)?;
    }
    Some(rest.len())
}

/// Writes a name in the one way in which names are compared.
pub(super) fn fold(name: &str) -> String {
    let mut name = Cow::Borrowed(name.trim());
    for _ in 0..MAX_ENCODINGS {
        match percent_decode(&name) {
            Some(decoded) => name = decoded.into(),
            None => break,
        }
    }
    let name = name.trim_end_matches('.');
    let name = name.rsplit('.').next().unwrap_or(name);
    let mut folded = String::with_capacity(name.len());
    let kept = name.chars().filter(|c| !is_dash_char(*c));
    if name.is_ascii() {
        folded.extend(kept.map(|c| c.to_ascii_lowercase()));
    } else {
        folded.extend(kept.flat_map(char::to_lowercase));
    }
    // A name of dashes only is what it is.
    if folded.is_empty() { name.to_owned() } else { folded }
}

/// Returns `text` with its percent-encoding undone; `None` if it has none.
fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    memchr::memchr(b'%', bytes)?;
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let encoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| byte == b'%');
        decoded.push(encoded.unwrap_or(byte));
        at += if encoded.is_some() { 3 } else { 1 };
    }
    (decoded.len() < bytes.len()).then(|| String::from_utf8_lossy(&decoded).into_owned())
}

/// The last two characters of a name that is judged many times, worked out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameEnding {
    /// As [`ending`] counts them.
    Plain(usize),
    /// They say nothing: one of them may be encoded or no part of the name, or how the name begins counts.
    Any,
}

impl NameEnding {
    /// Works it out for a name.
    pub(crate) fn of(name: &str) -> Self {
        let back = |distance: usize| name.len().checked_sub(distance).and_then(|at| name.as_bytes().get(at)).copied();
        let (before, last) = (back(2).unwrap_or_default(), back(1).unwrap_or_default());
        if is_encoded(name.as_bytes()) || is_dash(before) || is_dash(last) || mentions_prefix(name.as_bytes()) {
            Self::Any
        } else {
            Self::Plain(ending(before, last))
        }
    }
}

/// Returns whether `text` may hold a name that is recognised by how it begins: few others have the letter.
pub(super) fn mentions_prefix(text: &[u8]) -> bool {
    memchr::memchr2_iter(b'z', b'Z', text).any(|at| text.get(at + 1..).is_some_and(starts_prefix))
}

/// Returns whether `text`, which stands behind a `z`, goes on as such a name does.
pub(super) fn starts_prefix(mut text: &[u8]) -> bool {
    b"noidc".iter().all(|expected| {
        while let [b'-' | b'_', rest @ ..] | [b'%', b'2' | b'5', b'd' | b'D' | b'f' | b'F', rest @ ..] = text {
            text = rest;
        }
        text.split_off_first().is_some_and(|byte| byte.eq_ignore_ascii_case(expected))
    })
}

/// Returns whether one of the last two characters may be encoded: `%6E`, twice as `%256E`, `\u006e`.
fn is_encoded(text: &[u8]) -> bool {
    let Some([first, second, third, fourth, fifth, sixth, ..]) = text.last_chunk::<8>() else {
        let before = |bytes: usize| text.get(..text.len().saturating_sub(bytes)).unwrap_or_default();
        return before(2).contains(&b'%') || before(5).contains(&b'\\');
    };
    [first, second, third, fourth, fifth, sixth].contains(&&b'%') || [second, third].contains(&&b'\\')
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

fn is_dash(byte: u8) -> bool {
    matches!(byte, b'-' | b'_')
}

fn is_dash_char(character: char) -> bool {
    matches!(character, '-' | '_')
}

/// Returns whether a byte can stand in a name wherever that stands. Others are the boundary that makes a name whole.
pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'%')
}

/// Returns whether the members of an object of this name are query parameters.
pub(crate) fn is_query_map(name: &str) -> bool {
    is_one_of(name, &QUERY_MAPS)
}

/// Returns whether a member of this name holds the name of a pair.
pub(crate) fn is_name_key(name: &str) -> bool {
    is_one_of(name, &NAME_KEYS)
}

/// Returns whether a member of this name holds the value of a pair.
pub(crate) fn is_value_key(name: &str) -> bool {
    is_one_of(name, &VALUE_KEYS)
}

/// Returns whether a member of this name holds cookies that stand for themselves.
pub(crate) fn is_cookie_list(name: &str) -> bool {
    is_one_of(name, &["cookies"])
}

/// Returns whether a name is one of these but for case, `-` and `_`.
fn is_one_of(name: &str, known: &[&str]) -> bool {
    let is = |known: &&str| {
        let mut letters = name.bytes().filter(|byte| !is_dash(*byte));
        name.len() >= known.len()
            && known.bytes().all(|expected| letters.next().is_some_and(|byte| byte.eq_ignore_ascii_case(&expected)))
            && letters.next().is_none()
    };
    name.len() < 40 && known.iter().any(is)
}

/// Names by their length in bytes, so that a name of another length costs one look.
#[derive(Debug, Clone, Default)]
struct Set {
    by_length: Vec<Vec<Box<str>>>,
}

impl Set {
    fn insert(&mut self, name: &str) {
        if self.contains(name) {
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
        self.by_length.get(name.len()).is_some_and(|names| names.iter().any(|known| **known == *name))
    }

    fn longest(&self) -> usize {
        self.by_length.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_whole_however_they_are_written() {
        let names = Names::new([" X-Session ", "", "user[password]", "Geheimnisü", "$.pin"]);
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
            "accessToken",
            "access-token",
            "auth.token",
            "context.identity.apiKey",
            "identityApiKey",
            "__token__",
            "passwd_",
            "X-Amzn-Oidc-Data",
            "x_amzn_oidc_anything",
            "headers.x-amzn-oidc-identity",
            "USER[PASSWORD]",
            "user%5Bpassword%5D",
            "GEHEIMNISÜ",
            "geheimnis%C3%BC",
            "pin",
        ] {
            assert!(names.hide(name, false), "{name}");
        }
        for name in [
            "",
            "%",
            "%5",
            "tokenCount",
            "x-token-type",
            "password_hint",
            "apiKeyId",
            "cookies",
            "code",
            "tokén",
            "token.count",
            "user[password",
            "x-amzn-trace-id",
            "oidc-data",
        ] {
            assert!(!names.hide(name, false), "{name}");
        }
    }

    #[test]
    fn some_names_count_in_queries_only() {
        let names = Names::new(["session", "card number"]);
        for name in ["key", "Code", "sig", "%73ignature", "token", "session", "card+number", "card%20number"] {
            assert!(names.hide(name, true), "{name}");
        }
        assert!(!names.hide("keyboard", true));
    }

    #[test]
    fn a_name_with_odd_characters_is_found_where_a_text_ends_with_it() {
        let names = Names::new(["card number", "@pw", "geheimnisü", "x:y"]);
        for (text, start) in [("a card number", 2), ("?Card+Number", 1), ("?%40pw", 1), ("geheimnisÜ", 0), ("{x:y", 1)]
        {
            assert_eq!(names.odd_at_end(text), Some(start), "{text}");
        }
        for text in ["scorecard number", "card numbers", "", "pw"] {
            assert_eq!(names.odd_at_end(text), None, "{text}");
        }
    }

    #[test]
    fn keys_of_pairs_are_known_in_any_spelling() {
        assert!(is_name_key("Name") && is_name_key("header_name") && is_value_key("VALUE") && !is_name_key("names"));
        assert!(is_query_map("query_string_parameters") && is_cookie_list("Cookies") && !is_cookie_list("cookie"));
    }
}
