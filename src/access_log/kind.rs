//! What the values of a variable look like.
//!
//! A variable's [`Kind`] does two things: it says where a value ends when the text after it also occurs inside values, and how
//! the value is written: as a number, as `true` or `false`, or as a string.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What the values of a variable look like. `-`, which stands for no value, is valid for every kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A status, milliseconds, bytes, or milliseconds since the Unix epoch: a JSON number when written.
    Number,
    /// `true` or `false`, and the same when written.
    Bool,
    /// An IPv4 or IPv6 address.
    Ip,
    /// `dd/MMM/yyyy:HH:mm:ss ±hhmm`, the time of the Common Log Format.
    Time,
    /// An HTTP method.
    Method,
    /// `HTTP/` and a version.
    Protocol,
    /// What happened on a WebSocket connection.
    EventType,
    /// An identifier: letters, digits and `_=+/.-`.
    Id,
    /// An ARN. Names inside it may hold commas.
    Arn,
    /// Something without spaces, quotes and commas.
    Word,
    /// Who signed a request: a word that may hold commas, as the names of role sessions do.
    Principal,
    /// A path, which starts with `/` and has no spaces or quotes.
    Path,
    /// `GET /pets`, `$default`, or the route key of a WebSocket API.
    RouteKey,
    /// Text that brings its own quotes.
    Quoted,
    /// What an authorizer gave, outside the quotes of a JSON format: a number, `true` or `false` is written as it stands.
    Scalar,
    /// Anything.
    Text,
}

/// Whether a piece of a line can be a value of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is one.
    Valid,
    /// It is not one, but a longer piece with the same start may be.
    Short,
    /// Neither it nor a longer piece is one.
    Never,
}

impl Fit {
    /// `Valid` if it is so; else `Short` if the piece could still grow into a value.
    fn of(valid: bool, grows: bool) -> Self {
        match (valid, grows) {
            (true, _) => Self::Valid,
            (false, true) => Self::Short,
            (false, false) => Self::Never,
        }
    }
}

/// The longest text of an IPv6 address, with an IPv4 address at its end.
const IP_MAX_BYTES: usize = 45;

/// Digits of `u64::MAX`, and a sign and fraction digits besides: JSON readers do not agree on longer numbers.
const NUMBER_MAX_BYTES: usize = 24;

/// Longer than any registered HTTP method.
const METHOD_MAX_BYTES: usize = 32;

/// `CONNECTION_API` is not documented, but seen for calls of the `@connections` API.
const EVENT_TYPES: [&str; 4] = ["CONNECT", "MESSAGE", "DISCONNECT", "CONNECTION_API"];

/// The words that start the route key of an HTTP API, and so are not one themselves.
const ROUTE_METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

impl Kind {
    /// Tells whether `value` can be a value of this kind. Time: linear in its length.
    pub(super) fn fit(self, value: &str) -> Fit {
        if value == "-" || matches!(self, Self::Text | Self::Scalar) {
            return Fit::Valid;
        }
        if self == Self::Time && is_clf_time(value.as_bytes()) {
            return Fit::Valid;
        }
        if self.max_bytes().is_some_and(|max| value.len() > max) || !self.may_hold(value) {
            return Fit::Never;
        }
        match self {
            Self::Number => Fit::of(is_decimal(value), true),
            Self::Bool => Fit::of(matches!(value, "true" | "false"), true),
            Self::Ip => Fit::of(value.parse::<Ipv4Addr>().is_ok() || value.parse::<Ipv6Addr>().is_ok(), true),
            Self::Time => Fit::Short,
            Self::Protocol => Fit::of(
                value.strip_prefix("HTTP/").is_some_and(|version| !version.is_empty()),
                "HTTP/".starts_with(value),
            ),
            Self::EventType => Fit::of(EVENT_TYPES.contains(&value), true),
            Self::Method | Self::Id | Self::Word | Self::Principal => Fit::of(!value.is_empty(), true),
            Self::Arn => Fit::of(value.starts_with("arn:"), "arn:".starts_with(value)),
            Self::Path => Fit::of(value.starts_with('/'), value.is_empty()),
            Self::RouteKey => fit_route_key(value),
            Self::Quoted => Fit::of(
                value.len() > 1 && value.starts_with('"') && value.ends_with('"'),
                value.is_empty() || value.starts_with('"'),
            ),
            Self::Scalar | Self::Text => Fit::Valid,
        }
    }

    /// Returns whether every byte of a text is one that valid values of this kind may hold.
    pub(super) fn may_hold(self, text: &str) -> bool {
        let kinds = |byte: u8| KINDS_OF_BYTES.get(usize::from(byte)).copied().unwrap_or_default();
        text.bytes().fold(u16::MAX, |all, byte| all & kinds(byte)) & self.bit() != 0
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }

    const fn may_hold_byte(self, byte: u8) -> bool {
        match self {
            Self::Number => matches!(byte, b'0'..=b'9' | b'-' | b'.'),
            Self::Bool => byte.is_ascii_lowercase(),
            Self::Ip => byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'),
            Self::Time => byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b':' | b' ' | b'+' | b'-'),
            Self::Method | Self::EventType => byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'),
            Self::Protocol => byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.'),
            Self::Id => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'=' | b'+' | b'/' | b'.' | b'-'),
            Self::Arn | Self::Path | Self::Principal => is_unspaced(byte),
            Self::Word => is_unspaced(byte) && byte != b',',
            Self::RouteKey => is_unspaced(byte) || byte == b' ',
            Self::Quoted | Self::Scalar | Self::Text => true,
        }
    }

    /// Returns the length that no valid value of this kind passes, if it has one.
    fn max_bytes(self) -> Option<usize> {
        match self {
            Self::Number => Some(NUMBER_MAX_BYTES),
            Self::Ip => Some(IP_MAX_BYTES),
            Self::Time => Some(CLF_TIME_BYTES),
            Self::Method => Some(METHOD_MAX_BYTES),
            _ => None,
        }
    }

    /// Returns whether not even an undocumented value of this kind would be these words.
    pub(super) fn is_ruled_out(self, words: &str) -> bool {
        match self {
            _ if self.is_loose() => false,
            Self::RouteKey => false,
            Self::Path => !words.starts_with('/'),
            Self::Arn => !words.starts_with("arn:"),
            _ => true,
        }
    }

    /// Returns whether values are words of people's own making, which may be anything where they are not as documented.
    pub(super) fn is_loose(self) -> bool {
        matches!(self, Self::Word | Self::Principal | Self::Quoted | Self::Scalar | Self::Text)
    }

    /// Returns whether a value of this kind can be anything at all.
    pub(super) fn is_free(self) -> bool {
        matches!(self, Self::Scalar | Self::Text)
    }

    /// Returns whether a valid value of this kind stands in a JSON string as it is and can hold no credential under a name.
    pub(super) fn is_inert(self) -> bool {
        self.is_closed() && self != Self::Arn
    }

    /// Returns whether a valid value of this kind can hold no credential under a name, whatever signs are in it.
    pub(super) fn is_closed(self) -> bool {
        !self.is_loose() && !matches!(self, Self::Path | Self::RouteKey)
    }
}

/// For each byte the kinds whose valid values may hold it, as [`Kind::bit`] counts them: most of the time of a line of text goes
/// into asking this.
#[expect(clippy::indexing_slicing, reason = "of constant lengths, before the program runs")]
static KINDS_OF_BYTES: [u16; 256] = {
    const KINDS: [Kind; 16] = [
        Kind::Number,
        Kind::Bool,
        Kind::Ip,
        Kind::Time,
        Kind::Method,
        Kind::Protocol,
        Kind::EventType,
        Kind::Id,
        Kind::Arn,
        Kind::Word,
        Kind::Principal,
        Kind::Path,
        Kind::RouteKey,
        Kind::Quoted,
        Kind::Scalar,
        Kind::Text,
    ];
    let mut kinds_of_bytes = [0; 256];
    let mut byte: u8 = 0;
    loop {
        let mut index = 0;
        while index < KINDS.len() {
            if KINDS[index].may_hold_byte(byte) {
                kinds_of_bytes[byte as usize] |= KINDS[index].bit();
            }
            index += 1;
        }
        if byte == u8::MAX {
            break kinds_of_bytes;
        }
        byte += 1;
    }
};

/// Names the kind in a word or two: `number`, `IP address`, `text`.
impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Number => "number",
            Self::Bool => "true or false",
            Self::Ip => "IP address",
            Self::Time => "CLF time",
            Self::Method => "HTTP method",
            Self::Protocol => "protocol",
            Self::EventType => "event type",
            Self::Id => "identifier",
            Self::Arn => "ARN",
            Self::Word => "word",
            Self::Principal => "principal",
            Self::Path => "path",
            Self::RouteKey => "route key",
            Self::Quoted => "text in quotes",
            Self::Scalar => "JSON value",
            Self::Text => "text",
        })
    }
}

const fn is_unspaced(byte: u8) -> bool {
    !matches!(byte, 0..=b' ' | b'"' | 0x7f)
}

fn fit_route_key(value: &str) -> Fit {
    match value.split_once(' ') {
        None => Fit::of(
            !value.is_empty() && !value.starts_with('/') && !ROUTE_METHODS.contains(&value),
            !value.contains(','),
        ),
        Some((method, path)) if ROUTE_METHODS.contains(&method) && !path.contains(' ') => {
            Fit::of(path.starts_with('/'), path.is_empty())
        }
        Some(_) => Fit::Never,
    }
}

/// Returns whether `value` is decimal digits, perhaps with a minus sign before and a fraction behind.
fn is_decimal(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Most have no fraction, and need no search for one.
    all_digits(digits) || digits.split_once('.').is_some_and(|(whole, part)| all_digits(whole) && all_digits(part))
}

/// Returns whether `value` is a number that every JSON reader takes as it stands: an integer of 64 bits, or a decimal fraction.
///
/// No exponent, no leading zero, no plus sign, no `-0`.
pub(super) fn is_number(value: &str) -> bool {
    // Nearly every number of a log is of this form; its digits fit in 64 bits whatever they are.
    if let [b'1'..=b'9', digits @ ..] = value.as_bytes()
        && digits.len() < 18
        && digits.iter().all(u8::is_ascii_digit)
    {
        return true;
    }
    let digits = value.strip_prefix('-').unwrap_or(value);
    let padded = digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(|byte| *byte != b'.');
    if padded || value == "-0" || value.len() > NUMBER_MAX_BYTES || !is_decimal(value) {
        return false;
    }
    value.contains('.') || value.parse::<i64>().is_ok() || value.parse::<u64>().is_ok()
}

/// Bytes of a time of the Common Log Format.
const CLF_TIME_BYTES: usize = "25/Sep/2026:09:20:30 +0000".len();

fn is_clf_time(value: &[u8]) -> bool {
    let &[
        d1,
        d2,
        b'/',
        m1,
        m2,
        m3,
        b'/',
        y1,
        y2,
        y3,
        y4,
        b':',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
        b' ',
        b'+' | b'-',
        z1,
        z2,
        z3,
        z4,
    ] = value
    else {
        return false;
    };
    [d1, d2, y1, y2, y3, y4, h1, h2, n1, n2, s1, s2, z1, z2, z3, z4].iter().all(u8::is_ascii_digit)
        && [m1, m2, m3].iter().all(u8::is_ascii_alphabetic)
}

/// Returns the milliseconds since the Unix epoch of a time of the Common Log Format.
pub(super) fn clf_milliseconds(text: &str) -> Option<i64> {
    let time = jiff::Timestamp::strptime("%d/%b/%Y:%H:%M:%S %z", text).ok()?;
    is_clf_time(text.as_bytes()).then_some(time.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn valid(kind: Kind, values: &[&str]) {
        for value in values {
            assert_eq!(kind.fit(value), Fit::Valid, "{kind:?} {value}");
        }
    }

    #[track_caller]
    fn short(kind: Kind, values: &[&str]) {
        for value in values {
            assert_eq!(kind.fit(value), Fit::Short, "{kind:?} {value}");
        }
    }

    #[track_caller]
    fn never(kind: Kind, values: &[&str]) {
        for value in values {
            assert_eq!(kind.fit(value), Fit::Never, "{kind:?} {value}");
        }
    }

    #[test]
    fn numbers_are_what_every_json_reader_takes() {
        for number in ["0", "200", "-1", "1.5", "0.5", "18446744073709551615", "-9223372036854775808"] {
            assert!(is_number(number), "{number}");
        }
        for other in
            ["", "-", "007", "-01", "1.", ".5", "18446744073709551616", "-9223372036854775809", "-0", "1e3", "+1"]
        {
            assert!(!is_number(other), "{other}");
        }
    }

    #[test]
    fn digits_that_are_no_json_number_still_fit() {
        valid(Kind::Number, &["200", "007", "18446744073709551616", "-1", "1.5"]);
        short(Kind::Number, &["", "1.", "1.2.3"]);
        valid(Kind::Bool, &["true", "false"]);
        never(Kind::Bool, &["TRUE", "1"]);
        never(Kind::Number, &["+1", "1e3", "12 ", "abc", "0x10", "100000000000000000000000000000"]);
    }

    #[test]
    fn addresses_times_and_protocols_are_told_by_their_shape() {
        valid(Kind::Ip, &["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"]);
        short(Kind::Ip, &["192.0", "2001:db8:"]);
        never(Kind::Ip, &["example.com", "192.0.2.1 "]);
        valid(Kind::Time, &["25/Sep/2026:09:20:30 +0000", "01/Jan/2027:00:00:00 -0130"]);
        short(Kind::Time, &["25/Sep/2026:09:20:30", ""]);
        never(Kind::Time, &["2026-09-25T09:20:30.000+00:00", "25/Sep/2026:09:20:30 +0000 "]);
        valid(Kind::Protocol, &["HTTP/1.1", "HTTP/2"]);
        short(Kind::Protocol, &["", "HTTP", "HTTP/"]);
        never(Kind::Protocol, &["GET", "HTTP/1.1 200"]);
    }

    #[test]
    fn a_time_of_the_common_log_format_has_its_zone() {
        assert_eq!(clf_milliseconds("21/Nov/2026:18:59:00 +0000"), Some(1_795_287_540_000));
        assert_eq!(clf_milliseconds("21/Nov/2026:20:29:00 +0130"), Some(1_795_287_540_000));
        for text in ["21/Nov/2026:18:59:00", "31/Feb/2026:18:59:00 +0000", "21/Foo/2026:18:59:00 +0000", "-", ""] {
            assert_eq!(clf_milliseconds(text), None, "{text}");
        }
    }

    #[test]
    fn methods_and_event_types_are_upper_case_words() {
        valid(Kind::Method, &["GET", "M-SEARCH"]);
        short(Kind::Method, &[""]);
        never(Kind::Method, &["get", "GET /"]);
        valid(Kind::EventType, &["CONNECT", "CONNECTION_API"]);
        short(Kind::EventType, &["GET", "CONN"]);
        never(Kind::EventType, &["connect", "CONNECT 1"]);
    }

    #[test]
    fn words_hold_no_separators() {
        valid(Kind::Id, &["48f1-a_b", "GQ+IV/x=", "UUID_REPLACED_INVALID_REQUEST_ID"]);
        short(Kind::Id, &[""]);
        never(Kind::Id, &["a b", "a,b", "a\"b"]);
        valid(Kind::Word, &["$default", "AROA:me@example.com", "ümlaut"]);
        short(Kind::Word, &[""]);
        never(Kind::Word, &["a b", "a,b", "a\"b"]);
        valid(Kind::Arn, &["arn:aws:sts::111122223333:assumed-role/r/a,b"]);
        never(Kind::Arn, &["urn:x", "arn:aws:iam::1:user/a b"]);
    }

    #[test]
    fn a_path_starts_with_a_slash() {
        valid(Kind::Path, &["/", "/pets/{petId}", "/a,b"]);
        short(Kind::Path, &[""]);
        never(Kind::Path, &["pets", "GET /pets", "/a b"]);
    }

    #[test]
    fn a_method_alone_is_no_route_key_yet() {
        valid(Kind::RouteKey, &["$default", "$connect", "GET /pets", "ANY /{proxy+}", "sendMessage"]);
        short(Kind::RouteKey, &["GET", "GET ", "/pets"]);
        never(Kind::RouteKey, &["GET /pets HTTP/1.1", "hello world", "GET pets"]);
    }

    #[test]
    fn a_quoted_text_ends_with_its_quote() {
        valid(Kind::Quoted, &["\"Forbidden\"", "\"a, \\\"b\\\"\"", "\"\""]);
        short(Kind::Quoted, &["\"", "\"Forbidden", ""]);
        never(Kind::Quoted, &["Forbidden"]);
    }
}
