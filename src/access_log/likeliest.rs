//! The likeliest reading of a line whose values hold the text around them, or are not what their variables should be.
//!
//! ```text
//! format  $context.status $context.error.message $context.integration.error
//! line    403 Missing Authentication Token -
//! ```
//!
//! Each reading has a weight, the sum of its values': what is missing weighs nothing, a valid value little, an invalid one much.
//! The lightest reading counts, of several the one whose values are shortest from the left. It is found from the right: for each
//! place where a value may start, the best end given what is best behind it. Values that are the same twice, as those of
//! `identity.caller` and `identity.user` mostly are, are taken for such.

use memchr::memmem;

use super::format::{Literal, Pattern, Slot};
use super::kind::{Fit, Kind};
use super::value::Value;

/// Places at either end of a line at which a literal text is taken for one that separates values.
const MAX_PLACES: usize = 64;

/// Ends that are tried for a value once it has become invalid.
const TRIED: usize = 16;

/// Bytes looked at for each value and byte of a line, and whatever its length.
const STEPS_PER_BYTE: usize = 2;
const MIN_STEPS: usize = 1 << 13;

/// What values weigh. More free texts than a format can hold weigh less than one invalid value.
const VALID: usize = 1;
const FREE: usize = 2;
const EMPTY: usize = 3;
/// A text that brings its own quotes, with others between them that have no escape.
const UNESCAPED: usize = 4;
const LOOSE: usize = 1 << 12;
const INVALID: usize = 1 << 14;
/// What rules a reading out.
const RULED_OUT: usize = 1 << 32;

/// A place where a value may start: the best reading from there to the end of the line.
#[derive(Clone, Copy)]
struct Start {
    at: usize,
    weight: usize,
    /// Which of the next value's starts follows.
    next: usize,
}

/// Finds the likeliest reading of a line: its values, and whether they are at all possible. `None` if the line does not have the
/// literal text. Time: linear in the line's length.
pub(super) fn likeliest<'a>(pattern: &Pattern, line: &'a str) -> Option<(Vec<&'a str>, bool)> {
    let (first, rest) = pattern.literals.split_first()?;
    let (last, between) = rest.split_last()?;
    first.strip(line)?;
    let tail = line.len().checked_sub(last.text.len()).filter(|_| line.ends_with(last.text.as_ref()))?;
    let mut starts = vec![vec![Start { at: first.text.len(), weight: RULED_OUT, next: 0 }]];
    for literal in between {
        let from = starts.last()?.first()?.at;
        let places = places(literal, line, from, tail);
        let length = literal.text.len();
        starts.push(places.into_iter().map(|at| Start { at: at + length, weight: RULED_OUT, next: 0 }).collect());
    }
    let mut behind = vec![Start { at: tail, weight: 0, next: 0 }];
    let mut solved = Vec::with_capacity(starts.len());
    for ((slot, literal), mut starts) in pattern.slots.iter().zip(rest).zip(starts).rev() {
        // Nothing stands behind the last value but the text that the tail leaves out.
        let length = if solved.is_empty() { 0 } else { literal.text.len() };
        weigh(slot, line, length, &mut starts, &behind);
        solved.push(std::mem::replace(&mut behind, starts));
    }
    let is_possible = behind.first()?.weight < RULED_OUT;
    let mut start = *behind.first()?;
    let mut pieces = Vec::with_capacity(solved.len());
    for (next, literal) in solved.iter().rev().zip(rest) {
        let end = next.get(start.next)?;
        let length = if pieces.len() + 1 == pattern.slots.len() { 0 } else { literal.text.len() };
        pieces.push(line.get(start.at..end.at.checked_sub(length)?)?);
        start = *end;
    }
    pair(pattern, line, &mut pieces);
    Some((pieces, is_possible))
}

/// Finds the places of a literal text: all, or where there are many the first and the last of them.
fn places(literal: &Literal, line: &str, from: usize, tail: usize) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = from;
    while let Some(place) = literal.find(line, at).filter(|place| place + literal.text.len() <= tail) {
        if places.len() == MAX_PLACES {
            let mut last = Vec::new();
            let mut end = tail;
            while let Some(place) =
                line.as_bytes().get(at..end).and_then(|range| memmem::rfind(range, literal.text.as_bytes()))
            {
                last.push(at + place);
                end = at + place;
                if last.len() == MAX_PLACES || end == at {
                    break;
                }
            }
            places.extend(last.into_iter().rev());
            break;
        }
        places.push(place);
        at = place + 1;
    }
    places
}

/// Weighs what starts at each of these places, given the weights of what is behind. `length` is that of the text between.
fn weigh(slot: &Slot, line: &str, length: usize, starts: &mut [Start], behind: &[Start]) {
    // The lightest of the places from each on, the first of several.
    let mut lightest: Vec<usize> = (0..behind.len()).collect();
    let weight_of = |index: usize| behind.get(index).map_or(RULED_OUT, |start| start.weight);
    for index in (0..behind.len().saturating_sub(1)).rev() {
        let next = lightest.get(index + 1).copied().unwrap_or(index);
        if weight_of(next) < weight_of(index)
            && let Some(best) = lightest.get_mut(index)
        {
            *best = next;
        }
    }
    let mut steps = line.len().saturating_mul(STEPS_PER_BYTE).saturating_add(MIN_STEPS);
    // From the right: the shortest values come first, and most variables hold short ones.
    for start in starts.iter_mut().rev() {
        let mut index = behind.partition_point(|end| end.at < start.at + length);
        let tried_from = index;
        let mut has_failed = false;
        let mut best = (usize::MAX, 0);
        while let Some(end) = behind.get(index) {
            let tried = index - tried_from;
            let is_enough = if slot.variable.kind.is_free() { tried == 2 } else { has_failed && tried >= TRIED };
            let piece = line.get(start.at..end.at - length).unwrap_or_default();
            let Some(left) = steps.checked_sub(piece.len() + 1).filter(|_| !is_enough) else { break };
            steps = left;
            let (weight, fit) = weight(slot, piece);
            has_failed |= fit == Fit::Never;
            best = best.min((weight + end.weight, index));
            index += 1;
        }
        if let Some(&index) = lightest.get(index) {
            let weight = match slot.variable.kind {
                kind if kind.is_free() => FREE,
                kind if kind.is_loose() => LOOSE,
                _ => 2 * INVALID,
            };
            best = best.min((weight + weight_of(index), index));
        }
        if best.0 < usize::MAX {
            (start.weight, start.next) = best;
        }
    }
}

/// Weighs a value.
fn weight(slot: &Slot, value: &str) -> (usize, Fit) {
    let kind = slot.variable.kind;
    let fit = slot.fit(value);
    let weight = match fit {
        Fit::Valid if value == "-" || (slot.dollar && value == "$-") => 0,
        Fit::Valid if kind.is_free() && value.is_empty() => EMPTY,
        Fit::Valid if kind.is_free() => FREE,
        Fit::Valid if kind == Kind::Quoted && value.matches('"').count() > 2 && !is_json_string(value) => UNESCAPED,
        Fit::Valid => VALID,
        _ if kind.is_loose() => LOOSE,
        _ if value.contains(char::is_whitespace) && kind.is_ruled_out(value) => RULED_OUT,
        _ => INVALID,
    };
    (weight, fit)
}

fn is_json_string(text: &str) -> bool {
    !matches!(Value::quoted(text), Value::Plain(_))
}

/// Moves the text between two neighbours where both then are the same.
fn pair<'a>(pattern: &Pattern, line: &'a str, pieces: &mut [&'a str]) {
    let mut at = pattern.literal(0).len();
    for (index, slots) in pattern.slots.windows(2).enumerate() {
        let [slot, next_slot] = slots else { continue };
        let Some([one, other]) = pieces.get_mut(index..index + 2) else { return };
        let Some(literal) = pattern.literals.get(index + 1) else { return };
        let whole = line.get(at..at + one.len() + literal.text.len() + other.len()).unwrap_or_default();
        let is_loose = slot.variable.kind.is_loose() && next_slot.variable.kind.is_loose();
        if is_loose && (literal.is_in(one) || literal.is_in(other)) {
            let split = |end: &usize| Some((whole.get(..*end)?, whole.get(end + literal.text.len()..)?));
            let is_same = |(one, other): &(&str, &str)| {
                let inside =
                    if next_slot.variable.kind == Kind::Quoted { Value::quoted(other) } else { Value::Plain(other) };
                *one == inside.characters()
            };
            let ends = places(literal, whole, 0, whole.len());
            if let Some((left, right)) = ends.iter().filter_map(split).find(is_same) {
                (*one, *other) = (left, right);
            }
        }
        at += one.len() + literal.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::Format;
    use super::*;

    #[track_caller]
    fn reads(format: &str, line: &str, expected: &[&str]) {
        let format = Format::readings("format", format).unwrap().remove(0);
        let (pieces, _) = likeliest(&format.pattern, line).unwrap();
        assert_eq!(pieces, expected, "{line}");
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        let format = "$context.status $context.error.message $context.authorizer.error $context.integration.error";
        reads(format, "403 Missing Authentication Token - -", &["403", "Missing Authentication Token", "-", "-"]);
        reads(format, "403 - not allowed - to pass -", &["403", "-", "not allowed - to pass", "-"]);
        reads(format, "403 - - not allowed", &["403", "-", "-", "not allowed"]);
        reads(format, "403 - - -", &["403", "-", "-", "-"]);
        reads(format, "- a b -", &["-", "a", "b", "-"]);
    }

    #[test]
    fn a_value_that_comes_twice_is_the_same_twice() {
        let format = "$context.identity.sourceIp,$context.identity.caller,$context.identity.user,$context.status";
        reads(format, "192.0.2.7,AROAX:a,b,AROAX:a,b,200", &["192.0.2.7", "AROAX:a,b", "AROAX:a,b", "200"]);
        reads(format, "192.0.2.7,AROAX:a,b,-,200", &["192.0.2.7", "AROAX:a,b", "-", "200"]);
        let format = "$context.error.message $context.error.messageString";
        reads(format, r#"no "x" "no "x"""#, &[r#"no "x""#, r#""no "x"""#]);
        reads(format, r#"no "x" y "no \"x\" y""#, &[r#"no "x" y"#, r#""no \"x\" y""#]);
    }

    #[test]
    fn the_fewest_values_are_invalid() {
        let format = "$context.routeKey $context.protocol $context.authorizer.principalId";
        reads(format, "GET /pets HTTP/1.1 jane doe", &["GET /pets", "HTTP/1.1", "jane doe"]);
        reads("$context.requestId,$context.status,$context.path", "1c9d,abc,/a,b", &["1c9d", "abc", "/a,b"]);
    }

    #[test]
    fn a_line_of_more_separators_than_are_looked_at_is_read_from_both_ends() {
        let agent = "a,".repeat(1000);
        let line = format!("r-1,{agent},200,/a");
        let format = "$context.requestId,$context.identity.userAgent,$context.status,$context.path";
        reads(format, &line, &["r-1", &agent, "200", "/a"]);
    }
}
