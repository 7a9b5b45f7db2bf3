//! A line that is a JSON object, read by the keys of a format.
//!
//! API Gateway writes a format's text as it is, so that a line mostly is that text with values in it: [`verbatim`] compares and
//! reads on. A line that was written anew since has other white space or another order: [`Object`] looks up its keys.

use memchr::memchr2;

use super::format::{Format, Slot};
use super::kind::{Fit, Kind as ValueKind};
use super::shape::{Node, Shape};
use super::text;
use super::value::Value;
use crate::json::{Cursor, JsonError, Kind, Str};

/// Reads a line that is the format's own text with JSON values in it.
///
/// `None` if it is anything else, or holds an array or object for a variable.
pub(super) fn verbatim<'a>(format: &Format, line: &'a str) -> Option<Vec<Value<'a>>> {
    format.shape.as_ref()?;
    let mut literals = format.pattern.literals.iter();
    let mut rest = literals.next()?.strip(line)?;
    // No JSON string holds a control character: with none in the line, a quote ends each.
    let lowest = line.bytes().fold(u8::MAX, u8::min);
    let mut values = Vec::with_capacity(format.pattern.slots.len());
    for (slot, literal) in format.pattern.slots.iter().zip(literals) {
        let start = line.len() - rest.len();
        let (value, end) = if slot.quoted {
            match memchr2(b'"', b'\\', rest.as_bytes()).and_then(|at| rest.split_at_checked(at)) {
                Some((text, behind)) if lowest >= b' ' && behind.starts_with('"') => {
                    (Value::Clean(text), start + text.len())
                }
                _ => {
                    // The text before the slot ends with the quote.
                    let mut cursor = Cursor::new(line.get(start - 1..)?);
                    let string = cursor.string().ok()?;
                    (Value::json(string), start + string.raw().len())
                }
            }
        } else {
            let mut cursor = Cursor::new(rest);
            let value = scalar(&mut cursor).ok().flatten()?;
            (value, start + cursor.position())
        };
        values.push(value);
        rest = literal.strip(line.get(end..)?)?;
    }
    rest.is_empty().then_some(values)
}

/// Reads a value. `None` for an array or an object, which is passed over.
fn scalar<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Value<'a>>, JsonError> {
    Ok(match cursor.kind()? {
        Kind::String => Some(Value::json(cursor.string()?)),
        Kind::Number | Kind::Bool => Some(Value::Plain(cursor.value()?)),
        Kind::Null => {
            cursor.value()?;
            Some(Value::Nothing)
        }
        Kind::Array | Kind::Object => {
            cursor.value()?;
            None
        }
    })
}

/// The keys and values of a line that is one JSON object.
pub(super) struct Object<'a> {
    entries: Vec<(Str<'a>, &'a str)>,
}

impl<'a> Object<'a> {
    /// Reads the line.
    ///
    /// # Errors
    /// If it is not a JSON object, or more than one.
    pub(super) fn read(line: &'a str) -> Result<Self, JsonError> {
        let mut cursor = Cursor::new(line);
        cursor.open()?;
        let mut entries = Vec::new();
        let mut first = true;
        while let Some(key) = cursor.next_key(&mut first)? {
            entries.push((key, cursor.value()?));
        }
        // Anything behind the object is an error where it starts.
        if cursor.at_end() {
            Ok(Self { entries })
        } else {
            Err(JsonError { kind: crate::json::JsonErrorKind::Syntax, at: cursor.position() })
        }
    }

    /// Returns whether a key comes twice.
    pub(super) fn repeats(&self) -> bool {
        let mut names: Vec<_> = self.entries.iter().map(|(key, _)| key.decode()).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
    }

    /// Looks up the values of a format. `None` unless each of its keys that hold a variable comes.
    ///
    /// If a key is repeated the last value wins. A list or an object in place of a variable is not a value of it, but a field; a line
    /// that is only guessed to be of the format is then not one of its lines.
    pub(super) fn values(&self, format: &Format, is_guess: bool) -> Option<Vec<Value<'a>>> {
        let shape = format.shape.as_ref().filter(|_| format.variables > 0)?;
        // Most formats fail here, at little cost.
        let has = |name: &str| {
            self.entries.iter().any(|(key, _)| key.raw() == name || (key.escaped() && key.decode() == name))
        };
        if !shape.keys.iter().all(|(name, node)| matches!(node, Node::Composite(_) | Node::Constant(_)) || has(name)) {
            return None;
        }
        let mut values = vec![Value::Unseen; format.pattern.slots.len()];
        let mut seen = 0;
        for (key, raw) in &self.entries {
            seen += look_up(shape, *key, &mut Cursor::new(raw), &mut values, is_guess)?;
        }
        (seen == format.variables).then_some(values)
    }

    /// Returns the text of a key's value, if it is a text or a number; of several the last.
    pub(super) fn text(&self, name: &str) -> Option<Value<'a>> {
        let (_, raw) = self.entries.iter().rev().find(|(key, _)| key.decode() == name)?;
        scalar(&mut Cursor::new(raw)).ok().flatten()
    }

    /// Says how well the object fits a format whose keys it has: how many more values are as the format says than are not.
    pub(super) fn fit(&self, format: &Format, values: &[Value<'_>]) -> isize {
        let Some(shape) = &format.shape else { return 0 };
        let fits = self.entries.iter().map(|(key, raw)| fit(format, shape, *key, &mut Cursor::new(raw)));
        valid(format, values) + fits.flatten().sum::<isize>()
    }
}

/// Takes the value at the cursor for the variable that the shape has under this key. Returns how many variables were found
/// in it for the first time.
fn look_up<'a>(
    shape: &Shape,
    key: Str<'_>,
    cursor: &mut Cursor<'a>,
    values: &mut [Value<'a>],
    is_guess: bool,
) -> Option<usize> {
    match shape.get(key) {
        Some(Node::Variable(slot)) => {
            let value = values.get_mut(*slot)?;
            let is_new = *value == Value::Unseen;
            let found = scalar(cursor).ok()?;
            *value = if is_guess { found? } else { found.unwrap_or(Value::Nothing) };
            Some(usize::from(is_new))
        }
        Some(Node::Object(inner)) if cursor.kind() == Ok(Kind::Object) => {
            cursor.open().ok()?;
            let mut first = true;
            let mut seen = 0;
            while let Some(key) = cursor.next_key(&mut first).ok()? {
                seen += look_up(inner, key, cursor, values, is_guess)?;
            }
            Some(seen)
        }
        _ => {
            cursor.value().ok()?;
            Some(0)
        }
    }
}

/// Says of the value at the cursor whether it is the constant, or of the pattern, that the shape has under this key.
fn fit(format: &Format, shape: &Shape, key: Str<'_>, cursor: &mut Cursor<'_>) -> Option<isize> {
    let is_so = match shape.get(key) {
        Some(Node::Constant(constant)) => cursor.value().ok()? == constant.as_ref(),
        Some(Node::Composite(slot)) => {
            let pattern = format.pattern.slots.get(*slot)?.pattern.as_ref()?;
            let value = scalar(cursor).ok()??;
            text::strict(pattern, &value.characters()).is_some()
        }
        Some(Node::Object(inner)) if cursor.kind() == Ok(Kind::Object) => {
            cursor.open().ok()?;
            let mut first = true;
            let mut fits = 0;
            while let Some(key) = cursor.next_key(&mut first).ok()? {
                let start = cursor.clone();
                fits += fit(format, inner, key, cursor).unwrap_or_default();
                *cursor = start;
                cursor.value().ok()?;
            }
            return Some(fits);
        }
        _ => return None,
    };
    Some(if is_so { 1 } else { -1 })
}

/// Counts the values that are as AWS documents them for their variables, less those that are not.
fn valid(format: &Format, values: &[Value<'_>]) -> isize {
    let slots = format.pattern.slots.iter().zip(values);
    let single = slots.filter(|(slot, value)| !slot.is_composite() && **value != Value::Unseen);
    single.map(|(slot, value)| if is_valid(slot, *value) { 1 } else { -1 }).sum()
}

/// Returns whether every value is as AWS documents it for its variable. A number is not a value of a variable that is a text.
pub(super) fn are_valid(format: &Format, values: &[Value<'_>]) -> bool {
    let mut slots = format.pattern.slots.iter().zip(values).filter(|(slot, _)| !slot.is_composite());
    slots.all(|(slot, value)| {
        let is_scalar = matches!(slot.variable.kind, ValueKind::Number | ValueKind::Bool | ValueKind::Scalar);
        is_valid(slot, *value) && (is_scalar || !matches!(value, Value::Plain(_)))
    })
}

fn is_valid(slot: &Slot, value: Value<'_>) -> bool {
    value.text().is_none_or(|text| slot.fit(&text) == Fit::Valid)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::super::Formats;
    use super::super::tests::{reads, set, written};
    use super::super::variables::name_length;
    use super::*;
    use crate::redact::Redactor;

    #[test]
    fn a_json_line_may_have_its_keys_in_any_order_and_more_of_them() {
        let setting =
            r#"{"id":"$context.requestId","identity":{"ip":"$context.identity.sourceIp"},"status":$context.status}"#;
        set(
            setting,
            r#" { "status" : 200, "identity": {"ip":"192.0.2.7", "zone":[1, 2]}, "id":"1c9d-22", "team":"pets"} "#,
            concat!(
                r#","context":{"requestId":"1c9d-22","identity":{"sourceIp":"192.0.2.7"},"status":200},"#,
                r#""fields":{"identity":{"zone":[1,2]},"team":"pets"}"#
            ),
        );
        set(setting, r#"{"id":"1c9d-22","status":200}"#, r#","fields":{"id":"1c9d-22","status":200}"#);
    }

    #[test]
    fn white_space_before_a_value_does_not_change_whose_line_it_is() {
        let formats = Formats::compile("{\"id\":$context.requestId}\n{\"id\": $context.extendedRequestId}").unwrap();
        for line in ["{\"id\": \"x\"}", "{\"id\":\"x\"}", "{\"id\":\t\"x\"}"] {
            let message = serde_json::to_string(line).unwrap();
            let message = crate::json::Cursor::new(&message).string().unwrap();
            if let Some(log) = formats.parse_message(message) {
                assert_eq!(log.format(), formats.parse(line).unwrap().format(), "{line}");
            }
        }
    }

    #[test]
    fn composites_and_constants_of_a_json_format_are_fields() {
        let setting = r#"{"req":"$context.httpMethod $context.domainName$context.path","env":"prod","n":{"v":2,"s":"$context.status"}}"#;
        set(
            setting,
            r#"{"req":"GET example.com/pets","env":"prod","n":{"v":2,"s":"200"}}"#,
            r#","context":{"status":200},"fields":{"req":"GET example.com/pets","env":"prod","n":{"v":2}}"#,
        );
        // The same without being JSON.
        set(
            setting,
            r#"{"req":"GET example.com/"pets"","env":"prod","n":{"v":2,"s":"200"}}"#,
            r#","context":{"status":200},"fields":{"req":"GET example.com/\"pets\"","env":"prod","n":{"v":2}}"#,
        );
    }

    #[test]
    fn a_json_format_reads_lines_that_are_not_json() {
        let setting = r#"{"id":"$context.requestId","ua":"$context.identity.userAgent","status":$context.status,"msg":"$context.error.messageString"}"#;
        set(
            setting,
            r#"{"id":"1c9d-22","ua":"say "hi", \u00e9","status":-,"msg":""Forbidden""}"#,
            r#","context":{"requestId":"1c9d-22","identity":{"userAgent":"say \"hi\", \\u00e9"},"error":{"messageString":"Forbidden"}}"#,
        );
        set(
            setting,
            r#"{"id":"1c9d-22","ua":"\u00e9 \"x\"","status":-,"msg":"-"}"#,
            r#","context":{"requestId":"1c9d-22","identity":{"userAgent":"\u00e9 \"x\""}}"#,
        );
    }

    #[test]
    fn a_key_that_a_client_wrote_twice_does_not_win() {
        set(
            r#"{"ua":"$context.identity.userAgent","status":"$context.status"}"#,
            r#"{"ua":"x","status":"200","status":"404"}"#,
            r#","context":{"identity":{"userAgent":"x\",\"status\":\"200"},"status":404}"#,
        );
    }

    #[test]
    fn an_object_in_place_of_a_variable_is_a_field() {
        set(
            r#"{"id":"$context.requestId","claims":$context.authorizer.claims}"#,
            r#"{"id":"1c9d-22","claims":{"sub": "a"}}"#,
            r#","context":{"requestId":"1c9d-22"},"fields":{"claims":{"sub":"a"}}"#,
        );
    }

    #[test]
    fn a_json_object_without_a_format_keeps_its_keys() {
        let line = r#"{"level": "info", "n": [1, {"a": null}], "e": {}}"#;
        let expected = r#","fields":{"level":"info","n":[1,{"a":null}],"e":{}}"#;
        reads(&Formats::documented(), line, expected);
        set("$context.requestId,$context.status", line, expected);
        assert_eq!(Formats::documented().parse(line).unwrap().format(), None);
        reads(&Formats::documented(), "{}", "");
    }

    fn any_value() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("-".to_owned()),
            Just(String::new()),
            "[a-z0-9]{1,8}",
            r#"[a-c",:{}\[\]\\ =%1-]{0,12}"#,
            any::<String>(),
        ]
    }

    const NAMES: [&str; 9] = [
        "requestId",
        "status",
        "identity.sourceIp",
        "identity.userAgent",
        "error.messageString",
        "authorizer.a",
        "authorizer.a.b",
        "path",
        "requestTimeEpoch",
    ];

    /// The text of a JSON format with these variables, each quoted or not, and a constant and a composite.
    fn json_format(names: &[(usize, bool)]) -> String {
        let key = |(index, (name, quoted)): (usize, &(usize, bool))| {
            let quote = if *quoted { "\"" } else { "" };
            format!("\"k{index}\":{quote}$context.{}{quote}, ", NAMES[name % NAMES.len()])
        };
        let keys: String = names.iter().enumerate().map(key).collect();
        format!("{{\"env\":\"prod\", {keys}\"both\":\"$context.stage/$context.path\"}}")
    }

    static DOCUMENTED: LazyLock<Formats> = LazyLock::new(Formats::documented);

    proptest! {
        #[test]
        fn what_is_written_is_json(
            names in proptest::collection::vec((0..NAMES.len(), any::<bool>()), 1..6),
            values in proptest::collection::vec(any_value(), 8),
            escaped in any::<bool>(),
        ) {
            let format = json_format(&names);
            let mut line = format.clone();
            for value in &values {
                let Some(start) = line.find("$context.") else { break };
                let end = start + 9 + name_length(&line[start + 9..], false);
                let text = if escaped { serde_json::to_string(value)?.trim_matches('"').to_owned() } else { value.clone() };
                line.replace_range(start..end, &text.replace('$', ""));
            }
            for formats in [&Formats::compile(&format).unwrap(), &DOCUMENTED] {
                if let Ok(log) = formats.parse(&line) {
                    for redactor in [Redactor::off(), Redactor::new(["a"])] {
                        let text = format!("{{\"x\":0{}}}", written(&log, &redactor));
                        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{} from {}", text, line);
                        prop_assert!(!text.contains('\n'));
                    }
                }
            }
        }

        #[test]
        fn reading_to_the_letter_is_reading_by_keys(
            names in proptest::collection::vec((0..NAMES.len(), any::<bool>()), 1..6),
            values in proptest::collection::vec(any_value(), 8),
        ) {
            let format = json_format(&names);
            let mut line = format.clone();
            for value in &values {
                let Some(start) = line.find("$context.") else { break };
                let end = start + 9 + name_length(&line[start + 9..], false);
                let bare = line[..start].ends_with(':');
                let inside = serde_json::to_string(&value.replace('$', ""))?;
                let text = if bare { inside.as_str() } else { &inside[1..inside.len() - 1] };
                line.replace_range(start..end, text);
            }
            let formats = Formats::compile(&format).unwrap();
            // With white space in front of the end, the line is no longer the format to the letter.
            let spaced = format!("{} }}", line.strip_suffix('}').unwrap());
            prop_assert!(verbatim(&formats.set[0], &line).is_some());
            prop_assert!(verbatim(&formats.set[0], &spaced).is_none());
            let redactor = Redactor::new(["a"]);
            let clear = written(&formats.parse(&line).unwrap(), &redactor);
            prop_assert_eq!(&clear, &written(&formats.parse(&spaced).unwrap(), &redactor));
            // The same as it stands in an envelope, where it is read there.
            let message = serde_json::to_string(&line)?;
            let message = crate::json::Cursor::new(&message).string().unwrap();
            match formats.parse_message(message) {
                Some(log) => prop_assert_eq!(&clear, &written(&log, &redactor)),
                None => prop_assert!(line.contains('\\') || line.contains("\":\"\"") || names.iter().any(|(_, quoted)| !quoted), "{}", line),
            }
        }
    }
}
