//! A credential in one value of a line whose name is in another: what a loose format makes of a text that is none of its lines.
//!
//! ```text
//! format  $context.requestId $context.stage $context.identity.userAgent
//! line    refused Authorization: Bearer abc
//! ```
//!
//! Where only separators stand between the variables, any text of as many words is a line. Each value by itself then shows no
//! credential, `Bearer abc` least of all. So the line is searched as a whole, too: a value that holds what is found there and
//! not in the value is hidden, unless it is a number, a time or the like.

use memchr::memchr3;

use super::format::{Format, Slot};
use super::kind::{Fit, Kind};
use super::value::Value;
use crate::json;
use crate::redact::{REDACTED, Redactor};

/// Returns the values of a line without those that hold a credential of another's name; `None` if there are none.
pub(super) fn without<'a>(format: &Format, values: &[Value<'a>], redactor: &Redactor) -> Option<Vec<Value<'a>>> {
    let slots = &format.pattern.slots;
    let may_name = |(slot, value): (&Slot, &Value<'_>)| {
        // What is known to be valid needs no look.
        let is_inert = matches!(value, Value::Nameless(_)) && slot.variable.kind.is_inert();
        !is_inert && {
            let text = value.characters();
            has_sign(&text) && !is_certain(slot.variable.kind, &text)
        }
    };
    if !format.pattern.is_unmarked || !slots.iter().zip(values).any(may_name) {
        return None;
    }
    let mut line = String::new();
    let mut ranges = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        line.push_str(format.pattern.literal(index));
        let start = line.len();
        line.push_str(&value.characters());
        ranges.push(start..line.len());
    }
    line.push_str(format.pattern.literal(values.len()));
    let found = redactor.finds(&line);
    let mut hidden = None;
    for (index, (slot, range)) in slots.iter().zip(&ranges).enumerate() {
        let text = line.get(range.clone()).unwrap_or_default();
        let kind = slot.variable.kind;
        let mut inside = found.iter().filter(|found| found.start < range.end && range.start < found.end).peekable();
        if kind != Kind::Id && is_certain(kind, text) || inside.peek().is_none() {
            continue;
        }
        let own = redactor.finds(text);
        let is_own = |start: usize, end: usize| {
            own.iter().any(|own| {
                own.start <= start.saturating_sub(range.start) && end.min(range.end) <= own.end + range.start
            })
        };
        if inside.any(|found| !is_own(found.start, found.end))
            && let Some(value) = hidden.get_or_insert_with(|| values.to_vec()).get_mut(index)
        {
            *value = Value::Plain(REDACTED);
        }
    }
    hidden
}

/// Returns whether a text has one of the signs that stand beside a name, or a quote or a bracket as in a list.
fn has_sign(text: &str) -> bool {
    json::has_secret_sign(text) || memchr3(b'"', b'\\', b'[', text.as_bytes()).is_some()
}

/// Returns whether a value is what only a line of the format would have there.
fn is_certain(kind: Kind, text: &str) -> bool {
    kind.is_closed() && kind.fit(text) == Fit::Valid
}

#[cfg(test)]
mod tests {
    use super::super::Formats;
    use super::super::tests::written;
    use super::*;

    #[track_caller]
    fn shows(format: &str, line: &str, expected: &str) {
        let redactor = Redactor::new(std::iter::empty::<&str>());
        let formats = Formats::compile(format).unwrap();
        let log = formats.parse(line).unwrap();
        let log = log.without_scattered(&redactor).unwrap_or(log);
        assert_eq!(written(&log, &redactor), format!(",\"context\":{expected}"), "{line}");
        assert_eq!(log.stage().filter(|stage| stage.contains("s3cr3t")), None);
    }

    #[test]
    fn a_credential_whose_name_is_in_another_value_is_hidden() {
        let format = "$context.requestId $context.stage $context.identity.userAgent";
        shows(
            format,
            "refused Authorization: Bearer s3cr3t",
            r#"{"requestId":"refused","stage":"Authorization:","identity":{"userAgent":"[REDACTED]"}}"#,
        );
        shows(
            format,
            r#"a <w:password t="x">s3cr3t</w:password> b"#,
            r#"{"requestId":"a","stage":"<w:password","identity":{"userAgent":"[REDACTED]"}}"#,
        );
        let format = "$context.requestId $context.error.message $context.stage";
        shows(
            format,
            "r-1 no: token: s3cr3t",
            r#"{"requestId":"r-1","error":{"message":"no: token:"},"stage":"[REDACTED]"}"#,
        );
        let format = "$context.error.message,$context.stage,$context.status";
        shows(
            format,
            r#"["cookie","s3cr3t"],200"#,
            r#"{"error":{"message":"[\"cookie\""},"stage":"[REDACTED]","status":200}"#,
        );
        shows(
            "$context.error.message $context.requestId",
            "a token: s3cr3t",
            r#"{"error":{"message":"a token:"},"requestId":"[REDACTED]"}"#,
        );
    }

    #[test]
    fn what_a_value_shows_by_itself_is_hidden_there() {
        let format = "$context.requestId $context.path $context.status $context.identity.userAgent";
        shows(
            format,
            "r-1 /a?token=s3cr3t&b=c 200 x y",
            r#"{"requestId":"r-1","path":"/a?token=[REDACTED]&b=c","status":200,"identity":{"userAgent":"x y"}}"#,
        );
        let format = "$context.error.message $context.status $context.path";
        shows(format, "no token: 403 /a", r#"{"error":{"message":"no token:"},"status":403,"path":"/a"}"#);
    }
}
