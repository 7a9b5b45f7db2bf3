//! The first events as the analytics API got them, for people to read.

use std::io::{self, Write};

use serde_json::Value;
use serde_json::value::RawValue;

use crate::loopback::Posted;
use crate::screen::cut;

/// The kinds of events, those first that API Gateway writes.
const KINDS: [&str; 3] = ["access", "execution", "text"];

/// Shows so many events: the first one of each kind, then those that follow.
///
/// Lines are cut at the screen's width: a body of an execution log is longer.
pub(crate) fn show(requests: &[Posted], wanted: usize, width: usize, out: &mut impl Write) -> io::Result<()> {
    let events: Vec<_> = requests.iter().filter(|posted| posted.accepted()).flat_map(texts).collect();
    let first_of = |kind| events.iter().position(|(_, event)| event["kind"] == kind);
    let firsts: Vec<_> = KINDS.into_iter().filter_map(first_of).collect();
    let others = (0..events.len()).filter(|index| !firsts.contains(index));
    for (text, event) in firsts.iter().copied().chain(others).filter_map(|index| events.get(index)).take(wanted) {
        let kind = event["kind"].as_str().map_or_else(String::new, |kind| format!(" of kind `{kind}`"));
        writeln!(out, "\nAn event{kind} as the analytics API got it:\n")?;
        laid_out(text, width, out)?;
    }
    Ok(())
}

/// Writes a JSON text, indented, its lines cut at the screen's width.
pub(crate) fn laid_out(json: &str, width: usize, out: &mut impl Write) -> io::Result<()> {
    indented(json).lines().try_for_each(|line| writeln!(out, "  {}", cut(line, width.saturating_sub(2))))
}

/// Returns the events of a body: each as it was written, and as a value.
fn texts(posted: &Posted) -> impl Iterator<Item = (String, &Value)> {
    let body = &posted.decoded;
    // Some destinations take them without an array around.
    let values = || serde_json::Deserializer::from_slice(body).into_iter().map_while(Result::ok).collect();
    let texts: Vec<&RawValue> = serde_json::from_slice(body).unwrap_or_else(|_| values());
    texts.into_iter().map(|text| text.get().to_owned()).zip(&posted.events)
}

/// Puts each member of a JSON text on a line of its own, in the order in which they stand.
fn indented(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut before = ' ';
    for character in json.chars() {
        let is_closing = !in_string && matches!(character, '}' | ']');
        let was_opening = !in_string && matches!(before, '{' | '[');
        if is_closing {
            depth = depth.saturating_sub(1);
        }
        if (is_closing && !was_opening) || (!is_closing && (was_opening || (!in_string && before == ','))) {
            text.push('\n');
            text.extend(std::iter::repeat_n("  ", depth));
        }
        text.push(character);
        match character {
            '"' if !escaped => in_string = !in_string,
            ':' if !in_string => text.push(' '),
            '{' | '[' if !in_string => depth += 1,
            _ => {}
        }
        escaped = in_string && character == '\\' && !escaped;
        before = if in_string { ' ' } else { character };
    }
    text
}
