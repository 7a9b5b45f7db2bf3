//! Values that are personal, recognised by their form, where `REDACT_VALUES` names their kind.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use memchr::memchr_iter;

/// A kind of value that can be hidden wherever it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// `name@example.com`.
    Email,
    /// A complete IPv4 or IPv6 address.
    Ip,
    /// The number of a payment card: 13 to 19 digits with a valid check digit, in groups as on a card or without.
    Card,
    /// An IBAN with valid check digits, in groups of four or without.
    Iban,
}

impl ValueKind {
    /// Every kind by the word for it.
    pub const WORDS: [(&str, Self); 4] =
        [("email", Self::Email), ("ip", Self::Ip), ("card", Self::Card), ("iban", Self::Iban)];

    /// Finds the values of this kind in `text`.
    pub(super) fn find(self, text: &str, found: impl FnMut(Range<usize>)) {
        match self {
            Self::Email => emails(text, found),
            Self::Ip => addresses(text, found),
            Self::Card => cards(text, found),
            Self::Iban => ibans(text, found),
        }
    }
}

/// Finds addresses of mail: a name of at most 64 bytes, and a domain of at most 253 whose last label is letters (RFC 5321).
fn emails(text: &str, mut found: impl FnMut(Range<usize>)) {
    const LONGEST_NAME: usize = 64;
    const LONGEST_DOMAIN: usize = 253;
    let bytes = text.as_bytes();
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._%+-'".contains(&byte) || !byte.is_ascii();
    let in_domain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte) || !byte.is_ascii();
    for at in memchr_iter(b'@', bytes) {
        let before = bytes.get(at.saturating_sub(LONGEST_NAME)..at).unwrap_or_default();
        let name = before.iter().rev().take_while(|byte| in_name(**byte)).count();
        let quotes = before.iter().rev().take(name).rev().take_while(|byte| **byte == b'\'').count();
        let behind = bytes.get(at + 1..).unwrap_or_default();
        let domain = behind.iter().take(LONGEST_DOMAIN).take_while(|byte| in_domain(**byte)).count();
        let domain = text.get(at + 1..at + 1 + domain).unwrap_or_default().trim_end_matches(['.', '-']);
        let (name, last) = (name - quotes, domain.rsplit('.').next().unwrap_or_default());
        let is_top_level = last.len() > 1 && last.len() < domain.len() && last.chars().all(char::is_alphabetic)
            || last.starts_with("xn--");
        let start = text.floor_char_boundary(at - name);
        if name > 0 && is_top_level && !domain.starts_with(['.', '-']) {
            found(start..at + 1 + domain.len());
        }
    }
}

/// Finds complete IP addresses. `Chrome/126.0.0.0` is the version of a product.
fn addresses(text: &str, mut found: impl FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    let in_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    let mut at = 0;
    while let Some(start) = bytes.get(at..).and_then(|rest| rest.iter().position(in_address)).map(|start| at + start) {
        let rest = bytes.get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| !in_address(byte)).unwrap_or(rest.len());
        at = start + length;
        let run = text.get(start..at).unwrap_or_default();
        let joined = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let is_joined_before = start.checked_sub(1).is_some_and(|before| joined(bytes.get(before)));
        let is_joined_behind = joined(bytes.get(at));
        let whole = run.trim_end_matches('.');
        let whole = if whole.ends_with("::") { whole } else { whole.trim_end_matches(':') };
        let is_whole = !(is_joined_before || is_joined_behind && whole.len() == run.len());
        if is_whole && whole.len() > 2 && whole.contains(':') && whole.parse::<Ipv6Addr>().is_ok() {
            found(start..start + whole.len());
            continue;
        }
        let mut from = start;
        for part in run.split(':') {
            let whole = part.trim_end_matches('.');
            let (is_first, is_last) = (from == start, from + part.len() == at);
            let is_whole = !(is_first && is_joined_before || is_last && is_joined_behind && whole.len() == part.len());
            if is_whole && whole.parse::<Ipv4Addr>().is_ok() && !is_version(text.get(..from).unwrap_or_default()) {
                found(from..from + whole.len());
            }
            from += part.len() + 1;
        }
    }
}

/// Returns whether a version follows `before`: a product and a `/`, which no path is before.
fn is_version(before: &str) -> bool {
    /// Bytes of a product's name, at most.
    const LONGEST: usize = 64;
    let Some(product) = before.strip_suffix('/') else { return false };
    let in_product = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let length = product.bytes().rev().take(LONGEST).take_while(in_product).count();
    let (path, product) = product.split_at(product.len() - length);
    product.starts_with(|c: char| c.is_ascii_alphabetic()) && !path.ends_with('/')
}

/// Finds the numbers of cards.
fn cards(text: &str, mut found: impl FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(start) =
        bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)).map(|start| at + start)
    {
        let rest = bytes.get(start..).unwrap_or_default();
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        at = start + digits;
        let before = start.checked_sub(1).and_then(|before| bytes.get(before));
        if before.is_some_and(|byte| byte.is_ascii_alphabetic() || b"_.+-".contains(byte)) {
            continue;
        }
        let lengths = match digits {
            4 => grouped(rest),
            13..=19 => vec![digits],
            _ => continue,
        };
        let is_joined = |length: usize| match rest.get(length..) {
            Some([b'.', next, ..]) => next.is_ascii_digit(),
            Some([next, ..]) => next.is_ascii_alphanumeric() || *next == b'_' || *next == b'-',
            _ => false,
        };
        let is_card = |length: &usize| !is_joined(*length) && rest.get(..*length).is_some_and(passes_luhn);
        if let Some(length) = lengths.into_iter().find(is_card) {
            found(start..start + length);
            at = start + length;
        }
    }
}

/// Returns the lengths that a number in groups as on a card, which `text` starts with, can have: 4-4-4-4 and up to three
/// digits more, 4-4-4-1 and up, 4-6-5 or 4-6-4, with blanks or dashes.
fn grouped(text: &[u8]) -> Vec<usize> {
    let Some(&separator) = text.get(4).filter(|byte| matches!(byte, b' ' | b'-')) else { return Vec::new() };
    let mut lengths = Vec::new();
    for group in text.split(|byte| *byte == separator).take(6) {
        let digits = group.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            lengths.push(digits);
        }
        if digits < group.len() || digits == 0 {
            break;
        }
    }
    let groups: &[usize] = match lengths.as_slice() {
        [4, 4, 4, 4, 1..=3, ..] => &[5, 4],
        [4, 4, 4, 1..=4, ..] => &[4],
        [4, 6, 4 | 5, ..] => &[3],
        _ => &[],
    };
    groups.iter().map(|groups| lengths.iter().take(*groups).sum::<usize>() + groups - 1).collect()
}

/// Returns whether the last of the digits is the check digit of the others (ISO/IEC 7812-1, annex B).
fn passes_luhn(number: &[u8]) -> bool {
    let digits = || number.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, digit) {
            (0, digit) => digit,
            (_, 5..) => 2 * digit - 9,
            _ => 2 * digit,
        })
        .sum();
    sum.is_multiple_of(10) && digits().any(|digit| digit > 0)
}

/// Finds IBANs: a country, two check digits, and letters and digits.
fn ibans(text: &str, mut found: impl FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric();
    while let Some(start) = bytes.get(at..).and_then(|rest| rest.iter().position(is_word)).map(|start| at + start) {
        let rest = bytes.get(start..).unwrap_or_default();
        let word = rest.iter().position(|byte| !is_word(byte)).unwrap_or(rest.len());
        at = start + word;
        let [first, second, third, fourth, ..] = rest else { return };
        let begins = first.is_ascii_alphabetic()
            && second.is_ascii_alphabetic()
            && third.is_ascii_digit()
            && fourth.is_ascii_digit();
        let before = start.checked_sub(1).and_then(|before| bytes.get(before));
        if !begins || before.is_some_and(|byte| *byte == b'_' || !byte.is_ascii()) {
            continue;
        }
        let lengths = if word == 4 { groups_of_four(rest) } else { vec![word] };
        let length = lengths.into_iter().rev().find(|length| rest.get(..*length).is_some_and(passes_mod_97));
        if let Some(length) = length {
            found(start..start + length);
            at = start + length;
        }
    }
}

/// Returns where an IBAN in groups of four can end: behind each of the groups, the last of which may be shorter.
fn groups_of_four(text: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    for group in text.split(|byte| *byte == b' ').take(9) {
        let length = group.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if length == 0 || length > 4 {
            break;
        }
        at += length;
        ends.push(at);
        at += 1;
        if length < 4 || group.len() > 4 {
            break;
        }
    }
    ends
}

/// Returns whether 15 to 34 letters and digits pass the check of ISO 13616: as a number, country and check digits last, they
/// leave 1 when divided by 97.
fn passes_mod_97(iban: &[u8]) -> bool {
    let characters: Vec<u8> = iban.iter().copied().filter(|byte| *byte != b' ').collect();
    let Some((country, account)) = characters.split_at_checked(4) else { return false };
    let remainder = account.iter().chain(country).fold(0_u32, |sum, byte| match byte {
        b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
        _ => (sum * 100 + u32::from(byte.to_ascii_uppercase() - b'A') + 10) % 97,
    });
    (15..=34).contains(&characters.len()) && remainder == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(kind: ValueKind, text: &str, expected: &[&str]) {
        let mut found = Vec::new();
        kind.find(text, |range| found.push(&text[range]));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn an_email_is_a_name_and_a_domain_with_a_dot() {
        let email = ValueKind::Email;
        finds(
            email,
            "to joe.doe+x@mail.example.com, jürgen@müller.de.",
            &["joe.doe+x@mail.example.com", "jürgen@müller.de"],
        );
        finds(email, "<a@b.co> user=a@b.co 'a@b.co'", &["a@b.co", "a@b.co", "a@b.co"]);
        finds(email, "a@b @b.co a@ a@b.1 left-pad@1.3.0 a@.co @types/node a@b.c", &[]);
    }

    #[test]
    fn an_address_is_complete() {
        let ip = ValueKind::Ip;
        finds(ip, "192.0.2.7 192.0.2.7:443, /ips/192.0.2.7/a 192.0.2.7.", &["192.0.2.7"; 4]);
        finds(ip, "2001:db8::1 [2001:db8::1]:443 ::1 fe80::1%eth0", &["2001:db8::1", "2001:db8::1", "::1", "fe80::1"]);
        finds(ip, "::ffff:192.0.2.7 for=192.0.2.7;", &["::ffff:192.0.2.7", "192.0.2.7"]);
        finds(
            ip,
            "Chrome/126.0.0.0 1.2.3 1.2.3.4.5 256.1.1.1 12:30:45 v1.2.3.4 a1.2.3.4 arn:aws:iam::111122223333:user :: 10:20:30",
            &[],
        );
    }

    #[test]
    fn a_card_has_a_check_digit() {
        let card = ValueKind::Card;
        finds(card, "4111111111111111, 4222222222222;", &["4111111111111111", "4222222222222"]);
        finds(card, "200 4111 1111 1111 1111 12", &["4111 1111 1111 1111"]);
        finds(card, "4111-1111-1111-1111 3782 822463 10005", &["4111-1111-1111-1111", "3782 822463 10005"]);
        finds(card, "4111111111111112 411111111111 0.4111111111111111 a4111111111111111 0000000000000000", &[]);
        finds(card, "4111-1111-1111-1111-1111 41111111111111111111 4111 11111111 1111", &[]);
    }

    #[test]
    fn an_iban_has_check_digits() {
        let iban = ValueKind::Iban;
        finds(
            iban,
            "DE89370400440532013000 gb29nwbk60161331926819.",
            &["DE89370400440532013000", "gb29nwbk60161331926819"],
        );
        finds(iban, "DE89 3704 0044 0532 0130 00 paid", &["DE89 3704 0044 0532 0130 00"]);
        finds(iban, "GB29 NWBK 6016 1331 9268 19 to you", &["GB29 NWBK 6016 1331 9268 19"]);
        finds(iban, "DE88370400440532013000 XDE89370400440532013000 DE89 3704", &[]);
    }
}
