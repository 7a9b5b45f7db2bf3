//! A line read by its format's literal text: CLF, CSV, XML, free text, and JSON that did not come out as JSON.
//!
//! Values may hold the text that separates them: a user agent has commas, a route key a space. So a line is read in two ways.
//!
//! 1. [`strict`] looks for the first reading in which every value is valid for its variable, each value as short as that
//!    allows, by depth-first search. A variable that can be anything is not tried again with a longer value once what is
//!    behind it failed for all places: trying an earlier variable again would only offer fewer places. The steps are
//!    limited to a few for each byte, so that no line takes more than linear time. Most lines need one pass.
//! 2. [`likeliest`](super::likeliest) weighs all readings. It is asked where values are not as documented, and where several
//!    could hold what stands between them: `403 Missing Authentication Token - -` is a status, one message and two that are missing.

use std::borrow::Cow;

use thiserror::Error;

use super::format::{Format, Pattern};
use super::kind::{Fit, Kind};
use super::likeliest::likeliest;
use super::value::Value;
use super::{Expected, NoMatch, NoMatchKind};

/// Bytes looked at by [`strict`] for each byte of the line. A reading without a retry needs two.
const STEPS_PER_BYTE: usize = 8;

/// Bytes looked at by [`strict`] whatever the length of the line.
const MIN_STEPS: usize = 4096;

/// Why a line is none of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Miss {
    /// Bytes from the start of the line.
    pub(super) at: usize,
    pub(super) reason: Reason,
    /// Index of the literal text that would end what stands there.
    literal: usize,
}

impl Miss {
    /// Says it of a format.
    pub(super) fn of(self, format: &Format) -> NoMatch<'_> {
        let slot = self.literal.checked_sub(1).and_then(|index| format.pattern.slots.get(index));
        let variable = slot.map_or("", |slot| &slot.variable.name);
        let expected = Some(Expected { variable, literal: format.pattern.literal(self.literal) });
        NoMatch { format: &format.label, at: self.at, kind: NoMatchKind::Text(self.reason), expected }
    }
}

/// What is missing in a line for a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reason {
    /// The text that the format starts with, or that follows a value in it, does not come.
    #[error("the format's next literal text is not there")]
    Literal,
    /// The text is all there, but what stands between is mostly not what the variables hold.
    #[error("most values are not of their variables' types")]
    Types,
}

/// Reads a line of a format that is known to be the stage's so that every value is valid: of several such readings the likeliest.
pub(super) fn valid<'a>(format: &Format, line: &'a str) -> Option<Vec<Value<'a>>> {
    let mut values = strict(&format.pattern, line)?;
    if is_ambiguous(&format.pattern, &values) {
        let (pieces, _) = likeliest(&format.pattern, line)?;
        values = pieces.into_iter().map(Value::Plain).collect();
    }
    unquote(format, line, &mut values);
    Some(values)
}

/// Reads a line of a format that nobody set so that every value is valid and none could be another.
pub(super) fn certain<'a>(format: &Format, line: &'a str) -> Option<Vec<Value<'a>>> {
    let mut values = strict(&format.pattern, line)?;
    if is_ambiguous(&format.pattern, &values) {
        let (pieces, _) = likeliest(&format.pattern, line)?;
        let is_valid = format.pattern.slots.iter().zip(&pieces).all(|(slot, piece)| slot.fit(piece) == Fit::Valid);
        if !is_valid || !is_settled(&format.pattern, &pieces) {
            return None;
        }
        values = pieces.into_iter().map(Value::Plain).collect();
    }
    unquote(format, line, &mut values);
    is_plausible(format, &values).then_some(values)
}

/// Returns whether loose neighbours of which one holds the text between them are the same, or one of them is missing.
fn is_settled(pattern: &Pattern, pieces: &[&str]) -> bool {
    let pairs = pattern.slots.windows(2).zip(pieces.windows(2));
    pairs.zip(pattern.literals.iter().skip(1)).all(|((slots, pieces), literal)| match pieces {
        [one, other] if slots.iter().all(|slot| slot.variable.kind.is_loose()) => {
            one == other || *one == "-" || *other == "-" || !(literal.is_in(one) || literal.is_in(other))
        }
        _ => true,
    })
}

/// Returns whether nothing tells that a line is of another format, which has other values in the same places: an id that is a
/// word, an error message that is not a sentence, or a line with values and no request id.
fn is_plausible(format: &Format, values: &[Value<'_>]) -> bool {
    let text_of = |slot: Option<usize>| values.get(slot?)?.text();
    let lacks_id = format.request_id.is_some() && text_of(format.request_id).is_none();
    if lacks_id && values.iter().any(|value| value.text().is_some()) {
        return false;
    }
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if text_of(format.extended_request_id).is_some_and(|text| is_word(&text)) {
        return false;
    }
    let mut free = format.pattern.slots.iter().zip(values).filter(|(slot, _)| slot.variable.kind.is_free());
    free.all(|(_, value)| value.text().is_none_or(|text| is_sentence(&text)))
}

/// Returns whether a text is one that tells people something: several words, or one with a capital, the first of letters only.
fn is_sentence(text: &str) -> bool {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_word = first.chars().all(|character| character.is_alphabetic() || character == '\'');
    is_word && (!rest.is_empty() || (first.contains(char::is_lowercase) && first.starts_with(char::is_uppercase)))
}

/// Returns whether a value holds the text that ends it or the one before it: then its neighbour may be longer and it shorter.
fn is_ambiguous(pattern: &Pattern, values: &[Value<'_>]) -> bool {
    if !pattern.is_loose {
        return false;
    }
    let around = pattern.literals.iter().zip(pattern.literals.iter().skip(1));
    pattern.slots.iter().zip(values).zip(around).any(|((slot, value), (before, behind))| {
        let (Value::Plain(value) | Value::Nameless(value)) = value else { return false };
        slot.variable.kind.is_loose() && (before.is_in(value) || behind.is_in(value))
    })
}

/// A reading in which not all values are valid.
pub(super) struct Lenient<'a> {
    pub(super) values: Vec<Value<'a>>,
    /// Invalid values.
    pub(super) invalid: usize,
    /// Whether these are only words that people choose, which may be anything.
    pub(super) is_loose: bool,
}

/// Reads a line of a format that is known to be the stage's, though not all values are valid.
///
/// Time: linear in the line's length.
///
/// # Errors
/// [`Reason::Literal`] where the value starts behind which a text is missing; [`Reason::Types`] at the first invalid value, if
/// more values are invalid than there are words of literal text and valid values that not any word is, or one of them cannot be.
pub(super) fn lenient<'a>(format: &Format, line: &'a str) -> Result<Lenient<'a>, Miss> {
    let pattern = &format.pattern;
    let (pieces, is_possible) = likeliest(pattern, line).ok_or_else(|| missing(pattern, line))?;
    let (mut invalid, mut hard, mut typed) = (0, 0, 0);
    for (slot, piece) in pattern.slots.iter().zip(&pieces) {
        let kind = slot.variable.kind;
        if slot.fit(piece) == Fit::Valid {
            typed += usize::from(!kind.is_loose() && *piece != "-");
        } else {
            invalid += 1;
            hard += usize::from(!kind.is_loose());
        }
    }
    if !is_possible || invalid > typed + pattern.wordy_literals() {
        return Err(first_invalid(pattern, &pieces));
    }
    let mut values = pieces.into_iter().map(Value::Plain).collect();
    unquote(format, line, &mut values);
    Ok(Lenient { values, invalid, is_loose: hard == 0 })
}

/// Finds where a line that is none of a format is no longer one, or has its first value that is invalid.
pub(super) fn miss(format: &Format, line: &str) -> Miss {
    match likeliest(&format.pattern, line) {
        Some((pieces, _)) => first_invalid(&format.pattern, &pieces),
        None => missing(&format.pattern, line),
    }
}

/// Finds where a line that is no text of the pattern is no longer one.
fn missing(pattern: &Pattern, line: &str) -> Miss {
    let (first, _) = ends(pattern);
    if !line.starts_with(first) {
        return Miss { at: 0, reason: Reason::Literal, literal: 0 };
    }
    let mut at = first.len();
    let mut found = 1;
    for literal in pattern.literals.get(1..pattern.slots.len()).unwrap_or_default() {
        let Some(end) = literal.find(line, at) else { break };
        at = end + literal.text.len();
        found += 1;
    }
    Miss { at, reason: Reason::Literal, literal: found }
}

/// Returns the miss at the first of these values that is invalid.
fn first_invalid(pattern: &Pattern, values: &[&str]) -> Miss {
    let mut at = 0;
    for ((index, slot), value) in pattern.slots.iter().enumerate().zip(values) {
        at += pattern.literal(index).len();
        if slot.fit(value) != Fit::Valid {
            return Miss { at, reason: Reason::Types, literal: index + 1 };
        }
        at += value.len();
    }
    Miss { at, reason: Reason::Types, literal: values.len() }
}

/// Returns how much of a line a reading explains: bytes of literal text, and of values that only a variable of that kind has.
/// A reading that lacks the status, which every response has, explains less than any that has it.
pub(super) fn explained(format: &Format, values: &[Value<'_>]) -> (bool, usize) {
    let slots = format.pattern.slots.iter().zip(values);
    let typed = slots.map(|(slot, value)| {
        let text = value.text().unwrap_or(Cow::Borrowed(""));
        let weight = match slot.variable.kind {
            kind if kind.is_free() => 0,
            kind if kind.is_loose() => 1,
            Kind::Id | Kind::Path | Kind::RouteKey | Kind::Arn => 2,
            _ => 3,
        };
        if slot.fit(&text) == Fit::Valid { weight * text.len() } else { 0 }
    });
    let status = format.status.and_then(|slot| values.get(slot));
    let has_status = status.is_none_or(|status| status.text().is_some());
    (has_status, typed.sum::<usize>() + 3 * format.pattern.literal_bytes())
}

/// Returns the literal text before the first value and behind the last.
fn ends(pattern: &Pattern) -> (&str, &str) {
    (pattern.literal(0), pattern.literal(pattern.slots.len()))
}

/// Finds the first reading in which every value is valid. Time: linear in the line's length.
pub(super) fn strict<'a>(pattern: &Pattern, line: &'a str) -> Option<Vec<Value<'a>>> {
    let (first, last) = ends(pattern);
    let count = pattern.slots.len();
    let rest = pattern.literals.first()?.strip(line)?;
    // Most formats that are tried in vain end here, before anything is searched for.
    if !pattern.slots.first()?.may_start(rest) {
        return None;
    }
    let tail = line.len().checked_sub(last.len()).filter(|_| last.is_empty() || line.ends_with(last))?;
    let mut steps = line.len().saturating_mul(STEPS_PER_BYTE).saturating_add(MIN_STEPS);
    let mut values = Vec::new();
    // Where the value that is looked for starts, and before which byte it does not end.
    let (mut start, mut from) = (first.len(), first.len());
    loop {
        let index = values.len();
        let slot = pattern.slots.get(index)?;
        let is_last = index + 1 == count;
        let literal = pattern.literals.get(index + 1)?;
        let found = loop {
            let end = if is_last { (from <= tail).then_some(tail) } else { literal.find(line, from) };
            // What was looked through in vain counts too.
            steps = steps.checked_sub(end.unwrap_or(line.len()).saturating_sub(from) + 1)?;
            let Some(end) = end else { break None };
            let value = line.get(start..end)?;
            steps = steps.checked_sub(value.len())?;
            match slot.fit(value) {
                Fit::Valid => break Some((end, value)),
                Fit::Short if !slot.rigid => from = end + 1,
                Fit::Short | Fit::Never => break None,
            }
        };
        if let Some((end, value)) = found {
            if values.is_empty() {
                values.reserve_exact(count);
            }
            values.push(if slot.variable.kind.is_inert() { Value::Nameless(value) } else { Value::Plain(value) });
            if is_last {
                return Some(values);
            }
            start = end + literal.text.len();
            from = start;
            continue;
        }
        // Back to the last variable that may take more.
        let mut failed = slot;
        loop {
            if failed.variable.kind.is_free() {
                return None;
            }
            let Some(Value::Plain(shorter) | Value::Nameless(shorter)) = values.pop() else { return None };
            let end = start - pattern.literal(values.len() + 1).len();
            start = end - shorter.len();
            from = end + 1;
            failed = pattern.slots.get(values.len())?;
            if !failed.rigid {
                break;
            }
        }
    }
}

/// Has the values that stand inside JSON strings read as such.
fn unquote<'a>(format: &Format, line: &'a str, values: &mut Vec<Value<'a>>) {
    if format.shape.is_none() {
        return;
    }
    let mut end = 0;
    for (index, (value, slot)) in values.iter_mut().zip(&format.pattern.slots).enumerate() {
        let (Value::Plain(piece) | Value::Nameless(piece)) = *value else { continue };
        let start = end + format.pattern.literal(index).len();
        end = start + piece.len();
        if let Some(around) = line.get(start.wrapping_sub(1)..=end).filter(|_| slot.quoted) {
            *value = Value::quoted(around);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compiled(text: &str) -> Format {
        Format::readings("format", text).unwrap().remove(0)
    }

    fn texts(values: Vec<Value<'_>>) -> Vec<String> {
        values.into_iter().map(|value| value.characters().into_owned()).collect()
    }

    #[track_caller]
    fn strictly(format: &str, line: &str, expected: Option<&[&str]>) {
        let found = valid(&compiled(format), line).map(texts);
        assert_eq!(found, expected.map(|texts| texts.iter().map(ToString::to_string).collect()), "{line}");
    }

    #[track_caller]
    fn leniently(format: &str, line: &str, expected: Result<&[&str], (usize, Reason)>) {
        let format = compiled(format);
        let found = lenient(&format, line).map(|found| texts(found.values));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{line}"),
            (found, expected) => {
                assert_eq!(found.map_err(|miss| (miss.at, miss.reason)).err(), expected.err(), "{line}");
            }
        }
    }

    #[test]
    fn a_user_agent_may_hold_the_separator() {
        let agent = "Mozilla/5.0 (X11; Linux) AppleWebKit/537 (KHTML, like Gecko), \"x\"";
        for separator in [" ", ",", "\",\"", "|"] {
            let format = ["$context.requestId", "$context.identity.userAgent", "$context.status", "$context.path"];
            let values = ["1c9d-22", agent, "200", "/pets"];
            strictly(&format.join(separator), &values.join(separator), Some(&values));
        }
    }

    #[test]
    fn two_free_texts_are_told_apart_by_what_is_between_them() {
        strictly(
            "$context.error.message,$context.identity.sourceIp,$context.identity.userAgent,$context.status",
            "no, sorry,192.0.2.7,Mozilla (a, b),403",
            Some(&["no, sorry", "192.0.2.7", "Mozilla (a, b)", "403"]),
        );
        strictly(
            "$context.identity.cognitoAuthenticationProvider,$context.requestTime,$context.identity.userAgent",
            "cognito-idp.eu-west-1.amazonaws.com/p,cognito-idp:a:b,25/Sep/2026:09:20:30 +0000,x, y",
            Some(&["cognito-idp.eu-west-1.amazonaws.com/p,cognito-idp:a:b", "25/Sep/2026:09:20:30 +0000", "x, y"]),
        );
    }

    #[test]
    fn times_ids_and_route_keys_hold_their_own_separators() {
        strictly(
            "$context.requestTime $context.requestId-$context.status",
            "25/Sep/2026:09:20:30 +0000 1c9d-22-ab-200",
            Some(&["25/Sep/2026:09:20:30 +0000", "1c9d-22-ab", "200"]),
        );
        strictly("$context.routeKey $context.identity.userAgent", "GET /pets curl 8", Some(&["GET /pets", "curl 8"]));
        strictly("$context.routeKey $context.status", "$default 200", Some(&["$default", "200"]));
        strictly("$context.path,$context.status", "/a,b,200", Some(&["/a,b", "200"]));
        strictly("$context.identity.sourceIp:$context.status", "2001:db8::1:200", Some(&["2001:db8::1", "200"]));
    }

    #[test]
    fn no_value_is_a_dash() {
        strictly("$context.requestId $context.status $context.path", "- - -", Some(&["-", "-", "-"]));
    }

    #[test]
    fn a_value_that_is_not_as_documented_is_only_read_leniently() {
        strictly("$context.requestId,$context.status,$context.path", "1c9d-22,abc,/a", None);
        leniently("$context.requestId,$context.status,$context.path", "1c9d-22,abc,/a", Ok(&["1c9d-22", "abc", "/a"]));
        // The principal takes the commas, for the others are valid without.
        leniently(
            "$context.authorizer.principalId,$context.status,$context.requestId",
            "Doe, Jane,200,1c9d-22",
            Ok(&["Doe, Jane", "200", "1c9d-22"]),
        );
        leniently("status=$context.status", "status=abc", Ok(&["abc"]));
    }

    #[test]
    fn a_reading_of_mostly_invalid_values_is_none() {
        leniently("$context.identity.sourceIp,$context.status", "one,two", Err((0, Reason::Types)));
        leniently("$context.requestId $context.identity.sourceIp $context.status", "a b c d", Err((2, Reason::Types)));
        leniently("$context.requestId,$context.status;", "1c9d-22,200", Err((8, Reason::Literal)));
        leniently("[$context.requestId", "1c9d-22", Err((0, Reason::Literal)));
        leniently("$context.requestId [$context.status]", "]", Err((0, Reason::Literal)));
    }

    #[test]
    fn a_megabyte_of_separators_is_read_in_linear_time() {
        let text = "$context.identity.userAgent";
        let hard = [
            format!("{text},$context.path,$context.identity.userArn,{text},$context.requestId-$context.requestId"),
            "$context.requestId-$context.requestId-$context.requestId-$context.status".to_owned(),
            "$context.error.messageString\"$context.error.messageString\"$context.status".to_owned(),
            "$context.requestId-$context.authorizer.principalId;$context.status".to_owned(),
        ];
        for format in hard {
            let format = compiled(&format);
            for part in [",", "-", "\"", "/,", "arn:,", "-1"] {
                // A quadratic search would take hours.
                let line = part.repeat(1 << 20) + "!";
                valid(&format, &line);
                lenient(&format, &line).ok();
            }
        }
    }

    fn typed() -> impl Strategy<Value = (&'static str, String)> {
        prop_oneof![
            "[0-9]{3}".prop_map(|value| ("status", value)),
            "[a-f0-9]{8}-[a-f0-9]{4}".prop_map(|value| ("requestId", value)),
            any::<std::net::IpAddr>().prop_map(|value| ("identity.sourceIp", value.to_string())),
            "[0-3][0-9]/Sep/2026:[0-2][0-9]:[0-5][0-9]:00 \\+0000".prop_map(|value| ("requestTime", value)),
            "(GET|POST)".prop_map(|value| ("httpMethod", value)),
            "(GET|ANY) /[a-z/{}]{0,9}".prop_map(|value| ("routeKey", value)),
            "/[a-z0-9%/]{0,9}".prop_map(|value| ("path", value)),
            Just(("protocol", "HTTP/1.1".to_owned())),
            Just(("stage", "-".to_owned())),
        ]
    }

    proptest! {
        #[test]
        fn values_come_back_as_they_were_written(
            before in proptest::collection::vec(typed(), 0..6),
            // A slash could start a path that reaches into the next one.
            agent in r#"[a-z ,;"|().-]{0,20}"#,
            after in proptest::collection::vec(typed(), 0..6),
            separator in "[,|\"]",
        ) {
            // A free text is told from its neighbours if none of them could be a part of it.
            let all: Vec<_> = before.into_iter().chain([("identity.userAgent", agent)]).chain(after).collect();
            let format = all.iter().map(|(name, _)| format!("$context.{name}")).collect::<Vec<_>>().join(&separator);
            let line = all.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(&separator);
            let format = compiled(&format);
            let found = valid(&format, &line).map(texts);
            let clash = all.iter().any(|(_, value)| value == "-");
            if !clash {
                prop_assert_eq!(found, Some(all.into_iter().map(|(_, value)| value).collect()));
            }
        }

        #[test]
        fn every_reading_is_the_line(
            line in r#"[a, "1/-]{0,30}"#,
            names in proptest::collection::vec(prop_oneof![Just("status"), Just("requestId"), Just("path"), Just("x")], 1..5),
            separator in "[, \"-]",
        ) {
            let format = names.iter().map(|name| format!("$context.{name}")).collect::<Vec<_>>().join(&separator);
            let format = compiled(&format);
            for values in valid(&format, &line).into_iter().chain(lenient(&format, &line).ok().map(|found| found.values)) {
                prop_assert_eq!(texts(values).join(&separator), line.as_str());
            }
        }
    }
}
