//! A line read by its format's literal text: CLF, CSV, XML, free text, and JSON that did not come out as JSON.
//!
//! Values may hold the text that separates them: a user agent has commas, a route key a space. So a line is read in two ways.
//!
//! 1. [`strict`] looks for the first reading in which every value is valid for its variable, each value as short as that
//!    allows, by depth-first search. A variable that can be anything is not tried again with a longer value once what is
//!    behind it failed for all places: trying an earlier variable again would only offer fewer places. The steps are
//!    limited to a few for each byte, so that no line takes more than linear time. Most lines need one pass.
//! 2. [`lenient`] allows for values that are not as documented: each value before some variable ends at the first text that
//!    follows it in the format, each value behind it starts at the last, and that variable gets what is between. Of
//!    these readings, one for each variable, the one with the fewest invalid values counts, unless most are invalid or one
//!    has a space where no value of its variable would.

use thiserror::Error;

use super::format::Format;
use super::kind::{Fit, Kind};
use super::value::Value;
use super::{Expected, NoMatch, NoMatchKind};

/// Bytes looked at by [`strict`] for each byte of the line. A reading without a retry needs two.
const STEPS_PER_BYTE: usize = 8;

/// Bytes looked at by [`strict`] whatever the length of the line.
const MIN_STEPS: usize = 4096;

/// What a value weighs that rules a reading out: more than all the invalid values that a format can have.
const RULED_OUT: usize = 1 << 16;

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
        let slot = self.literal.checked_sub(1).and_then(|index| format.slots.get(index));
        let variable = slot.map_or("", |slot| &slot.variable.name);
        let expected = Some(Expected { variable, literal: format.literal(self.literal) });
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

/// Reads a line so that every value is valid. Time: linear in the line's length.
pub(super) fn strict<'a>(format: &Format, line: &'a str) -> Option<Vec<Value<'a>>> {
    let (first, last) = ends(format);
    let count = format.slots.len();
    format.literals.first()?.strip(line)?;
    let tail = line.len().checked_sub(last.len()).filter(|_| last.is_empty() || line.ends_with(last))?;
    let mut steps = line.len().saturating_mul(STEPS_PER_BYTE).saturating_add(MIN_STEPS);
    let mut values = Vec::new();
    // Where the value that is looked for starts, and before which byte it does not end.
    let (mut start, mut from) = (first.len(), first.len());
    loop {
        let index = values.len();
        let slot = format.slots.get(index)?;
        let is_last = index + 1 == count;
        let literal = format.literals.get(index + 1)?;
        let found = loop {
            let end = if is_last { (from <= tail).then_some(tail) } else { literal.find(line, from) };
            // What was looked through in vain counts too.
            steps = steps.checked_sub(end.unwrap_or(line.len()).saturating_sub(from) + 1)?;
            let Some(end) = end else { break None };
            let value = line.get(start..end)?;
            steps = steps.checked_sub(value.len())?;
            match slot.variable.kind.fit(value) {
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
                unquote(format, line, &mut values);
                return Some(values);
            }
            start = end + literal.text.len();
            from = start;
            continue;
        }
        // Back to the last variable that may take more.
        let mut failed = slot;
        loop {
            if failed.variable.kind == Kind::Text {
                return None;
            }
            let Some(Value::Plain(shorter) | Value::Nameless(shorter)) = values.pop() else { return None };
            let end = start - format.literal(values.len() + 1).len();
            start = end - shorter.len();
            from = end + 1;
            failed = format.slots.get(values.len())?;
            if !failed.rigid {
                break;
            }
        }
    }
}

/// Reads a line whose values are not all valid. Returns the values, and how many of them are invalid.
///
/// Time: linear in the line's length.
///
/// # Errors
/// [`Reason::Literal`] where the value starts behind which a text is missing; [`Reason::Types`] at the first invalid value, if
/// more values are invalid than there are valid ones, at most `tolerated`, and words of literal text, or one of them cannot be.
pub(super) fn lenient<'a>(format: &Format, line: &'a str, tolerated: usize) -> Result<(Vec<Value<'a>>, usize), Miss> {
    let (first, last) = ends(format);
    let count = format.slots.len();
    if !line.starts_with(first) {
        return Err(Miss { at: 0, reason: Reason::Literal, literal: 0 });
    }
    let tail = line.len().checked_sub(last.len()).filter(|tail| *tail >= first.len() && line.ends_with(last));

    // Values from the left that end at the first text behind them: `forward[i]` is where value `i` starts.
    let mut forward = vec![first.len()];
    for literal in format.literals.get(1..count).unwrap_or_default() {
        let Some(end) = forward.last().and_then(|start| literal.find(line, *start)) else { break };
        forward.push(end + literal.text.len());
    }
    let reached = forward.last().copied().unwrap_or_default();
    let missing = Miss { at: reached, reason: Reason::Literal, literal: forward.len() };
    let tail = tail.ok_or(missing)?;
    // Values from the right that start at the last text before them: `backward[i]` is where value `count - 1 - i` ends.
    let mut backward = vec![tail];
    for literal in format.literals.get(1..count).unwrap_or_default().iter().rev() {
        let before = backward.last().and_then(|end| literal.find_last(line, first.len()..*end));
        let Some(end) = before else { break };
        backward.push(end);
    }
    if forward.len() < count || backward.len() < count {
        return Err(missing);
    }
    backward.reverse();

    let literal_length = |index: usize| format.literal(index).len();
    let from_left = |index: usize| -> &'a str {
        let start = forward.get(index).copied().unwrap_or_default();
        let end = forward.get(index + 1).map_or(tail, |next| next - literal_length(index + 1));
        line.get(start..end).unwrap_or_default()
    };
    let from_right = |index: usize| -> &'a str {
        let end = backward.get(index).copied().unwrap_or_default();
        let before = index.checked_sub(1).and_then(|index| backward.get(index));
        let start = before.map_or(first.len(), |end| end + literal_length(index));
        line.get(start..end).unwrap_or_default()
    };
    let between = |index: usize| line.get(*forward.get(index)?..*backward.get(index)?);
    let weight =
        |index: usize, value: &str| format.slots.get(index).map_or(0, |slot| weight(slot.variable.kind, value));

    // The weight of the values left of the variable that takes what is between, and right of it.
    let mut left = 0;
    let mut right = (1..count).map(|index| weight(index, from_right(index))).sum::<usize>();
    let mut best: Option<(usize, usize)> = None;
    for index in 0..count {
        if let Some(value) = between(index) {
            let invalid = left + right + weight(index, value);
            if best.is_none_or(|(fewest, _)| invalid < fewest) {
                best = Some((invalid, index));
            }
        }
        left += weight(index, from_left(index));
        let next = index + 1;
        right -= if next < count { weight(next, from_right(next)) } else { 0 };
    }
    let (invalid, middle) = best.ok_or(missing)?;
    let pieces: Vec<&str> = (0..count)
        .filter_map(|index| match index.cmp(&middle) {
            std::cmp::Ordering::Less => Some(from_left(index)),
            std::cmp::Ordering::Equal => between(index),
            std::cmp::Ordering::Greater => Some(from_right(index)),
        })
        .collect();
    let typed = pieces.iter().zip(&format.slots).filter(|(value, slot)| {
        slot.variable.kind != Kind::Text && **value != "-" && slot.variable.kind.fit(value) == Fit::Valid
    });
    if invalid > typed.count().min(tolerated) + format.wordy_literals() {
        return Err(first_invalid(format, &pieces));
    }
    let mut values = pieces.into_iter().map(Value::Plain).collect();
    unquote(format, line, &mut values);
    Ok((values, invalid))
}

/// Returns the miss at the first of these values that is invalid.
fn first_invalid(format: &Format, values: &[&str]) -> Miss {
    let mut at = 0;
    for ((index, slot), value) in format.slots.iter().enumerate().zip(values) {
        at += format.literal(index).len();
        if slot.variable.kind.fit(value) != Fit::Valid {
            return Miss { at, reason: Reason::Types, literal: index + 1 };
        }
        at += value.len();
    }
    Miss { at, reason: Reason::Types, literal: values.len() }
}

/// Weighs a value that may be invalid for its variable: by itself it is tolerated, but not with white space in it where a
/// number, an identifier or the like would be.
fn weight(kind: Kind, value: &str) -> usize {
    match kind.fit(value) {
        Fit::Valid => 0,
        _ if value.contains(|character: char| character.is_whitespace()) && kind.is_ruled_out(value) => RULED_OUT,
        _ => 1,
    }
}

/// Returns the literal text before the first value and behind the last.
fn ends(format: &Format) -> (&str, &str) {
    (format.literal(0), format.literal(format.slots.len()))
}

/// Has the values that stand inside JSON strings read as such.
fn unquote<'a>(format: &Format, line: &'a str, values: &mut Vec<Value<'a>>) {
    if format.shape.is_none() {
        return;
    }
    let mut end = 0;
    for (index, (value, slot)) in values.iter_mut().zip(&format.slots).enumerate() {
        let (Value::Plain(piece) | Value::Nameless(piece)) = *value else { continue };
        let start = end + format.literal(index).len();
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

    fn texts(values: Vec<Value<'_>>) -> Vec<String> {
        values.into_iter().map(|value| value.characters().into_owned()).collect()
    }

    #[track_caller]
    fn strictly(format: &str, line: &str, expected: Option<&[&str]>) {
        let format = Format::compile("format", format).unwrap();
        let found = strict(&format, line).map(texts);
        assert_eq!(found, expected.map(|texts| texts.iter().map(ToString::to_string).collect()), "{line}");
    }

    #[track_caller]
    fn leniently(format: &str, line: &str, expected: Result<&[&str], (usize, Reason)>) {
        let format = Format::compile("format", format).unwrap();
        let found = lenient(&format, line, usize::MAX).map(|(values, _)| texts(values));
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
            let format = Format::compile("format", &format).unwrap();
            for part in [",", "-", "\"", "/,", "arn:,", "-1"] {
                // A quadratic search would take hours.
                let line = part.repeat(1 << 20) + "!";
                strict(&format, &line);
                lenient(&format, &line, usize::MAX).ok();
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
            let format = Format::compile("format", &format).unwrap();
            let found = strict(&format, &line).map(texts);
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
            let format = Format::compile("format", &format).unwrap();
            for values in strict(&format, &line).into_iter().chain(lenient(&format, &line, usize::MAX).ok().map(|found| found.0)) {
                prop_assert_eq!(texts(values).join(&separator), line.as_str());
            }
        }
    }
}
